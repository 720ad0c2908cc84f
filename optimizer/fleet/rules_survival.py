"""Rules about what is left of a plan: with any one node, or any one site, gone (``margins.survive``).

They say how many replicas are lost at most; the rules about capacity ask for the load of those that are left.
"""

from __future__ import annotations

from collections import defaultdict

from optimizer.fleet.constraints_nodes import by_type
from optimizer.fleet.instance import Slot
from optimizer.fleet.survival import Place, lost_with_a_node, place_of, sites
from optimizer.fleet.variables import Variables
from optimizer.pricing.types import NodeType
from optimizer.vocabulary import Survive

PATH = "margins.survive"


def survives_a_node(v: Variables) -> None:
    """``lost[c,k,p] >= n[c] at[c,k]``: n[c] replicas fit into a node and go with it, or the one that spans it.

    In each period p of the day profile.
    """
    if v.instance.rules.survive is not Survive.NODE:
        return
    for index, slot in v.slots():
        for p in v.periods:
            gone = lost_with_a_node(slot.candidate) * (v.at(index) - v.relaxed(PATH))
            v.cp.add(v.lost(index, p) >= gone).with_name(f"rule:{PATH}[{index}{v.when(p)}]")


def survives_a_site(v: Variables) -> None:
    """``lost[c,k] >= sum over the places f of a site of stands[c,k,f]`` for each site, with
    ``sum over f of stands[c,k,f] = reps[c,k]`` and packing at every place by itself.

    A site is a provider in a region, and what of that provider may be in any region.
    """
    if v.instance.rules.survive is not Survive.SITE:
        return
    for node_type, slots in by_type(v):
        options: dict[Place, list[int]] = defaultdict(list)
        for number, option in enumerate(v.instance.options):
            if option.node_type.key == node_type.key:
                options[place_of(option)].append(number)
        _packing_by_place(v, node_type, slots, options)
        for index, slot in slots:
            standing = {place: v.stands(index, place) for place in sorted(options)}
            v.cp.add(sum(standing.values()) == v.reps(index)).with_name(f"stands[{index}]")
            for number, site in enumerate(sites(standing)):
                gone = sum(standing[place] for place in site) - slot.max_replicas * v.relaxed(PATH)
                v.cp.add(v.lost(index) >= gone).with_name(f"rule:{PATH}[{index},{number}]")


def _packing_by_place(
    v: Variables, node_type: NodeType, slots: list[tuple[int, Slot]], options: dict[Place, list[int]]
) -> None:
    """As ``packing``, place by place; the spare nodes of a type stand somewhere: ``sum over f of spare[f] = k``."""
    most = v.instance.max_nodes(node_type)
    spares = {place: v.cp.new_int_var(0, most, f"spare[{node_type.key}|{'|'.join(place)}]") for place in options}
    v.cp.add(sum(spares.values()) == v.spares(node_type)).with_name(f"spares_stand[{node_type.key}]")
    for place, members in sorted(options.items()):
        spanning = [(i, s.candidate.nodes_per_replica) for i, s in slots if s.candidate.nodes_per_replica]
        whole = sum(nodes * v.stands(index, place) for index, nodes in spanning)
        free = sum(v.node(number) for number in members) - whole - spares[place]
        inside = [(index, slot) for index, slot in slots if slot.candidate.replicas_per_node]
        name = f"{node_type.key}|{'|'.join(place)}"
        v.cp.add(free >= 0).with_name(f"packing.whole[{name}]")
        for size in sorted({slot.gpus for _, slot in inside}):
            load = sum(slot.gpus * v.stands(index, place) for index, slot in inside if slot.gpus >= size)
            room = size * (node_type.gpus_per_node // size)
            v.cp.add(load <= room * free).with_name(f"packing[{name},{size}]")
