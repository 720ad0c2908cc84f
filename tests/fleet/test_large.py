"""Large problems: every reduction gives the answer of the whole model, and every bound holds."""

from __future__ import annotations

import random
import time
from dataclasses import fields, replace
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.candidates.types import Candidate
from optimizer.demand import Load, Period
from optimizer.fleet import FleetResult, FleetStatus, SolveSettings
from optimizer.fleet.column_generation import applies
from optimizer.fleet.column_generation.columns import Duals, Ways, cheapest, least_with_each, priced
from optimizer.fleet.column_generation.master import patterns_within, use_of
from optimizer.fleet.column_generation.rank import Outlook, outlook_of
from optimizer.fleet.instance import Slot
from optimizer.fleet.rank import rank_plans
from optimizer.fleet.requirements import PlanLimits, UserRules, WorkloadRules
from optimizer.fleet.screening import prepare
from optimizer.fleet.solve import Found, build_model, solve_levels
from optimizer.pricing.types import NodeType
from optimizer.progress import Clock
from optimizer.vocabulary import Link, Survive
from tests.fleet.fleet_cases import CandidateSpec, Case, Maker, make_candidate, make_gpu, make_type
from tests.fleet.mix_oracle import mixed_case, scip_mixes

FAMILIES = ("one workload", "two workloads", "limits", "owned", "spare")
LARGE, WHOLE = SolveSettings(large_from=0), SolveSettings()


def solve(case: Case, how: SolveSettings) -> FleetResult:
    return rank_plans(case.candidate_set, case.options, case.loads(), how)


def case_of(family: str, seed: int, most: int) -> Case:
    return mixed_case(family, seed, most) if most > 1 else Maker(family, seed).case()


class OddMaker(Maker):
    """Nodes of 3, 6, 10 and 12 GPUs, and replicas that fill two nodes over a fabric."""

    def _types(self) -> list[NodeType]:
        found = {}
        for _ in range(self.rng.randint(1, 3)):
            gpu, size = make_gpu(self.rng.choice(["a100", "h100"])), self.rng.choice([2, 3, 6, 10, 12])
            fabric = 100.0 if size == 2 else 0.0
            node_type = make_type(gpu, size, Link.NVSWITCH, fabric)
            found[node_type.key] = node_type
        return list(found.values())

    def _candidates(self, node_type: NodeType, workload: int) -> list[Candidate]:
        made = super()._candidates(node_type, workload)
        if node_type.fabric_gbps:
            spec = CandidateSpec(tp=2, pp=2, rate=self.rng.uniform(1.0, 6.0), inflight=40.0, workload=workload)
            made.append(make_candidate(node_type, spec))
        return made


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_answer_is_that_of_the_whole_model(family: str, most: int) -> None:
    for seed in range(40):
        case = case_of(family, seed, most)
        assert solve(case, LARGE) == solve(case, WHOLE), case.name


@pytest.mark.parametrize("family", FAMILIES)
def test_three_configurations_a_workload(family: str) -> None:
    """The end of a ranking is then not always proven, but its plans are."""
    for seed in range(15):
        case = case_of(family, seed, 3)
        assert solve(case, LARGE).solutions == solve(case, WHOLE).solutions, case.name


@pytest.mark.parametrize("most", [1, 2])
def test_nodes_of_any_size_and_replicas_over_several(most: int) -> None:
    for seed in range(60):
        case = OddMaker("one workload" if seed % 2 else "two workloads", seed).case()
        names = frozenset(candidate.node_type.gpu.id for candidate in case.candidates)
        case = replace(case, rules=replace(case.rules, configurations=most, named_gpus=names))
        assert solve(case, LARGE).solutions == solve(case, WHOLE).solutions, case.name


