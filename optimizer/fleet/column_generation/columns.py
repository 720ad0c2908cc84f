"""Ways to serve a part of a workload: so many replicas of one slot, and what they take of a node type.

All ways of an instance stand in arrays, workload after workload. A part is 1/2520 of a workload; where configurations
may not share a workload, a way serves all of it. Node types are numbered in content order.

Prices of GPUs and nodes, and the cheapest way to serve a workload at them.

At prices ``p[t]`` of a GPU on node type t and ``m[w,t]`` of a node that workload w alone would fill, serving w costs
at least the cheapest set of ways whose parts add up to 2520: a covering knapsack, solved by dynamic programming over
parts. A set pays ``p`` for its GPUs and ``m`` once per node type, for the most nodes that one of its ways fills there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimizer.fleet.instance import Fact, Instance, Slot, slot_facts
from optimizer.units import SHARE_UNITS

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Look: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Shop:
    """Node types and options of an instance, as arrays."""

    room: Ints  # GPUs of a node of each type
    kind_of_slot: Ints
    kind_of_option: Ints
    price: Ints  # money units of a node of each option
    most: Ints  # nodes of each option that any plan may need

    @property
    def kinds(self) -> int:
        """Number of node types."""
        return len(self.room)


@dataclass(frozen=True, slots=True)
class Ways:
    """One entry per way; ``starts[w]`` is where those of workload w begin."""

    slot: Ints  # index in the instance
    replicas: Ints
    parts: Ints
    gpus: Ints
    nodes: Ints  # that they fill where nothing else is on them
    kind: Ints  # of node
    look: Ints  # ways of different looks do not replace each other
    starts: Ints

    def of(self, workload: int) -> slice:
        """The entries of a workload."""
        return slice(int(self.starts[workload]), int(self.starts[workload + 1]))

    def __len__(self) -> int:
        return len(self.slot)


def shop_of(instance: Instance) -> Shop:
    """Node types and options of an instance."""
    number = {node_type.key: index for index, node_type in enumerate(instance.node_types)}
    kind_of_slot = np.array([number[slot.node_type.key] for slot in instance.slots], np.int64)
    kind_of_option = np.array([number[option.node_type.key] for option in instance.options], np.int64)
    most = np.zeros((len(instance.rules.workloads), len(number)), np.int64)
    workloads = np.array([slot.workload for slot in instance.slots], np.int64)
    np.maximum.at(most, (workloads, kind_of_slot), np.array([slot.max_nodes for slot in instance.slots], np.int64))
    by_kind = most.sum(axis=0) * instance.rules.configurations + instance.rules.spare_nodes
    stock = [option.max_nodes for option in instance.options]
    unlimited = by_kind[kind_of_option]
    return Shop(
        room=np.array([node_type.gpus_per_node for node_type in instance.node_types], np.int64),
        kind_of_slot=kind_of_slot,
        kind_of_option=kind_of_option,
        price=np.array(instance.prices, np.int64),
        most=np.array([m if s is None else min(s, m) for s, m in zip(stock, unlimited, strict=True)], np.int64),
    )


def looks_of(instance: Instance) -> list[Look]:
    """What tells ways on one node type apart beyond what they carry and take: facts, where several plans are ranked,
    and the size of a replica where nodes do not hold a power of two of GPUs."""
    ranked = instance.rules.top > 1
    found: list[Look] = []
    for slot in instance.slots:
        facts: tuple[Fact, ...] = slot_facts(slot.candidate, instance.rules) if ranked else ()
        per_node = slot.node_type.gpus_per_node
        found.append((facts, 0 if per_node & (per_node - 1) == 0 else slot.gpus))
    return found


def least_capacity(slot: Slot, scale: int) -> int:
    """Demand units that a replica carries: the smaller of arrivals and requests in flight."""
    return min(scale, *(value for value in slot.capacity if value >= 0))


def front(instance: Instance, shop: Shop, indices: Sequence[int], looks: Sequence[Look]) -> list[int]:
    """Slots that no other of the same workload, node type and look replaces with as few GPUs and as much capacity."""
    capacity = {index: least_capacity(instance.slots[index], instance.load_scale) for index in indices}
    slots = instance.slots
    order = sorted(
        indices,
        key=lambda i: (slots[i].workload, shop.kind_of_slot[i], looks[i], slots[i].gpus, -capacity[i], i),
    )
    kept: list[int] = []
    group: Look | None = None
    best = 0
    for index in order:
        here = (slots[index].workload, shop.kind_of_slot[index], looks[index])
        if here != group:
            group, best = here, 0
        if capacity[index] > best:
            best = capacity[index]
            kept.append(index)
    return sorted(kept)


def ways_of(instance: Instance, shop: Shop, indices: Sequence[int], looks: Sequence[Look]) -> Ways:
    """All ways of some slots that serve a part at least, with the fewest replicas for it."""
    numbers: dict[Look, int] = {}
    parts: list[tuple[Ints, Ints]] = [_replicas(instance.slots[index], instance) for index in indices]
    lengths = np.array([len(replicas) for replicas, _ in parts], np.int64)
    slot = np.repeat(np.array(indices, np.int64), lengths)
    replicas = np.concatenate([replicas for replicas, _ in parts])
    chosen = [instance.slots[index] for index in indices]
    gpus = np.repeat(np.array([one.gpus for one in chosen], np.int64), lengths) * replicas
    per_node = np.repeat(np.array([one.candidate.replicas_per_node for one in chosen], np.int64), lengths)
    whole = np.repeat(np.array([one.candidate.nodes_per_replica for one in chosen], np.int64), lengths)
    nodes = np.where(per_node > 0, -(-replicas // np.maximum(per_node, 1)), replicas * whole)
    look = np.array([numbers.setdefault(looks[index], len(numbers)) for index in indices], np.int64)
    workload = np.repeat(np.array([one.workload for one in chosen], np.int64), lengths)
    return _sorted(
        workload,
        (
            slot,
            replicas,
            np.concatenate([p for _, p in parts]),
            gpus,
            nodes,
            shop.kind_of_slot[slot],
            np.repeat(look, lengths),
        ),
        len(instance.rules.workloads),
    )


def _replicas(slot: Slot, instance: Instance) -> tuple[Ints, Ints]:
    """Numbers of replicas, each the smallest for its parts, and those parts."""
    capacity, scale = least_capacity(slot, instance.load_scale), instance.load_scale
    whole = -(-scale // capacity)
    if not instance.rules.mixed:
        return np.array([whole], np.int64), np.array([SHARE_UNITS], np.int64)
    unit = scale // SHARE_UNITS
    if whole <= SHARE_UNITS:
        replicas = np.arange(1, whole + 1, dtype=np.int64)
    else:
        replicas = -(-np.arange(1, SHARE_UNITS + 1, dtype=np.int64) * unit // capacity)
    replicas = replicas[replicas <= slot.max_replicas]
    parts = np.minimum(SHARE_UNITS, replicas * capacity // unit)
    return replicas[parts > 0], parts[parts > 0]


def thinned(ways: Ways, workloads: int) -> Ways:
    """Ways that no other of the same workload, node type and look replaces with as few GPUs and as many parts."""
    workload = np.repeat(np.arange(workloads), np.diff(ways.starts))
    order = np.lexsort((ways.nodes, -ways.parts, ways.gpus, ways.look, ways.kind, workload))
    group = np.stack([workload[order], ways.kind[order], ways.look[order]])
    new = np.concatenate([[True], (group[:, 1:] != group[:, :-1]).any(axis=0)])
    # within a group GPUs rise: a way is needed only if it serves more parts than all before it
    lifted = np.cumsum(new) * (SHARE_UNITS + 1) + ways.parts[order]
    before = np.concatenate([[-1], np.maximum.accumulate(lifted)[:-1]])
    kept = order[lifted > before]
    columns = (ways.slot, ways.replicas, ways.parts, ways.gpus, ways.nodes, ways.kind, ways.look)
    return _sorted(workload[kept], tuple(column[kept] for column in columns), workloads)


def _sorted(workload: Ints, columns: tuple[Ints, ...], workloads: int) -> Ways:
    """By workload, node type and look, then by parts."""
    _, _, parts, gpus, _, kind, look = columns
    order = np.lexsort((gpus, parts, look, kind, workload))
    slot, replicas, parts, gpus, nodes, kind, look = (column[order] for column in columns)
    starts = np.searchsorted(workload[order], np.arange(workloads + 1)).astype(np.int64)
    return Ways(slot, replicas, parts, gpus, nodes, kind, look, starts)


_TINY = 1e-9

Pattern = tuple[int, ...]
"""Ways that together serve one workload."""


@dataclass(frozen=True, slots=True)
class Duals:
    """Prices in money units."""

    gpu: Floats  # by node type
    node: Floats  # by workload and node type

    def mixed_with(self, other: Duals, share: float) -> Duals:
        """Somewhere between these prices and others."""
        return Duals(
            self.gpu * (1 - share) + other.gpu * share,
            self.node * (1 - share) + other.node * share,
        )


@dataclass(frozen=True, slots=True)
class Priced:
    """The ways of one workload at prices."""

    first: int  # index of the first way
    parts: Ints
    kind: Ints
    nodes: Ints
    plain: Floats  # price of the GPUs
    full: Floats  # with the price of the nodes
    per_node: Floats  # by node type


def priced(ways: Ways, workload: int, duals: Duals) -> Priced:
    """Price the ways of a workload."""
    mine = ways.of(workload)
    kind, per_node = ways.kind[mine], duals.node[workload]
    plain = ways.gpus[mine] * duals.gpu[kind]
    full = plain + ways.nodes[mine] * per_node[kind]
    return Priced(mine.start, ways.parts[mine], kind, ways.nodes[mine], plain, full, per_node)


def stairs(parts: Ints, cost: Floats) -> Floats:
    """Least cost of one way for so many parts or more, for 0 to 2520 parts; nothing costs nothing."""
    least = np.full(SHARE_UNITS + 1, np.inf)
    np.minimum.at(least, parts, cost)
    least = np.minimum.accumulate(least[::-1])[::-1].copy()
    least[0] = 0.0
    return least


def more_stairs(one: Floats, several: Floats) -> Floats:
    """Least cost with one way more."""
    best = several.copy()
    steps = np.nonzero(np.isfinite(one) & np.append(one[1:] > one[:-1], True))[0]
    for parts in steps[steps > 0]:
        best[: parts + 1] = np.minimum(best[: parts + 1], one[parts] + several[0])
        np.minimum(best[parts:], one[parts] + several[: SHARE_UNITS + 1 - parts], out=best[parts:])
    return best


def cheapest(of: Priced, most: int) -> tuple[float, Pattern]:
    """The cheapest set of at most so many ways; two at most where nodes have a price of their own."""
    levels = [stairs(of.parts, of.full)]
    for _ in range(most - 2):
        levels.append(more_stairs(levels[0], levels[-1]))
    levels.insert(0, np.where(np.arange(SHARE_UNITS + 1) > 0, np.inf, 0.0))
    pattern, left, value = list[int](), SHARE_UNITS, np.inf
    for several in levels[most - 1 :: -1]:
        total = of.full + several[SHARE_UNITS - np.minimum(SHARE_UNITS, of.parts + SHARE_UNITS - left)]
        best = int(np.argmin(total))
        if not pattern:
            value = float(total[best])
        pattern.append(best)
        left -= int(of.parts[best])
        if left <= 0:
            break
    if most == 2:
        return _or_on_one_kind(of, value, pattern)
    return value, tuple(of.first + index for index in pattern)


def _or_on_one_kind(of: Priced, value: float, pattern: list[int]) -> tuple[float, Pattern]:
    """Two ways on one node type pay for its nodes once, which may be cheaper."""
    for kind in np.nonzero(of.per_node > _TINY)[0]:
        here = np.nonzero(of.kind == kind)[0]
        for nodes in np.unique(of.nodes[here]):
            mine = here[of.nodes[here] <= nodes]
            rest = stairs(of.parts[mine], of.plain[mine])
            total = of.plain[mine] + rest[SHARE_UNITS - of.parts[mine]] + of.per_node[kind] * nodes
            best = int(np.argmin(total))
            if total[best] < value - _TINY:
                value, pattern = float(total[best]), [int(mine[best])]
                missing = SHARE_UNITS - of.parts[mine[best]]
                if missing > 0:
                    enough = np.where(of.parts[mine] >= missing, of.plain[mine], np.inf)
                    pattern.append(int(mine[int(np.argmin(enough))]))
    return value, tuple(of.first + index for index in pattern)


def least_with_each(of: Priced, all_of: Priced, most: int) -> Floats:
    """What a set costs at least that has a given way, for each way of ``all_of``: the others pay for GPUs alone."""
    rest = np.where(np.arange(SHARE_UNITS + 1) > 0, np.inf, 0.0)
    if most > 1:
        one = rest = stairs(of.parts, of.plain)
        for _ in range(most - 2):
            rest = more_stairs(one, rest)
    found: Floats = all_of.full + rest[SHARE_UNITS - all_of.parts]
    return found
