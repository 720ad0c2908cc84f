"""Mixes: the one plan among those that tie, and who serves what share of a workload."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from optimizer.fleet.instance import Instance
from optimizer.fleet.variables import Variables
from optimizer.units import SHARE_UNITS

if TYPE_CHECKING:
    from optimizer.fleet.cpsat import CpModel, CpSolver, LinearExprT

Minimum = Callable[["LinearExprT"], "CpSolver | None"]
"""Solves for the least value of an expression and holds it; None where that was not proven."""


def settle(v: Variables, cp: CpModel, least: Minimum) -> CpSolver | None:
    """Of mixes that tie so far: fewest configurations, first in content order (workload by workload), fewest replicas.

    Content order alone would not do as a sum: positions 1 and 4 add up to the same as 2 and 3. So the first chosen
    position is made small, then the second, and so on. Returns the solver that holds the answer; None where a step was
    not proven.
    """
    solver = None
    for workload in range(len(v.instance.rules.workloads)):
        solver = least(v.chosen(index for index, _ in v.slots(workload)))
        if solver is None:
            return None
        chosen = [index for index, _ in v.slots(workload) if solver.value(v.at(index))]
        for expression in _positions(v, cp, workload, len(chosen)):
            solver = least(expression)
            if solver is None:
                return None
    solver = least(v.replicas())
    chosen = [] if solver is None else [index for index, _ in v.slots() if solver.value(v.at(index))]
    served = {v.instance.slots[index].workload for index in chosen}
    for index in chosen if len(chosen) > len(served) else ():
        solver = least(v.reps(index))
        if solver is None:
            return None
    return solver


def _positions(v: Variables, cp: CpModel, workload: int, count: int) -> Iterator[LinearExprT]:
    """Content positions of the first, second, ... chosen slot, as expressions: ``sum of p first[p]``, one of them 1."""
    from optimizer.fleet.cpsat import LinearExpr

    slots = [index for index, _ in v.slots(workload)]
    before = None
    for number in range(count):
        here = [cp.new_bool_var(f"place[{workload},{number},{index}]") for index in slots]
        cp.add_exactly_one(here)
        for literal, index in zip(here, slots, strict=True):
            cp.add_implication(literal, v.at(index))
        position = LinearExpr.weighted_sum(here, list(range(len(slots))))
        if before is not None:
            cp.add(position >= before + 1)
        yield position
        before = position


def shares_of(instance: Instance, replicas: Mapping[int, int]) -> dict[int, int]:
    """Shares in 1/2520 of each chosen slot: in proportion to what its replicas carry, so that all run equally full.

    No share is more than its replicas carry. One slot of a workload alone serves all of it.
    """
    shares: dict[int, int] = {}
    for workload in range(len(instance.rules.workloads)):
        mine = [index for index in sorted(replicas) if instance.slots[index].workload == workload]
        if len(mine) == 1:
            shares[mine[0]] = SHARE_UNITS
            continue
        carried = [_carried(instance, index, replicas[index]) for index in mine]
        shares |= zip(mine, split(carried), strict=True)
    return shares


def _carried(instance: Instance, index: int, replicas: int) -> int:
    """Parts of the workload, in 1/2520, that replicas of a slot carry."""
    capacity = min(value for value in instance.slots[index].capacity if value >= 0)
    return capacity * replicas * SHARE_UNITS // instance.load_scale


def split(carried: Sequence[int]) -> list[int]:
    """2520 parts in proportion to what each can carry (2520 at least in all), none more than it can.

    Each gets its proportion rounded down, and those with the largest remainders one part more.
    """
    total = sum(carried)
    parts = [SHARE_UNITS * one // total for one in carried]
    order = sorted(range(len(parts)), key=lambda i: (-(SHARE_UNITS * carried[i] % total), i))
    for index in order[: SHARE_UNITS - sum(parts)]:
        parts[index] += 1
    return parts
