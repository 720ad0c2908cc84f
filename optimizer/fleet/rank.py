"""Ranked plans: solve, forbid the plan key, solve again; each rank is proven given the cuts before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.candidates.funnel import kept_points
from optimizer.candidates.market import THOUSANDTHS
from optimizer.candidates.rules import UserRules
from optimizer.candidates.types import CandidateSet
from optimizer.fleet.facts import key_of, option_facts
from optimizer.fleet.filled import keeps_limits
from optimizer.fleet.instance import Instance, can_serve, load_factor
from optimizer.fleet.mix import shares_of
from optimizer.fleet.model import build_model
from optimizer.fleet.rules_ranking import differs_from, flagged_never_cheaper, flagged_never_first, uses
from optimizer.fleet.screen import Screened, prepare
from optimizer.fleet.solve import Found, Nothing, solve_levels
from optimizer.fleet.types import (
    FleetResult,
    FleetSolution,
    FleetStatus,
    GroupChoice,
    NodeChoice,
    SolveSettings,
)
from optimizer.fleet.variables import Variables
from optimizer.pricing.types import NodeOption
from optimizer.units import from_cents
from optimizer.workload import Load

if TYPE_CHECKING:
    from optimizer.fleet.large.ranks import Ranking

LARGE = 400
"""Slots from which on a problem counts as large."""

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
    screened = prepare(candidate_set, options, screens=settings.screens)
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


def _large(screened: Screened, loads: Sequence[Load], settings: SolveSettings) -> Ranking | None:
    """The ranking by the search for large problems; None where it is not for this one."""
    if len(screened.instance.slots) <= (LARGE if settings.large_from is None else settings.large_from):
        return None
    if settings.must_use:
        return None
    from optimizer.fleet.large import applies, rank_large

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


def solution_of(instance: Instance, found: Found, rank: int, loads: Sequence[Load]) -> FleetSolution:
    """The plan that a solver found, in the values that the rest of the program reads."""
    rules = instance.rules
    shares = shares_of(instance, found.replicas)
    groups = tuple(
        GroupChoice(
            slot.candidate,
            slot.point,
            replicas,
            kept_points(slot.candidate, rules),
            shares[index],
            found.replicas_running[index] if rules.periods else (),
        )
        for index, replicas in sorted(found.replicas.items(), key=lambda item: (instance.slots[item[0]].workload, item))
        for slot in (instance.slots[index],)
    )
    nodes = _node_choices(instance, found)
    cents = sum(choice.cents for choice in nodes) + rules.fixed_cents
    factor = load_factor(groups, loads)
    value, bound = found.value, found.bound
    if rules.objective == "maximize_load":
        factor = value
    elif rules.objective == "minimize_cost":
        exact = cents if found.proven or value == bound else None
        bound = exact if exact is not None else bound * instance.money_unit + rules.fixed_cents
        value = cents
    facts = [fact for group in groups for fact in _facts(instance, group)]
    facts += [fact for choice in nodes for fact in option_facts(choice.option, rules)]
    return FleetSolution(
        rank=rank,
        key=key_of(facts),
        groups=groups,
        nodes=nodes,
        monthly_cents=cents,
        gpus=most_gpus(nodes),
        objective=value,
        bound=bound,
        proven=found.proven,
        load_factor=factor / THOUSANDTHS,
    )


def _facts(instance: Instance, group: GroupChoice) -> tuple[tuple[str, ...], ...]:
    from optimizer.fleet.facts import slot_facts

    return slot_facts(group.candidate, instance.rules)


def _node_choices(instance: Instance, found: Found) -> tuple[NodeChoice, ...]:
    """Nodes by option; the spares of a node type are counted on its dearest nodes."""
    choices = {
        index: NodeChoice(
            instance.options[index], count, 0, found.nodes_running[index] if instance.rules.periods else ()
        )
        for index, count in found.nodes.items()
    }
    for key in sorted({choice.option.node_type.key for choice in choices.values()}):
        left = found.spares
        members = [index for index, choice in choices.items() if choice.option.node_type.key == key]
        members.sort(key=lambda index: (-instance.options[index].monthly_cents, instance.options[index].key))
        for index in members:
            taken = min(left, choices[index].count)
            choices[index] = replace(choices[index], spare=taken)
            left -= taken
    return tuple(sorted(choices.values(), key=lambda choice: choice.option.key))


def most_gpus(nodes: Sequence[NodeChoice]) -> int:
    """GPUs of all nodes, in the busiest period of the day profile."""
    by_period = zip(*(choice.running or (choice.count,) for choice in nodes), strict=True)
    sizes = [choice.option.node_type.gpus_per_node for choice in nodes]
    return max((sum(n * size for n, size in zip(counts, sizes, strict=True)) for counts in by_period), default=0)


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
        warnings.append("amounts are large: the search counted whole currency units per node, rounded up, not cents")
    ahead = [
        (bound, slot)
        for slot, bound in screened.flagged
        if _comes_first(bound.score, solutions, rules) and keeps_limits(bound.nodes, rules)
    ]
    if ahead:
        bound, slot = min(ahead, key=lambda pair: (pair[0].score, pair[0].cents, pair[1].candidate.key, pair[1].point))
        spec, money = slot.candidate.spec, from_cents(bound.cents + rules.fixed_cents)
        warnings.append(
            f"{spec.gpu.id} with TP{spec.tensor_parallel} over PCIe would come first, at {money:,.2f} a month or more; "
            "its host topology is not known, so it is not ranked that high unless the card is named in hardware.gpus"
        )
    return tuple(warnings)
