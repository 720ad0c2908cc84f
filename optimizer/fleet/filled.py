"""The cheapest nodes that hold a candidate, and whether nodes keep the limits over the whole plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from optimizer.candidates.market import Market
from optimizer.candidates.rules import SHARE_PARTS, Limits, UserRules
from optimizer.fleet.instance import power_of
from optimizer.pricing.types import NodeOption, NodeType, Origin


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
        and _orders_kept(nodes)
        and _shares_kept(nodes, limits)
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


def _orders_kept(nodes: Sequence[tuple[NodeOption, int]]) -> bool:
    """Whether each option is bought in a number it is sold in, and each offer at one of its prices."""
    bought: dict[tuple[str, str], tuple[NodeOption, int]] = {}
    for option, count in nodes:
        bought[option.key] = (option, count + bought.get(option.key, (option, 0))[1])
    lots = [(option, count) for option, count in bought.values() if option.ordered_in_lots and count]
    at_one_price = len({(option.offer.id, option.tier) for option, _ in lots}) == len(lots)
    return at_one_price and all(o.from_nodes <= n and (o.up_to_nodes is None or n <= o.up_to_nodes) for o, n in lots)


def _shares_kept(nodes: Sequence[tuple[NodeOption, int]], limits: Limits) -> bool:
    """Whether no provider gets more than its share; not known, so no, where nodes run in some periods only."""
    share = limits.provider_share
    if share is None:
        return True
    if any(option.periods for option, _ in nodes):
        return False
    paid: dict[str, int] = {}
    for option, count in nodes:
        who = "" if option.origin is Origin.OWNED else option.offer.provider
        paid[who] = paid.get(who, 0) + option.monthly_cents * count
    total = sum(paid.values())
    return all(SHARE_PARTS * cents <= share * total for who, cents in paid.items() if who)
