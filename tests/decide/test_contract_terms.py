"""Terms of contracts at work in whole decisions, each answer confirmed by the solver-free check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from optimizer.decide import solve_problem
from optimizer.plan.types import Outcome
from optimizer.report import render

pytestmark = pytest.mark.cards("l40s_48")

BASE = """
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 40}
    tokens: {input: 1000, output: 200, context_max: 4096}
    slo: {ttft_ms: {p95: 1000}, tpot_ms: {p95: 50}}
hardware: {gpus: [l40s_48], regions: [our hall]}
ranking: {top: 1}
"""


def solved(folder: Path, *quotes: str, sets: tuple[str, ...] = (), tail: str = "") -> Outcome:
    whole = ", ".join(
        f"{{gpu: l40s_48, gpus_per_node: 1, currency: USD, region: our hall, {quote}}}" for quote in quotes
    )
    path = folder / "problem.yaml"
    path.write_text(f"{BASE}offers: [{whole}]\n{tail}")
    return solve_problem(path, sets=sets, simulate=False)


def bought(outcome: Outcome) -> dict[str, int]:
    return {node.offer_id: node.count for plan in outcome.plans for node in plan.nodes}


PLAIN = "id: plain, provider: two, price_per_hour: 2"


def test_a_least_order_a_break_and_a_share_in_one_market(tmp_path: Path) -> None:
    nodes = bought(solved(tmp_path, PLAIN))["plain"]
    assert nodes > 2
    least = "id: lots, provider: one, price_per_hour: 1.5, min_nodes: {}"
    assert bought(solved(tmp_path, PLAIN, least.format(nodes + 1))) == {"lots": nodes + 1}
    assert bought(solved(tmp_path, PLAIN, least.format(2 * nodes))) == {"plain": nodes}
    steps = f"price_breaks: [{{from_nodes: {nodes}, price_per_hour: 1.9}}]"
    outcome = solved(tmp_path, PLAIN, f"id: steps, provider: one, price_per_hour: 2.5, {steps}")
    (line,) = outcome.plans[0].nodes
    assert (line.offer_id, line.count, line.from_nodes) == ("steps", nodes, nodes)
    assert line.monthly_cents == round(1.9 * 730 * 100) * nodes
    share = ("hardware.limits.max_share_per_provider=0.7",)
    both = bought(solved(tmp_path, PLAIN, "id: other, provider: one, price_per_hour: 1.5", sets=share))
    assert both.keys() == {"plain", "other"} and sum(both.values()) == nodes


def test_a_commitment_is_billed_whole_owed_and_kept_within_the_longest_allowed(tmp_path: Path) -> None:
    quote = f"{PLAIN}, commitment_months: 6, upfront_percent: 25, early_exit_percent: 40"
    part_time = ("payment.hours_per_month=200",)
    outcome = solved(tmp_path, quote, sets=part_time)
    plan = outcome.plans[0]
    assert plan.nodes[0].commitment_months == 6
    assert plan.monthly_cents == plan.nodes[0].count * 2 * 730 * 100  # not the 200 hours of use
    whole = plan.monthly_cents * 6
    document = json.loads(render(outcome, "json"))["plans"][0]["owed"]
    assert document["now"] == whole / 100
    assert plan.owed.upfront_cents == whole // 4
    assert document["by_month"] == [round(whole * 0.75 * left / 6 * 0.4) / 100 for left in (5, 4, 3, 2, 1, 0)]
    text = " ".join(render(outcome, "text").split())
    assert "owed on signing $" in text and "when leaving after 3 months" in text
    for most, allowed in ((5, False), (6, True)):
        found = solved(tmp_path, quote, sets=(*part_time, f"payment.max_commitment_months={most}"))
        assert bool(found.plans) is allowed
        assert any("binds for 6 months" in one for one in found.warnings) is not allowed


def test_nothing_is_owed_on_demand(tmp_path: Path) -> None:
    document = json.loads(render(solved(tmp_path, PLAIN), "json"))["plans"][0]["owed"]
    assert document == {"now": 0, "by_month": []}


def test_recoverable_tax_moves_no_ranking(tmp_path: Path) -> None:
    quotes = ("id: taxed, provider: one, price_per_hour: 1.9, tax_percent: 19", PLAIN + ", tax_percent: 0")
    assert bought(solved(tmp_path, *quotes)).keys() == {"plain"}
    outcome = solved(tmp_path, *quotes, sets=("payment.tax_recoverable=yes",))
    plan = outcome.plans[0]
    assert plan.nodes[0].offer_id == "taxed"
    assert plan.recoverable_tax_cents == pytest.approx(plan.monthly_cents * 0.19, abs=plan.nodes[0].count)
    document = json.loads(render(outcome, "json"))["plans"][0]
    assert document["recoverable_tax_monthly"] == plan.recoverable_tax_cents / 100
    assert "recoverable tax, in no total" in " ".join(render(outcome, "text").split())


@pytest.mark.parametrize(
    ("breaks", "message"),
    [
        ("[{from_nodes: 4, price_per_hour: 2}]", "a break is lower than what it breaks"),
        ("[{from_nodes: 4, price_per_hour: 1.8}, {from_nodes: 4, price_per_hour: 1.7}]", "above 4"),
        ("[{from_nodes: 1, price_per_hour: 1.8}]", "from_nodes"),
    ],
)
def test_breaks_that_make_no_sense_are_refused(tmp_path: Path, breaks: str, message: str) -> None:
    from optimizer.errors import ProblemError

    with pytest.raises(ProblemError) as error:
        solved(tmp_path, f"{PLAIN}, price_breaks: {breaks}")
    assert any(message in f"{found.message} {found.hint}" for found in error.value.findings)
