"""Nodes that run in each period of a day profile, layer by layer: the k-th node runs wherever k nodes are needed.

With n[p] nodes needed in period p, committed nodes C and u[p] nodes paid by use, C + u[p] >= n[p]. Layer k is in use
in the periods with n[p] >= k. It costs a commitment, or the hours of those periods; so no plan costs less than the sum
over the layers of the cheaper of the two, starts left out (in the spirit of the newsvendor problem: commit up to the
layer whose hours of use cost as much as the month).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from optimizer.candidates.types import Candidate
from optimizer.pricing.types import NodeOption


@dataclass(frozen=True, slots=True)
class Layer:
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


def layers(running: Sequence[int]) -> Iterator[Layer]:
    """Nodes needed in each period, cut where the periods that need them change."""
    for below, above in pairwise(sorted({0, *running})):
        yield Layer(above - below, tuple(count >= above for count in running))


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
