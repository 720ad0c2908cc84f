"""What a plan has left when any one node, or all nodes of any one site, are gone: ``margins.survive``.

Replicas that are gone are not started again: those that still run carry the whole load of their group, whose share of
its workload stays what it is. A node takes as many replicas of a group with it as it can hold of them, wherever a
scheduler put them. Of sites the plan says where its replicas stand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from optimizer.fleet.types import NodeChoice, Standing
from optimizer.vocabulary import UNSTATED_REGIONS, Survive

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.pricing.types import NodeOption

Place = tuple[str, str]
"""Provider and region; an empty region is not stated."""


def place_of(option: NodeOption) -> Place:
    """Where the nodes of an option are."""
    return place_in(option.offer.provider, option.offer.region)


def place_in(provider: str, region: str) -> Place:
    """A region of a provider, as far as it is stated."""
    return provider, "" if region.lower() in UNSTATED_REGIONS else region


def sites(places: Iterable[Place]) -> tuple[tuple[Place, ...], ...]:
    """Places that are gone together: a region of a provider, and with it what may be in any of its regions."""
    regions: dict[str, set[str]] = defaultdict(set)
    for provider, region in places:
        regions[provider].add(region)
    found: list[tuple[Place, ...]] = []
    for provider, known in sorted(regions.items()):
        anywhere = ((provider, ""),) if "" in known else ()
        stated = sorted(known - {""})
        found += [((provider, region), *anywhere) for region in stated] or [anywhere]
    return tuple(found)


def lost_with_a_node(candidate: Candidate) -> int:
    """Replicas that a node can hold of a candidate; of one that spans nodes, the one that the node is part of."""
    return candidate.replicas_per_node or 1


def dealt(candidate: Candidate, replicas: int, nodes: Sequence[NodeChoice]) -> tuple[Standing, ...] | None:
    """So many replicas of the one candidate on nodes dealt to their places, so that fewest are gone with the worst
    site; None where the nodes do not hold them."""
    room: dict[Place, int] = defaultdict(int)
    for choice in nodes:
        if choice.option.node_type.key == candidate.node_type.key:
            room[place_of(choice.option)] += choice.count - choice.spare
    whole = candidate.nodes_per_replica
    holds = {at: count // whole if whole else count * candidate.replicas_per_node for at, count in room.items()}
    if sum(holds.values()) < replicas:
        return None
    low, high = 0, replicas
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if sum(_standing(holds, middle).values()) >= replicas else (middle, high)
    left, found = replicas, list[Standing]()
    for (provider, region), count in sorted(_standing(holds, high).items()):
        found.append(Standing(provider, region, min(count, left)))
        left -= min(count, left)
    return tuple(one for one in found if one.replicas) if not left else None


def _standing(holds: Mapping[Place, int], most: int) -> dict[Place, int]:
    """Most replicas at each place where no site may have more than so many."""
    stands = {at: min(count, most) for at, count in holds.items()}
    for provider, region in holds:
        if not region:
            fullest = max((n for (who, where), n in stands.items() if who == provider and where), default=0)
            stands[provider, region] = min(holds[provider, region], most - fullest)
    return stands


def lost_with_a_site(places: Iterable[Standing]) -> int:
    """Replicas that are gone with the worst site."""
    stands = {(one.provider, one.region): one.replicas for one in places}
    return max((sum(stands.get(at, 0) for at in site) for site in sites(stands)), default=0)


def lost_on(
    candidate: Candidate, replicas: int, nodes: Sequence[NodeChoice], survive: Survive
) -> tuple[int, tuple[Standing, ...]]:
    """Replicas of a group that are gone with whatever is survived, and where they stand where a site may be gone: on
    given nodes that are the group's alone. All of them where those do not hold it."""
    match survive:
        case Survive.NODE:
            return lost_with_a_node(candidate), ()
        case Survive.SITE:
            places = dealt(candidate, replicas, nodes)
            return (replicas, ()) if places is None else (lost_with_a_site(places), places)
    return 0, ()