def outlook(case: Case) -> tuple[Outlook | None, Case]:
    """The outlook of rank 1, every card named so that nothing is flagged, by cost."""
    named = frozenset(candidate.node_type.gpu.id for candidate in case.candidates)
    case = replace(case, rules=replace(case.rules, named_gpus=named, objective="minimize_cost", top=1))
    instance = prepare(case.candidate_set, case.options, screens=True).instance
    served = {slot.workload for slot in instance.slots}
    return (outlook_of(instance, Clock()) if len(served) == len(case.rules.workloads) else None), case


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FAMILIES), st.integers(0, 10_000), st.sampled_from([1, 2, 3]))
def test_no_plan_with_a_slot_or_option_costs_less_than_its_bound(family: str, seed: int, most: int) -> None:
    found, case = outlook(case_of(family, seed, most))
    best = solve(case, WHOLE).solutions
    if found is None or not best:
        return
    cost = best[0].monthly_cents - case.rules.fixed_cents
    assert found.relaxation.whole_bound <= cost
    for index, bound in [*enumerate(found.slot_bounds)][:6]:
        v = build_model(found.instance)
        v.cp.add(v.at(index) == 1)
        forced = solve_levels(v, v.cp, WHOLE)
        assert not isinstance(forced, Found) or forced.value >= bound
    for index, bound in [*enumerate(found.option_bounds)][:4]:
        v = build_model(found.instance)
        v.cp.add(v.node(index) >= 1)
        forced = solve_levels(v, v.cp, WHOLE)
        assert not isinstance(forced, Found) or forced.value >= bound


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(FAMILIES), st.integers(0, 10_000))
def test_the_bound_lies_below_what_scip_finds(family: str, seed: int) -> None:
    found, case = outlook(mixed_case(family, seed, 2))
    second = scip_mixes(case)
    if found is not None and second is not None:
        assert found.relaxation.whole_bound + case.rules.fixed_cents <= second + 0.5


def random_ways(seed: int, count: int) -> tuple[Ways, Duals]:
    rng = np.random.default_rng(seed)
    kind, parts, gpus = rng.integers(0, 3, count), rng.integers(1, 2521, count), rng.integers(1, 9, count)
    parts[0] = 2520
    order = np.lexsort((parts, kind))
    kind, parts, gpus = kind[order], parts[order], gpus[order]
    number = np.arange(count)
    ways = Ways(number, number, parts, gpus, -(-gpus // 4), kind, np.zeros(count, np.int64), np.array([0, count]))
    node = rng.uniform(0, 5, (1, 3)) * rng.integers(0, 2, (1, 3))
    return ways, Duals(rng.uniform(0.5, 2, 3), node)


def cost_of(pattern: tuple[int, ...], ways: Ways, duals: Duals) -> float:
    use = use_of(pattern, ways)
    return sum(gpus * duals.gpu[kind] + nodes * duals.node[0, kind] for kind, (gpus, nodes) in use.items())


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 14))
def test_the_cheapest_pattern_is_that_of_all(seed: int, count: int) -> None:
    ways, duals = random_ways(seed, count)
    plain = Duals(duals.gpu, duals.node * 0)
    for most, prices in ((1, duals), (2, duals), (3, plain), (4, plain)):
        every = [
            pattern
            for size in range(1, most + 1)
            for pattern in combinations_with_replacement(range(count), size)
            if ways.parts[list(pattern)].sum() >= 2520
        ]
        costs = {pattern: cost_of(pattern, ways, prices) for pattern in every}
        value, pattern = cheapest(priced(ways, 0, prices), most)
        assert value == pytest.approx(min(costs.values()))
        assert ways.parts[list(pattern)].sum() >= 2520
        assert cost_of(pattern, ways, prices) == pytest.approx(value)
        of = priced(ways, 0, prices)
        for index, bound in enumerate(least_with_each(of, of, most)):
            with_it = [cost for pattern, cost in costs.items() if index in pattern]
            assert not with_it or bound <= min(with_it) + 1e-9


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0))
def test_no_pattern_within_the_slack_is_missing(seed: int, share: float) -> None:
    found, _ = outlook(mixed_case("one workload", seed, 2))
    if found is None:
        return
    ways, duals, least = found.ways, found.relaxation.duals, float(found.relaxation.least[0])
    slack = 1.0 + share * found.relaxation.bound
    patterns = patterns_within(found.relaxation, ways, slack, pairs=True)
    uses = [use_of(patterns.members(index), ways) for index in range(len(patterns))]
    for size in (1, 2):
        for pattern in combinations_with_replacement(range(len(ways)), size):
            if ways.parts[list(pattern)].sum() < 2520 or cost_of(pattern, ways, duals) > least + slack - 1e-6:
                continue
            use = use_of(pattern, ways)
            assert any(
                set(use) == set(other) and all(other[kind][0] <= use[kind][0] for kind in use) for other in uses
            ), pattern


