"""The cheapest plans as replayed: nothing cheaper keeps its promises, whatever the closed form thinks of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from optimizer.catalog.types import Catalog
from optimizer.decide import answer, decide
from optimizer.fleet.funnel import configuration_allowed
from optimizer.fleet.instance import slot_facts
from optimizer.fleet.lower_bounds import UsableOptions
from optimizer.plan.replayed import SATURATION, Replay
from optimizer.plan.types import Infeasible, Outcome, Plan
from optimizer.planning.inputs import Inputs, read_inputs
from optimizer.planning.replicas_replayed import Replayer, Trial
from optimizer.verify import verify_plan
from optimizer.whatif.case import Case, open_case

pytestmark = pytest.mark.cards("h200_sxm_141", "b200_sxm_180", "l40s_48", "a100_sxm_80", "h100_sxm_80")

PROBLEMS = Path(__file__).parents[2] / "problems"

LARGE = """
name: DeepSeek for a company
workloads:
  - name: chat
    model: deepseek-ai/DeepSeek-V3
    traffic: {users: {active: 5000, requests_per_user_per_hour: 20}, peak_factor: 2}
    tokens: {input: 2000, output: 600, context_max: 32768}
    slo: {ttft_ms: 3000, tpot_ms: 50, percentile: 95}
hardware: {gpus: [h200_sxm_141, b200_sxm_180]}
ranking: {top: 2}
"""

SMALL = """
name: a few cards
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 30}
    tokens: {input: {mean: 900, p95: 2500}, output: 250, context_max: 8192}
    slo: {ttft_ms: {p95: 800}, tpot_ms: {p95: 30}}
hardware: {gpus: [l40s_48, a100_sxm_80, h100_sxm_80]}
engine: {tensor_parallel: [1, 2], pipeline_parallel: [1], kv_cache: [auto]}
ranking: {top: 4}
"""


MANY = """
workloads:
  - name: api
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 60000}
    tokens: {input: 500, output: 200, context_max: 4096}
    slo: {ttft_ms: 2000, tpot_ms: 60, percentile: 95}
