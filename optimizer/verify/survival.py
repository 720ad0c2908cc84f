"""Rules about what is left of a plan when any one node, or any one site, is gone (``margins.survive``), worked out from
the plan itself: who stands where, how many replicas go with the worst, and whether the others carry all of the load.

The plan of what is left is a case of its own, which keeps every rule about service at the full load of its groups.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.pricing import NodeType
from optimizer.verify.case import CheckedCase, GroupCase, Mismatch
from optimizer.verify.hardware import Pool, can_place
from optimizer.verify.replays import of_its_load, of_its_promises
from optimizer.verify.service import GroupAtLoad, is_replayed
from optimizer.vocabulary import Survive

if TYPE_CHECKING:
    from optimizer.plan.types import Remainder, StandsAt

PATH = "margins.survive"

_ANYWHERE = ("", "global")
"""Regions that do not say where a node is."""

Place = tuple[str, str]


def survive(case: CheckedCase) -> Iterator[Mismatch]:
    """What the plan says is left of each group is what is left of it, for whatever the problem asks may be gone."""
    asked = case.problem.margins.survive
    told = told_of(case)
    if asked is not Survive.NONE and asked not in told:
        yield Mismatch("survive", "remainder", asked, [str(gone) for gone in told], "what is left of every group")
    for gone, rows in told.items():
        if [row.workload for row in rows] != [group.name for group in case.groups]:
            found = [row.workload for row in rows]
            yield Mismatch("survive", "remainder", [g.name for g in case.groups], found, "what is left of every group")
            continue
        if gone is Survive.SITE:
            yield from _places(case, rows)
        for group, row in zip(case.groups, rows, strict=True):
            yield from _counted(group, row, asked=gone is asked)


def _counted(group: GroupCase, row: Remainder, *, asked: bool) -> Iterator[Mismatch]:
    lost, path = lost_of(group, row), f"{group.path} left"
    if (row.lost, row.replicas) != (lost, group.group.replicas - lost):
        expected = f"{lost} lost, {group.group.replicas - lost} left"
        yield Mismatch("survive", path, expected, f"{row.lost} lost, {row.replicas} left", f"with any {row.gone} gone")
    least = max(1, group.load.min_replicas)
    if asked and group.group.replicas - lost < least:
        found = group.group.replicas - lost
        yield Mismatch("survive", PATH, f"at least {least} left", found, f"replicas of {group.path}")
    if row.replay is not None and row.replay.replicas != row.replicas:
        yield Mismatch("survive", path, row.replicas, row.replay.replicas, "replicas that were replayed")


def lost_of(group: GroupCase, row: Remainder) -> int:
    """Replicas that the worst node or site takes with it: as many as a node can hold, or as stand at a site."""
    if row.gone is Survive.NODE:
        held = max(1, group.node_type.gpus_per_node // group.spec.gpus)
    else:
        at = _standing(row.places)
        held = max((sum(n for place, n in at.items() if _goes_with(place, site)) for site in at), default=0)
        held = held if sum(at.values()) == group.group.replicas else group.group.replicas
    return min(held, group.group.replicas)


def _standing(places: Sequence[StandsAt]) -> Counter[Place]:
    found: Counter[Place] = Counter()
    for one in places:
        found[one.provider, "" if one.region.lower() in _ANYWHERE else one.region] += one.replicas
    return found


def _goes_with(place: Place, site: Place) -> bool:
    """A place goes with its own site, and with every site of its provider where it may be anywhere."""
    return place[0] == site[0] and place[1] in (site[1], "")


def _places(case: CheckedCase, rows: Sequence[Remainder]) -> Iterator[Mismatch]:
    """Every replica stands somewhere, and the nodes of each place hold those that stand there, spare ones left over."""
    nodes: dict[tuple[NodeType, Place], int] = defaultdict(int)
    spare: Counter[NodeType] = Counter()
    for node in case.nodes:
        region = node.option.offer.region
        here = (node.option.offer.provider, "" if region.lower() in _ANYWHERE else region)
        nodes[node.option.node_type, here] += node.line.count
        spare[node.option.node_type] += node.line.spare
    stand: dict[tuple[NodeType, Place], Counter[int]] = defaultdict(Counter)
    for group, row in zip(case.groups, rows, strict=True):
        at_places = _standing(row.places)
        if sum(at_places.values()) != group.group.replicas:
            found = sum(at_places.values())
            yield Mismatch("survive", f"{group.path} places", group.group.replicas, found, "every replica stands once")
        for place, count in at_places.items():
            stand[group.node_type, place][group.spec.gpus] += count
    used: Counter[NodeType] = Counter()
    for (node_type, place), replicas in stand.items():
        there = nodes.get((node_type, place), 0)
        fit = (n for n in range(there + 1) if can_place(Pool(node_type.gpus_per_node, (n,), replicas)))
        needed = next(fit, None)
        if needed is None:
            on = f"replicas of {dict(replicas)} GPUs on {there} nodes"
            yield Mismatch("survive", f"nodes at {' '.join(place)}", "every replica placed", on, "no placement")
        used[node_type] += needed or 0
    for node_type, count in used.items():
        total = sum(n for (of, _), n in nodes.items() if of == node_type)
        if total - count < spare[node_type]:
            yield Mismatch("survive", "spare nodes", spare[node_type], total - count, "nodes left to stand by")


def told_of(case: CheckedCase) -> dict[Survive, list[Remainder]]:
    """What the plan says is left, by what is gone."""
    found: dict[Survive, list[Remainder]] = {}
    for row in case.plan.remainder:
        found.setdefault(row.gone, []).append(row)
    return found


def without(case: CheckedCase) -> CheckedCase | None:
    """The case of what is left when what the problem says may be gone is; None where it asks for nothing, or where
    ``survive`` finds that nothing is left or told of a group."""
    asked = case.problem.margins.survive
    rows = told_of(case).get(asked, [])
    if asked is Survive.NONE or len(rows) != len(case.groups):
        return None
    left = []
    for group, row in zip(case.groups, rows, strict=True):
        count = group.group.replicas - lost_of(group, row)
        if count < 1:
            return None
        left.append(replace(group, group=replace(group.group, replicas=count)))
    return replace(case, groups=tuple(left))


def replayed(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """What is left was replayed at all of the load, and keeps every promise with its margin."""
    if not is_replayed(case):
        return
    rows = told_of(case)[case.problem.margins.survive]
    for entry, row in zip(served, rows, strict=True):
        if row.replay is None:
            yield Mismatch("survive", entry.group.path, "a replay of what is left", None, "no replay")
            continue
        yield from of_its_load(entry, row.replay)
        if not row.replay.kept:
            yield Mismatch(
                "survive", entry.group.path, "every promise kept", "one missed", "the replay of what is left"
            )
        if not entry.group.load.is_batch:
            yield from of_its_promises(case, entry, row.replay)
