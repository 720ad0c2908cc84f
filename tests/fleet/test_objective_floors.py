"""Load and latency as objectives: what is left out beforehand never changes an answer, and most of it is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from optimizer.decide import read_inputs
from optimizer.fleet import objective_floors
from optimizer.fleet.objective_floors import ObjectiveFloors
from optimizer.fleet.requirements import PlanLimits, UserRules
from optimizer.fleet.screening import prepare
from optimizer.whatif.case import open_case
from tests.fleet.fleet_cases import Case, Maker
from tests.fleet.test_optimum import rows, solve

CHAT_AND_RAG = Path(__file__).resolve().parents[2] / "problems" / "chat_and_rag.yaml"
LIMITS = (
    PlanLimits(gpus=20, budget_cents=1_500_000),
    PlanLimits(budget_cents=900_000),
    PlanLimits(nodes=5, budget_cents=2_000_000),
    PlanLimits(gpus=10),
)


def _case(objective: str, seed: int) -> Case:
    case = Maker("two workloads", seed).case()
    rules = replace(case.rules, objective=objective, limits=LIMITS[seed % len(LIMITS)], spare_nodes=seed % 2)
    return replace(case, rules=rules)


@pytest.mark.parametrize("objective", ["maximize_load", "minimize_ttft", "minimize_tpot"])
def test_the_answer_is_the_same_without_them(objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workloads that share a budget, GPUs or nodes; the ranking to its last rank."""
    cases = [_case(objective, seed) for seed in range(48)]
    with_floors = [rows(case, solve(case)) for case in cases]
    monkeypatch.setattr(ObjectiveFloors, "apply", staticmethod(lambda _: False))
    assert with_floors == [rows(case, solve(case)) for case in cases]
    assert sum(map(bool, with_floors)) >= 16


def test_a_slot_at_the_limit_stays_and_one_beyond_it_goes() -> None:
    """A budget of exactly what the only plan of a factor costs leaves its slots, one cent less does not."""
    case = next(case for case in (_case("maximize_load", seed) for seed in range(99)) if solve(case).solutions)
    found = solve(case).solutions[0]

    def reached(budget: int) -> int:
        limits = replace(case.rules.limits, budget_cents=budget)
        left = solve(replace(case, rules=replace(case.rules, limits=limits, top=1))).solutions
        return left[0].objective if left else 0

    assert reached(found.monthly_cents) == found.objective
    assert reached(found.monthly_cents - 1) < found.objective


def test_two_products_on_one_bill_keep_a_few_slots_of_thousands() -> None:
    """Without the floors the search for the most load saw 6,328 slots and took minutes."""
    case = open_case(read_inputs(CHAT_AND_RAG, sets=["objective=maximize_load"]))
    kept = prepare(case.candidates, case.options, screens=True).instance.slots
    assert 0 < len(kept) < 300


def test_where_nothing_can_be_quicker_only_the_cheapest_are_searched() -> None:
    """6,213 slots are as quick as the slower workload lets any plan be."""
    case = open_case(read_inputs(CHAT_AND_RAG, sets=["objective=minimize_ttft", "ranking.top=1"]))
    kept = prepare(case.candidates, case.options, screens=True).instance.slots
    assert 0 < len(kept) < 300


@pytest.mark.parametrize("objective", ["minimize_ttft", "minimize_tpot"])
def test_no_slot_that_may_be_quicker_is_left_out_for_its_price(objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rankings are those of a search among all that is quick enough, whatever it costs."""
    cases = [_case(objective, seed) for seed in range(100, 148)]
    searched = [rows(case, solve(case)) for case in cases]
    monkeypatch.setattr(ObjectiveFloors, "as_cheap", lambda _self, _value, _cents, able: list(able))
    assert searched == [rows(case, solve(case)) for case in cases]
    assert sum(map(bool, searched)) >= 16


@pytest.mark.parametrize(
    ("changes", "applies"),
    [({}, True), ({"objective": "minimize_cost"}, False), ({"configurations": 2}, False)],
)
def test_where_they_apply(changes: dict[str, object], applies: bool) -> None:
    rules: UserRules = replace(_case("maximize_load", 0).rules, **changes)  # type: ignore[arg-type]
    assert ObjectiveFloors.apply(rules) is applies


@pytest.mark.parametrize(("edge", "found"), [(0, None), (1, 1), (2, 2), (17, 17), (1024, 1024)])
def test_the_largest_number_that_holds(edge: int, found: int | None) -> None:
    assert objective_floors._largest(lambda value: value <= edge) == found
