"""Rules that only a day profile needs: what may stand idle in a quiet period, and what may not."""

from __future__ import annotations

from optimizer.fleet.rules_nodes import by_type, whole_nodes
from optimizer.fleet.variables import Variables


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
