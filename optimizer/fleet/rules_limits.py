"""Rules about totals: GPUs, nodes, power, stock, quota, budget."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from optimizer.fleet.variables import Variables
from optimizer.pricing.types import Origin

if TYPE_CHECKING:
    from optimizer.fleet.cpsat import LinearExprT


def max_gpus(v: Variables) -> None:
    """``sum over o of gpus_per_node[o] nodes[o] <= max_gpus`` (``hardware.limits.max_gpus``), in each period."""
    for p in v.periods:
        _at_most(v, "hardware.limits.max_gpus", v.gpus_in(p), v.instance.rules.limits.gpus)


def max_nodes(v: Variables) -> None:
    """``sum over o of nodes[o] <= max_nodes`` (``hardware.limits.max_nodes``), spare nodes included, in each period."""
    for p in v.periods:
        _at_most(v, "hardware.limits.max_nodes", v.all_nodes(p), v.instance.rules.limits.nodes)


def max_power(v: Variables) -> None:
    """``sum over o of watts[o] nodes[o] <= max_power_kw`` (``hardware.limits.max_power_kw``), without PUE.

    In each period of the day profile.
    """
    for p in v.periods:
        _at_most(v, "hardware.limits.max_power_kw", v.power(p), v.instance.rules.limits.power_w)


def budget(v: Variables) -> None:
    """``sum over o of price[o] nodes[o] + fixed <= budget`` (``budget.monthly``), in money units.

    With a day profile nodes paid by use count ``price[o,p] nodes[o,p] + start[o,p] starts[o,p]`` over the periods p.
    Prices round up and the budget down where whole currency units are used.
    """
    rules, unit = v.instance.rules, v.instance.money_unit
    if rules.limits.budget_cents is not None:
        _at_most(v, "budget.monthly", v.cost(), (rules.limits.budget_cents - rules.fixed_cents) // unit)


def stock(v: Variables) -> None:
    """``sum over tiers of nodes[f] <= stock[f]`` for each offer f with a stock; own nodes: as many as are owned.

    In each period of the day profile.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, option in enumerate(v.instance.options):
        if option.max_nodes is not None:
            members[option.offer.id].append(index)
    for offer, indices in sorted(members.items()):
        option = v.instance.options[indices[0]]
        owned = option.origin is Origin.OWNED
        more = v.excess(owned_path(offer), v.instance.max_nodes(option.node_type)) if owned else 0
        rule = "hardware.owned" if owned else "offers.stock"
        for p in v.periods:
            total = sum(v.node(index, p) for index in indices)
            v.cp.add(total <= (option.max_nodes or 0) + more).with_name(f"rule:{rule}[{offer}{v.when(p)}]")


def quota(v: Variables) -> None:
    """``sum over o of provider p and card g of gpus_per_node[o] nodes[o] <= max_gpus[p,g]``: ``hardware.quota``.

    In each period of the day profile.
    """
    options = v.instance.options
    for number, entry in enumerate(v.instance.rules.limits.quotas):
        members = [index for index, option in enumerate(options) if entry.concerns(option)]
        path = f"hardware.quota.{number}.max_gpus"
        for when in v.periods if members else ():
            total = sum(options[index].node_type.gpus_per_node * v.node(index, when) for index in members)
            most = sum(options[i].node_type.gpus_per_node * v.instance.max_nodes(options[i].node_type) for i in members)
            v.cp.add(total <= entry.max_gpus + v.excess(path, most)).with_name(f"rule:{path}{v.when(when)}")


def owned_path(offer: str) -> str:
    """Name of the relaxation that more nodes of owned hardware are."""
    return f"hardware.owned:{offer}"


def _at_most(v: Variables, path: str, total: LinearExprT, limit: int | None) -> None:
    if limit is None:
        return
    row = total <= limit + v.excess(path, 2**40)
    if not isinstance(row, bool):
        v.cp.add(row).with_name(f"rule:{path}")
