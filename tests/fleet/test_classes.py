"""A workload is served whole or class by class, whichever is better: optimum, screens, permission."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimizer.fleet import FleetResult, SolveSettings
from optimizer.fleet.rank import rank_plans
from optimizer.fleet.relaxation import ways_out
from optimizer.fleet.requirements import PlanLimits
from optimizer.fleet.screening import prepare
from optimizer.fleet.solve import build_model
from tests.fleet.class_oracle import LONG, SHORT, WHOLE, brute_force_classes, class_case, only
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


def parts_served(result: FleetResult) -> set[tuple[int, ...]]:
    return {tuple(group.candidate.workload for group in plan.groups) for plan in result.solutions}


@pytest.mark.parametrize("scarce", [False, True])
def test_ranking_is_that_of_brute_force(scarce: bool) -> None:
    ways: set[tuple[int, ...]] = set()
    for seed in range(80):
        case = class_case(seed, scarce=scarce)
        result = solve(case)
        assert rows(result) == brute_force_classes(case), case.name
        ways |= parts_served(result)
    assert ways == {(WHOLE,), (SHORT, LONG)}


@pytest.mark.parametrize("configurations", [1, 2])
def test_screens_and_dominance_change_nothing(configurations: int) -> None:
    for seed in range(40):
        case = class_case(seed)
        case = replace(case, rules=replace(case.rules, configurations=configurations))
        first, second = solve(case), solve(case, screens=False)
        assert replace(first, screened=0) == replace(second, screened=0), case.name


@pytest.mark.parametrize(
    ("configurations", "objective"), [(1, "minimize_cost"), (2, "minimize_cost"), (1, "maximize_load")]
)
def test_the_answer_is_the_better_of_both_ways(configurations: int, objective: str) -> None:
    """The permission to split never costs more: either way alone is what the fleet would be without the other."""
    helped = 0
    for seed in range(40):
        case = class_case(seed, scarce=objective == "maximize_load")
        limits = PlanLimits(gpus=12) if objective == "maximize_load" else PlanLimits()
        case = replace(
            case, rules=replace(case.rules, top=1, objective=objective, limits=limits, configurations=configurations)
        )
        sign = -1 if objective == "maximize_load" else 1
        both, whole, split = (
            min((sign * plan.objective for plan in solve(one).solutions), default=None)
            for one in (case, only(case, WHOLE), only(case, SHORT, LONG))
        )
        assert both == min((value for value in (whole, split) if value is not None), default=None), case.name
        helped += both != whole
    assert helped >= 5


LARGE, SMALL = make_type(make_gpu("a100"), 1), make_type(make_gpu("l4"), 1)


def documents(short_rate: float = 8.0, **rules: object) -> Case:
    """A large card (1,000 a month) carries 10 of the mix, 20 short or 4 long requests a second; a small one (150) 5
    short. Asked: short ones at a rate, and 4 long ones."""
    asked = (
        make_workload("chat", short_rate + 4.0, 0.0),
        make_workload("chat/short", short_rate, 0.0, whole=0, workload="chat"),
        make_workload("chat/long", 4.0, 0.0, whole=0, workload="chat"),
    )
    candidates = (
        make_candidate(LARGE, CandidateSpec(rate=10.0, workload=WHOLE)),
        make_candidate(LARGE, CandidateSpec(rate=20.0, workload=SHORT)),
        make_candidate(LARGE, CandidateSpec(rate=4.0, workload=LONG)),
        make_candidate(SMALL, CandidateSpec(rate=5.0, workload=SHORT)),
    )
    options = (make_option(LARGE, OptionSpec("large", 1000_00)), make_option(SMALL, OptionSpec("small", 150_00)))
    base = make_rules(workloads=asked, top=1, distinct_by=("gpu",))
    return Case(candidates, options, replace(base, **rules))  # type: ignore[arg-type]


def test_small_cards_for_short_requests_by_hand() -> None:
    """Two large ones for the mix cost 2,000; one for the long and two small ones for the short 1,300."""
    plan = solve(documents()).solutions[0]
    assert plan.monthly_cents == 1300_00
    assert [(g.candidate.workload, g.candidate.node_type.gpu.id, g.replicas, g.share) for g in plan.groups] == [
        (SHORT, "l4", 2, 2520), (LONG, "a100", 1, 2520),
    ]  # fmt: skip
    assert plan.load_factor == 1.0


def test_the_mix_is_kept_where_it_carries_all_by_hand() -> None:
    """Ten in all fit one large card; of equally dear plans the one that splits less comes first."""
    assert [g.candidate.workload for g in solve(documents(6.0)).solutions[0].groups] == [WHOLE]
    free = documents(6.0)
    free = replace(free, options=(free.options[0], make_option(SMALL, OptionSpec("small", 0))))
    assert [g.candidate.workload for g in solve(free).solutions[0].groups] == [WHOLE]


def test_a_limit_on_kinds_counts_the_cards_of_all_classes() -> None:
    assert solve(documents(limits=PlanLimits(gpu_kinds=1))).solutions[0].monthly_cents == 2000_00
    assert solve(documents(limits=PlanLimits(gpu_kinds=2))).solutions[0].monthly_cents == 1300_00


def test_where_the_mix_cannot_be_served_the_classes_are() -> None:
    case = documents()
    apart = replace(case, candidates=case.candidates[1:])
    assert solve(apart).solutions[0].monthly_cents == 1300_00
    assert not solve(replace(case, candidates=case.candidates[1:2])).solutions


@pytest.mark.parametrize(("configurations", "row"), [(1, "one_candidate"), (2, "shares")])
def test_the_model_has_a_row_for_each_part(configurations: int, row: str) -> None:
    case = documents(configurations=configurations)
    v = build_model(prepare(case.candidate_set, case.options, screens=False).instance)
    names = {constraint.name for constraint in v.cp.proto.constraints}
    assert {f"{row}[{part}]" for part in (WHOLE, SHORT, LONG)} <= names


def test_a_way_out_may_be_that_of_the_classes() -> None:
    """Too little money by 100: no plan, and the budget is the way out."""
    case = documents(limits=PlanLimits(budget_cents=1200_00))
    assert not solve(case).solutions
    found = ways_out(case.candidate_set, case.options, SolveSettings())
    assert ("budget.monthly",) in [way.paths for way in found]
    assert min(way.cents for way in found if way.paths == ("budget.monthly",)) == 1300_00
