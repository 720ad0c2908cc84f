"""Screens under a day profile: which ways to pay no plan needs, and how large money can get."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from optimizer.candidates.market import Market, NodeKey
from optimizer.candidates.rules import UserRules
from optimizer.candidates.running import most_cents
from optimizer.fleet.facts import option_facts
from optimizer.fleet.instance import Slot
from optimizer.pricing.types import NodeOption


def undominated_running(
    allowed: Iterable[NodeOption], most: Mapping[NodeKey, int], rules: UserRules
) -> tuple[NodeOption, ...]:
    """Allowed options that some plan may need.

    An option is left out where another of the same node type (and provider, where plans must differ in it), paid in the
    same manner, costs less in every period (or the same and comes first), has no end of nodes and no quota: its nodes
    could be swapped for those.
    """
    groups: dict[tuple[object, ...], list[NodeOption]] = defaultdict(list)
    for option in allowed:
        if option.node_type.key in most:
            groups[(option.node_type.key, option_facts(option, rules), bool(option.periods))].append(option)
    kept = [option for group in groups.values() for option in group if not _dominated(option, group, rules)]
    return tuple(sorted(kept, key=lambda option: (option.monthly_cents, option.key)))


def _dominated(option: NodeOption, group: Sequence[NodeOption], rules: UserRules) -> bool:
    return any(
        other.max_nodes is None
        and not other.ordered_in_lots
        and rules.limits.provider_share is None
        and not any(quota.concerns(other) for quota in rules.limits.quotas)
        and _is_cheaper(other, option)
        for other in group
    )


def _is_cheaper(one: NodeOption, other: NodeOption) -> bool:
    if not one.periods:
        return (one.monthly_cents, one.key) < (other.monthly_cents, other.key)
    if _costs(one) == _costs(other):
        return one.key < other.key
    pairs = list(zip(one.periods, other.periods, strict=True))
    return all(a.cents < b.cents and a.start_cents <= b.start_cents for a, b in pairs)


def _costs(option: NodeOption) -> tuple[int, ...]:
    return tuple(cents for price in option.periods for cents in (price.cents, price.start_cents))


def most_running(slots: Iterable[Slot], rules: UserRules, market: Market) -> list[int]:
    """Cents that the nodes of each workload can come to, running and starting in every period."""
    most = [0] * len(rules.workloads)
    for slot in slots:
        dearest = max((most_cents(option) for option in market.options(slot.node_type)), default=0)
        most[slot.workload] = max(most[slot.workload], (slot.max_nodes + rules.spare_nodes) * dearest)
    return most
