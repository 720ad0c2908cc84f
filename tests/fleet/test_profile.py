"""The day profile in the fleet model: against brute force, with and without screens, and against the plain model."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.demand import Load, Period
from optimizer.fleet import FleetResult, SolveSettings
from optimizer.fleet.rank import rank_plans
from optimizer.fleet.requirements import PlanLimits
from optimizer.vocabulary import Tier
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
from tests.fleet.fleet_cases import Maker as PlainMaker
from tests.fleet.profile_cases import HOURS, Maker, by_use, least_cost, needed

SHAPES = [(2, 1), (3, 1), (2, 2)]
INSTANCES = 40


def solve(case: Case, *, screens: bool = True) -> FleetResult:
    return rank_plans(case.candidate_set, case.options, case.loads(), SolveSettings(screens=screens))


@pytest.mark.parametrize(("periods", "workloads"), SHAPES)
def test_the_cheapest_plan_is_that_of_brute_force(periods: int, workloads: int) -> None:
    feasible = 0
    for seed in range(INSTANCES):
        case = Maker(seed, periods=periods, workloads=workloads).case()
        found, expected = solve(case).solutions, least_cost(case)
        assert (expected is None) == (not found), seed
        if expected is not None:
            assert (found[0].monthly_cents, found[0].gpus) == expected, seed
            assert found[0].proven
        feasible += bool(found)
    assert feasible > INSTANCES / 2


@pytest.mark.parametrize(("periods", "workloads"), SHAPES)
def test_screens_change_nothing(periods: int, workloads: int) -> None:
    for seed in range(INSTANCES):
        case = Maker(seed, periods=periods, workloads=workloads).case()
        assert solve(case) == replace(solve(case, screens=False), screened=solve(case).screened), seed


def test_every_period_has_its_replicas_and_its_nodes_and_the_money_adds_up() -> None:
    for seed in range(INSTANCES):
        case = Maker(seed, workloads=2, periods=2).case()
        for plan in solve(case).solutions:
            assert plan.monthly_cents == sum(node.cents for node in plan.nodes) + case.rules.fixed_cents
            for group in plan.groups:
                least = needed(case, group.candidate, group.point)
                assert all(have >= want for have, want in zip(group.running, least, strict=True))
            for node in plan.nodes:
                assert node.count == max(node.running)
                assert node.option.periods or len(set(node.running)) == 1


@pytest.mark.parametrize("family", ["one workload", "two workloads", "owned", "spare"])
def test_one_period_of_the_whole_month_is_the_plain_problem(family: str) -> None:
    for seed in range(60):
        case = PlainMaker(family, seed).case()
        loads = [replace(load, factors=(1.0,)) for load in case.loads()]
        rules = replace(
            case.rules,
            periods=(Period("all", 730, 30),),
            workloads=tuple(replace(w, load=load) for w, load in zip(case.rules.workloads, loads, strict=True)),
        )
        options = tuple(by_use(o, HOURS[1], 900) if o.tier is Tier.ON_DEMAND else o for o in case.options)
        flat = solve(replace(case, rules=rules, options=options))
        assert [(p.monthly_cents, p.gpus, p.key, p.load_factor) for p in flat.solutions] == [
            (p.monthly_cents, p.gpus, p.key, p.load_factor) for p in solve(case).solutions
        ], case.name


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), percent=st.integers(20, 120), tier=st.sampled_from([Tier.RESERVED_3Y, Tier.SPOT]))
def test_one_more_way_to_pay_never_raises_the_cost(seed: int, percent: int, tier: Tier) -> None:
    case = Maker(seed).case()
    first = case.options[0]
    more = make_option(first.node_type, OptionSpec("more", first.monthly_cents * percent // 100, tier=tier))
    if tier is Tier.SPOT:
        more = by_use(more, HOURS[3], 100)
    before, after = solve(case).solutions, solve(replace(case, options=(*case.options, more))).solutions
    assert not before or after[0].monthly_cents <= before[0].monthly_cents


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_load_that_never_falls_costs_no_less(seed: int) -> None:
    """Flattening a profile at its peak asks for more in every period."""
    case = Maker(seed).case()
    flat = tuple(replace(w, load=replace(w.load, factors=(1.0,) * len(w.load.factors))) for w in case.rules.workloads)
    before, after = solve(case).solutions, solve(replace(case, rules=replace(case.rules, workloads=flat))).solutions
    assert not after or before[0].monthly_cents <= after[0].monthly_cents


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_nothing_is_cheaper_than_its_bound(seed: int) -> None:
    """What the screen says a configuration costs at least, it costs at least."""
    from optimizer.fleet.screening import prepare

    case = Maker(seed).case()
    for slot, bound in zip(*_screened(prepare(case.candidate_set, case.options, screens=True)), strict=True):
        alone = replace(case, candidates=(slot.candidate,), rules=replace(case.rules, top=1))
        for plan in solve(alone).solutions:
            assert plan.monthly_cents >= bound.score
            assert bound.reached is None or plan.monthly_cents <= bound.reached


def _screened(screened):
    return screened.instance.slots, screened.bounds


def test_nothing_is_paid_by_use_beside_an_idle_node_and_no_commitment_idles_always() -> None:
    for seed in range(INSTANCES):
        case = Maker(seed, workloads=2, periods=2).case()
        for plan in solve(case).solutions:
            for key in {node.option.node_type.key for node in plan.nodes}:
                mine = [node for node in plan.nodes if node.option.node_type.key == key]
                groups = [group for group in plan.groups if group.candidate.node_type.key == key]
                full = []
                for p in range(2):
                    replicas = sum(group.running[p] for group in groups)
                    nodes = sum(node.running[p] for node in mine)
                    full.append(nodes <= replicas + case.rules.spare_nodes)
                    assert full[-1] or not any(node.running[p] for node in mine if node.option.periods)
                assert any(full)


def test_the_most_load_of_a_day_is_that_of_brute_force() -> None:
    """Nodes of one replica each: every commitment level beside every number of nodes by the hour."""
    node_type = make_type(make_gpu("h100"), 1)
    for seed in range(25):
        rng = random.Random(seed)
        month, start, rate = rng.randint(10, 30) * 1000, rng.choice([0, 300]), rng.uniform(0.6, 1.9)
        factors = (1.0, rng.choice([0.2, 0.5, 0.8]))
        demand = by_use(make_option(node_type, OptionSpec("d", month)), HOURS[2], start)
        reserved = make_option(node_type, OptionSpec("r", round(month * 0.6), tier=Tier.RESERVED_1Y))
        budget = rng.randint(2, 6) * month
        workload = make_workload(load=Load(2.0, 0.0, "x", factors=factors))
        rules = make_rules(
            workloads=(workload,), periods=(Period("a", 230, 30), Period("b", 500, 30)), objective="maximize_load",
            limits=PlanLimits(budget_cents=budget), top=1,
        )  # fmt: skip
        case = Case((make_candidate(node_type, CandidateSpec(rate=rate)),), (demand, reserved), rules)
        best = 0.0
        for level, day, night in product(range(12), range(25), range(25)):
            cents = level * reserved.monthly_cents + demand.cents_for((day, night))
            if cents <= budget:
                carried = [(level + n) * rate / (2.0 * f) for n, f in zip((day, night), factors, strict=True)]
                best = max(best, min(carried))
        (plan,) = solve(case).solutions
        assert plan.load_factor == pytest.approx(math.floor(best * 1000) / 1000, abs=0.0011), seed
        assert plan.load_factor <= best
        assert plan.monthly_cents <= budget
