"""How many nodes of a type any plan can have: what bounds ``maximize_load``."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.candidates.market import Market, NodeKey
from optimizer.candidates.rules import UserRules
from optimizer.candidates.types import Candidate
from optimizer.errors import ProblemError
from optimizer.pricing.types import NodeOption, NodeType
from optimizer.units import ceil_guarded

UNBOUNDED = (
    "objective maximize_load needs something that bounds the plan: budget.monthly, hardware.only_owned, "
    "hardware.limits, or a stock on every offer that may be used"
)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Most nodes of each type under the limits, one limit at a time; empty under objectives with a stated load."""

    nodes: dict[NodeKey, int]
    spare: int
    applies: bool

    def replicas(self, candidate: Candidate) -> int | None:
        """Most replicas of a candidate; None where the load decides."""
        if not self.applies:
            return None
        nodes = max(0, self.nodes.get(candidate.node_type.key, 0) - self.spare)
        per_node = candidate.replicas_per_node
        return nodes * per_node if per_node else nodes // candidate.nodes_per_replica


def ceiling_of(rules: UserRules, market: Market, node_types: dict[NodeKey, NodeType]) -> Ceiling:
    """The ceiling of a problem; an error where ``maximize_load`` has none."""
    if rules.objective != "maximize_load":
        return Ceiling({}, rules.spare_nodes, False)
    nodes: dict[NodeKey, int] = {}
    for key, node_type in node_types.items():
        most = _most_nodes(node_type, rules, market.options(node_type))
        if most is None:
            raise ProblemError(UNBOUNDED)
        nodes[key] = most
    return Ceiling(nodes, rules.spare_nodes, True)


def _most_nodes(node_type: NodeType, rules: UserRules, options: list[NodeOption]) -> int | None:
    if not options:
        return 0
    limits = rules.limits
    bounds = [limits.nodes, None if limits.gpus is None else limits.gpus // node_type.gpus_per_node]
    if limits.power_w is not None:
        bounds.append(limits.power_w // min(ceil_guarded(option.power_kw * 1000) for option in options))
    if limits.budget_cents is not None:
        bounds.append(_affordable(options, limits.budget_cents - rules.fixed_cents))
    stocks = {option.offer.id: option.max_nodes for option in options}
    bounds.append(_total(list(stocks.values())))
    for quota in limits.quotas:
        if all(quota.concerns(option) for option in options):
            bounds.append(quota.max_gpus // node_type.gpus_per_node)
    return min((bound for bound in bounds if bound is not None), default=None)


def _total(stocks: list[int | None]) -> int | None:
    known = [stock for stock in stocks if stock is not None]
    return sum(known) if len(known) == len(stocks) else None


def _affordable(options: list[NodeOption], cents: int) -> int | None:
    """Most nodes that so much money buys, cheapest first; None where they cost nothing and there is no end of them."""
    left, count = max(0, cents), 0
    for option in sorted(options, key=_least_cents):
        price = _least_cents(option)
        if price == 0:
            if option.max_nodes is None:
                return None
            count += option.max_nodes
            continue
        buys = left // price
        taken = buys if option.max_nodes is None else min(buys, option.max_nodes)
        count += taken
        left -= taken * price
        if option.max_nodes is None:
            break
    return count


def _least_cents(option: NodeOption) -> int:
    """What a node of an option costs a month at least; under a day profile in the cheapest period alone."""
    return min((price.cents for price in option.periods), default=option.monthly_cents)
