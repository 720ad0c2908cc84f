"""Ranked plans of a large problem: a bound and the best choice first, then the model of what is left.

From the bound of the relaxation to the best choice of patterns: few patterns first, then all that may be better.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimizer.demand import Load
from optimizer.fleet.column_generation.choose import ChoiceRequest, PatternChoice, choose
from optimizer.fleet.column_generation.columns import Floats, Shop, Ways, front, looks_of, shop_of, thinned, ways_of
from optimizer.fleet.column_generation.master import (
    MANY,
    Patterns,
    RelaxedBounds,
    from_columns,
    joined,
    patterns_within,
    relax,
)
from optimizer.fleet.constraints_ranking import differs_from
from optimizer.fleet.instance import ACTIVITY_LIMIT, Fact, Instance
from optimizer.fleet.lower_bounds import NodeKey
from optimizer.fleet.screening import Screened
from optimizer.fleet.solve import Found, Nothing, build_model, shares_of, solve_levels
from optimizer.fleet.types import FleetSolution, SolveSettings
from optimizer.fleet.variables import Variables
from optimizer.progress import Clock
from optimizer.vocabulary import Survive

SETTLED = 1_000
"""Slots up to which plans that cost the same are told apart by the whole lexicographic order."""

_POLISH = 5.0
"""Deterministic seconds of each step of telling them apart."""

FIRST_SHARE = 0.7
"""Share of the time that the first rank may take where several are asked for."""

UNSETTLED = (
    "the problem is large: of several plans that cost the same and have as many GPUs one was taken as found, not the"
    " first in the order of contents"
)


@dataclass(frozen=True, slots=True)
class RankedPlans:
    """Plans in rank order, each with the instance that its solution counts in, and how the search ended."""

    solutions: tuple[FleetSolution, ...]
    ending: Nothing | None
    instance: Instance
    warnings: tuple[str, ...]


def applies(instance: Instance, settings: SolveSettings) -> bool:
    """Whether a problem is of the kind that the bound is made for.

    Where ranks differ by provider, more replicas than needed may be wanted, to stand on nodes of several. Under a day
    profile nodes and replicas change with the period; replicas kept whatever the load may be more than a way has. With
    length classes that may be served apart not every workload of the model is served. Where something of a plan may be
    gone, a way has more replicas than it needs; where pools may serve, two kinds of worker go together. A share of the
    money per provider and offers sold in certain numbers only tie the numbers of nodes to each other.
    """
    rules = instance.rules
    by_provider = rules.top > 1 and "provider" in rules.distinct_by
    kept = any(asked.load.min_replicas > 1 for asked in rules.workloads)
    by_money = rules.objective == "minimize_cost"
    split = any(asked.whole is not None for asked in rules.workloads)
    contracts = rules.limits.provider_share is not None or any(one.ordered_in_lots for one in instance.options)
    gone = rules.survive is not Survive.NONE
    pools = instance.pools is not None or rules.pools_required
    unknown = by_provider or kept or rules.periods or split or contracts or gone or pools
    return settings.screens and by_money and not unknown


def rank_large(screened: Screened, loads: Sequence[Load], settings: SolveSettings) -> RankedPlans | None:
    """The ranking of a large problem; None where this way of search found nothing to start from."""
    from optimizer.fleet.solution import solution_of

    instance = _in_cents(screened.instance)
    rules, clock = instance.rules, settings.clock
    flagged = [index for index, slot in enumerate(instance.slots) if rules.is_flagged(slot.candidate)]
    barred = set(flagged)
    solutions: list[FleetSolution] = []
    keys: list[Collection[Fact]] = []
    outlook: Outlook | None = None
    floor, warnings = 0, list[str]()
    for rank in range(1, rules.top + 1):
        if solutions and clock.over:
            return RankedPlans(tuple(solutions), Nothing(proven=False), instance, tuple(warnings))
        part = clock.part(FIRST_SHARE if rank == 1 < rules.top else 1 / (rules.top - rank + 1))
        outlook = outlook or outlook_of(_without(instance, barred), part)
        if outlook is None or _too_dear(outlook):
            ending = Nothing(proven=outlook is not None)
            return RankedPlans(tuple(solutions), ending, instance, ()) if solutions or outlook else None
        best = best_choice(outlook, keys, floor, settings, part)
        if isinstance(best, Nothing):
            return RankedPlans(tuple(solutions), best, instance, tuple(warnings)) if solutions or best.proven else None
        plan = _finished(outlook, best, keys, replace(settings, clock=part))
        if plan is None:
            return (
                RankedPlans(tuple(solutions), Nothing(proven=False), instance, tuple(warnings)) if solutions else None
            )
        solution = solution_of(plan.instance, plan.found, rank, loads)
        solutions.append(solution)
        keys.append(solution.key.parts)
        floor = best.bound
        if not plan.settled and not warnings:
            warnings.append(UNSETTLED)
        if rank == 1 and flagged:
            cents = plan.found.value * plan.instance.money_unit
            barred = {index for index in flagged if screened.bounds[index].cents < cents}
            outlook = None
    return RankedPlans(tuple(solutions), None, instance, tuple(warnings))


def _in_cents(instance: Instance) -> Instance:
    """Count in cents where every workload on nodes of its own stays below the limit for them."""
    if instance.money_unit == 1:
        return instance
    cheapest: dict[NodeKey, int] = {}
    for option in instance.options:
        key = option.node_type.key
        cheapest[key] = min(cheapest.get(key, option.monthly_cents), option.monthly_cents)
    least: dict[int, int] = {}
    for slot in instance.slots:
        cents = cheapest.get(slot.node_type.key, ACTIVITY_LIMIT) * (slot.max_nodes + instance.rules.spare_nodes)
        least[slot.workload] = min(least.get(slot.workload, cents), cents)
    if sum(least.values()) >= ACTIVITY_LIMIT:
        return instance
    return replace(instance, money_unit=1, prices=tuple(option.monthly_cents for option in instance.options))


def _without(instance: Instance, barred: Collection[int]) -> Instance:
    if not barred:
        return instance
    return replace(instance, slots=tuple(slot for i, slot in enumerate(instance.slots) if i not in barred))


def _too_dear(outlook: Outlook) -> bool:
    """Whether the bound is above the budget: then there is no plan."""
    rules, unit = outlook.instance.rules, outlook.instance.money_unit
    budget = rules.limits.budget_cents
    return budget is not None and outlook.relaxation.whole_bound > (budget - rules.fixed_cents) // unit


@dataclass(frozen=True, slots=True)
class _Plan:
    instance: Instance  # that the indices of ``found`` are of
    found: Found
    settled: bool


def _finished(outlook: Outlook, best: Best, keys: Sequence[Collection[Fact]], settings: SolveSettings) -> _Plan | None:
    """The plan in the model with every rule; None where it does not keep one that the choice left out."""
    chosen = {int(outlook.ways.slot[way]) for way in best.choice.ways}
    core = _model_of(outlook, best, keys, sorted(chosen), list(range(len(outlook.instance.options))))
    found = solve_levels(core, core.cp, replace(settings, max_deterministic_time=_POLISH))
    if isinstance(found, Nothing) or found.value > best.choice.value:
        return None
    plan = _Plan(core.instance, _as_proven(found, best), settled=False)
    kept = [i for i, bound in enumerate(outlook.slot_bounds) if i in chosen or math.floor(bound) <= best.choice.value]
    if len(kept) > SETTLED:
        return plan
    options = [i for i, bound in enumerate(outlook.option_bounds) if math.floor(bound) <= best.choice.value]
    whole = _model_of(outlook, best, keys, kept, sorted({*options, *best.choice.nodes}))
    _hint(whole, plan, sorted(chosen), kept)
    if best.proven:
        settings = replace(settings, max_deterministic_time=_POLISH)
    exact = solve_levels(whole, whole.cp, settings)
    if isinstance(exact, Nothing) or exact.value > best.choice.value:
        return plan
    return _Plan(whole.instance, _as_proven(exact, best), settled=exact.proven)


def _as_proven(found: Found, best: Best) -> Found:
    """The plan with what is proven about its cost."""
    bound = min(max(best.bound, found.bound), found.value)
    return replace(found, bound=bound, proven=bound == found.value)


def _model_of(
    outlook: Outlook, best: Best, keys: Sequence[Collection[Fact]], slots: Sequence[int], options: Sequence[int]
) -> Variables:
    """The model over some slots and options, with what is known about the cost."""
    instance = outlook.instance
    kinds = {instance.slots[index].node_type.key for index in slots}
    options = [index for index in options if instance.options[index].node_type.key in kinds]
    small = replace(
        instance,
        slots=tuple(instance.slots[index] for index in slots),
        options=tuple(instance.options[index] for index in options),
        prices=tuple(instance.prices[index] for index in options),
        power_w=tuple(instance.power_w[index] for index in options),
        use_prices=tuple(instance.use_prices[index] for index in options),
    )
    v = build_model(small)
    v.cp.add(v.cost() <= best.choice.value)
    v.cp.add(v.cost() >= best.bound)
    if best.proven and best.choice.gpus is not None:
        v.cp.add(v.gpus() >= best.choice.gpus)
    for key in keys:
        differs_from(v, key)
    return v


def _hint(v: Variables, plan: _Plan, from_slots: Sequence[int], to_slots: Sequence[int]) -> None:
    """Start the search from a plan of a smaller instance."""
    place = {index: position for position, index in enumerate(to_slots)}
    replicas = {place[from_slots[index]]: count for index, count in plan.found.replicas.items()}
    shares = shares_of(plan.instance, plan.found.replicas)
    parts = {place[from_slots[index]]: share for index, share in shares.items()}
    counts = {plan.instance.options[index].key: count for index, count in plan.found.nodes.items()}
    hint = v.cp.proto.solution_hint
    for index, _ in v.slots():
        for variable, value in ((v.at(index), int(index in replicas)), (v.reps(index), replicas.get(index, 0))):
            hint.vars.append(variable.index)
            hint.values.append(value)
        if v.instance.rules.mixed:
            hint.vars.append(v.share(index).index)
            hint.values.append(parts.get(index, 0))
    for index, option in enumerate(v.instance.options):
        hint.vars.append(v.node(index).index)
        hint.values.append(counts.get(option.key, 0))


FEW = 4_000
"""Patterns of the first models, which look for a good plan only."""

_GUESS = 0.05
"""Where no plan is known, patterns up to this share of the bound are looked at, then up to more, then all."""

_QUICK = 5.0
"""Deterministic seconds of the first models."""

_MOST_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Outlook:
    """An instance with its ways, its bound and what a plan with each slot and option costs at least."""

    instance: Instance
    shop: Shop
    ways: Ways  # those that no other replaces
    relaxation: RelaxedBounds
    slot_bounds: Floats
    option_bounds: Floats


@dataclass(frozen=True, slots=True)
class Best:
    """The best choice found, and a bound on every plan."""

    choice: PatternChoice
    bound: int

    @property
    def proven(self) -> bool:
        """Whether no plan is cheaper."""
        return self.bound >= self.choice.value


def outlook_of(instance: Instance, clock: Clock) -> Outlook | None:
    """Solve the relaxation; None where a workload cannot be served at all."""
    workloads = len(instance.rules.workloads)
    if len({slot.workload for slot in instance.slots}) < workloads:
        return None
    shop, looks = shop_of(instance), looks_of(instance)
    everything = list(range(len(instance.slots)))
    all_ways = ways_of(instance, shop, everything, looks)
    ways = thinned(ways_of(instance, shop, front(instance, shop, everything, looks), looks), workloads)
    if not all(ways.parts[ways.of(w)].max(initial=0) * instance.rules.configurations >= 2520 for w in range(workloads)):
        return None
    relaxation = relax(instance, shop, ways, clock)
    most = instance.rules.configurations
    return Outlook(
        instance=instance,
        shop=shop,
        ways=ways,
        relaxation=relaxation,
        slot_bounds=relaxation.slot_bounds(ways, all_ways, len(instance.slots), most),
        option_bounds=relaxation.option_bounds(),
    )


def best_choice(
    outlook: Outlook, keys: Sequence[Collection[Fact]], floor: int, settings: SolveSettings, clock: Clock
) -> Best | Nothing:
    """The cheapest choice with a key that is new."""
    relaxation, rules = outlook.relaxation, outlook.instance.rules
    floor = max(floor, relaxation.whole_bound)
    asked = ChoiceRequest(outlook.instance, outlook.shop, outlook.ways, keys, floor, settings)
    quick = replace(asked, settings=replace(settings, max_deterministic_time=_QUICK))
    found = choose(quick, from_columns(relaxation, outlook.ways), None, clock.part(0.3))
    best = None if isinstance(found, Nothing) else found
    complete = rules.configurations <= 2
    for few, guess in ((True, _GUESS), (False, 4 * _GUESS), *((False, math.inf) for _ in range(_MOST_ROUNDS))):
        slack = guess * max(1.0, relaxation.bound) if best is None else best.value - relaxation.bound
        patterns = patterns_within(
            relaxation, outlook.ways, max(1.0, slack), pairs=rules.mixed, most=FEW if few else MANY
        )
        found = choose(quick if few else asked, _with(patterns, best, outlook.ways), best, clock)
        if isinstance(found, Nothing):
            if clock.over or patterns.slack == math.inf:
                break
            continue
        best = found
        if complete:
            floor = max(floor, math.floor(min(found.bound, relaxation.bound + patterns.slack)))
        if floor >= best.value or clock.over or (not few and patterns.slack >= best.value - relaxation.bound):
            break
    if best is not None:
        return Best(best, min(floor, best.value))
    proven = isinstance(found, Nothing) and found.proven
    return Nothing(proven=proven and complete and patterns.slack == math.inf)


def _with(patterns: Patterns, best: PatternChoice | None, ways: Ways) -> Patterns:
    """The patterns and those of a known choice."""
    if best is None:
        return patterns
    of: dict[int, list[int]] = {}
    for way in best.ways:
        of.setdefault(int(np.searchsorted(ways.starts, way, side="right")) - 1, []).append(way)
    known = Patterns(
        np.array(list(of), np.int64),
        np.array([min(members) for members in of.values()], np.int64),
        np.array([max(members) if len(members) > 1 else -1 for members in of.values()], np.int64),
        0.0,
    )
    return joined(known, patterns)
