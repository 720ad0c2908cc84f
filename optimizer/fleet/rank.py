"""Ranked plans: solve, forbid the plan key, solve again; each rank is proven given the cuts before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.demand import Load
from optimizer.fleet.candidate_set import CandidateSet
from optimizer.fleet.constraints_ranking import differs_from, flagged_never_cheaper, flagged_never_first, uses
from optimizer.fleet.instance import Instance, can_serve
from optimizer.fleet.requirements import UserRules
from optimizer.fleet.screening import Screened, prepare
from optimizer.fleet.solution import solution_of
from optimizer.fleet.solve import Found, Nothing, build_model, solve_levels
from optimizer.fleet.starting_plans import keeps_limits
from optimizer.fleet.types import (
    FleetResult,
    FleetSolution,
    FleetStatus,
    SolveSettings,
)
from optimizer.fleet.variables import Variables
from optimizer.pricing.types import NodeOption
from optimizer.units import from_cents

if TYPE_CHECKING:
    from optimizer.fleet.column_generation.rank import RankedPlans

LARGE = 400
"""Slots from which on a problem counts as large."""

AMOUNTS_ARE_LARGE = "amounts are large: the search counted whole currency units per node, rounded up, not cents"

UNITS = {
    "minimize_cost": "cents per month",
    "maximize_load": "thousandths of the planned load",
    "minimize_ttft": "microseconds",
    "minimize_tpot": "microseconds",
    "minimize_gpus": "GPUs",
}


def rank_plans(
    candidate_set: CandidateSet, options: Sequence[NodeOption], loads: Sequence[Load], settings: SolveSettings
) -> FleetResult:
    """The ranking of a problem."""
    rules = candidate_set.rules
    if settings.clock.over:
        units, counted = UNITS[rules.objective], (candidate_set.enumerated, candidate_set.feasible, 0)
        return FleetResult(FleetStatus.UNKNOWN, (), rules.objective, units, *counted)
    screened = prepare(candidate_set, options, screens=settings.screens, at_most=settings.at_most)
    solutions: Sequence[FleetSolution] = ()
    ending: Nothing | None = Nothing(proven=True)
    more: tuple[str, ...] = ()
    served = can_serve(screened.instance)
    large = _large(screened, loads, settings) if served else None
    if large is not None:
        solutions, ending, more = large.solutions, large.ending, large.warnings
        screened = replace(screened, instance=large.instance)
    elif settings.clock.over:
        ending = Nothing(proven=False)
    elif served:
        v = build_model(screened.instance)
        if settings.must_use:
            uses(v, settings.must_use)
        solutions, ending = _ranks(v, screened, loads, settings)
    return FleetResult(
        status=_status(solutions, ending),
        solutions=_in_order(solutions, screened.instance),
        objective=rules.objective,
        unit=UNITS[rules.objective],
        enumerated=candidate_set.enumerated,
        feasible=candidate_set.feasible,
        screened=screened.screened,
        warnings=(*_warnings(screened, solutions), *more),
    )


def _in_order(solutions: Sequence[FleetSolution], instance: Instance) -> tuple[FleetSolution, ...]:
    """Where whole currency units were counted, plans that differ by less may have come in another order than cents."""
    if instance.money_unit == 1:
        return tuple(solutions)
    sign = -1 if instance.rules.objective == "maximize_load" else 1
    ordered = sorted(solutions, key=lambda plan: (sign * plan.objective, plan.monthly_cents, plan.gpus))
    return tuple(replace(plan, rank=rank) for rank, plan in enumerate(ordered, start=1))


def _large(screened: Screened, loads: Sequence[Load], settings: SolveSettings) -> RankedPlans | None:
    """The ranking by the search for large problems; None where it is not for this one."""
    if len(screened.instance.slots) <= (LARGE if settings.large_from is None else settings.large_from):
        return None
    if settings.must_use or screened.instance.pools is not None or screened.instance.carried:
        return None
    from optimizer.fleet.column_generation import applies, rank_large

    return rank_large(screened, loads, settings) if applies(screened.instance, settings) else None


def _ranks(
    v: Variables, screened: Screened, loads: Sequence[Load], settings: SolveSettings
) -> tuple[list[FleetSolution], Nothing | None]:
    """Plans in rank order, and how the search ended where it ended before the last rank."""
    rules = v.instance.rules
    solutions: list[FleetSolution] = []
    by_cost = rules.objective == "minimize_cost"
    if not by_cost:
        flagged_never_first(v)
    for rank in range(1, rules.top + 1):
        if settings.clock.over:
            return solutions, Nothing(proven=False)
        cp = v.cp.clone()
        if rank == 1 and by_cost:
            flagged_never_first(_on(v, cp))
        found = solve_levels(v, cp, settings)
        if isinstance(found, Nothing):
            return solutions, found
        solution = solution_of(v.instance, found, rank, loads)
        solutions.append(solution)
        if rank == 1 and by_cost:
            flagged_never_cheaper(v, _cheaper_flagged(screened, found))
        differs_from(v, solution.key.parts)
    return solutions, None


def _on(v: Variables, cp: object) -> Variables:
    """The same variables, adding rows to a copy of the model."""
    from copy import copy

    twin = copy(v)
    twin.cp = cp  # type: ignore[assignment]
    return twin


def _cheaper_flagged(screened: Screened, first: Found) -> list[int]:
    instance = screened.instance
    return [
        index
        for index, (slot, bound) in enumerate(zip(instance.slots, screened.bounds, strict=True))
        if instance.rules.is_flagged(slot.candidate) and bound.cents < first.value * instance.money_unit
    ]


def _status(solutions: Sequence[FleetSolution], ending: Nothing | None) -> FleetStatus:
    open_end = ending is not None and not ending.proven
    if not solutions:
        return FleetStatus.UNKNOWN if open_end else FleetStatus.INFEASIBLE
    if open_end or not all(solution.proven for solution in solutions):
        return FleetStatus.FEASIBLE
    return FleetStatus.PROVEN


def _comes_first(score: int, solutions: Sequence[FleetSolution], rules: UserRules) -> bool:
    if not solutions:
        return True
    first = solutions[0].objective
    match rules.objective:
        case "maximize_load":
            return score < -first
        case "minimize_cost":
            return score + rules.fixed_cents < first
    return score < first


def _warnings(screened: Screened, solutions: Sequence[FleetSolution]) -> tuple[str, ...]:
    instance, rules = screened.instance, screened.instance.rules
    warnings: list[str] = []
    if instance.money_unit != 1:
        warnings.append(AMOUNTS_ARE_LARGE)
    ahead = [
        (bound, slot)
        for slot, bound in screened.flagged
        if _comes_first(bound.score, solutions, rules) and keeps_limits(bound.nodes, rules)
    ]
    if ahead:
        bound, slot = min(ahead, key=lambda pair: (pair[0].score, pair[0].cents, pair[1].candidate.key, pair[1].point))
        spec, money = slot.candidate.spec, from_cents(bound.cents + rules.fixed_cents)
        warnings.append(
            f"{spec.gpu.id} with {spec.split} over PCIe would come first, at {money:,.2f} a month or more; "
            "its host topology is not known, so it is not ranked that high unless the card is named in hardware.gpus"
        )
    return tuple(warnings)
