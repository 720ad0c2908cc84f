"""Keys of the problem file at work in whole decisions: what each changes, and that the check confirms every answer."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from optimizer.decide import solve_problem
from optimizer.plan.types import Outcome, Plan
from optimizer.report import render

pytestmark = pytest.mark.cards("h100_sxm_80", "l40s_48", "a100_sxm_80", "b200_sxm_180", "l4_24", "mi300x_192")

BASE = """
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 10}
    tokens: {input: 1000, output: 200, context_max: 4096}
    slo: {ttft_ms: {p95: 1000}, tpot_ms: {p95: 50}}
ranking: {top: 3}
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("problem") / "base.yaml"
    path.write_text(BASE)
    return path


def solved(base: Path, *sets: str) -> Outcome:
    outcome = solve_problem(base, sets=sets, simulate=False)
    assert outcome.plans, sets
    return outcome


def first(base: Path, *sets: str) -> Plan:
    return solved(base, *sets).plans[0]


@pytest.mark.parametrize("version", ["0.6.3", "0.9.1", "0.14.0", "99.0"])
def test_a_stated_engine_version_is_predicted_as_it_is_verified(base: Path, version: str) -> None:
    solved(base, f'engine.version="{version}"')


def test_an_old_engine_version_is_predicted_as_slower(base: Path) -> None:
    alike = ("hardware.gpus=[h100_sxm_80]", "engine.weight_quant=[bf16]", "engine.tensor_parallel=[1]")
    new, old = first(base, *alike), first(base, *alike, 'engine.version="0.6.3"')
    assert old.key == new.key
    assert old.predicted[0].tpot_ms.p95 > new.predicted[0].tpot_ms.p95


@pytest.mark.parametrize(
    "bound", ["hardware.limits.max_gpus=4", "hardware.limits.max_nodes=2", "hardware.limits.max_power_kw=4"]
)
def test_the_most_load_is_within_the_printed_capacity(base: Path, bound: str) -> None:
    for plan in solved(base, "objective=maximize_load", bound).plans:
        assert plan.predicted[0].capacity.requests_per_second >= 10 * plan.load_factor * (1 - 1e-6)


@pytest.mark.parametrize("objective", ["minimize_ttft", "minimize_tpot"])
def test_the_load_factor_counts_what_the_plan_carries_not_where_its_latency_was_read(
    base: Path, objective: str
) -> None:
    """One request in flight on a whole H100 leaves room for many more inside generous promises."""
    plan = first(
        base,
        f"objective={objective}",
        "workloads.chat.traffic={concurrency: 1}",
        "hardware.owned=[{gpu: h100_sxm_80, gpus_per_node: 1}]",
        "hardware.only_owned=yes",
    )
    assert plan.load_factor > 10
    assert plan.predicted[0].capacity.concurrency > 10


def test_without_a_plan_what_only_latencies_would_tell_is_unknown(base: Path) -> None:
    outcome = solve_problem(base, sets=["budget.monthly=1"])
    assert outcome.loads[0].requests_per_second == 10
    assert math.isnan(outcome.loads[0].inflight)
    assert json.loads(render(outcome, "json"))["load"][0]["inflight"] is None
    assert "10 requests/s, 2,000 output tokens/s (requests_per_second 10 decides)" in " ".join(
        render(outcome, "text").split()
    )


def test_no_configuration_that_breaks_the_budget_is_said_to_come_first(base: Path) -> None:
    assert not [text for text in solve_problem(base, sets=["budget.monthly=1"]).warnings if "come first" in text]


def test_the_funnel_says_what_measurement_would_bring_back(base: Path) -> None:
    sure = solved(base, "margins.confidence=0.99")
    notes = [step.note for step in sure.funnel if step.rule == "margins.confidence"]
    assert notes
    assert "could bring back the cheapest" in notes[0]


@pytest.mark.parametrize(
    ("rule", "edit"),
    [
        ("hardware.limits.max_power_kw", "hardware.limits.max_power_kw=0.2"),
        ("hardware.quota", "hardware.quota=[{provider: crusoe, max_gpus: 0}]"),
    ],
)
def test_the_funnel_counts_power_and_quotas(base: Path, rule: str, edit: str) -> None:
    steps = solve_problem(base, sets=[edit, "hardware.providers=[aws, crusoe]"]).funnel
    before = next(index for index, step in enumerate(steps) if step.rule == rule) - 1
    assert steps[before + 1].remaining < steps[before].remaining


def test_power_is_listed_among_what_binds(base: Path) -> None:
    plan = first(base, "hardware.limits.max_power_kw=4")
    found = next(binding for binding in plan.binding if binding.promise == "hardware.limits.max_power_kw")
    assert 0 < found.value <= found.limit == 4


