"""or-tools issue 5293: small models in micro-dollars had optima certified that were wrong. Ours may not."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from optimizer.errors import ProblemError
from optimizer.fleet import SolveSettings
from optimizer.fleet.cpsat import OPTIMAL, CpModel
from optimizer.fleet.rank import rank_plans
from optimizer.fleet.solve import solver_of
from tests.fleet.fleet_cases import (
    CandidateSpec,
    Case,
    OptionSpec,
    make_candidate,
    make_gpu,
    make_option,
    make_rules,
    make_type,
)
from tests.fleet.fleet_cases import make_workload as workload

MODELS = 400


def _cheapest(prices: list[int], sizes: list[int], need: int) -> int:
    """Cheapest multiset of nodes with at least so many GPUs, by dynamic programming."""
    best = [0] + [10**18] * need
    for gpus in range(1, need + 1):
        best[gpus] = min(price + best[max(0, gpus - size)] for price, size in zip(prices, sizes, strict=True))
    return best[need]


def test_micro_dollars_are_solved_right_with_our_parameters() -> None:
    rng = random.Random(5293)
    for number in range(MODELS):
        kinds, need = rng.randint(2, 6), rng.randint(3, 60)
        sizes = [rng.choice([1, 2, 4, 8]) for _ in range(kinds)]
        prices = [rng.randint(500_000, 40_000_000) * size * 730 for size in sizes]
        cp = CpModel()
        nodes = [cp.new_int_var(0, need, f"n{i}") for i in range(kinds)]
        cp.add(sum(size * n for size, n in zip(sizes, nodes, strict=True)) >= need)
        cp.minimize(sum(price * n for price, n in zip(prices, nodes, strict=True)))
        solver = solver_of(SolveSettings())
        assert solver.solve(cp) == OPTIMAL
        assert round(solver.objective_value) == _cheapest(prices, sizes, need), number
        assert solver.objective_value == solver.best_objective_bound


def _dear_case(cents: int) -> Case:
    node = make_type(make_gpu("h100"), 8)
    candidate = make_candidate(node, CandidateSpec(tp=8, rate=1.0))
    rules = make_rules(workloads=(workload(rate=3.0, inflight=0.0),))
    return Case((candidate,), (make_option(node, OptionSpec("dear", cents)),), rules)


def test_large_amounts_are_counted_in_whole_units_and_reported_to_the_cent() -> None:
    case = _dear_case(1_000_000_001)
    result = rank_plans(case.candidate_set, case.options, case.loads(), SolveSettings())
    plan = result.solutions[0]
    assert plan.monthly_cents == plan.objective == plan.bound == 3_000_000_003
    assert "whole currency units" in result.warnings[0]


def test_amounts_beyond_the_solver_are_refused() -> None:
    case = _dear_case(2**68)
    with pytest.raises(ProblemError, match="too large"):
        rank_plans(case.candidate_set, case.options, case.loads(), SolveSettings())


def test_budget_in_whole_units_is_never_exceeded() -> None:
    case = _dear_case(1_000_000_001)
    limits = replace(case.rules.limits, budget_cents=3_000_000_002)
    tight = replace(case, rules=replace(case.rules, limits=limits))
    assert not rank_plans(tight.candidate_set, tight.options, tight.loads(), SolveSettings()).solutions
