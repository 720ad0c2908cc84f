"""Lower bounds that need no solver: replicas a load takes, and the least money that buys so many nodes.

Nodes that run in each period of a day profile, layer by layer: the k-th node runs wherever k nodes are needed.

With n[p] nodes needed in period p, committed nodes C and u[p] nodes paid by use, C + u[p] >= n[p]. Layer k is in use
in the periods with n[p] >= k. It costs a commitment, or the hours of those periods; so no plan costs less than the sum
over the layers of the cheaper of the two, starts left out (in the spirit of the newsvendor problem: commit up to the
layer whose hours of use cost as much as the month).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from optimizer.candidates.types import Candidate
from optimizer.demand import Load
from optimizer.fleet.survival import Place, place_of
from optimizer.performance.types import OperatingPoint
from optimizer.pricing.types import NodeOption, NodeType
from optimizer.units import SHARE_UNITS, ceil_guarded, floor_guarded
from optimizer.vocabulary import Survive

if TYPE_CHECKING:
    from optimizer.fleet.requirements import UserRules

DEMAND = 1_441_440_000
"""Units in which a workload's demand is counted: a part of one in 20,000 replicas is told to a thousandth of a percent,
and divisible by 1 to 16, 32 and 96, so that a capacity of exactly 1/n of the demand rounds to exactly 1/n of the units;
for other n see ``_nth``."""

THOUSANDTHS = 1000
"""A load factor is counted in thousandths."""


def capacities(
    point: OperatingPoint, load: Load, demand: int = DEMAND, *, shared: bool = False
) -> tuple[int, int, int]:
    """Capacity of one replica for (arrivals, requests in flight, users), rounded down; the load is ``demand`` units.

    A load that the problem does not state (0) is carried by any replica. ``shared``: replicas may carry any part of it.
    """
    rate, inflight, users = (
        _scaled(capacity, floor, demand, shared) for capacity, floor in zip(point.carries, load.floors, strict=True)
    )
    return rate, inflight, users


@lru_cache(maxsize=2**16)
def _scaled(capacity: float, load: float, demand: int, shared: bool) -> int:
    if load <= 0:
        return -1
    units = floor_guarded(capacity / load * demand)
    return _nth(ceil_guarded(load / capacity), units, shared) if units and demand == DEMAND else units


def _nth(replicas: int, units: int, shared: bool) -> int:
    """Units of a replica of which just so many carry the load: as many of them reach the demand, whatever the rounding.

    50 requests in flight on replicas that hold 2 take 25, though a 25th of the demand is no whole number of units. One
    unit more then stands for it, unless fewer replicas would reach the demand with it or, where they may carry a part
    of it, a larger part than they can.
    """
    if units * replicas >= DEMAND:
        return units
    more = -(-DEMAND // replicas)
    if not shared:
        return more if more * (replicas - 1) < DEMAND else units
    return more if replicas <= SHARE_UNITS and _parts_are_exact(replicas) else units


@lru_cache(maxsize=SHARE_UNITS)
def _parts_are_exact(replicas: int) -> bool:
    """Whether fewer replicas, each counted as so many units rounded up, carry no larger part of the load than they do.

    Asked for tens of thousands of replicas of a few hundred sizes, so each size is worked out once.
    """
    more, unit = -(-DEMAND // replicas), DEMAND // SHARE_UNITS
    return all(more * count // unit == SHARE_UNITS * count // replicas for count in range(1, replicas))


def binding_capacity(point: OperatingPoint, load: Load, demand: int = DEMAND) -> int:
    """The smallest of the capacities that count."""
    stated = [capacity for capacity in capacities(point, load, demand) if capacity >= 0]
    return min(stated)


def replicas_needed(point: OperatingPoint, load: Load) -> int | None:
    """Fewest replicas that carry the load; None where one carries less than a unit of it."""
    capacity = binding_capacity(point, load)
    return max(-(-DEMAND // capacity), load.min_replicas) if capacity > 0 else None


def replicas_running(point: OperatingPoint, load: Load) -> tuple[int, ...] | None:
    """Fewest replicas in each period of the day profile; without a profile one figure."""
    peak = replicas_needed(point, load)
    if peak is None or not load.factors:
        return None if peak is None else (peak,)
    periods = range(len(load.factors))
    return tuple(_needed_in(point, load, period) for period in periods)


def _needed_in(point: OperatingPoint, load: Load, period: int) -> int:
    """Never more than in the busiest period, whose capacity is the smallest share of its load."""
    there = load.in_period(period)
    if not load.factors[period]:
        return load.min_replicas
    return replicas_needed(point, there) or load.min_replicas


NodeKey = tuple[str, int, str, float, float]
"""Content key of a node type."""


class UsableOptions:
    """The options that may be used, cheapest first, by node type. Stock is per offer, all tiers together."""

    def __init__(self, options: Iterable[NodeOption]) -> None:
        self._by_type: dict[NodeKey, list[NodeOption]] = defaultdict(list)
        for option in options:
            self._by_type[option.node_type.key].append(option)
        for of_type in self._by_type.values():
            of_type.sort(key=lambda option: (option.monthly_cents, option.key))
        self._costs: dict[tuple[NodeKey, int], int | None] = {}
        self._apart: dict[tuple[NodeKey, int], list[tuple[NodeOption, int]] | None] = {}

    def options(self, node_type: NodeType) -> list[NodeOption]:
        """Options of a node type, cheapest first."""
        return self._by_type.get(node_type.key, [])

    def within(self, cents: int | None, rules: UserRules) -> set[NodeKey]:
        """The node types of which some plan of at most so much may have a node; None: of those on offer, all. Under a
        day profile a node may run for a part of its price."""
        fixed = rules.fixed_cents
        return {
            key
            for key, offered in self._by_type.items()
            if cents is None or rules.periods or offered[0].monthly_cents + fixed <= cents
        }

    def cheapest(self, node_type: NodeType, nodes: int) -> int | None:
        """Cents per month of the cheapest so many nodes; None where stock does not suffice."""
        key = (node_type.key, nodes)
        if key not in self._costs:
            chosen = self.fill(node_type, nodes)
            total = None if chosen is None else sum(option.monthly_cents * count for option, count in chosen)
            self._costs[key] = total
        return self._costs[key]

    def cheapest_running(self, node_type: NodeType, running: tuple[int, ...]) -> int | None:
        """Cents per month of the cheapest nodes of which so many run in each period; None where stock does not suffice.

        A bound where there is a day profile (see ``least_running``); exact without one.
        """
        if len(running) == 1:
            return self.cheapest(node_type, running[0])
        if self.cheapest(node_type, max(running)) is None:
            return None
        return least_running(self.options(node_type), running)

    def fill(
        self, node_type: NodeType, nodes: int, most_at_place: int | None = None
    ) -> list[tuple[NodeOption, int]] | None:
        """The cheapest so many nodes, at most so many of them at one place: greedy is exact, as each offer's cheapest
        tier comes first and an offer is at one place."""
        left, taken, there = nodes, defaultdict[str, int](int), defaultdict[Place, int](int)
        chosen: list[tuple[NodeOption, int]] = []
        for option in self.options(node_type):
            stock = left if option.max_nodes is None else option.max_nodes - taken[option.offer.id]
            count = min(left, stock)
            if most_at_place is not None:
                count = min(count, most_at_place - there[place_of(option)])
            if count > 0:
                chosen.append((option, count))
                taken[option.offer.id] += count
                there[place_of(option)] += count
                left -= count
            if not left:
                return chosen
        return None

    def fill_for(self, candidate: Candidate, replicas: int, rules: UserRules) -> list[tuple[NodeOption, int]] | None:
        """The cheapest nodes of which enough for so many replicas are left when what the plan survives is gone, spare
        ones included; None where stock does not suffice.

        Of sites: n + L nodes, at most L of them at one place, for the best L. A bound where a replica spans nodes,
        where spare ones stand somewhere, and where a region is not stated: that may be any of its provider's.
        """
        needed = candidate.nodes_for(replicas)
        if rules.survive is not Survive.SITE or candidate.nodes_per_replica:
            return self.fill(candidate.node_type, needed + rules.reserve(candidate))
        key = (candidate.node_type.key, needed)
        if key not in self._apart:
            self._apart[key] = self._fill_apart(candidate.node_type, needed, rules.spare_nodes)
        return self._apart[key]

    def _fill_apart(self, node_type: NodeType, needed: int, spare: int) -> list[tuple[NodeOption, int]] | None:
        places = len({place_of(option) for option in self.options(node_type)})
        best: tuple[int, list[tuple[NodeOption, int]]] | None = None
        for most in range(-(-needed // (places - 1)), needed + 1) if places > 1 else ():
            nodes = self.fill(node_type, needed + spare + most, most + spare)
            cents = sum(option.monthly_cents * count for option, count in nodes or ())
            if nodes is not None and (best is None or cents < best[0]):
                best = (cents, nodes)
        return None if best is None else best[1]

    def cheapest_for(self, candidate: Candidate, replicas: int, rules: UserRules) -> int | None:
        """Cents per month of those nodes."""
        if rules.survive is not Survive.SITE or candidate.nodes_per_replica:
            return self.cheapest(candidate.node_type, candidate.nodes_for(replicas) + rules.reserve(candidate))
        nodes = self.fill_for(candidate, replicas, rules)
        return None if nodes is None else sum(option.monthly_cents * count for option, count in nodes)


def least_cents(
    candidate: Candidate, load: Load, market: UsableOptions, rules: UserRules, points: Iterable[int]
) -> int | None:
    """Cheapest nodes that hold enough replicas at one of the points, ignoring every other rule."""
    costs: list[int] = []
    for index in points:
        replicas = replicas_running(candidate.points[index], load)
        if replicas is not None:
            cents = _cheapest_running(candidate, replicas, market, rules)
            if cents is not None:
                costs.append(cents)
    return min(costs, default=None)


def _cheapest_running(
    candidate: Candidate, replicas: tuple[int, ...], market: UsableOptions, rules: UserRules
) -> int | None:
    if len(replicas) == 1 and replicas[0]:
        return market.cheapest_for(candidate, replicas[0], rules)
    running = nodes_running(candidate, replicas, rules.reserve(candidate))
    return market.cheapest_running(candidate.node_type, running)


@dataclass(frozen=True, slots=True)
class PeriodLayer:
    """Nodes that are needed in the same periods."""

    nodes: int
    needed: tuple[bool, ...]  # by period


@dataclass(frozen=True, slots=True)
class Bought:
    """Nodes of one option, by period."""

    option: NodeOption
    running: tuple[int, ...]


def nodes_running(candidate: Candidate, replicas: Sequence[int], spare: int) -> tuple[int, ...]:
    """Nodes for so many replicas in each period, spares included wherever replicas run."""
    return tuple(candidate.nodes_for(count) + spare if count else 0 for count in replicas)


def layers(running: Sequence[int]) -> Iterator[PeriodLayer]:
    """Nodes needed in each period, cut where the periods that need them change."""
    for below, above in pairwise(sorted({0, *running})):
        yield PeriodLayer(above - below, tuple(count >= above for count in running))


def layer_cents(option: NodeOption, needed: Sequence[bool], *, starts: bool) -> int:
    """Cents per month of one node of an option that runs in so many periods; with its starts, or without."""
    if not option.periods:
        return option.monthly_cents
    if starts:
        return option.cents_for([int(runs) for runs in needed])
    return sum(price.cents for price, runs in zip(option.periods, needed, strict=True) if runs)


def least_running(options: Sequence[NodeOption], running: Sequence[int]) -> int | None:
    """No nodes of these options of which so many run in each period cost less; None where there is no option.

    Each period takes its cheapest option paid by use, whatever the stock, and starts are left out.
    """
    if not options:
        return None
    committed = min((option.monthly_cents for option in options if not option.periods), default=None)
    by_use = [option.periods for option in options if option.periods]
    cheapest = [min(price.cents for price in prices) for prices in zip(*by_use, strict=True)]
    total = 0
    for layer in layers(running):
        used = sum(cents for cents, runs in zip(cheapest, layer.needed, strict=True) if runs) if by_use else None
        total += layer.nodes * min(cents for cents in (committed, used) if cents is not None)
    return total


def some_running(options: Sequence[NodeOption], running: Sequence[int]) -> tuple[Bought, ...] | None:
    """Nodes that can be had and of which so many run in each period, layer by layer the cheapest option without stock.

    None where every option has a stock.
    """
    free = [option for option in options if option.max_nodes is None]
    if not free:
        return None
    counts: dict[tuple[str, str], list[int]] = {}
    by_key = {option.key: option for option in free}
    for layer in layers(running):
        best = min(free, key=lambda option: (layer_cents(option, layer.needed, starts=True), option.key))
        mine = counts.setdefault(best.key, [0] * len(running))
        for period, runs in enumerate(layer.needed):
            mine[period] += layer.nodes if runs or not best.periods else 0
    return tuple(Bought(by_key[key], tuple(mine)) for key, mine in sorted(counts.items()))


def bought_cents(bought: Sequence[Bought]) -> int:
    """Cents per month of nodes."""
    return sum(one.option.cents_for(one.running) for one in bought)


def most_cents(option: NodeOption) -> int:
    """Cents per month of one node of an option that runs and starts in every period: no use of it costs more."""
    if not option.periods:
        return option.monthly_cents
    return sum(price.cents + price.start_cents for price in option.periods)
