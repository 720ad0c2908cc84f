"""Several configurations may share a workload: optimum, shares, and what the permission is worth."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from optimizer.fleet import FleetResult, FleetStatus, SolveSettings
from optimizer.fleet.rank import rank_plans
from optimizer.fleet.requirements import PlanLimits
from optimizer.fleet.solve import split
from tests.fleet.fleet_cases import (
    CandidateSpec,
    Case,
    OptionSpec,
    make_candidate,
    make_gpu,
    make_option,
    make_rules,
    make_type,
    make_workload,
)
from tests.fleet.mix_oracle import brute_force_mixes, mixed_case, parts_carried, scip_mixes

FAMILIES = {"one workload": 50, "two workloads": 8, "limits": 40, "owned": 40, "spare": 40}


def solve(case: Case, *, screens: bool = True) -> FleetResult:
    return rank_plans(case.candidate_set, case.options, case.loads(), SolveSettings(screens=screens))


def rows(result: FleetResult) -> list[tuple]:
    return [
        (
            plan.objective, plan.monthly_cents, plan.gpus,
            tuple((group.candidate.key, group.point, group.replicas) for group in plan.groups),
            tuple((node.option.key, node.count) for node in plan.nodes),
        )
        for plan in result.solutions
    ]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("most", [2, 3])
def test_ranking_is_that_of_brute_force_and_scip(family: str, most: int) -> None:
    for seed in range(FAMILIES[family] if most == 2 else 4):
        case = mixed_case(family, seed, most)
        result = solve(case)
        found = rows(result)
        assert found == brute_force_mixes(case), case.name
        if case.rules.objective == "minimize_cost":
            second = scip_mixes(case)
            assert (second is None) == (not found), case.name
            if second is not None:
                assert second <= found[0][0] + 0.5, case.name
                assert second == pytest.approx(found[0][0], abs=0.5), case.name
                assert result.status is FleetStatus.PROVEN


@pytest.mark.parametrize("family", FAMILIES)
def test_screens_and_dominance_change_nothing(family: str) -> None:
    for seed in range(25):
        case = mixed_case(family, seed, 2)
        case = replace(case, rules=replace(case.rules, top=1 + seed % 3))
        first, second = solve(case), solve(case, screens=False)
        assert replace(first, screened=0) == replace(second, screened=0), case.name


def test_permission_to_mix_never_costs_more() -> None:
    helped = 0
    for family, seed in product(FAMILIES, range(50)):
        mixed = mixed_case(family, seed, 2)
        loads = [replace(w, load=replace(w.load, inflight=w.load.inflight * 6)) for w in mixed.rules.workloads]
        rules = replace(mixed.rules, objective="minimize_cost", top=1, workloads=tuple(loads))
        with_mix = solve(replace(mixed, rules=rules)).solutions
        without = solve(replace(mixed, rules=replace(rules, configurations=1))).solutions
        if without:
            assert with_mix, mixed.name
            assert with_mix[0].monthly_cents <= without[0].monthly_cents, mixed.name
        helped += bool(with_mix) and (not without or with_mix[0].monthly_cents < without[0].monthly_cents)
    assert helped >= 5


def test_shares_add_up_and_every_group_carries_its_own() -> None:
    for seed in range(40):
        case = mixed_case("one workload", seed, 2)
        for plan in solve(case).solutions:
            assert sum(group.share for group in plan.groups) == 2520
            for group in plan.groups:
                assert 0 < group.share <= parts_carried(case, group.candidate, group.point, group.replicas)


@pytest.mark.parametrize(
    ("carried", "parts"),
    [([2520], [2520]), ([1260, 1260], [1260, 1260]), ([5040, 2520], [1680, 840]), ([2519, 1], [2519, 1]),
     ([2519, 2], [2518, 2]), ([1000, 1000, 1000], [840, 840, 840])],
)  # fmt: skip
def test_parts_are_in_proportion_to_what_is_carried(carried: list[int], parts: list[int]) -> None:
    assert split(carried) == parts


def large_and_small(most: int) -> Case:
    """One large card carries 10/s for 1,000, a small one 3/s for 310; the load is 12.6/s: large + small is cheapest."""
    large, small = make_type(make_gpu("h100"), 1), make_type(make_gpu("l40s"), 1)
    candidates = (
        make_candidate(large, CandidateSpec(rate=10.0, inflight=1e4)),
        make_candidate(small, CandidateSpec(rate=3.0, inflight=1e4)),
    )
    options = (make_option(large, OptionSpec("large", 1000_00)), make_option(small, OptionSpec("small", 310_00)))
    rules = make_rules(
        workloads=(make_workload(rate=12.6, inflight=0.0),), configurations=most, top=1, distinct_by=("gpu",)
    )
    return Case(candidates, options, rules)


def test_a_mix_by_hand() -> None:
    """5 small cards cost 1,550, 2 large ones 2,000, one of each 1,310; shares are 10/13 and 3/13."""
    alone, mixed = solve(large_and_small(1)).solutions[0], solve(large_and_small(2)).solutions[0]
    assert (alone.monthly_cents, mixed.monthly_cents) == (1550_00, 1310_00)
    assert [(g.candidate.node_type.gpu.id, g.share) for g in mixed.groups] == [("h100", 1938), ("l40s", 582)]
    assert mixed.load_factor == 1.03


def test_scarce_nodes_are_a_reason_to_mix() -> None:
    case = large_and_small(2)
    scarce = replace(case, options=tuple(replace(option, max_nodes=2) for option in case.options))
    three = replace(scarce.rules, workloads=(make_workload(rate=22.6, inflight=0.0),))
    assert solve(replace(scarce, rules=three)).solutions[0].monthly_cents == 2310_00
    assert not solve(replace(scarce, rules=replace(three, configurations=1))).solutions


def test_kinds_of_cards_may_be_limited_to_one_all_the_same() -> None:
    case = large_and_small(2)
    limited = replace(case, rules=replace(case.rules, limits=PlanLimits(gpu_kinds=1)))
    assert solve(limited).solutions[0].monthly_cents == 1550_00
