"""Objectives other than money and GPUs: what the last rank surely reaches, and which slots can be part of a plan that
reaches it.

At a given factor of the load (``maximize_load``) a slot needs a given number of replicas; at a given latency it either
is quick enough, with the replicas of the planned load, or it is not. Plans of slots on nodes of their own show what is
reached. The GPUs of the replicas, and their share of the price of their nodes, beside the least of everything else,
show which slots no such plan can have. Without this a search sees every slot at every number of replicas.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final

from optimizer.fleet.instance import Slot
from optimizer.fleet.lower_bounds import THOUSANDTHS, UsableOptions
from optimizer.fleet.requirements import LATENCY_OBJECTIVES, UserRules
from optimizer.fleet.starting_plans import KnownFills, Standalone, filled_for, upper_bound
from optimizer.vocabulary import Survive

_NEVER: Final = 2**62


class ObjectiveFloors:
    """What slots take to reach a value of the objective: thousandths of the load, or microseconds."""

    def __init__(self, slots: Sequence[Slot], rules: UserRules, market: UsableOptions, scale: int) -> None:
        self._slots, self._rules, self._market = slots, rules, market
        self._unit = scale // THOUSANDTHS
        self._of_load = rules.objective == "maximize_load"

    @staticmethod
    def apply(rules: UserRules) -> bool:
        """Whether they do: not under a day profile, nor where configurations share a workload or a site may be gone."""
        sought = rules.objective == "maximize_load" or rules.objective in LATENCY_OBJECTIVES
        return sought and not rules.mixed and not rules.periods and rules.survive is not Survive.SITE

    def surely_reached(self, sure: UsableOptions) -> tuple[int, int | None] | None:
        """The best value that as many plans as are listed reach at least, and of a latency the cents that they cost at
        most; None where no such plans are known.

        ``sure``: what there is to buy in any number.
        """
        by_cost = replace(self._rules, objective="minimize_cost")
        fills: KnownFills = {}
        of_each: dict[object, list[Slot]] = defaultdict(list)
        for slot in self._slots:
            if not slot.candidate.nodes_per_replica:
                of_each[slot.candidate.key].append(slot)
        alone = [self._least_at(slots) for slots in of_each.values()]

        def cents(value: int) -> int | None:
            known = [(slot, filled_for(slot.candidate, left, self._rules, sure, fills)) for slot, left in at(value)]
            plans = [(slot, nodes) for slot, nodes in known if nodes is not None and nodes.kept]
            bounds = [(slot, Standalone(there.cents, there.cents, there.cents, there.nodes)) for slot, there in plans]
            return upper_bound(bounds, by_cost)

        def reached(value: int) -> bool:
            return cents(value) is not None

        def at(value: int) -> Iterator[tuple[Slot, int]]:
            found = (least(value) for least in alone)
            return (one for one in found if one is not None)

        if self._of_load:
            most = _largest(reached)
            return None if most is None else (most, None)
        values = sorted({slot.objective_us for slot in self._slots})
        place = bisect_left(values, True, key=reached)
        return (values[place], cents(values[place])) if place < len(values) else None

    def as_cheap(self, value: int, most_cents: int, able: Sequence[bool]) -> list[bool]:
        """Of the slots that are ``able`` those that may be part of a plan which reaches a latency for so many cents;
        all of them where a plan may be quicker, which comes first whatever it costs."""
        quickest = [_NEVER] * len(self._rules.workloads)
        for slot, may in zip(self._slots, able, strict=True):
            if may:
                quickest[slot.workload] = min(quickest[slot.workload], slot.objective_us)
        ways = self._rules.ways_to_serve()
        if max(min(max(quickest[part] for part in way) for way in of_one) for of_one in ways) < value:
            return list(able)
        cents = [self._cents(slot, self._gpus(slot, value)) for slot in self._slots]
        return [may and cheap for may, cheap in zip(able, self._within(cents, most_cents), strict=True)]

    def _least_at(self, slots: Sequence[Slot]) -> Callable[[int], tuple[Slot, int] | None]:
        """Of the slots of one candidate the one that takes fewest replicas to reach a value, and how many."""
        if self._of_load:
            roomiest = max(slots, key=_smallest)

            def carrying(value: int) -> tuple[Slot, int] | None:
                needed = self._needed(roomiest, value)
                return None if needed is None else (roomiest, needed)

            return carrying
        rungs = sorted(slots, key=lambda slot: slot.objective_us)
        fewest = list(accumulate(rungs, _fewer))
        latencies = [slot.objective_us for slot in rungs]

        def as_quick(value: int) -> tuple[Slot, int] | None:
            place = bisect_right(latencies, value)
            return (fewest[place - 1], fewest[place - 1].left) if place else None

        return as_quick

    def able(self, value: int) -> list[bool]:
        """Of each slot whether money and GPUs leave room for a plan with it that reaches so much."""
        limits = self._rules.limits
        gpus = [self._gpus(slot, value) for slot in self._slots]
        cents = [self._cents(slot, taken) for slot, taken in zip(self._slots, gpus, strict=True)]
        money = None if limits.budget_cents is None else limits.budget_cents - self._rules.fixed_cents
        keep_money, keep_gpus = self._within(cents, money), self._within(gpus, limits.gpus)
        return [a and b for a, b in zip(keep_money, keep_gpus, strict=True)]

    def _needed(self, slot: Slot, value: int) -> int | None:
        """Replicas that have to be left; None where no number of them reaches the value."""
        if not self._of_load:
            return slot.left if slot.objective_us <= value else None
        asked = self._rules.workloads[slot.workload].load.min_replicas
        needed = max(1, asked, -(-self._unit * value // _smallest(slot)))
        return needed if needed <= slot.max_replicas else None

    def _gpus(self, slot: Slot, value: int) -> int:
        needed = self._needed(slot, value)
        return _NEVER if needed is None else needed * slot.gpus

    def _cents(self, slot: Slot, gpus: int) -> int:
        """GPUs at the lowest price of one on such nodes: nodes may be shared, GPUs are not."""
        offered = self._market.options(slot.node_type)
        if gpus == _NEVER or not offered:
            return _NEVER
        return gpus * offered[0].monthly_cents // slot.node_type.gpus_per_node

    def _within(self, taken: Sequence[int], most: int | None) -> list[bool]:
        """Of each slot whether what it takes and the least of all else that is served beside it stay within a limit."""
        least = [_NEVER] * len(self._rules.workloads)
        for slot, amount in zip(self._slots, taken, strict=True):
            least[slot.workload] = min(least[slot.workload], amount)
        rest = beside(least, self._rules)
        limit = _NEVER - 1 if most is None else most
        return [amount + rest[slot.workload] <= limit for slot, amount in zip(self._slots, taken, strict=True)]


def beside(least: Sequence[int], rules: UserRules) -> list[int]:
    """For each part of the problem the least of all that a plan with it serves beside it; ``least``: of each part."""
    ways = rules.ways_to_serve()
    best = [min(sum(least[part] for part in way) for way in of_one) for of_one in ways]
    rest = [0] * len(least)
    for number, of_one in enumerate(ways):
        others = sum(best) - best[number]
        for way in of_one:
            for part in way:
                rest[part] = others + sum(least[other] for other in way if other != part)
    return rest


def _smallest(slot: Slot) -> int:
    return min(value for value in slot.capacity if value >= 0)


def _largest(true_at: Callable[[int], bool]) -> int | None:
    """Largest number from 1 on at which a test is true that once false stays false; None where it never is."""
    if not true_at(1):
        return None
    low, high = 1, 2
    while true_at(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if true_at(middle) else (low, middle)
    return low


def _fewer(one: Slot, other: Slot) -> Slot:
    return other if other.left < one.left else one
