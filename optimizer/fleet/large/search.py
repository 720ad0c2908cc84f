"""From the bound of the relaxation to the best choice of patterns: few patterns first, then all that may be better."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimizer.clock import Clock
from optimizer.fleet.facts import Fact
from optimizer.fleet.instance import Instance
from optimizer.fleet.large.choose import Asked, Choice, choose
from optimizer.fleet.large.patterns import MANY, Patterns, from_columns, joined, patterns_within
from optimizer.fleet.large.relaxation import Relaxation, relax
from optimizer.fleet.large.ways import Floats, Shop, Ways, front, looks_of, shop_of, thinned, ways_of
from optimizer.fleet.solve import Nothing
from optimizer.fleet.types import SolveSettings

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
    relaxation: Relaxation
    slot_bounds: Floats
    option_bounds: Floats


@dataclass(frozen=True, slots=True)
class Best:
    """The best choice found, and a bound on every plan."""

    choice: Choice
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
    asked = Asked(outlook.instance, outlook.shop, outlook.ways, keys, floor, settings)
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


def _with(patterns: Patterns, best: Choice | None, ways: Ways) -> Patterns:
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
