"""The cheapest that may be signed: a least grade, the best of each grade, the best with weights as published."""

from __future__ import annotations

import pytest

from optimizer.decide import decide
from optimizer.performance import native_quant
from optimizer.plan.types import Infeasible, Outcome
from optimizer.planning.inputs import Inputs, read_inputs
from optimizer.report import render
from optimizer.verify import verify_plans

PROBLEM = """
name: to sign
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {concurrency: 8}
    tokens: {input: 512, output: 128, context_max: 4096}
    slo: {tpot_ms: {p95: 60}}
hardware: {gpus: [h100_sxm_80, h20_96], providers: [mine]}
offers:
  - {id: cheap, provider: mine, gpu: h20_96, gpus_per_node: 1, currency: USD, price_per_hour: 1}
  - {id: known, provider: mine, gpu: h100_sxm_80, gpus_per_node: 1, currency: USD, price_per_hour: 3}
ranking: {top: 1}
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    path = tmp_path_factory.mktemp("sign") / "sign.yaml"
    path.write_text(PROBLEM)
    return read_inputs(path)


@pytest.fixture(scope="module")
def outcome(inputs: Inputs) -> Outcome:
    return decide(inputs, simulate=False)


def test_a_least_grade_rules_out_what_is_cheaper(inputs: Inputs, outcome: Outcome) -> None:
    assert outcome.plans[0].grade > "A"
    signed = decide(inputs.with_sets(["ranking.min_grade=A"]), simulate=False)
    assert signed.plans[0].grade == "A"
    assert signed.plans[0].monthly_cents > outcome.plans[0].monthly_cents
    assert "ranking.min_grade" in [step.rule for step in signed.funnel]
    assert "ranking.min_grade" not in [step.rule for step in outcome.funnel]
    assert "min_grade: A" in signed.rules


def test_where_the_grade_leaves_nothing_it_is_a_way_out(inputs: Inputs) -> None:
    found = decide(inputs.with_sets(["ranking.min_grade=A", "hardware.gpus=[h20_96]"]), simulate=False)
    assert isinstance(found, Infeasible)
    told = {relaxation.change: relaxation.after for relaxation in found.relaxations}
    assert told["ranking.min_grade"] in ("B", "C")


def test_the_best_of_a_grade_that_is_not_listed_is_a_plan(inputs: Inputs, outcome: Outcome) -> None:
    graded = dict(outcome.others.by_grade)
    first = outcome.plans[0]
    assert graded[first.grade].rank == 1
    best = graded["A"]
    assert best.rank is None and best.plan is not None
    signed = decide(inputs.with_sets(["ranking.min_grade=A"]), simulate=False).plans[0]
    assert (best.plan.grade, best.plan.monthly_cents) == ("A", signed.monthly_cents)


def test_the_best_with_weights_as_published(inputs: Inputs, outcome: Outcome) -> None:
    native = native_quant(inputs.catalog.models["meta-llama/Llama-3.1-8B-Instruct"])
    best = outcome.others.as_published
    assert best is not None and best.plan is not None
    assert {group.weight_quant for group in best.plan.groups} == {native}
    only = decide(inputs.with_sets([f"engine.weight_quant=[{native}]"]), simulate=False)
    assert best.plan.monthly_cents == only.plans[0].monthly_cents


def test_no_plan_has_weights_as_published(inputs: Inputs) -> None:
    found = decide(inputs.with_sets(["engine.weight_quant=[fp8]"]), simulate=False).others.as_published
    assert found is not None and found.plan is None


SHORT = ["workloads.chat.slo={ttft_ms: {p95: 2000}, tpot_ms: {p95: 60}}", "workloads.chat.traffic.concurrency=80"]


def test_the_cheapest_that_goes_on_with_a_node_gone_is_what_survive_asks_for(inputs: Inputs) -> None:
    found = decide(inputs.with_sets(SHORT))
    best = found.others.surviving
    assert found.plans[0].without_a_node is False
    assert best is not None and best.plan is not None and best.rank is None
    assert best.plan.without_a_node
    asked = decide(inputs.with_sets([*SHORT, "margins.survive=node"]))
    assert best.plan.monthly_cents == asked.plans[0].monthly_cents > found.plans[0].monthly_cents
    assert asked.others.surviving is None  # every plan does
    assert list(verify_plans(inputs.with_sets(SHORT).problem, inputs.catalog, inputs.params, [best.plan])) == [()]
    assert "N+1" in render(found, "screen")


def test_where_the_first_goes_on_it_is_the_one(inputs: Inputs) -> None:
    found = decide(inputs.with_sets([*SHORT, "workloads.chat.traffic.min_replicas=3"]))
    best = found.others.surviving
    assert found.plans[0].without_a_node
    assert best is not None and best.rank == 1
    assert "N+1" not in render(found, "screen")


def test_where_no_plan_survives_within_the_limits_there_is_none(inputs: Inputs) -> None:
    found = decide(inputs.with_sets([*SHORT, "hardware.limits.max_nodes=1"]))
    assert found.others.surviving is not None and found.others.surviving.plan is None


@pytest.mark.parametrize("edit", ["objective=maximize_load", "ranking.max_configurations_per_workload=2"])
def test_where_it_is_not_asked_nothing_is_said(inputs: Inputs, edit: str) -> None:
    limit = "hardware.limits.max_gpus=4"
    assert decide(inputs.with_sets([*SHORT, edit, limit])).others.surviving is None


def test_without_replays_nobody_knows_what_goes_on(outcome: Outcome) -> None:
    assert outcome.others.surviving is None
