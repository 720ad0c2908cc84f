"""The two what-ifs of the ranked table: a stream of tokens slower than predicted, more load; and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.plan.types import Stress
from optimizer.problem import figure_of
from optimizer.workload import Metric

if TYPE_CHECKING:
    from optimizer.decide.case import Case
    from optimizer.fleet.types import FleetResult
    from optimizer.plan.types import Plan

SLOWER = 1.2
BUSIER = 1.5

PRICED_UP_TO = 10_000
"""Configurations inside the user's rules up to which what-ifs are priced: beyond, each takes as long as the answer."""


def quick_stress(plan: Plan, objective: str) -> tuple[Stress, ...]:
    """The two most telling what-ifs of the best plan, as far as they need no solving; ``optimize explain`` has more."""
    slower = first_stress(plan)
    if objective == "maximize_load":
        return () if slower is None else (slower,)
    busier = plan.load_factor >= BUSIER
    load = Stress("load x 1.5", busier, plan.monthly_cents if busier else None)
    return (load,) if slower is None else (slower, load)


def first_stress(plan: Plan) -> Stress | None:
    """TPOT 20 % worse than the median estimate; None where nothing is promised about it. Not priced."""
    promised = [p for one in plan.predicted for p in one.promises if p.metric is Metric.TPOT and p.limit_s is not None]
    if not promised:
        return None
    holds = slower_holds(plan)
    tightest = max(promised, key=lambda p: p.estimate_s / (p.limit_s or p.estimate_s))
    reached = tightest.estimate_s * SLOWER
    return Stress("TPOT 20 % worse", holds, plan.monthly_cents if holds else None, reached, tightest.limit_s)


def slower_holds(plan: Plan) -> bool:
    """Whether every TPOT promise holds with the median estimate times 1.2."""
    return all(
        p.estimate_s * SLOWER <= p.limit_s
        for one in plan.predicted
        for p in one.promises
        if p.metric is Metric.TPOT and p.limit_s is not None
    )


def priced_stress(case: Case, plan: Plan, stress: Sequence[Stress]) -> tuple[Stress, ...]:
    """Where the plan does not hold, what the best one that does costs: each is one more solve, left to
    ``optimize explain`` where the problem is large."""
    from optimizer.fleet import SolveSettings

    if len(case.candidates.candidates) > PRICED_UP_TO:
        return tuple(stress)

    problem, by_cost = case.inputs.problem, case.candidates.rules.objective == "minimize_cost"
    headroom = (1.0 + problem.margins.load_headroom) * BUSIER - 1.0
    how = SolveSettings(first_level=by_cost, clock=case.clock)

    def priced(one: Stress) -> Stress:
        if one.holds:
            return one
        edits = [f"margins.load_headroom={headroom:.12g}"] if one.reached_s is None else _tighter(case, plan)
        return repaired(one, case.edited(edits).solve(settings=how))

    return tuple(map(priced, stress))


def repaired(broken: Stress, result: FleetResult) -> Stress:
    """The what-if with what the best that stands it costs and, where that is the objective, carries."""
    if not result.solutions:
        return broken
    best = result.solutions[0]
    factor = best.load_factor if result.objective == "maximize_load" else None
    return replace(broken, monthly_cents=best.monthly_cents, load_factor=factor)


def _tighter(case: Case, plan: Plan) -> list[str]:
    """TPOT limits that are smaller by what 1.2 exceeds the margin of a grade A prediction, the smallest there is."""
    from optimizer.performance import error_factor
    from optimizer.performance.types import Grade

    problem, engines = case.inputs.problem, case.inputs.catalog.engines
    margin = error_factor(Metric.TPOT, Grade.A, problem.margins.confidence, engines[problem.engine.name].profile)
    scale = min(1.0, margin / SLOWER)
    promises = [p for one in plan.predicted for p in one.promises if p.metric is Metric.TPOT and p.limit_s is not None]
    edits = []
    for promise in promises:
        assert promise.limit_s is not None
        if figure_of(promise.path).is_speed:
            edits.append(f"{promise.path}={1 / (promise.limit_s * scale):.12g}")
        else:
            edits.append(f"{promise.path}={promise.limit_s * 1e3 * scale:.12g}")
    return edits
