"""An explicit placement of replicas on nodes: written as a packing, not as an inequality.

Nodes of one pool are alike (same GPU, GPUs per node, link, fabric). A replica sits inside one node, or takes whole
nodes of one offer (only there do two nodes share a fabric). Placing the largest first is exact when sizes divide one
another (powers of two); for other sizes a search decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product


@dataclass(frozen=True, slots=True)
class Pool:
    """Nodes of one node type: how many of each offer, and the replicas that need them (GPUs of each)."""

    gpus_per_node: int
    nodes: tuple[int, ...]  # per offer
    replicas: tuple[int, ...]  # GPUs of each replica

    def without(self, removed: Sequence[int]) -> Pool:
        """The pool with so many nodes of each offer gone."""
        left = tuple(count - gone for count, gone in zip(self.nodes, removed, strict=True))
        return Pool(self.gpus_per_node, left, self.replicas)


def can_place(pool: Pool) -> bool:
    """Whether every replica finds its GPUs."""
    spanning = [size for size in pool.replicas if size > pool.gpus_per_node]
    inside = sorted((size for size in pool.replicas if size <= pool.gpus_per_node), reverse=True)
    if any(size % pool.gpus_per_node for size in spanning):
        return False
    whole = sorted((size // pool.gpus_per_node for size in spanning), reverse=True)
    if not _place(whole, pool.nodes):
        return False
    left = sum(pool.nodes) - sum(whole)
    return _place(inside, (pool.gpus_per_node,) * left)


def survives(pools: Sequence[Pool], lost: int) -> bool:
    """Whether the replicas can be re-placed whichever ``lost`` nodes of the plan are gone."""
    counts = [count for pool in pools for count in pool.nodes]
    return all(_all_placed(pools, removal) for removal in removals(counts, min(lost, sum(counts))))


def removals(counts: Sequence[int], lost: int) -> Iterator[tuple[int, ...]]:
    """Every way to lose so many nodes, as nodes lost per offer."""
    for taken in product(*(range(min(count, lost) + 1) for count in counts)):
        if sum(taken) == lost:
            yield taken


def _all_placed(pools: Sequence[Pool], removal: Sequence[int]) -> bool:
    start = 0
    for pool in pools:
        if not can_place(pool.without(removal[start : start + len(pool.nodes)])):
            return False
        start += len(pool.nodes)
    return True


def _place(sizes: Sequence[int], free: Sequence[int]) -> bool:
    """Place each item in one bin, largest first; where that fails and sizes do not divide, search."""
    if sum(sizes) > sum(free):
        return False
    if _first_fit(sizes, list(free)):
        return True
    divide = all(larger % smaller == 0 for larger, smaller in pairwise(sizes))
    return not divide and _search(sizes, tuple(sorted(free)))


def _first_fit(sizes: Sequence[int], free: list[int]) -> bool:
    for size in sizes:
        index = next((index for index, room in enumerate(free) if room >= size), None)
        if index is None:
            return False
        free[index] -= size
    return True


def _search(sizes: Sequence[int], free: tuple[int, ...]) -> bool:
    """Depth first over (replicas placed, room left by node), each state once."""
    stack, seen = [(0, free)], set[tuple[int, tuple[int, ...]]]()
    while stack:
        placed, rooms = stack.pop()
        if placed == len(sizes):
            return True
        for index in _distinct(rooms, sizes[placed]):
            left = tuple(sorted((*rooms[:index], rooms[index] - sizes[placed], *rooms[index + 1 :])))
            if (placed + 1, left) not in seen:
                seen.add((placed + 1, left))
                stack.append((placed + 1, left))
    return False


def _distinct(free: Sequence[int], size: int) -> Iterator[int]:
    """Positions that hold ``size``, one for each different remainder: equal ones are interchangeable."""
    seen: set[int] = set()
    for index, room in enumerate(free):
        if room >= size and room not in seen:
            seen.add(room)
            yield index
