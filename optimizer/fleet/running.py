"""Nodes over the periods of a day profile: the numbers that run, and what they cost.

Committed nodes are one number, paid always. Nodes paid by use are a number for each period, paid for its hours, and
``starts[o,p] >= nodes[o,p] - nodes[o,p-1]`` of them start with period p (the first follows the last) and are billed
while they do not serve yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from optimizer.fleet.instance import Instance
from optimizer.pricing.types import NodeOption

if TYPE_CHECKING:
    from optimizer.fleet.cpsat import CpModel, IntVar


def nodes_by_period(
    cp: CpModel, option: NodeOption, most: int, periods: Sequence[int], when: Callable[[int], str]
) -> list[IntVar]:
    """Nodes of an option in each period: one variable throughout where the option is committed."""
    name = f"nodes[{'|'.join(option.key)}"
    if not option.periods:
        return [cp.new_int_var(0, most, f"{name}]")] * len(periods)
    return [cp.new_int_var(0, most, f"{name}{when(period)}]") for period in periods]


def bill(cp: CpModel, instance: Instance, nodes: Sequence[Sequence[IntVar]]) -> list[tuple[IntVar, int]]:
    """Numbers that are paid for, each with its price in money units."""
    paid: list[tuple[IntVar, int]] = []
    by_use = instance.use_prices or ((),) * len(instance.options)
    for option, counts, price, used in zip(instance.options, nodes, instance.prices, by_use, strict=True):
        if not option.periods:
            paid.append((counts[0], price))
            continue
        for period, of_period in enumerate(used):
            paid.append((counts[period], of_period.running))
            if of_period.start and len(used) > 1:
                most = instance.max_nodes(option.node_type)
                paid.append((_starts(cp, option, counts, period, most), of_period.start))
    return paid


def _starts(cp: CpModel, option: NodeOption, counts: Sequence[IntVar], period: int, most: int) -> IntVar:
    started = cp.new_int_var(0, most, f"starts[{'|'.join(option.key)}|{period}]")
    cp.add(started >= counts[period] - counts[period - 1])
    return started


def most_money(instance: Instance, nodes: Iterable[int]) -> int:
    """Money units that so many nodes of each option come to at most."""
    by_use = instance.use_prices or ((),) * len(instance.options)
    return sum(
        count * (sum(one.running + one.start for one in used) if used else price)
        for count, price, used in zip(nodes, instance.prices, by_use, strict=True)
    )
