"""The optimum and the canonical plan, against brute force and against SCIP, family by family."""

from __future__ import annotations

import pytest

from optimizer.fleet import FleetResult, FleetStatus, SolveSettings
from optimizer.fleet.rank import rank_plans
from tests.fleet.fleet_cases import Case, Maker
from tests.fleet.fleet_oracle import brute_force, scip

FAMILIES = ("one workload", "two workloads", "limits", "owned", "spare", "maximize", "mixtures")
INSTANCES = 120


def solve(case: Case, *, screens: bool = True) -> FleetResult:
    return rank_plans(case.candidate_set, case.options, case.loads(), SolveSettings(screens=screens))


def rows(case: Case, result: FleetResult) -> list[tuple]:
    sign = -1 if case.rules.objective == "maximize_load" else 1
    return [
        (
            sign * plan.objective,
            plan.monthly_cents,
            plan.gpus,
            tuple((group.candidate.key, group.point, group.replicas) for group in plan.groups),
            tuple((node.option.key, node.count) for node in plan.nodes),
        )
        for plan in result.solutions
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_ranking_is_that_of_brute_force_and_scip(family: str) -> None:
    feasible = 0
    for seed in range(INSTANCES):
        case = Maker(family, seed).case()
        result = solve(case)
        found = rows(case, result)
        assert found == brute_force(case), case.name
        second = scip(case)
        assert (second is None) == (not found), case.name
        if second is not None:
            assert second == pytest.approx(found[0][0], abs=0.5), case.name
            assert result.status is FleetStatus.PROVEN
        feasible += bool(found)
    assert 0.3 <= feasible / INSTANCES <= 0.7


@pytest.mark.parametrize("family", FAMILIES)
def test_screens_and_dominance_change_nothing(family: str) -> None:
    for seed in range(INSTANCES):
        case = Maker(family, seed).case()
        assert solve(case) == solve(case, screens=False), case.name


@pytest.mark.parametrize("family", FAMILIES)
def test_every_plan_listed_is_proven_and_its_money_adds_up(family: str) -> None:
    for seed in range(40):
        case = Maker(family, seed).case()
        for plan in solve(case).solutions:
            assert plan.proven
            assert plan.bound == plan.objective
            assert plan.monthly_cents == sum(n.option.monthly_cents * n.count for n in plan.nodes)
            spares = {node.option.node_type.key: 0 for node in plan.nodes}
            for node in plan.nodes:
                spares[node.option.node_type.key] += node.spare
            assert set(spares.values()) == {case.rules.spare_nodes}


def test_ranks_get_no_better_and_never_repeat_a_key() -> None:
    for seed in range(60):
        case = Maker("one workload", seed).case()
        plans = solve(case).solutions
        assert [plan.objective for plan in plans] == sorted(plan.objective for plan in plans)
        assert len({plan.key for plan in plans}) == len(plans)
