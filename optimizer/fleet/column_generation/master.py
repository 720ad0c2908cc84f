"""A lower bound on the cost of any plan, by column generation.

The relaxed problem chooses, for each workload, a mixture of *patterns* (sets of ways that serve all of it) and nodes in
fractions, so that on each node type t the GPUs suffice, ``sum gpus[p,t] x[p] <= room[t] nodes[t]``, and so do the nodes
for each workload alone, ``sum nodes[p,t] x[p] <= nodes[t]`` (stated where it is violated). Its linear program knows few
patterns at a time; the dual prices ask for better ones (Dantzig and Wolfe 1960), and at any prices

``sum over w of least[w] + sum over o of min(0, reduced cost[o]) most[o]``

is a bound on every plan (Lagrange), whatever other rules hold. Prices are smoothed towards the best known ones
(Wentges 1997), so that fewer rounds are needed.

Every pattern that a plan cheaper than a known one may have.

A plan costs at least the bound of the relaxation plus the reduced costs of its patterns, so a pattern whose reduced
cost is more than the gap to a known plan stands in no better one (as in Baldacci, Christofides and Mingozzi 2008). Of
patterns that take the same node types the ones that take more GPUs on each are left out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from optimizer.fleet.column_generation.columns import (
    Duals,
    Floats,
    Ints,
    Pattern,
    Priced,
    Shop,
    Ways,
    cheapest,
    least_with_each,
    priced,
    stairs,
)
from optimizer.fleet.instance import Instance
from optimizer.progress import Clock
from optimizer.units import SHARE_UNITS

ROUNDS = 400
"""More rounds are not made."""

CLOSE = 5e-4
"""The relaxation counts as solved where bound and value differ by no more than this share."""

_SMOOTH = 0.4
_PENALTY = 100.0
"""Price of not serving a workload, in first prices of serving all."""

_TINY = 1e-7
_GUARD = 1e-7
"""Share of a bound that is given up to the rounding of floating-point numbers."""

Use = dict[int, tuple[int, int]]
"""GPUs and nodes that a pattern takes, by node type."""


@dataclass(frozen=True, slots=True)
class RelaxedBounds:
    """What the relaxed problem says about every plan."""

    bound: float  # money units; no plan costs less
    duals: Duals
    least: Floats  # price of each workload at the duals
    extra: Floats  # reduced cost of a node of each option
    patterns: tuple[Pattern, ...]  # those that were asked for, of all workloads

    @property
    def whole_bound(self) -> int:
        """The bound as a whole number of money units."""
        return math.ceil(self.bound * (1 - _GUARD) - _GUARD)

    def slot_bounds(self, ways: Ways, all_ways: Ways, slots: int, most: int) -> Floats:
        """What a plan with each slot costs at least; slots without ways: infinite."""
        found = np.full(slots, np.inf)
        for workload in range(len(self.least)):
            of = priced(ways, workload, self.duals)
            every = priced(all_ways, workload, self.duals)
            bounds = self.bound - self.least[workload] + least_with_each(of, every, most)
            np.minimum.at(found, all_ways.slot[all_ways.of(workload)], bounds)
        return found * (1 - _GUARD)

    def option_bounds(self) -> Floats:
        """What a plan with a node of each option costs at least."""
        found: Floats = (self.bound + np.maximum(0.0, self.extra)) * (1 - _GUARD)
        return found


def use_of(pattern: Sequence[int], ways: Ways) -> Use:
    """What a pattern takes of each node type: the GPUs of all its ways, the nodes of the largest."""
    found: Use = {}
    for way in pattern:
        gpus, nodes = found.get(int(ways.kind[way]), (0, 0))
        found[int(ways.kind[way])] = (gpus + int(ways.gpus[way]), max(nodes, int(ways.nodes[way])))
    return found


def relax(instance: Instance, shop: Shop, ways: Ways, clock: Clock) -> RelaxedBounds:
    """Solve the relaxed problem as far as time allows; every workload must have a way to serve all of it."""
    most = instance.rules.configurations
    master = _Master(shop, ways, strong=most <= 2)
    duals = master.first_duals()
    best: RelaxedBounds | None = None
    for _ in range(ROUNDS):
        found = [cheapest(priced(ways, w, duals), most) for w in range(len(ways.starts) - 1)]
        least = np.array([value for value, _ in found])
        extra = master.extra(duals)
        bound = float(least.sum() + np.minimum(0.0, extra * shop.most).sum())
        fresh = [master.add(workload, pattern) for workload, (_, pattern) in enumerate(found)]
        if best is None:
            master.price_unserved(_PENALTY * (1.0 + float(least.sum())))
        if best is None or bound > best.bound:
            best = RelaxedBounds(bound, duals, least, extra, ())
        value = master.solve()
        stated = value is not None and master.state_violated()
        if stated:
            value = master.solve()
        if value is None or clock.over or (not stated and value - best.bound <= CLOSE * value):
            break
        duals = best.duals.mixed_with(master.duals(), _SMOOTH if any(fresh) else 1.0)
    assert best is not None
    return RelaxedBounds(best.bound, best.duals, best.least, best.extra, tuple(master.patterns))


class _Master:
    """The linear program over the patterns known so far (GLOP)."""

    def __init__(self, shop: Shop, ways: Ways, *, strong: bool) -> None:
        from ortools.linear_solver import pywraplp  # type: ignore[attr-defined]

        self._shop, self._ways, self._strong = shop, ways, strong
        self._lp: Any = pywraplp.Solver.CreateSolver("GLOP")
        self._infinity = self._lp.infinity()
        self._workloads = len(ways.starts) - 1
        self._served = [self._lp.Constraint(1, self._infinity) for _ in range(self._workloads)]
        self._gpus = [self._lp.Constraint(0, self._infinity) for _ in range(shop.kinds)]
        self._alone: dict[tuple[int, int], Any] = {}
        self._nodes: list[Any] = []
        self._columns: list[tuple[int, Use, Any]] = []
        self.patterns: list[Pattern] = []
        self._known: set[Pattern] = set()
        self._state_nodes()

    def _state_nodes(self) -> None:
        objective = self._lp.Objective()
        for option, kind in enumerate(self._shop.kind_of_option):
            nodes = self._lp.NumVar(0, float(self._shop.most[option]), "")
            self._gpus[kind].SetCoefficient(nodes, float(self._shop.room[kind]))
            objective.SetCoefficient(nodes, float(self._shop.price[option]))
            self._nodes.append(nodes)
        objective.SetMinimization()

    def price_unserved(self, price: float) -> None:
        """Let a workload go unserved at a price that no plan would pay, so that the program has a solution."""
        for row in self._served:
            unserved = self._lp.NumVar(0, self._infinity, "")
            row.SetCoefficient(unserved, 1)
            self._lp.Objective().SetCoefficient(unserved, price)

    def first_duals(self) -> Duals:
        """The cheapest price of a GPU on each node type."""
        shop = self._shop
        cheapest_node = np.full(shop.kinds, float(shop.price.max(initial=0)))
        np.minimum.at(cheapest_node, shop.kind_of_option, shop.price.astype(np.float64))
        return Duals(cheapest_node / shop.room, np.zeros((self._workloads, shop.kinds)))

    def extra(self, duals: Duals) -> Floats:
        """Reduced cost of a node of each option."""
        shop = self._shop
        worth = shop.room * duals.gpu + duals.node.sum(axis=0)
        found: Floats = shop.price - worth[shop.kind_of_option]
        return found

    def add(self, workload: int, pattern: Pattern) -> bool:
        """Let the program use a pattern; whether it is a new one."""
        key = tuple(sorted(pattern))
        if key in self._known:
            return False
        self._known.add(key)
        self.patterns.append(key)
        column, use = self._lp.NumVar(0, self._infinity, ""), use_of(key, self._ways)
        self._served[workload].SetCoefficient(column, 1)
        for kind, (gpus, nodes) in use.items():
            self._gpus[kind].SetCoefficient(column, -float(gpus))
            if (workload, kind) in self._alone:
                self._alone[workload, kind].SetCoefficient(column, -float(nodes))
        self._columns.append((workload, use, column))
        return True

    def solve(self) -> float | None:
        """Value of the program; None where the solver gave up."""
        status = self._lp.Solve()
        return float(self._lp.Objective().Value()) if status == self._lp.OPTIMAL else None

    def state_violated(self) -> bool:
        """State that nodes suffice for a workload alone, wherever they do not; whether there was anything to state."""
        if not self._strong:
            return False
        nodes, need = defaultdict[int, float](float), defaultdict[tuple[int, int], float](float)
        for variable, kind in zip(self._nodes, self._shop.kind_of_option, strict=True):
            nodes[int(kind)] += variable.solution_value()
        for workload, use, column in self._columns:
            value = column.solution_value()
            if value > _TINY:
                for kind, (_, of_pattern) in use.items():
                    need[workload, kind] += of_pattern * value
        violated = [
            key for key, value in need.items() if key not in self._alone and value > nodes[key[1]] * (1 + _TINY) + _TINY
        ]
        for key in violated:
            self._state_alone(*key)
        return bool(violated)

    def _state_alone(self, workload: int, kind: int) -> None:
        row = self._alone[workload, kind] = self._lp.Constraint(0, self._infinity)
        for variable, of_kind in zip(self._nodes, self._shop.kind_of_option, strict=True):
            if of_kind == kind:
                row.SetCoefficient(variable, 1)
        for of_workload, use, column in self._columns:
            if of_workload == workload and kind in use:
                row.SetCoefficient(column, -float(use[kind][1]))

    def duals(self) -> Duals:
        """Prices of the rows, none below 0."""
        gpu = np.array([max(0.0, row.dual_value()) for row in self._gpus])
        node = np.zeros((self._workloads, self._shop.kinds))
        for (workload, kind), row in self._alone.items():
            node[workload, kind] = max(0.0, row.dual_value())
        return Duals(gpu, node)


def prices_of(relaxation: RelaxedBounds, ways: Ways) -> list[Priced]:
    """The ways of every workload at the best prices."""
    return [priced(ways, workload, relaxation.duals) for workload in range(len(relaxation.least))]


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


def patterns_within(relaxation: RelaxedBounds, ways: Ways, slack: float, *, pairs: bool, most: int = MANY) -> Patterns:
    """All patterns with a reduced cost up to ``slack``, or up to as large a part of it as leaves few enough."""
    prices = prices_of(relaxation, ways)
    for step in _STEPS:
        found = _within(relaxation, ways, prices, slack * step, pairs=pairs, most=most * _RAW)
        if found is not None and len(found) <= most:
            return found
    return Patterns(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), 0.0)


def from_columns(relaxation: RelaxedBounds, ways: Ways) -> Patterns:
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
    relaxation: RelaxedBounds, ways: Ways, prices: list[Priced], slack: float, *, pairs: bool, most: int
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