def many(seed: int, workloads: int) -> Case:
    """Workloads with candidates on many node types: too many to enumerate, few enough for the whole model."""
    rng = random.Random(seed)
    cases = [mixed_case("two workloads", rng.randrange(10_000), 2) for _ in range(4)]
    options = {option.key: option for case in cases for option in case.options}
    asked = tuple(replace(cases[0].rules.workloads[0], name=f"w{w}") for w in range(workloads))
    candidates = {}
    for workload in range(workloads):
        for candidate in (candidate for case in cases for candidate in case.candidates):
            placed = replace(candidate, workload=workload, recovery=1.0)
            candidates[placed.key] = placed
    rules = replace(
        cases[0].rules, workloads=asked, top=2, distinct_by=("gpu",), objective="minimize_cost", limits=PlanLimits(),
        named_gpus=frozenset({"a100", "h100", "l40s"}),
    )  # fmt: skip
    return Case(tuple(candidates.values()), tuple(options.values()), rules)


def test_several_workloads_cost_what_the_whole_model_says() -> None:
    for seed in range(4):
        case = many(seed, 4)
        found, whole = solve(case, LARGE), solve(case, WHOLE)
        assert [plan.objective for plan in found.solutions] == [plan.objective for plan in whole.solutions]
        assert all(plan.proven for plan in found.solutions)


def test_a_limit_in_time_is_kept_and_the_gap_is_told() -> None:
    case = many(1, 12)
    start = time.monotonic()
    found = solve(case, replace(LARGE, clock=Clock.of(0.5)))
    assert time.monotonic() - start < 5
    assert found.status in (FleetStatus.FEASIBLE, FleetStatus.UNKNOWN, FleetStatus.PROVEN)
    assert all(plan.bound <= plan.objective for plan in found.solutions)
    assert solve(case, replace(WHOLE, clock=Clock.of(0.0))).status is FleetStatus.UNKNOWN


def test_a_budget_below_the_bound_is_proven_infeasible() -> None:
    case = many(2, 4)
    cheapest_cents = solve(case, LARGE).solutions[0].monthly_cents
    poor = replace(case.rules.limits, budget_cents=cheapest_cents - 1)
    enough = replace(case.rules.limits, budget_cents=cheapest_cents)
    rich = solve(replace(case, rules=replace(case.rules, limits=enough, top=1)), LARGE)
    assert rich.solutions[0].monthly_cents == cheapest_cents
    assert solve(replace(case, rules=replace(case.rules, limits=poor)), LARGE).status is FleetStatus.INFEASIBLE


@pytest.mark.parametrize(
    ("known", "names"),
    [
        (
            UserRules,
            "workloads options nvlink kv_caches tensor_parallel pipeline_parallel limits fixed_cents spare_nodes"
            " named_gpus objective distinct_by top configurations periods"
            " survive pools_required"  # refused by applies
            " min_grade attention_dp expert_parallel",  # of single candidates: the screen, which applies asks for
        ),
        (WorkloadRules, "name load slo quants min_recovery workload classes whole"),
        (PlanLimits, "gpus nodes power_w gpu_kinds budget_cents quotas provider_share"),
        (Load, "requests_per_second inflight decided_by hours_per_month factors min_replicas users think_s"),
        (Slot, "candidate point latencies_us capacity left max_replicas objective_us"),
    ],
)
def test_every_rule_is_known_to_the_search_for_large_problems(known: type, names: str) -> None:
    """A new rule must be stated in ``column_generation/choose.py``, or ``applies`` in ``rank.py`` must refuse it."""
    assert {field.name for field in fields(known)} == set(names.split())


def test_what_the_search_does_not_know_it_leaves_to_the_whole_model() -> None:
    instance = prepare(many(0, 2).candidate_set, many(0, 2).options, screens=True).instance
    rules = instance.rules
    kept = tuple(replace(w, load=replace(w.load, min_replicas=2)) for w in rules.workloads)
    changes: list[dict[str, Any]] = [
        {"objective": "minimize_gpus"}, {"distinct_by": ("provider",)}, {"workloads": kept},
        {"periods": (Period("day", 365.0, 30.0),)}, {"limits": replace(rules.limits, provider_share=500)},
        {"survive": Survive.NODE}, {"pools_required": True},
    ]  # fmt: skip
    assert applies(instance, LARGE)
    for change in changes:
        assert not applies(replace(instance, rules=replace(rules, **change)), LARGE), change
    assert not applies(instance, replace(LARGE, screens=False))
