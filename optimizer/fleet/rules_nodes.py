"""Rules about nodes: replicas fit on them, spares stand by, and the offers are allowed."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from optimizer.candidates.rules import OFFER_RULES
from optimizer.fleet.instance import Instance, Slot
from optimizer.fleet.variables import Variables
from optimizer.pricing.rules import BUYERS
from optimizer.pricing.types import NodeType

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
    found: dict[tuple[str, int, str, float], list[tuple[int, Slot]]] = defaultdict(list)
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
