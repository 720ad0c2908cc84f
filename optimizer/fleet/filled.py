"""The cheapest nodes that hold a candidate, and whether nodes keep the limits over the whole plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from optimizer.candidates.market import Market
from optimizer.candidates.rules import Limits, UserRules
from optimizer.fleet.instance import power_of
from optimizer.pricing.types import NodeOption, NodeType


@dataclass(frozen=True, slots=True)
class Filled:
    """The cheapest so many nodes of a type."""

    nodes: tuple[tuple[NodeOption, int], ...]
    cents: int
    kept: bool  # whether they keep every limit by themselves


def filled_with(node_type: NodeType, count: int, rules: UserRules, market: Market) -> Filled | None:
    """The cheapest so many nodes of a type; None where stock does not suffice."""
    nodes = market.fill(node_type, count)
    if nodes is None:
        return None
    cents = sum(option.monthly_cents * of_option for option, of_option in nodes)
    return Filled(tuple(nodes), cents, keeps_limits(nodes, rules))


def keeps_limits(nodes: Iterable[tuple[NodeOption, int]], rules: UserRules, bill: int | None = None) -> bool:
    """Whether nodes keep every limit over the plan; ``bill`` is what they cost where that is not all month."""
    nodes, limits = tuple(nodes), rules.limits
    cents = sum(n * o.monthly_cents for o, n in nodes) if bill is None else bill
    return (
        _most(sum(n * o.node_type.gpus_per_node for o, n in nodes), limits.gpus)
        and _most(sum(n for _, n in nodes), limits.nodes)
        and _most(sum(n * power_of(o) for o, n in nodes), limits.power_w)
        and _most(len({o.node_type.gpu.id for o, _ in nodes}), limits.gpu_kinds)
        and _most(cents + rules.fixed_cents, limits.budget_cents)
        and _quotas_kept(nodes, limits)
        and _stock_kept(nodes)
    )


def _most(value: int, limit: int | None) -> bool:
    return limit is None or value <= limit


def _quotas_kept(nodes: Sequence[tuple[NodeOption, int]], limits: Limits) -> bool:
    return all(
        sum(n * o.node_type.gpus_per_node for o, n in nodes if entry.concerns(o)) <= entry.max_gpus
        for entry in limits.quotas
    )


def _stock_kept(nodes: Sequence[tuple[NodeOption, int]]) -> bool:
    return all(
        o.max_nodes is None or sum(n for other, n in nodes if other.offer.id == o.offer.id) <= o.max_nodes
        for o, _ in nodes
    )
