"""What plans with a quoted node cost at least, whatever is asked for it: bounds that save solves, and decide none.

Of every candidate two bounds, the larger counts (as of ``CostFloors``): the nodes that its replicas fill, and its GPUs
at the price of one, to which the least of the same comes for all that the plan serves beside it. A candidate on the
quoted kind of node costs so much a node; what others cost no quote changes, so that is worked out once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.negotiate.quote_at_price import Quoted
    from optimizer.planning.least_replicas import LeastReplicas
    from optimizer.pricing import NodeOption
    from optimizer.whatif.case import Case


FAR = 100_000
"""A second price of a quote, far from the first, to see what one step of price adds to the bill."""


@dataclass(frozen=True, slots=True)
class Rival:
    """What may stand beside quoted nodes: cents of the nodes that it fills, and of its GPUs alone."""

    candidate: Candidate
    own: int
    shared: int


class Rivals:
    """All of one market, with the fewest replicas that replays have left possible."""

    def __init__(self, case: Case, candidates: Sequence[Candidate]) -> None:
        from optimizer.fleet.cost_floors import CostFloors

        rules = case.candidates.rules
        allowed = [option for option in case.options if not rules.forbidden_by(option)]
        self.options: dict[object, list[NodeOption]] = {}
        for option in allowed:
            self.options.setdefault(option.node_type.key, []).append(option)
        self.least = _least(case, candidates)
        bare = replace(case.candidates, candidates=())
        costs, found = CostFloors(bare, allowed, alone=True), list[Rival]()
        for one in candidates:
            known, offered = self.least.of(one), self.options.get(one.node_type.key)
            if known is not None and offered:
                cheapest = min(option.monthly_cents for option in offered)
                gpus = known.replicas * one.spec.gpus
                shared = gpus * cheapest // one.node_type.gpus_per_node
                found.append(Rival(one, costs.own_cents(one, known.replicas), shared))
        self.every = tuple(found)


def bounds_prices(case: Case) -> bool:
    """Whether plans are bounded so: where replays decide how many replicas each kind takes, and each serves all of a
    workload or class; not under a limit on the share of a provider, which nodes that nothing needs may help to keep."""
    from optimizer.planning.cheapest import is_two_sided
    from optimizer.problem import pools_wanted

    rules = case.candidates.rules
    if case.replays is None or rules.mixed or rules.objective != "minimize_cost" or pools_wanted(case.inputs.problem):
        return False
    return rules.limits.provider_share is None and is_two_sided(case.candidates, case.options)


def _least(case: Case, candidates: Sequence[Candidate]) -> LeastReplicas:
    from optimizer.planning.least_replicas import LeastReplicas
    from optimizer.planning.replicas_replayed import Replayer

    replayer = Replayer(case.inputs, case.replays)
    return LeastReplicas(case.inputs, candidates, case.candidates.rules, replayer, case.memo)


class PriceFloors:
    """What plans with a quoted node cost at least at each of its prices."""

    def __init__(self, quoted: Quoted, rivals: Rivals) -> None:
        case = quoted.case
        key = quoted.node(1).node_type.key
        self._quoted, self._rules = quoted, case.candidates.rules
        self._options, self._key = rivals.options, key
        self._mine = [one for one in case.candidates.candidates if one.node_type.key == key]
        self._least = _least(case, self._mine)
        self._beside = [one for one in rivals.every if one.candidate.node_type.key != key]
        self._others = [o for o in rivals.options.get(key, ()) if o.offer.id != quoted.shape.offer_id]
        self._elsewhere = min((option.monthly_cents for option in self._others), default=None)
        never = [1 << 62] * len(self._rules.workloads)
        for rival in self._beside:
            place = rival.candidate.workload
            never[place] = min(never[place], rival.shared)
        self._parts = never

    def may_win(self, bar: int) -> int | None:
        """The highest price at which plans with a quoted node may cost no more than that; 0: at none; None: the bounds
        do not end, as others offer such nodes at prices that are low enough."""
        takes = self._takes()
        if self._elsewhere is not None and self._within(takes, self._elsewhere, bar):
            return None
        low, high = 0, bar + 1  # cents of a node, of which each plan has one
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._within(takes, middle, bar) else (low, middle)
        return self._price_at(low)

    def as_dear_as_others(self) -> int:
        """The highest price at which no other offer of such nodes is cheaper; 0: none."""
        assert self._elsewhere is not None
        return self._price_at(self._elsewhere)

    def _price_at(self, cents: int) -> int:
        """The highest price at which a node costs no more than so much; 0: none."""
        low, high = self._quoted.node(1).monthly_cents, self._quoted.node(FAR).monthly_cents
        price = max(1, 1 + (cents - low) * (FAR - 1) // (high - low))
        while price and self._quoted.node(price).monthly_cents > cents:
            price -= 1
        while self._quoted.node(price + 1).monthly_cents <= cents:
            price += 1
        return price

    def case(self, price: int, bar: int) -> Case:
        """The problem at a price with nothing but what may be part of a plan that costs no more than the bar."""
        case, node = self._quoted.case, self._quoted.node(price)
        cents = node.monthly_cents if self._elsewhere is None else min(node.monthly_cents, self._elsewhere)
        rest, fixed = self._rest(self._takes(), cents), self._rules.fixed_cents
        kept = {id(one) for one in self._mine if self._floor(self._take(one), cents, rest) <= bar}
        near = [r for r in self._beside if max(r.own, r.shared + rest[r.candidate.workload]) + fixed <= bar]
        kept |= {id(rival.candidate) for rival in near}
        standing = tuple(one for one in case.candidates.candidates if id(one) in kept)
        types = {rival.candidate.node_type.key for rival in near}
        options = [node, *self._others, *(option for key in types for option in self._options[key])]
        return replace(
            case,
            inputs=self._quoted.inputs(price),
            options=tuple(sorted(options, key=lambda option: option.key)),
            candidates=replace(case.candidates, candidates=standing),
        )

    def _take(self, candidate: Candidate) -> _Take | None:
        known = self._least.of(candidate)
        if known is None:
            return None
        nodes = candidate.nodes_for(known.replicas) + self._rules.reserve(candidate)
        return candidate.workload, nodes, known.replicas * candidate.spec.gpus, candidate.node_type.gpus_per_node

    def _takes(self) -> set[_Take]:
        """What candidates on such nodes take at least, as far as replays have shown by now."""
        return {take for take in map(self._take, self._mine) if take is not None}

    def _rest(self, takes: Iterable[_Take], cents: int) -> list[int]:
        from optimizer.fleet.objective_floors import beside

        parts = list(self._parts)
        for workload, _, gpus, size in takes:
            parts[workload] = min(parts[workload], gpus * cents // size)
        return beside(parts, self._rules)

    def _floor(self, take: _Take | None, cents: int, rest: Sequence[int]) -> int:
        if take is None:
            return 1 << 62
        workload, nodes, gpus, size = take
        return max(nodes * cents, gpus * cents // size + rest[workload]) + self._rules.fixed_cents

    def _within(self, takes: set[_Take], cents: int, bar: int) -> bool:
        """Whether some candidate may be part of a plan within the bar where a node costs so much."""
        rest = self._rest(takes, cents)
        return any(self._floor(take, cents, rest) <= bar for take in takes)


_Take = tuple[int, int, int, int]
"""Workload, nodes that its replicas fill, GPUs of them, and GPUs of a node."""
