"""An explicit placement of replicas on nodes: written as a packing, not as an inequality.

Nodes of one pool are alike (same GPU, GPUs per node, link, fabric). A replica sits inside one node, or takes whole
nodes of one offer (only there do two nodes share a fabric). Placing the largest first is exact when sizes divide one
another (powers of two); for other sizes a search decides. Replicas and nodes that are alike are placed by counts, so
that a hundred thousand of them take no longer than ten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_Bins = Sequence[tuple[int, int]]
"""Runs of bins that are alike, in order: the room left in each, and how many."""

_Items = Sequence[tuple[int, int]]
"""Sizes of items, largest first, and how many of each."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Nodes of one node type: how many of each offer, and the replicas that need them."""

    gpus_per_node: int
    nodes: tuple[int, ...]  # per offer
    replicas: Mapping[int, int]  # how many, by the GPUs that each needs

    def without(self, removed: Sequence[int]) -> Pool:
        """The pool with so many nodes of each offer gone."""
        left = tuple(count - gone for count, gone in zip(self.nodes, removed, strict=True))
        return Pool(self.gpus_per_node, left, self.replicas)

    @property
    def spanning(self) -> _Items:
        """Replicas that are larger than a node."""
        return self._sorted(lambda size: size > self.gpus_per_node)

    @property
    def inside(self) -> _Items:
        """Replicas that sit inside a node."""
        return self._sorted(lambda size: size <= self.gpus_per_node)

    def _sorted(self, chosen: Callable[[int], bool]) -> _Items:
        return sorted(((size, count) for size, count in self.replicas.items() if chosen(size)), reverse=True)


def can_place(pool: Pool) -> bool:
    """Whether every replica finds its GPUs."""
    if any(size % pool.gpus_per_node for size, _ in pool.spanning):
        return False
    whole = [(size // pool.gpus_per_node, count) for size, count in pool.spanning]
    if not _place(whole, [(count, 1) for count in pool.nodes]):
        return False
    left = sum(pool.nodes) - sum(size * count for size, count in whole)
    return _place(pool.inside, [(pool.gpus_per_node, left)])


def survives(pools: Sequence[Pool], lost: int) -> bool:
    """Whether the replicas can be re-placed whichever ``lost`` nodes of the plan are gone.

    A replica stays in its pool, and losing fewer nodes of a pool is never worse for it: the worst for each pool is that
    all the nodes lost are its own.
    """
    return all(_survives(pool, min(lost, sum(pool.nodes))) for pool in pools)


def _survives(pool: Pool, lost: int) -> bool:
    """Which offer the nodes belonged to matters only to replicas that span several of them."""
    if not pool.spanning:
        return can_place(Pool(pool.gpus_per_node, (sum(pool.nodes) - lost,), pool.replicas))
    return all(can_place(pool.without(removal)) for removal in removals(pool.nodes, lost))


def removals(counts: Sequence[int], lost: int) -> Iterator[tuple[int, ...]]:
    """Every way to lose so many nodes, as nodes lost per offer."""
    if not counts:
        if lost == 0:
            yield ()
        return
    for gone in range(max(0, lost - sum(counts[1:])), min(counts[0], lost) + 1):
        for rest in removals(counts[1:], lost - gone):
            yield (gone, *rest)


def _place(items: _Items, bins: _Bins) -> bool:
    """Place each item in one bin, largest first; where that fails and sizes do not divide, search."""
    if not _may_fit(items, bins):
        return False
    if _first_fit(items, bins):
        return True
    divide = all(larger % smaller == 0 for (larger, _), (smaller, _) in pairwise(items))
    return not divide and _search(items, bins)


def _may_fit(items: _Items, bins: _Bins) -> bool:
    """Whether there is room in all, and for as many items of every size and above as bins can hold at that size."""
    needed = 0
    for size, count in items:
        needed += count
        if needed > sum(room // size * alike for room, alike in bins):
            return False
    return sum(size * count for size, count in items) <= sum(room * alike for room, alike in bins)


def _first_fit(items: _Items, bins: _Bins) -> bool:
    """Each item in the first bin that still holds it, all items of one size at a time."""
    for size, count in items:
        waiting, left = count, list[tuple[int, int]]()
        for room, alike in bins:
            each = room // size
            full = min(alike, waiting // each) if each else 0
            last = waiting - full * each if each and full < alike else 0  # of the one bin that is filled in part
            waiting -= full * each + last
            partly = 1 if last else 0
            filled = ((room - each * size, full), (room - last * size, partly), (room, alike - full - partly))
            left += [(free, bins_alike) for free, bins_alike in filled if bins_alike]
        if waiting:
            return False
        bins = left
    return True


def _search(items: _Items, bins: _Bins) -> bool:
    """Depth first over (items placed, bins by the room left), each state once; bins with equal room are alike."""
    sizes = [size for size, count in items for _ in range(count)]
    rooms = Counter[int]()
    for room, alike in bins:
        rooms[room] += alike
    stack, seen = [(0, _state(rooms))], set[tuple[int, tuple[tuple[int, int], ...]]]()
    while stack:
        placed, state = stack.pop()
        if placed == len(sizes):
            return True
        for room, _ in state:
            if room >= sizes[placed]:
                left = Counter(dict(state))
                left[room] -= 1
                left[room - sizes[placed]] += 1
                following = (placed + 1, _state(left))
                if following not in seen:
                    seen.add(following)
                    stack.append(following)
    return False


def _state(rooms: Counter[int]) -> tuple[tuple[int, int], ...]:
    """Bins by room, fullest last: depth first then tries the tightest bin first."""
    return tuple(sorted(((room, count) for room, count in rooms.items() if count), reverse=True))