hardware: {gpus: [l40s_48]}
ranking: {top: 1}
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    path = tmp_path_factory.mktemp("large") / "large.yaml"
    path.write_text(LARGE)
    return read_inputs(path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    path = tmp_path_factory.mktemp("small") / "small.yaml"
    path.write_text(SMALL)
    return read_inputs(path)


@pytest.fixture(scope="module")
def outcome(large: Inputs) -> Outcome:
    return decide(large)


def test_where_the_closed_form_is_pessimistic_less_is_bought(large: Inputs, outcome: Outcome) -> None:
    estimated = decide(large, simulate=False)
    assert outcome.plans[0].monthly_cents < estimated.plans[0].monthly_cents
    assert all(replay.kept for plan in outcome.plans for replay in plan.simulated)


def test_the_next_smaller_number_that_costs_less_breaks_a_promise(large: Inputs, outcome: Outcome) -> None:
    for plan in outcome.plans:
        (row,) = plan.minimality
        assert row.replicas == plan.groups[0].replicas
        assert row.fewer is not None
        assert row.fewer.replicas < row.replicas
        assert row.fewer.monthly_cents < plan.monthly_cents
        assert row.fewer.replayed * row.fewer.margin > row.fewer.limit
        if row.fewer.promise != SATURATION:
            assert row.fewer.promise in {binding.promise for binding in plan.binding}


def test_the_effort_is_told(outcome: Outcome) -> None:
    effort = outcome.proof.replay
    assert effort.replayed and effort.bounded
    assert effort.replayed < effort.bounded


def _exhaustive(case: Case, replayer: Replayer) -> Iterator[tuple[tuple[tuple[str, ...], ...], int]]:
    """The key and the cost of every candidate at the fewest replicas that keep every promise, none inferred."""
    rules = case.candidates.rules
    market = UsableOptions(option for option in case.options if not rules.forbidden_by(option))
    fewest: dict[object, int | None] = {}
    for one in case.candidates.candidates:
        if not (configuration_allowed(one, rules) and market.options(one.node_type)):
            continue
        kind = Trial(0, one.spec, 1, 1.0).key
        if kind not in fewest:
            trials = (Trial(0, one.spec, count, 1.0) for count in range(1, 60))
            within = (trial for trial in trials if replayer.beyond_saturation(trial) is None)
            fewest[kind] = next((trial.replicas for trial in within if replayer.replay(trial).kept), None)
        count = fewest[kind]
        cents = None if count is None else market.cheapest(one.node_type, one.nodes_for(count))
        if cents is not None:
            yield slot_facts(one, rules), cents


def test_replaying_every_candidate_finds_nothing_cheaper(small: Inputs) -> None:
    case = open_case(small)
    best: dict[object, int] = {}
    for key, cents in _exhaustive(case, Replayer(small)):
        best[key] = min(cents, best.get(key, cents))
    plans = decide(small).plans
    assert [plan.monthly_cents for plan in plans] == sorted(best.values())[: len(plans)]
    assert len(plans) == 4


def test_an_edit_back_and_forth_and_a_question_find_the_same_plan(small: Inputs) -> None:
    told = answer(small)
    (first,) = told.case.solve().solutions
    assert first.monthly_cents == told.outcome.plans[0].monthly_cents
    fresh = open_case(small, simulate=True).solve().solutions[0]
    assert (fresh.key, fresh.monthly_cents) == (first.key, first.monthly_cents)
    assert [group.replicas for group in fresh.groups] == [group.replicas for group in first.groups]


def test_what_the_closed_form_refuses_and_the_replay_keeps_is_a_plan(large: Inputs, outcome: Outcome) -> None:
    budget = (outcome.plans[0].monthly_cents + 99) // 100
    tight = large.with_sets([f"budget.monthly={budget}"])
    assert isinstance(decide(tight, simulate=False), Infeasible)
    assert decide(tight).plans[0].monthly_cents == outcome.plans[0].monthly_cents
    assert isinstance(decide(large.with_sets([f"budget.monthly={budget // 2}"])), Infeasible)


def _mutated(plan: Plan, change: dict[str, Any]) -> Plan:
    (replay,) = plan.simulated
    return replace(plan, simulated=(replace(replay, **change),))


def _promises(replay: Replay, change: dict[str, Any]) -> dict[str, Any]:
    return {"promises": (replace(replay.promises[0], **change), *replay.promises[1:])}


def test_a_replay_of_something_else_confirms_nothing(large: Inputs, outcome: Outcome) -> None:
    def rules(plan: Plan) -> set[str]:
        catalog: Catalog = large.catalog
        return {one.rule for one in verify_plan(large.problem, catalog, large.params, plan)}

    plan = outcome.plans[0]
    (replay,) = plan.simulated
    assert rules(plan) == set()
    assert "replays" in rules(_mutated(plan, {"replicas": replay.replicas + 1}))
    assert "replays" in rules(_mutated(plan, {"requests_per_second": replay.requests_per_second / 2}))
    assert "replays" in rules(_mutated(plan, {"promises": replay.promises[:1]}))
    assert "replays" in rules(_mutated(plan, _promises(replay, {"with_margin_s": replay.promises[0].limit_s * 1.1})))
    assert "replays" in rules(_mutated(plan, _promises(replay, {"simulated_s": replay.promises[0].simulated_s / 2})))
    assert "poisson" in rules(replace(plan, simulated=()))  # the closed form alone does not confirm it


def test_of_thousands_of_replicas_not_one_is_too_many(tmp_path: Path) -> None:
    """Counted in parts of a million 5,440 were bought, as 1/5,439 of the load was no whole number of them."""
    path = tmp_path / "many.yaml"
    path.write_text(MANY)
    (plan,) = decide(read_inputs(path)).plans
    (row,) = plan.minimality
    assert plan.groups[0].replicas > 5_000
    assert row.fewer is not None and row.fewer.replicas == plan.groups[0].replicas - 1
