"""Feasible is not for sale: nodes nobody prices, quotes that break the buyer's rules, repairs that stay inside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.market_rules import DAY, checked
from optimizer.commands import cli
from optimizer.decide import read_inputs, solve_problem
from optimizer.plan.types import Infeasible, Outcome, Unpriced
from optimizer.progress import TODAY
from optimizer.report import render
from optimizer.whatif import unpriced
from optimizer.whatif.case import Case, open_case

pytestmark = pytest.mark.cards(
    "h100_sxm_80", "l40s_48", "a100_sxm_80", "t4_16", "b200_sxm_180", "h20_141", "h20_96", "l4_24"
)

FILES = 8

BASE = """
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 4}
    tokens: {input: 1000, output: 200, context_max: 4096}
    slo: {ttft_ms: {p95: 1000}, tpot_ms: {p95: 50}}
ranking: {top: 3}
"""
DEEPSEEK_CN = """
workloads:
  - name: chat
    model: deepseek-ai/DeepSeek-V3.1
    traffic: {users: {active: 300, requests_per_user_per_hour: 8}, peak_factor: 2}
    tokens: {input: {mean: 4000, p95: 8000}, output: 400, context_max: 16384}
    slo: {ttft_ms: {p95: 4000}, tpot_ms: {p95: 60}}
hardware: {market: cn, gpus: [h20_141, h20_96]}
payment: {tiers: [purchase], currency: CNY}
"""
QUOTE = "{id: mine, provider: newcloud, gpu: h100_sxm_80, gpus_per_node: 1, currency: USD, price_per_hour: 0.05"


def solved(folder: Path, text: str, *sets: str) -> Outcome:
    path = folder / "problem.yaml"
    path.write_text(text, encoding="utf-8")
    return solve_problem(path, sets=sets, simulate=False)


def test_nodes_nobody_prices_are_named_and_no_repair_leaves_the_market(tmp_path: Path) -> None:
    outcome = solved(tmp_path, DEEPSEEK_CN)
    assert isinstance(outcome, Infeasible)
    assert not outcome.relaxations
    document = json.loads(render(outcome, "json"))
    assert {one["gpu"] for one in document["unpriced"]} == {"h20_141", "h20_96"}
    for one in document["unpriced"]:
        assert one["gpus_per_node"] == 8 and one["nodes"] >= 1 and one["workloads"] == ["chat"]
        assert one["ask_below_per_node_month"] is None
    text = " ".join(render(outcome, "text").split())
    assert "bring a quote for 4 nodes of 8x H20 141GB (for chat): any price is better than no plan" in text
    assert "memory" not in text.split("What would make it possible")[1].split("Terms")[0]


def test_cards_that_need_more_than_those_listed_are_not_worked_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is the same whether every card is asked about or only those that may still be in it."""
    five = "hardware.gpus=[h100_sxm_80, l40s_48, a100_sxm_80, t4_16, b200_sxm_180]"
    cards = ("hardware.providers=[campus-hpc]", five, "engine.pipeline_parallel=[1]", "engine.kv_cache=auto")
    asked: list[str] = []
    least = unpriced._least

    def counted(case: Case, gpu: str, best_cents: int | None) -> Unpriced | None:
        asked.append(gpu)
        return least(case, gpu, best_cents)

    monkeypatch.setattr(unpriced, "_least", counted)
    whole = solved(tmp_path, BASE, *cards).unpriced
    assert len(set(asked)) == 5
    assert {one.gpu for one in whole} == set(asked) - {"t4_16"}  # of which it takes more than eight times as many
    asked.clear()
    monkeypatch.setattr(unpriced, "MOST", 2)
    assert solved(tmp_path, BASE, *cards).unpriced == whole[:2]
    assert 2 <= len(asked) < 5


def test_with_a_budget_the_quote_to_bring_has_a_price_and_at_that_price_it_is_the_answer(tmp_path: Path) -> None:
    few = ("engine.pipeline_parallel=[1]", "engine.kv_cache=auto", "hardware.gpus=[h20_141]")
    outcome = solved(tmp_path, DEEPSEEK_CN, "budget.monthly=300000", "payment.tiers=[on_demand]", *few)
    one = next(one for one in outcome.unpriced if one.gpu == "h20_141")
    assert one.ask_below_cents == 300_000_00 // one.nodes
    for share, found in ((0.999, True), (1.01, False)):
        hourly = one.ask_below_cents / 100 / 730 * share
        quote = f"[{{id: q, provider: x, country: CN, gpu: h20_141, gpus_per_node: 8, price_per_hour: {hourly}}}]"
        sets = ("budget.monthly=300000", "payment.tiers=[on_demand]", f"offers={quote}", *few)
        assert bool(solved(tmp_path, DEEPSEEK_CN, *sets).plans) is found


def test_a_card_that_the_user_names_and_nobody_prices_stands_beside_the_plan(tmp_path: Path) -> None:
    sets = ("hardware.gpus=[h100_sxm_80, h20_141]", "hardware.regions=[us-east-1]")
    outcome = solved(tmp_path, BASE, *sets)
    first = outcome.plans[0]
    (one,) = [one for one in outcome.unpriced if one.gpu == "h20_141"]
    assert one.ask_below_cents == first.monthly_cents // one.nodes
    assert "Not priced" in " ".join(render(outcome, "text").split())


