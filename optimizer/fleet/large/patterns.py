"""Every pattern that a plan cheaper than a known one may have.

A plan costs at least the bound of the relaxation plus the reduced costs of its patterns, so a pattern whose reduced
cost is more than the gap to a known plan stands in no better one (as in Baldacci, Christofides and Mingozzi 2008). Of
patterns that take the same node types the ones that take more GPUs on each are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from optimizer.fleet.large.duals import Priced, stairs
from optimizer.fleet.large.relaxation import Relaxation, prices_of
from optimizer.fleet.large.ways import Floats, Ints, Ways
from optimizer.units import SHARE_UNITS

MANY = 40_000
"""Patterns that one model of them may have."""

_RAW = 40
"""So many times as many are looked at before a search for them is given up."""

_STEPS = (1.0, 0.5, 0.25, 0.12, 0.06, 0.03, 0.015)
_NONE = -1


@dataclass(frozen=True, slots=True)
class Patterns:
    """Patterns of one or two ways; ``second`` is -1 where there is one."""

    workload: Ints
    first: Ints
    second: Ints
    slack: float  # all patterns with a reduced cost up to this are here

    def __len__(self) -> int:
        return len(self.first)

    def members(self, index: int) -> tuple[int, ...]:
        """The ways of a pattern."""
        first, second = int(self.first[index]), int(self.second[index])
        return (first,) if second == _NONE else (first, second)


def patterns_within(relaxation: Relaxation, ways: Ways, slack: float, *, pairs: bool, most: int = MANY) -> Patterns:
    """All patterns with a reduced cost up to ``slack``, or up to as large a part of it as leaves few enough."""
    prices = prices_of(relaxation, ways)
    for step in _STEPS:
        found = _within(relaxation, ways, prices, slack * step, pairs=pairs, most=most * _RAW)
        if found is not None and len(found) <= most:
            return found
    return Patterns(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), 0.0)


def from_columns(relaxation: Relaxation, ways: Ways) -> Patterns:
    """The patterns of one or two ways that the relaxation asked for."""
    known = [pattern for pattern in relaxation.patterns if len(pattern) <= 2]
    workload = np.searchsorted(ways.starts, np.array([pattern[0] for pattern in known]), side="right") - 1
    second = [pattern[1] if len(pattern) > 1 else _NONE for pattern in known]
    return Patterns(workload.astype(np.int64), np.array([p[0] for p in known]), np.array(second, np.int64), 0.0)


def joined(one: Patterns, other: Patterns) -> Patterns:
    """The patterns of both, the slack of the second."""
    rows = np.unique(
        np.stack([
            np.concatenate([one.workload, other.workload]),
            np.concatenate([one.first, other.first]),
            np.concatenate([one.second, other.second]),
        ]),
        axis=1,
    )  # fmt: skip
    return Patterns(rows[0], rows[1], rows[2], other.slack)


def _within(
    relaxation: Relaxation, ways: Ways, prices: list[Priced], slack: float, *, pairs: bool, most: int
) -> Patterns | None:
    """All patterns within a slack; None where too many."""
    found: list[tuple[Ints, Ints, Ints]] = []
    count = 0
    for workload, of in enumerate(prices):
        limit = float(relaxation.least[workload]) + slack
        raw = [*_singles(of, limit), *(_pairs(of, ways, limit) if pairs else ())]
        first = np.concatenate([one for one, _ in raw])
        second = np.concatenate([other for _, other in raw])
        count += len(first)
        if count > most:
            return None
        kept = _undominated(of.first + first, np.where(second == _NONE, _NONE, of.first + second), ways)
        found.append((np.full(len(kept[0]), workload), *kept))
    workloads, firsts, seconds = (np.concatenate(column) for column in zip(*found, strict=True))
    return Patterns(workloads, firsts, seconds, slack)


def _singles(of: Priced, limit: float) -> Iterator[tuple[Ints, Ints]]:
    alone = np.nonzero((of.parts >= SHARE_UNITS) & (of.full <= limit))[0]
    yield alone, np.full(len(alone), _NONE)


def _pairs(of: Priced, ways: Ways, limit: float) -> Iterator[tuple[Ints, Ints]]:
    """Each way that leaves something, with the smallest way of each node type and look that serves the rest."""
    rest = stairs(of.parts, of.plain)
    some = np.nonzero((of.parts < SHARE_UNITS) & (of.full + rest[SHARE_UNITS - of.parts] <= limit))[0]
    look = ways.look[of.first : of.first + len(of.parts)]
    group = of.kind * (int(ways.look.max(initial=0)) + 1) + look
    starts = np.concatenate([[0], np.nonzero(group[1:] != group[:-1])[0] + 1, [len(group)]])
    missing = SHARE_UNITS - of.parts[some]
    for start, end in pairwise(starts):
        other = start + np.searchsorted(of.parts[start:end], missing)
        there = other < end
        one, two = some[there], other[there]
        cost = _cost(of, one, two)
        cheap = cost <= limit
        yield one[cheap], two[cheap]


def _cost(of: Priced, one: Ints, two: Ints) -> Floats:
    apart: Floats = of.full[one] + of.full[two]
    shared = of.plain[one] + of.plain[two] + of.per_node[of.kind[two]] * np.maximum(of.nodes[one], of.nodes[two])
    return np.where(of.kind[one] == of.kind[two], shared, apart)


def _undominated(first: Ints, second: Ints, ways: Ways) -> tuple[Ints, Ints]:
    """Of patterns of one workload with the same node types and looks, those that no other takes fewer GPUs than."""
    if not len(first):
        return first, second
    looks = int(ways.look.max(initial=0)) + 1
    code = ways.kind * looks + ways.look
    swap = (second != _NONE) & (code[first] > code[second])
    first, second = np.where(swap, second, first), np.where(swap, first, second)
    double = second != _NONE
    code_one, code_two = code[first], np.where(double, code[second], _NONE)
    gpus_one, gpus_two = ways.gpus[first], np.where(double, ways.gpus[second], 0)
    together = double & (ways.kind[first] == ways.kind[second])
    gpus_one, gpus_two = np.where(together, gpus_one + gpus_two, gpus_one), np.where(together, 0, gpus_two)
    order = np.lexsort((second, first, gpus_two, gpus_one, code_two, code_one))
    new = np.concatenate([
        [True],
        (code_one[order][1:] != code_one[order][:-1]) | (code_two[order][1:] != code_two[order][:-1]),
    ])  # fmt: skip
    # within a group the GPUs of the first rise: needed is only what takes fewer of the second than all before
    lowered = gpus_two[order] - np.cumsum(new) * (int(gpus_two.max()) + 1)
    before = np.concatenate([[lowered[0] + 1], np.minimum.accumulate(lowered)[:-1]])
    kept = order[lowered < before]
    return first[kept], second[kept]