@pytest.mark.parametrize("discount", ["{provider: me, percent: 50}", "{tier: reserved_1y, percent: 50}"])
def test_a_discount_that_matches_nothing_is_said_to_change_nothing(base: Path, discount: str) -> None:
    quote = "offers=[{id: q, provider: me, gpu: h100_sxm_80, gpus_per_node: 1, price_per_hour: 1}]"
    warnings = solved(base, quote, f"payment.discounts=[{discount}]").warnings
    assert [text for text in warnings if text.startswith("payment.discounts.0: matches no list price")]


def test_a_discount_that_matches_is_not_warned_about(base: Path) -> None:
    outcome = solved(base, "payment.discounts=[{provider: crusoe, percent: 50}]")
    assert not [text for text in outcome.warnings if "discounts" in text]


def test_tokens_are_counted_in_the_hours_that_the_load_runs(base: Path) -> None:
    """Ten hours a night, four nights: 400,000 documents of 200 tokens; part-time use halves bill and tokens alike."""
    batch = first(
        base,
        "workloads.chat.traffic={batch: {requests: 100000, within_hours: 10, runs_per_month: 4}}",
        "workloads.chat.slo={}",
    )
    assert batch.cost_per_million_output_tokens == pytest.approx(batch.monthly_cents / 100 / (400_000 * 200 / 1e6))
    whole, part = first(base), first(base, "payment.hours_per_month=365")
    assert part.cost_per_million_output_tokens == pytest.approx(whole.cost_per_million_output_tokens)
    text = " ".join(render(solved(base, "payment.hours_per_month=365"), "text").split())
    assert "per million output tokens, if the stated load runs 365 hours a month" in text


@pytest.mark.parametrize("traffic", ["{output_tokens_per_second: 900, concurrency: 60}", "{requests_per_second: 3}"])
def test_tokens_are_those_of_the_stated_arrivals_for_every_plan(base: Path, traffic: str) -> None:
    """Requests held in flight come back sooner on a faster plan; the bill is still over the tokens asked for."""
    outcome = solved(
        base, f"workloads.chat.traffic={traffic}", "payment.api_price={input_per_million: 1, output_per_million: 1}"
    )
    load = outcome.loads[0]
    for plan in outcome.plans:
        millions = load.output_tokens_per_second * 730 * 3600 / 1e6
        assert plan.cost_per_million_output_tokens == pytest.approx(plan.monthly_cents / 100 / millions)
    bills = {plan.long_run.api.own_cents for plan in outcome.plans if plan.long_run and plan.long_run.api}
    assert len(bills) == 1


@pytest.mark.parametrize("shares", [1, 2])
def test_replicas_are_as_many_as_the_requests_in_flight_take(base: Path, shares: int) -> None:
    """25 replicas of 2 hold 50, though a 25th of the load is no whole number of the solver's units."""
    plan = first(
        base,
        "workloads.chat.traffic={concurrency: 50}",
        "engine.max_num_seqs=2",
        "engine.tensor_parallel=1",
        "offers=[{id: q, provider: me, gpu: h100_sxm_80, gpus_per_node: 1, price_per_hour: 1}]",
        "hardware.providers=[me]",
        f"ranking.max_configurations_per_workload={shares}",
    )
    assert sum(group.replicas for group in plan.groups) == plan.gpus == 25


def test_rules_are_echoed_under_names_that_say_what_they_are(base: Path) -> None:
    outcome = solved(
        base,
        "budget.monthly=90000",
        "engine.name=sglang",
        "hardware.owned=[{gpu: h100_sxm_80, gpus_per_node: 8, nodes: 2}]",
        "hardware.quota=[{provider: crusoe, max_gpus: 16}]",
        "payment.hours_per_month=365",
    )
    assert {
        "budget a month: 90000",
        "engine: sglang",
        "owned: 2 x 8 h100_sxm_80",
        "quota: 16 GPUs at crusoe",
        "hours_per_month: 365",
    } <= set(outcome.rules)


def test_a_way_out_asks_for_no_more_budget_than_it_spends(base: Path) -> None:
    outcome = solve_problem(base, sets=["budget.monthly=100", "workloads.chat.slo.ttft_ms.p95=20"])
    spent = [
        (after, way.monthly_cents)
        for way in outcome.relaxations
        for path, _, after in ((way.change, way.before, way.after), *way.also)
        if path == "budget.monthly"
    ]
    assert spent
    assert all(0 <= float(str(after)) * 100 - cents < 100 for after, cents in spent)
