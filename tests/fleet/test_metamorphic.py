"""What must hold of any minimiser of cost, whatever the case; feasible examples are counted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.demand import Load
from optimizer.fleet import FleetResult, SolveSettings
from optimizer.fleet.rank import rank_plans
from optimizer.fleet.requirements import PlanLimits
from optimizer.plan.costs import CostLine
from tests.fleet.fleet_cases import Case, Maker, OptionSpec, make_option

FEASIBLE: Counter[str] = Counter()
EXAMPLES = 40
MANY = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
SEEDS = st.integers(0, 10_000)
FAMILIES = st.sampled_from(["one workload", "two workloads", "limits", "owned", "spare"])


def solve(case: Case) -> FleetResult:
    return rank_plans(case.candidate_set, case.options, case.loads(), SolveSettings())


def cost(case: Case) -> float:
    solutions = solve(case).solutions
    return solutions[0].monthly_cents if solutions else float("inf")


def by_cost(family: str, seed: int) -> Case:
    case = Maker(family, seed).case()
    return replace(case, rules=replace(case.rules, objective="minimize_cost"))


@pytest.fixture(scope="module", autouse=True)
def enough_were_feasible() -> Iterator[None]:
    yield
    assert all(count >= EXAMPLES // 4 for count in FEASIBLE.values()), FEASIBLE


def looser(case: Case, rng: random.Random) -> Case:
    rules = case.rules
    changes = [
        replace(rules, limits=PlanLimits()),
        replace(rules, nvlink="any"),
        replace(rules, spare_nodes=max(0, rules.spare_nodes - 1)),
        replace(rules, workloads=tuple(replace(w, min_recovery=0.0) for w in rules.workloads)),
        replace(rules, options=replace(rules.options, only_owned=False, tiers=tuple({o.tier for o in case.options}))),
    ]
    return replace(case, rules=rng.choice(changes))


@MANY
@given(family=FAMILIES, seed=SEEDS)
def test_loosening_a_rule_never_costs_more(family: str, seed: int) -> None:
    case = by_cost(family, seed)
    before, after = cost(case), cost(looser(case, random.Random(seed)))
    FEASIBLE["loosening"] += before < float("inf")
    assert after <= before


@MANY
@given(family=FAMILIES, seed=SEEDS)
def test_more_offers_never_cost_more(family: str, seed: int) -> None:
    case = by_cost(family, seed)
    rng = random.Random(seed)
    node_type = rng.choice(case.options).node_type
    more = make_option(node_type, OptionSpec("another", rng.randint(1, 400_000)))
    before, after = cost(case), cost(replace(case, options=(*case.options, more)))
    FEASIBLE["offers"] += before < float("inf")
    assert after <= before


@MANY
@given(family=FAMILIES, seed=SEEDS, factor=st.integers(2, 7))
def test_scaling_prices_scales_cost_and_keeps_the_plan(family: str, seed: int, factor: int) -> None:
    case = by_cost(family, seed)
    case = replace(case, rules=replace(case.rules, limits=replace(case.rules.limits, budget_cents=None)))
    dearer = tuple(
        replace(
            option,
            monthly_cents=option.monthly_cents * factor,
            lines=(CostLine("rent", 1, "month", 0, option.monthly_cents * factor),),
        )
        for option in case.options
    )
    before, after = solve(case).solutions, solve(replace(case, options=dearer)).solutions
    FEASIBLE["scaling"] += bool(before)
    assert [plan.monthly_cents * factor for plan in before] == [plan.monthly_cents for plan in after]
    assert [plan.groups for plan in before] == [plan.groups for plan in after]


@MANY
@given(family=FAMILIES, seed=SEEDS)
def test_order_changes_nothing(family: str, seed: int) -> None:
    case = Maker(family, seed).case()
    rng = random.Random(seed)
    candidates, options = list(case.candidates), list(case.options)
    rng.shuffle(candidates)
    rng.shuffle(options)
    before = solve(case)
    FEASIBLE["order"] += bool(before.solutions)
    assert solve(replace(case, candidates=tuple(candidates), options=tuple(options))) == before


@MANY
@given(family=FAMILIES, seed=SEEDS)
def test_names_of_workloads_change_nothing(family: str, seed: int) -> None:
    case = Maker(family, seed).case()
    renamed = tuple(replace(w, name=f"zz{i}") for i, w in enumerate(case.rules.workloads))
    before = solve(case).solutions
    after = solve(replace(case, rules=replace(case.rules, workloads=renamed))).solutions
    FEASIBLE["names"] += bool(before)
    assert [(p.groups, p.nodes) for p in before] == [(p.groups, p.nodes) for p in after]


@MANY
@given(seed=SEEDS)
def test_more_load_never_costs_less(seed: int) -> None:
    case = by_cost("one workload", seed)
    heavier = tuple(
        replace(w, load=Load(w.load.requests_per_second * 1.5, w.load.inflight * 1.5, w.load.decided_by))
        for w in case.rules.workloads
    )
    before, after = cost(case), cost(replace(case, rules=replace(case.rules, workloads=heavier)))
    FEASIBLE["load"] += before < float("inf")
    assert after >= before
