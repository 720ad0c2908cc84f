"""The certificate of a plan: at the next smaller number of replicas that costs less, which promise breaks.

The largest number of replicas of a group that takes a node less is replayed at the load of the group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.plan.replayed import KEEPS_TOO, NOTHING_SMALLER, SATURATION, Fewer, Minimality
from optimizer.planning.pool_minimality import fewer_workers
from optimizer.planning.replicas_replayed import Trial
from optimizer.units import SHARE_UNITS

if TYPE_CHECKING:
    from optimizer.fleet.types import FleetSolution, GroupChoice
    from optimizer.plan.types import Plan
    from optimizer.planning.inputs import Inputs
    from optimizer.planning.replicas_replayed import Replayer

ONE_SIDED = "the closed form decides the number here, the replay only refuses"


def with_minimality(
    inputs: Inputs, solutions: Sequence[FleetSolution], plans: Sequence[Plan], replayer: Replayer, *, two_sided: bool
) -> tuple[Plan, ...]:
    """The plans, each with the certificate of every group."""
    names = [(part.name, part.length_class) for part in inputs.parts]
    if two_sided:
        plain = [solution for solution in solutions if not solution.has_pools]
        groups = [(solution, group) for solution in plain for group in solution.groups]
        smaller = [(group, _smaller(inputs, solution, group)) for solution, group in groups]
        replayer.predict([_trial(group, one[0]) for group, one in smaller if one is not None])
    found = []
    for solution, plan in zip(solutions, plans, strict=True):
        rows = []
        for group in solution.groups:
            name, of_class = names[group.candidate.workload]
            if solution.has_pools:
                found_fewer = _smaller(inputs, solution, group)
                fewer, reason = fewer_workers(inputs, solution, group, found_fewer, replayer.memory)
            else:
                fewer, reason = _fewer(inputs, solution, group, replayer) if two_sided else (None, ONE_SIDED)
            rows.append(Minimality(name, group.replicas, fewer, reason, of_class, group.candidate.role))
        found.append(replace(plan, minimality=tuple(rows)))
    return tuple(found)


def _fewer(inputs: Inputs, solution: FleetSolution, group: GroupChoice, replayer: Replayer) -> tuple[Fewer | None, str]:
    smaller = _smaller(inputs, solution, group)
    if smaller is None:
        return None, NOTHING_SMALLER
    replicas, cents = smaller
    trial = _trial(group, replicas)
    told = trial.replicas if group.lost else None
    full = replayer.beyond_saturation(trial)
    if full is not None:
        used, margin, limit = full
        return Fewer(replicas, cents, SATURATION, used, margin, limit, left=told), ""
    missed = [one for one in replayer.replay(trial).promises if not one.kept]
    if not missed:
        return None, KEEPS_TOO
    worst = max(missed, key=lambda one: one.with_margin_s / one.limit_s)
    margin = worst.with_margin_s / worst.simulated_s
    of_promise = (worst.path, worst.simulated_s, margin, worst.limit_s, worst.metric, worst.percentile)
    return Fewer(replicas, cents, *of_promise, left=told), ""


def _trial(group: GroupChoice, replicas: int) -> Trial:
    """Of so many replicas those that are left, where something may be gone; in a mix at the share of the group."""
    return Trial(group.candidate.workload, group.candidate.spec, replicas - group.lost, group.share / SHARE_UNITS)


def _smaller(inputs: Inputs, solution: FleetSolution, group: GroupChoice) -> tuple[int, int] | None:
    """The largest number of replicas that takes a node less, and what the plan then costs without its dearest node, or
    without as many as the replicas that are gone span; None where there is no such number, the workload asks for more,
    or none would be left of them."""
    least = max(inputs.parts[group.candidate.workload].load.min_replicas, 1) + group.lost
    mine, node_type = group.candidate, group.candidate.node_type
    bought = [choice for choice in solution.nodes if choice.option.node_type.key == node_type.key]
    nodes = sum(choice.count - choice.spare for choice in bought)
    used = sum(
        other.replicas * other.candidate.spec.gpus
        for other in solution.groups
        if other.candidate.node_type.key == node_type.key
    )
    room = (nodes - 1) * node_type.gpus_per_node - (used - group.replicas * mine.spec.gpus)
    replicas = min(room // mine.spec.gpus, group.replicas - 1)
    without = max(1, mine.nodes_per_replica * (group.replicas - replicas))
    dearest = sorted((one.option.monthly_cents for one in bought for _ in range(one.count - one.spare)), reverse=True)
    saved = sum(dearest[:without])
    return None if replicas < least or saved <= 0 else (replicas, solution.monthly_cents - saved)
