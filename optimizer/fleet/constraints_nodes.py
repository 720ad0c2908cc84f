"""Rules about nodes: replicas fit on them, spares stand by, and the offers are allowed.

Rules about totals: GPUs, nodes, power, stock, quota, budget.

Rules that only a day profile needs: what may stand idle in a quiet period, and what may not.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from optimizer.fleet.instance import Instance, Slot
from optimizer.fleet.requirements import OFFER_RULES
from optimizer.fleet.variables import Variables
from optimizer.pricing.rules import BUYERS
from optimizer.pricing.types import NodeType, Origin

if TYPE_CHECKING:
    from optimizer.fleet.cpsat import IntVar, LinearExprT


HARD_RULES = BUYERS
"""Rules about offers that no edit relaxes: from whom and where to buy, and which prices hold."""


def in_use(v: Variables) -> None:
    """``in_use[t] >= sum over the slots of w on type t of at[c,k]`` for each w, and ``in_use[t] <=`` the whole sum.

    In a mix ``max_configurations_per_workload in_use[t]`` takes the place of the first ``in_use[t]``. With a day
    profile in each period, over the workloads that run in it.
    """
    loads = [asked.load for asked in v.instance.rules.workloads]
    for node_type, slots in by_type(v):
        for p in v.periods:
            used, running = v.in_use(node_type, p), [(i, slot) for i, slot in slots if loads[slot.workload].runs_in(p)]
            for workload in sorted({slot.workload for _, slot in running}):
                mine = v.chosen(index for index, slot in running if slot.workload == workload)
                v.cp.add(v.most(used) >= mine).with_name(f"in_use[{workload},{node_type.key}{v.when(p)}]")
            v.cp.add(used <= v.chosen(index for index, _ in running)).with_name(f"in_use[{node_type.key}{v.when(p)}]")


def packing(v: Variables) -> None:
    """Replicas fit: for every size s on node type t,

    ``sum over replicas of n >= s GPUs inside a node of n reps <= s floor(G / s) (nodes[t] - whole[t] - k in_use[t])``

    G is GPUs per node, whole[t] the nodes that larger replicas fill, k the spare nodes. Sizes are powers of two, so
    placing the largest first never fails when this holds. In each period of the day profile.
    """
    for node_type, slots in by_type(v):
        for p in v.periods:
            free = v.nodes(node_type, p) - whole_nodes(v, slots, p) - v.spares(node_type, p)
            inside = [(index, slot) for index, slot in slots if slot.candidate.replicas_per_node]
            v.cp.add(free >= 0).with_name(f"packing.whole[{node_type.key}{v.when(p)}]")
            for size in sorted({slot.gpus for _, slot in inside}):
                load = sum(slot.gpus * v.reps(index, p) for index, slot in inside if slot.gpus >= size)
                room = size * (node_type.gpus_per_node // size)
                v.cp.add(load <= room * free).with_name(f"packing[{node_type.key},{size}{v.when(p)}]")


def no_empty_nodes(v: Variables) -> None:
    """``nodes[t] <= replicas inside nodes of t + whole[t] + k in_use[t] + lots[t]``: all but spare nodes have work.

    ``lots[t]``: what has to be bought beyond that because an offer is sold in no smaller number.
    """
    with_slots = {node_type.key: slots for node_type, slots in by_type(v)}
    for node_type in v.instance.node_types:
        slots = with_slots.get(node_type.key, [])
        work = sum(v.reps(index) for index, slot in slots if slot.candidate.replicas_per_node)
        most = work + whole_nodes(v, slots) + v.spares(node_type) + v.beyond_need(node_type)
        v.cp.add(v.nodes(node_type) <= most).with_name(f"no_empty_nodes[{node_type.key}]")


def spans_one_offer(v: Variables) -> None:
    """Replicas that fill several nodes take them from one offer, where alone two nodes share a fabric:

    ``sum over offers f of spans[c,k,f] = reps[c,k]`` and
    ``sum over tiers of nodes[f] >= sum over c, k of m[c] spans[c,k,f] + k holds[f]``, with ``holds[f] = 1`` if any span
    stands there, so that a spare can step in. In each period of the day profile.
    """
    for node_type, slots in by_type(v):
        spanning = [(index, slot) for index, slot in slots if slot.candidate.nodes_per_replica]
        offers = _offers(v.instance, node_type)
        if not spanning or len(offers) <= 1:
            continue
        for p in v.periods:
            _spans(v, spanning, offers, p)


def _spans(v: Variables, spanning: list[tuple[int, Slot]], offers: dict[str, list[int]], period: int) -> None:
    spare, when = v.instance.rules.spare_nodes, v.when(period)
    stands: list[list[IntVar]] = []
    for offer, options in offers.items():
        holds = v.cp.new_bool_var(f"holds[{offer}{when}]")
        spans = [v.cp.new_int_var(0, slot.max_replicas, f"spans[{i}|{offer}{when}]") for i, slot in spanning]
        need = sum(slot.candidate.nodes_per_replica * s for (_, slot), s in zip(spanning, spans, strict=True))
        there = sum(v.node(o, period) for o in options)
        v.cp.add(there >= need + spare * holds).with_name(f"spans_one_offer[{offer}{when}]")
        for (_, slot), span in zip(spanning, spans, strict=True):
            v.cp.add(span <= slot.max_replicas * holds)
        stands.append(spans)
    for position, (index, _) in enumerate(spanning):
        v.cp.add(sum(spans[position] for spans in stands) == v.reps(index, period))


def offer_rules(v: Variables) -> None:
    """``offending[r] = sum over options that rule r forbids of nodes[o]`` and ``offending[r] <= 0``, for each rule r.

    Providers, provider classes, regions, countries, headquarters, certificates, market, tiers, commitment, only_owned,
    cards of low confidence, prices that may be ranked. They bind quotes as they bind offers; own hardware answers to
    the rules about hardware only (``pricing.rules``).
    """
    options, rules = v.instance.options, v.instance.rules
    forbidden = [rules.forbidden_by(option) for option in options]
    for rule in OFFER_RULES:
        members = [index for index, by in enumerate(forbidden) if rule in by]
        total = sum(count for index in members for count in v.node_counts(index))
        v.cp.add(v.offending(rule) == total).with_name(f"channel.offending[{rule}]")
        most = sum(v.instance.max_nodes(options[i].node_type) * len(v.node_counts(i)) for i in members)
        slack = 0 if rule in HARD_RULES else most * v.relaxed(rule.path)
        v.cp.add(v.offending(rule) <= slack).with_name(f"rule:{rule.path}:{rule}")


def by_type(v: Variables) -> list[tuple[NodeType, list[tuple[int, Slot]]]]:
    """Node types in use by some slot, each with its slots, in content order."""
    found: dict[tuple[str, int, str, float, float], list[tuple[int, Slot]]] = defaultdict(list)
    for index, slot in v.slots():
        found[slot.node_type.key].append((index, slot))
    return [(found[key][0][1].node_type, found[key]) for key in sorted(found)]


def whole_nodes(v: Variables, slots: list[tuple[int, Slot]], period: int = 0) -> LinearExprT:
    """Nodes that replicas of several nodes fill."""
    return sum(
        slot.candidate.nodes_per_replica * v.reps(index, period)
        for index, slot in slots
        if slot.candidate.nodes_per_replica
    )


def _offers(instance: Instance, node_type: NodeType) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for index, option in enumerate(instance.options):
        if option.node_type.key == node_type.key:
            found[option.offer.id].append(index)
    return dict(sorted(found.items()))


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


def no_idle_renting(v: Variables) -> None:
    """Committed nodes may stand idle in a quiet period, but not in all; beside idle nodes none is paid by use:

    ``full[t,p]`` implies ``nodes[t,p] <= replicas inside nodes of t + whole[t,p] + k in_use[t,p]``,
    ``by_use[t,p] <= M full[t,p]`` and ``committed[t] <= M sum over p of full[t,p]``.
    """
    with_slots = {node_type.key: slots for node_type, slots in by_type(v)}
    for node_type in v.instance.node_types:
        slots, most = with_slots.get(node_type.key, []), v.instance.max_nodes(node_type)
        full = [v.cp.new_bool_var(f"full[{node_type.key}{v.when(p)}]") for p in v.periods]
        for p in v.periods:
            inside = sum(v.reps(index, p) for index, slot in slots if slot.candidate.replicas_per_node)
            work = inside + whole_nodes(v, slots, p) + v.spares(node_type, p) + v.beyond_need(node_type)
            row = v.nodes(node_type, p) <= work
            if not isinstance(row, bool):
                v.cp.add(row).only_enforce_if(full[p]).with_name(f"full[{node_type.key}{v.when(p)}]")
            v.cp.add(v.nodes(node_type, p, by_use=True) <= _nodes(v, most) * full[p])
        v.cp.add(v.nodes(node_type, by_use=False) <= _nodes(v, most) * sum(full))


def _nodes(v: Variables, most: int) -> int:
    """Nodes of a type, all options together."""
    return most * max(1, len(v.instance.options))
