"""Prices of GPUs and nodes, and the cheapest way to serve a workload at them.

At prices ``p[t]`` of a GPU on node type t and ``m[w,t]`` of a node that workload w alone would fill, serving w costs
at least the cheapest set of ways whose parts add up to 2520: a covering knapsack, solved by dynamic programming over
parts. A set pays ``p`` for its GPUs and ``m`` once per node type, for the most nodes that one of its ways fills there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimizer.fleet.large.ways import Floats, Ints, Ways
from optimizer.units import SHARE_UNITS

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
