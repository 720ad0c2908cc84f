"""Screens where several configurations may share a workload: what a plan with a slot costs at least, and dominance.

A slot may then serve any share, so its own nodes for the whole load bound nothing. What does: every workload at its
cheapest price per unit of load, in fractions of the cheapest node, plus the extra of one replica at the slot.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from optimizer.candidates.market import Market
from optimizer.candidates.rules import UserRules
from optimizer.fleet.facts import Fact, slot_facts
from optimizer.fleet.instance import Slot
from optimizer.units import floor_guarded

_GUARD = 1e-9


@dataclass(frozen=True, slots=True)
class Least:
    """What every plan with a slot comes to at least."""

    score: int  # in the unit of the objective
    cents: int


def least_with(slots: Sequence[Slot], rules: UserRules, market: Market, scale: int) -> list[Least | None]:
    """The bound of each slot; None where its node type cannot be had at all."""
    money = [_replica(slot, _cheapest(slot, market)) for slot in slots]
    cents = _bounds(slots, money, [_cheapest(slot, market) for slot in slots], rules, scale)
    if rules.objective == "minimize_gpus":
        sizes = [float(slot.gpus) for slot in slots]
        scores = _bounds(slots, sizes, [float(slot.node_type.gpus_per_node) for slot in slots], rules, scale)
    elif rules.objective == "minimize_cost":
        scores = cents
    else:
        scores = [slot.objective_us for slot in slots]
    return [
        None if cent is None or score is None else Least(score, cent) for score, cent in zip(scores, cents, strict=True)
    ]


def _bounds(
    slots: Sequence[Slot], replica: Sequence[float], node: Sequence[float], rules: UserRules, scale: int
) -> list[int | None]:
    """``sum over w of least[w] + r[s] - b[s] least[w(s)] + k p[s]``.

    r is the cost of one replica, b the share of the load that it carries, least[w] the smallest r / b of the workload,
    p the cost of a node and k the spare nodes. A workload that may be split into length classes comes to the least of
    its ways to be served; the slot's own, to the way that the slot is part of.
    """
    carried = [min(scale, *(value for value in slot.capacity if value >= 0)) / scale for slot in slots]
    least = [math.inf] * len(rules.workloads)
    for slot, cost, part in zip(slots, replica, carried, strict=True):
        least[slot.workload] = min(least[slot.workload], cost / part)
    totals = _totals(least, rules)
    found: list[int | None] = []
    for slot, cost, part, of_node in zip(slots, replica, carried, node, strict=True):
        bound = totals[slot.workload] + cost - part * least[slot.workload] + rules.spare_nodes * of_node
        found.append(floor_guarded(bound * (1 - _GUARD)) if math.isfinite(bound) else None)
    return found


def _totals(least: Sequence[float], rules: UserRules) -> dict[int, float]:
    """What all workloads come to at least, where a given one is served in the way that a part belongs to."""
    ways = [[(parts, sum(least[part] for part in parts)) for parts in of_one] for of_one in rules.ways_to_serve()]
    best = [min(cost for _, cost in of_one) for of_one in ways]
    found: dict[int, float] = {}
    for number, of_one in enumerate(ways):
        others = sum(best[:number]) + sum(best[number + 1 :])
        found |= {part: others + cost for parts, cost in of_one for part in parts}
    return found


def _cheapest(slot: Slot, market: Market) -> float:
    options = market.options(slot.node_type)
    return float(options[0].monthly_cents) if options else math.inf


def _replica(slot: Slot, node_price: float) -> float:
    """The part of a node that a replica takes at least, at the node's price."""
    whole = slot.candidate.nodes_per_replica
    return node_price * (whole or slot.gpus / slot.node_type.gpus_per_node)


def most_money(slots: Iterable[Slot], rules: UserRules, market: Market) -> int:
    """Cents that the nodes of a plan can come to."""
    most = [0] * len(rules.workloads)
    for slot in slots:
        dearest = max((option.monthly_cents for option in market.options(slot.node_type)), default=0)
        most[slot.workload] = max(most[slot.workload], (slot.max_nodes + rules.spare_nodes) * dearest)
    return rules.configurations * sum(most)


def undominated_slots(slots: Sequence[Slot], rules: UserRules) -> list[Slot]:
    """Slots that no earlier one replaces: same workload, node type, size and facts, and at least as much capacity.

    Replica by replica the earlier one takes its place at the same price, and comes first in content order, so the
    answer is the same. Not where a latency is minimised, nor where providers tell ranks apart: there more replicas than
    needed can be wanted, to stand on nodes of several. Facts tell nothing apart where one plan is asked for.
    """
    ranked = rules.top > 1
    if rules.objective not in ("minimize_cost", "minimize_gpus") or (ranked and "provider" in rules.distinct_by):
        return list(slots)
    fronts: dict[tuple[int, tuple[str, int, str, float], int, bool, tuple[Fact, ...]], list[Slot]] = defaultdict(list)
    kept: list[Slot] = []
    for slot in slots:
        flagged = rules.is_flagged(slot.candidate)
        facts = slot_facts(slot.candidate, rules) if ranked else ()
        group = (slot.workload, slot.node_type.key, slot.gpus, flagged, facts)
        if any(_covers(other, slot) for other in fronts[group]):
            continue
        fronts[group].append(slot)
        kept.append(slot)
    return kept


def _covers(one: Slot, other: Slot) -> bool:
    return all(mine >= theirs for mine, theirs in zip(one.capacity, other.capacity, strict=True))
