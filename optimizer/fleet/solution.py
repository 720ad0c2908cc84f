"""A solution of the model in the terms of the problem: groups of replicas, nodes, money, key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from optimizer.demand import Load
from optimizer.fleet.funnel import kept_points
from optimizer.fleet.instance import Instance, key_of, load_factor, option_facts
from optimizer.fleet.lower_bounds import THOUSANDTHS
from optimizer.fleet.solve import Found, shares_of
from optimizer.fleet.types import (
    FleetSolution,
    GroupChoice,
    NodeChoice,
)


def solution_of(instance: Instance, found: Found, rank: int, loads: Sequence[Load]) -> FleetSolution:
    """The plan that a solver found, in the values that the rest of the program reads."""
    rules = instance.rules
    shares = shares_of(instance, {index: count - found.lost[index] for index, count in found.replicas.items()})
    groups = tuple(
        GroupChoice(
            slot.candidate,
            slot.point,
            replicas,
            kept_points(slot.candidate, rules),
            shares[index],
            found.replicas_running[index] if rules.periods else (),
            found.lost[index],
            found.places[index],
        )
        for index, replicas in sorted(found.replicas.items(), key=lambda item: (instance.slots[item[0]].workload, item))
        for slot in (instance.slots[index],)
    )
    nodes = _node_choices(instance, found)
    cents = sum(choice.cents for choice in nodes) + rules.fixed_cents
    factor = load_factor(groups, loads)
    value, bound = found.value, found.bound
    if rules.objective == "maximize_load":
        factor = value
    elif rules.objective == "minimize_cost":
        exact = cents if found.proven or value == bound else None
        bound = exact if exact is not None else bound * instance.money_unit + rules.fixed_cents
        value = cents
    facts = [fact for group in groups for fact in _facts(instance, group)]
    facts += [fact for choice in nodes for fact in option_facts(choice.option, rules)]
    return FleetSolution(
        rank=rank,
        key=key_of(facts),
        groups=groups,
        nodes=nodes,
        monthly_cents=cents,
        gpus=most_gpus(nodes),
        objective=value,
        bound=bound,
        proven=found.proven,
        load_factor=factor / THOUSANDTHS,
    )


def _facts(instance: Instance, group: GroupChoice) -> tuple[tuple[str, ...], ...]:
    from optimizer.fleet.instance import slot_facts

    return slot_facts(group.candidate, instance.rules)


def _node_choices(instance: Instance, found: Found) -> tuple[NodeChoice, ...]:
    """Nodes by option; the spares of a node type are counted on its dearest nodes."""
    choices = {
        index: NodeChoice(
            instance.options[index], count, 0, found.nodes_running[index] if instance.rules.periods else ()
        )
        for index, count in found.nodes.items()
    }
    for key in sorted({choice.option.node_type.key for choice in choices.values()}):
        left = found.spares
        members = [index for index, choice in choices.items() if choice.option.node_type.key == key]
        members.sort(key=lambda index: (-instance.options[index].monthly_cents, instance.options[index].key))
        for index in members:
            taken = min(left, choices[index].count)
            choices[index] = replace(choices[index], spare=taken)
            left -= taken
    return tuple(sorted(choices.values(), key=lambda choice: choice.option.key))


def most_gpus(nodes: Sequence[NodeChoice]) -> int:
    """GPUs of all nodes, in the busiest period of the day profile."""
    by_period = zip(*(choice.running or (choice.count,) for choice in nodes), strict=True)
    sizes = [choice.option.node_type.gpus_per_node for choice in nodes]
    return max((sum(n * size for n, size in zip(counts, sizes, strict=True)) for counts in by_period), default=0)
