"""Other replicas on the nodes of a plan: as many as they need, then more wherever paid cards would stand idle.

Cards left over go, one replica at a time, to whoever carries least of its load.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.fleet.survival import lost_on, lost_with_a_node
from optimizer.vocabulary import Survive

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.demand import Load
    from optimizer.fleet.types import FleetSolution, GroupChoice, NodeChoice

MANY_NODES = 64
"""Beyond so many nodes of one type several kinds of replica are left as the solver placed them."""

Capable = Callable[["GroupChoice"], "GroupChoice"]
"""A group with what its replicas carry."""

Fewest = Callable[["Candidate", int], "int | None"]
"""The fewest replicas that may carry a share of the load, and so have to be left; None: no number does."""


def spread(
    solution: FleetSolution,
    chosen: Sequence[Candidate],
    loads: Sequence[Load],
    capable: Capable,
    fewest: Fewest,
    survive: Survive = Survive.NONE,
) -> tuple[GroupChoice, ...] | None:
    """The groups of a plan with other candidates, its nodes filled; None where those do not hold them."""
    if any(group.running for group in solution.groups):
        return _running(solution, chosen, loads, capable, survive) if len(chosen) == 1 else None
    if survive is Survive.NODE:
        lost = [replace(group, lost=lost_with_a_node(one)) for group, one in zip(solution.groups, chosen, strict=True)]
        solution = replace(solution, groups=tuple(lost))
    counts = _start(solution, chosen, fewest, survive)
    if counts is None:
        return None
    members: dict[object, list[int]] = defaultdict(list)
    for place, one in enumerate(chosen):
        members[one.node_type.key].append(place)
    for places in members.values():
        nodes = sum(
            choice.count - choice.spare
            for choice in solution.nodes
            if choice.option.node_type.key == chosen[places[0]].node_type.key
        )
        if len(places) == 1:
            most = _most(chosen[places[0]], nodes, solution)
            if most is None or most < counts[places[0]]:
                return None
            counts[places[0]] = most
        elif survive is Survive.SITE or not _shared(solution, chosen, places, nodes, counts, loads, capable):
            return None  # where the replicas of several groups stand is the solver's to say
    return tuple(
        with_replicas(_standing(group, one, count, solution.nodes, survive), one, count, capable)
        for group, one, count in zip(solution.groups, chosen, counts, strict=True)
    )


def _standing(
    group: GroupChoice, candidate: Candidate, replicas: int, nodes: Sequence[NodeChoice], survive: Survive
) -> GroupChoice:
    """The group with what is lost of so many replicas of a candidate, alone on its nodes where sites may be gone."""
    lost, places = lost_on(candidate, replicas, nodes, survive)
    return replace(group, lost=lost, places=places)


def with_replicas(group: GroupChoice, candidate: Candidate, replicas: int, capable: Capable) -> GroupChoice:
    """A group of so many replicas of a candidate at the same share."""
    if group.candidate.key != candidate.key:
        group = replace(group, candidate=candidate, point=0, kept=())
    return capable(replace(group, replicas=replicas))


def _start(solution: FleetSolution, chosen: Sequence[Candidate], fewest: Fewest, survive: Survive) -> list[int] | None:
    """What each needs at least, with what goes with a node on top; of what the plan has already, what it has."""
    counts = []
    for group, one in zip(solution.groups, chosen, strict=True):
        same = group.candidate.key == one.key
        needed = group.replicas if same else fewest(one, group.share)
        if needed is None:
            return None
        counts.append(needed if same or survive is not Survive.NODE else needed + lost_with_a_node(one))
    return counts


def _most(candidate: Candidate, nodes: int, solution: FleetSolution) -> int | None:
    """Replicas that so many nodes hold; None where one spans nodes of several offers, which need not be joined."""
    if candidate.replicas_per_node:
        return nodes * candidate.replicas_per_node
    offers = {one.option.key for one in solution.nodes if one.option.node_type.key == candidate.node_type.key}
    return nodes // candidate.nodes_per_replica if len(offers) == 1 else None


def _shared(
    solution: FleetSolution,
    chosen: Sequence[Candidate],
    places: Sequence[int],
    nodes: int,
    counts: list[int],
    loads: Sequence[Load],
    capable: Capable,
) -> bool:
    """Fill nodes that several kinds of replica share; whether they hold them at all."""
    size = chosen[places[0]].node_type.gpus_per_node

    def held() -> bool:
        sizes = [chosen[place].spec.gpus for place in places for _ in range(counts[place])]
        return fits(sizes, nodes, size)

    if nodes > MANY_NODES or any(not chosen[place].replicas_per_node for place in places) or not held():
        return False
    carried = {place: _factor(solution.groups[place], chosen[place], counts[place], loads, capable) for place in places}
    growing = set(places)
    while growing:
        least = min(growing, key=lambda place: (carried[place], chosen[place].key))
        counts[least] += 1
        if held():
            group = solution.groups[least]
            carried[least] = _factor(group, chosen[least], counts[least], loads, capable)
        else:
            counts[least] -= 1
            growing.discard(least)
    return True


def _factor(group: GroupChoice, candidate: Candidate, replicas: int, loads: Sequence[Load], capable: Capable) -> float:
    made, load = with_replicas(group, candidate, replicas, capable), loads[candidate.workload]
    return made.factor(made.roomiest(load), load)


def fits(sizes: Sequence[int], nodes: int, gpus: int) -> bool:
    """Whether replicas of so many GPUs each are placed on nodes, the largest first."""
    if sum(sizes) > nodes * gpus:
        return False
    free = [gpus] * nodes
    for size in sorted(sizes, reverse=True):
        place = next((index for index, room in enumerate(free) if room >= size), None)
        if place is None:
            return False
        free[place] -= size
    return True


def _running(
    solution: FleetSolution, chosen: Sequence[Candidate], loads: Sequence[Load], capable: Capable, survive: Survive
) -> tuple[GroupChoice, ...] | None:
    """The one group of a plan under a day profile, every node that runs in a period filled in it."""
    (group,), (one,) = solution.groups, chosen
    load, counts = loads[one.workload], list[int]()
    for period, before in enumerate(group.running):
        if not load.factors[period]:
            counts.append(before)
            continue
        nodes = sum(choice.running[period] - choice.spare for choice in solution.nodes)
        most = _most(one, nodes, solution)
        gone = lost_with_a_node(one) if survive is Survive.NODE else 0
        if not most or most <= gone or most - gone < load.min_replicas:
            return None
        counts.append(most)
    made = _standing(replace(group, running=tuple(counts)), one, max(counts), solution.nodes, survive)
    return (with_replicas(made, one, max(counts), capable),)