@pytest.mark.parametrize("region", ["eu-central-1", "cn-hangzhou"])
def test_a_real_region_without_a_price_is_no_misspelling(tmp_path: Path, region: str) -> None:
    outcome = solved(tmp_path, BASE, f"hardware.regions=[{region}]", "ranking.top=1")
    assert isinstance(outcome, Infeasible)
    assert outcome.unpriced and not any(way.change.startswith("hardware.") for way in outcome.relaxations)
    text = " ".join(render(outcome, "text").split())
    assert "us-east-1" not in text and "unknown region" not in text


@pytest.mark.parametrize(
    ("rule", "fact", "bad"),
    [
        ("hardware.regions=[us-east-1]", "region: us-east-1", "region: us-west-2"),
        ("hardware.providers={classes: [hyperscaler]}", "provider_class: hyperscaler", "provider_class: neocloud"),
        ("hardware.market=us", "country: US", "country: FI"),
        ("hardware.require={countries: [US]}", "country: US", "country: FI"),
        ("hardware.require={headquarters: [US]}", "headquarters: US", "headquarters: CN"),
        ("hardware.require={certificates: [ISO 27001]}", "certificates: [ISO 27001]", "certificates: [SOC 2]"),
        ("payment.as_of=2026-12-01", "valid_until: 2026-12-01", "valid_until: 2026-11-30"),
    ],
)
def test_a_quote_passes_the_buyers_own_rules_or_is_named(tmp_path: Path, rule: str, fact: str, bad: str) -> None:
    for stated, wins in ((fact, True), (bad, False), ("quote_ref: none", False)):
        text = f"{BASE}offers: [{QUOTE}, {stated}}}]\n"
        outcome = solved(tmp_path, text, rule, "ranking.top=1")
        offers = {node.offer_id for plan in outcome.plans for node in plan.nodes}
        told = [one for one in outcome.warnings if one.startswith("offers.mine: ")]
        if stated == "quote_ref: none" and "as_of" in rule:
            assert offers == {"mine"}  # without an end it holds
            continue
        assert (offers == {"mine"}) is wins and (not told) is wins, (outcome.warnings, offers)
        assert all(one in json.loads(render(outcome, "json"))["warnings"] for one in told)


def test_quotes_to_ask_for_are_within_reach_of_a_seller(tmp_path: Path) -> None:
    solved(tmp_path, BASE)
    case = open_case(read_inputs(tmp_path / "problem.yaml"))
    known = unpriced._lowest(case, "a100_sxm_80")
    assert known is not None and unpriced._lowest(case, None) is not None
    least = unpriced.LEAST_SHARE * known * 8
    for below, named in ((None, True), (int(least) + 1, True), (int(least) - 1, False), (300, False)):
        assert unpriced._within_reach(Unpriced("a100_sxm_80", 8, 1, ("chat",), below), case) is named


def test_no_other_winner_and_no_target_price_leaves_a_rule_on_certificates(tmp_path: Path) -> None:
    from optimizer.catalog import load_catalog
    from optimizer.negotiate.targets import targets

    rule = "hardware.require={certificates: [soc2 type 2]}"
    known = load_catalog().providers
    held = {key for key, one in known.items() if "SOC 2 Type II" in one.certificates}
    outcome = solved(tmp_path, BASE, rule)
    plans = [*outcome.plans, *(one.plan for one in outcome.others.every() if one.plan is not None)]
    sellers = {node.offer_id for plan in plans for node in plan.nodes}
    sellers = {load_catalog().offers[offer].provider for offer in sellers}
    assert sellers and sellers <= held
    found = targets(tmp_path / "problem.yaml", sets=[rule], simulate=False)
    asked = {one.provider for one in found.prices if one.provider in known and known[one.provider].certificates}
    assert asked <= held


def test_an_expired_quote_is_told_on_stderr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "problem.yaml"
    path.write_text(f"{BASE}offers: [{QUOTE}, valid_until: 2026-10-01}}]\n")
    for day, expired in (("2026-10-01", False), ("2026-10-02", True)):
        monkeypatch.setenv(TODAY, day)
        done = CliRunner().invoke(cli, [str(path), "--no-simulate", "--format", "json"])
        assert done.exit_code == 0
        assert ("expired (newcloud, 1x h100_sxm_80): valid until 2026-10-01" in done.stderr) is expired
        document = json.loads(done.stdout)
        assert (document["plans"][0]["nodes"][0]["offer_id"] == "mine") is not expired
        assert any("expired" in one for one in document["warnings"]) is expired


@pytest.mark.parametrize("block", range(4))
def test_no_plan_and_no_repair_of_many_files_is_outside_the_rules(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``python -m benchmarks.market_rules`` does the same with 1,000 files."""
    monkeypatch.setenv(TODAY, DAY)
    for seed in range(block, FILES, 4):
        seen, wrong = checked(seed, tmp_path / "problem.yaml")
        assert seen["files"] == 1 and not wrong
