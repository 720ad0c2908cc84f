"""Rules of contracts: how many nodes an offer is sold in, and how much of the money one provider may get."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from optimizer.fleet.requirements import SHARE_PARTS
from optimizer.fleet.variables import Variables
from optimizer.pricing.types import Origin

if TYPE_CHECKING:
    from optimizer.fleet.cpsat import IntVar, LinearExprT


def order_sizes(v: Variables) -> None:
    """``from[o] ordered[o] <= most nodes of o in any period``, ``nodes[o,p] <= up_to[o] ordered[o]`` and
    ``sum over the prices of one offer and tier of ordered[o] <= 1`` (``offers.min_nodes``, ``offers.price_breaks``).

    Each price break of a quote is an option of its own, from its number of nodes up to that of the next: the price
    holds for all nodes, so that one of them applies.
    """
    prices: dict[tuple[str, str], list[IntVar]] = defaultdict(list)
    for index, option in enumerate(v.instance.options):
        if not option.ordered_in_lots:
            continue
        ordered, most = v.ordered(index), v.instance.max_nodes(option.node_type)
        up_to = most if option.up_to_nodes is None else min(most, option.up_to_nodes)
        name = "|".join(option.key)
        prices[option.offer.id, str(option.tier)].append(ordered)
        counts = v.node_counts(index)
        for count in counts:
            v.cp.add(count <= up_to * ordered).with_name(f"rule:offers.order_sizes.most[{name}]")
        if len(counts) == 1:
            v.cp.add(counts[0] >= option.from_nodes * ordered).with_name(f"rule:offers.order_sizes.fewest[{name}]")
            continue
        busiest = [v.cp.new_bool_var(f"busiest[{name}|{number}]") for number in range(len(counts))]
        v.cp.add(sum(busiest) == ordered)
        for count, reached in zip(counts, busiest, strict=True):
            v.cp.add(count >= option.from_nodes * reached).with_name(f"rule:offers.order_sizes.fewest[{name}]")
    for (offer, tier), literals in sorted(prices.items()):
        v.cp.add(sum(literals) <= 1).with_name(f"rule:offers.price_breaks[{offer}|{tier}]")


def provider_share(v: Variables) -> None:
    """``1000 sum over o of provider p of cents[o] nodes[o] <= share sum over all o of cents[o] nodes[o]`` for each p.

    ``hardware.limits.max_share_per_provider``, rounded down to thousandths, of the monthly cost of all nodes while they
    run: under a day profile in each period, without starting. Own hardware is in the sum, and is no provider.
    """
    share = v.instance.rules.limits.provider_share
    if share is None:
        return
    paid: dict[str, list[LinearExprT]] = defaultdict(list)
    for index, option in enumerate(v.instance.options):
        paid["" if option.origin is Origin.OWNED else option.offer.provider].append(v.cents(index))
    total = sum(cents for of_provider in paid.values() for cents in of_provider)
    for provider in sorted(paid):
        if provider:
            row = SHARE_PARTS * sum(paid[provider]) <= share * total
            v.cp.add(row).with_name(f"rule:hardware.limits.max_share_per_provider[{provider}]")
