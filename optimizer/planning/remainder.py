"""What is left of a plan when any one node, or any one site, is gone: replayed at all of the planned load.

Where the problem asks for no more (``margins.survive: none``), it is told of any one node all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.fleet.survival import lost_with_a_node
from optimizer.plan.types import Remainder, StandsAt
from optimizer.planning.judges import trials_of
from optimizer.vocabulary import Survive

if TYPE_CHECKING:
    from optimizer.fleet.types import FleetSolution, GroupChoice
    from optimizer.planning.inputs import Inputs
    from optimizer.planning.replicas_replayed import Replayer


def remainder_of(
    inputs: Inputs, solution: FleetSolution, replayer: Replayer | None, asked: Sequence[Survive]
) -> tuple[Remainder, ...]:
    """What is left of every group of a plan, for each of what may be gone; of pools nothing is told."""
    if solution.has_pools:
        return ()
    trials = trials_of(inputs, solution)
    found = []
    for gone in asked:
        for group, trial in zip(solution.groups, trials, strict=True):
            part = inputs.parts[group.candidate.workload]
            lost = _lost(inputs, group, gone)
            left = group.replicas - lost
            rest = replace(trial, replicas=left) if left else None
            full = rest is not None and replayer is not None and replayer.beyond_saturation(rest) is not None
            replay = replayer.replay(rest) if replayer is not None and rest is not None and not full else None
            places = tuple(StandsAt(one.provider, one.region, one.replicas) for one in group.places)
            at = places if gone is Survive.SITE else ()
            found.append(Remainder(part.name, gone, lost, left, replay, part.length_class, at, full))
    return tuple(found)


def asked_of(inputs: Inputs, *, replayed: bool) -> tuple[Survive, ...]:
    """What may be gone of a plan: as the problem asks, and where plans are replayed any one node."""
    survive = inputs.problem.margins.survive
    node = (Survive.NODE,) if replayed or survive is Survive.NODE else ()
    return (*node, survive) if survive is Survive.SITE else node


def _lost(inputs: Inputs, group: GroupChoice, gone: Survive) -> int:
    """Replicas of a group that are gone; at most all of them."""
    if gone is Survive.NODE:
        return min(lost_with_a_node(group.candidate), group.replicas)
    return min(group.lost, group.replicas)
