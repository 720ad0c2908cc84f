"""What one slot alone costs at least, and which plans of slots on nodes of their own are known to exist."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from optimizer.candidates.market import THOUSANDTHS, Market, NodeKey, replicas_running
from optimizer.candidates.rules import UserRules
from optimizer.candidates.running import bought_cents, least_running, nodes_running, some_running
from optimizer.fleet.bounds import Ceiling
from optimizer.fleet.facts import option_facts, slot_facts
from optimizer.fleet.filled import Filled, filled_with, keeps_limits
from optimizer.fleet.instance import Slot
from optimizer.fleet.mix_bounds import least_with
from optimizer.plan.types import PlanKey
from optimizer.pricing.types import NodeOption

MANY = 64
"""Candidates per workload that a joint upper bound looks at."""


@dataclass(frozen=True, slots=True)
class Standalone:
    """What one slot alone would cost, or in a mix what a plan with it costs at least: a bound on every such plan."""

    score: int  # no plan with the slot does better
    reached: int | None  # a plan that does this well exists, on the nodes below; None: none is known
    cents: int  # cheapest nodes
    nodes: tuple[tuple[NodeOption, int], ...]  # those nodes
    bill: int | None = None  # what those nodes cost, where that is more than ``cents``


def standalone(
    slot: Slot,
    rules: UserRules,
    market: Market,
    ceiling: Ceiling,
    scale: int,
    filled: dict[tuple[NodeKey, int], Filled | None],
) -> Standalone | None:
    """Bound of one slot; None where stock does not suffice. Slots on as many nodes of a type share ``filled``."""
    if ceiling.applies:
        return _standalone_load(slot, rules, market, scale)
    if rules.periods:
        return _standalone_running(slot, rules, market)
    count = slot.max_nodes + rules.spare_nodes
    key = (slot.node_type.key, count)
    if key not in filled:
        filled[key] = filled_with(slot.node_type, count, rules, market)
    there = filled[key]
    if there is None:
        return None
    match rules.objective:
        case "minimize_cost":
            score = there.cents
        case "minimize_gpus":
            score = count * slot.node_type.gpus_per_node
        case _:
            score = slot.objective_us
    exists = there.kept and not slot.candidate.nodes_per_replica
    return Standalone(score, score if exists else None, there.cents, there.nodes)


def joined(least: Standalone | None, there: Standalone | None) -> Standalone | None:
    """The bound over all offers, with the plan that is known to exist on those sold in any number."""
    if least is None or there is None or there.reached is None:
        return least if least is None else replace(least, reached=None)
    bill = there.cents if there.bill is None else there.bill
    return replace(least, reached=there.reached, nodes=there.nodes, bill=bill)


def _standalone_running(slot: Slot, rules: UserRules, market: Market) -> Standalone | None:
    """With a day profile: the bound of ``least_running``, and layer by layer a plan that exists."""
    replicas = replicas_running(slot.candidate.points[slot.point], rules.workloads[slot.workload].load)
    running = nodes_running(slot.candidate, replicas or (slot.max_replicas,), rules.spare_nodes)
    options = market.options(slot.node_type)
    least = least_running(options, running)
    if least is None or market.fill(slot.node_type, max(running)) is None:
        return None
    match rules.objective:
        case "minimize_cost":
            score = least
        case "minimize_gpus":
            score = max(running) * slot.node_type.gpus_per_node
        case _:
            score = slot.objective_us
    bought = some_running(options, running)
    if bought is None:
        return Standalone(score, None, least, ())
    bill = bought_cents(bought)
    nodes = tuple((one.option, max(one.running)) for one in bought)
    exists = keeps_limits(nodes, rules, bill) and not slot.candidate.nodes_per_replica
    reached = bill if rules.objective == "minimize_cost" else score
    return Standalone(score, reached if exists else None, least, nodes, bill)


def part_bounds(slots: Sequence[Slot], rules: UserRules, market: Market, scale: int) -> list[tuple[Slot, Standalone]]:
    """Bounds where a slot may serve any share of its workload."""
    bounds = zip(slots, least_with(slots, rules, market, scale), strict=True)
    return [(slot, Standalone(least.score, None, least.cents, ())) for slot, least in bounds if least is not None]


def _standalone_load(slot: Slot, rules: UserRules, market: Market, scale: int) -> Standalone | None:
    """``maximize_load``: the score is minus the factor, in thousandths."""
    capacity = min(value for value in slot.capacity if value >= 0)
    unit = scale // THOUSANDTHS
    most = capacity * slot.max_replicas // unit
    candidate = slot.candidate
    for replicas in range(slot.max_replicas, 0, -1):
        nodes = market.fill(slot.node_type, candidate.nodes_for(replicas) + rules.spare_nodes)
        if nodes is None:
            continue
        always = max(1, len(rules.periods))  # all of them in every period is a plan, if not the cheapest
        cents = sum(option.cents_for([count] * always) for option, count in nodes)
        if keeps_limits(nodes, rules, cents):
            reached = None if candidate.nodes_per_replica else -(capacity * replicas // unit)
            return Standalone(-most, reached, cents, tuple(nodes), cents if rules.periods else None)
        if slot.max_replicas - replicas >= MANY:
            break
    return Standalone(-most, None, 0, ()) if slot.max_replicas else None


def upper_bound(bounded: Sequence[tuple[Slot, Standalone]], rules: UserRules) -> int | None:
    """A score that the last plan of the ranking cannot exceed; None where not that many plans are known to exist.

    Plans known to exist: every workload on nodes of its own; all of them whole, and all of them split into their length
    classes where they may be. Flagged candidates do not count, as they may be refused.
    In a mix, where a plan has to lack something of every earlier one, only plans with the fewest facts count: no
    other plan has but a part of their facts, so each earlier rank takes away one of them at most.
    """
    ways = rules.ways_to_serve()
    fewest = sum(len(ways) if name == "configuration" else 1 for name in rules.distinct_by)
    groups: list[list[tuple[Slot, Standalone]]] = []
    for workload in range(len(rules.workloads)):
        mine = [
            (slot, bound)
            for slot, bound in bounded
            if slot.workload == workload and bound.reached is not None and not rules.is_flagged(slot.candidate)
        ]
        mine.sort(key=lambda pair: (pair[1].reached, pair[1].cents, pair[0].candidate.key, pair[0].point))
        groups.append(mine)
    whole, split = ([part for of_one in ways for part in of_one[place]] for place in (0, -1))
    complete = [parts for parts in ([whole, split] if split != whole else [whole]) if all(groups[p] for p in parts)]
    known = (_joint([groups[part] for part in parts], rules) for parts in complete)
    seen: set[PlanKey] = set()
    for score, plan in heapq.merge(*known, key=lambda found: found[0]):
        key = _key(plan, rules)
        if rules.mixed and len(key.parts) > fewest:
            continue
        seen.add(key)
        if len(seen) == rules.top:
            return score
    return None


def _joint(
    groups: list[list[tuple[Slot, Standalone]]], rules: UserRules
) -> Iterable[tuple[int, list[tuple[Slot, Standalone]]]]:
    """Plans of one slot per workload, each on nodes of its own, best score first; only those that keep every limit."""
    if len(groups) == 1:
        yield from ((_reached(pair[1]), [pair]) for pair in groups[0])
        return
    groups = [group[:MANY] for group in groups]
    start = tuple(0 for _ in groups)
    heap, seen = [(_score(groups, start, rules), start)], {start}
    while heap and len(seen) < MANY * MANY:
        score, place = heapq.heappop(heap)
        plan = [group[index] for group, index in zip(groups, place, strict=True)]
        bills = [bound.bill for _, bound in plan if bound.bill is not None]
        if keeps_limits([pair for _, bound in plan for pair in bound.nodes], rules, sum(bills) if bills else None):
            yield score, plan
        for position in range(len(groups)):
            after = (*place[:position], place[position] + 1, *place[position + 1 :])
            if after[position] < len(groups[position]) and after not in seen:
                seen.add(after)
                heapq.heappush(heap, (_score(groups, after, rules), after))


def _score(groups: list[list[tuple[Slot, Standalone]]], place: tuple[int, ...], rules: UserRules) -> int:
    scores = [_reached(group[index][1]) for group, index in zip(groups, place, strict=True)]
    return sum(scores) if rules.objective in ("minimize_cost", "minimize_gpus") else max(scores)


def _reached(bound: Standalone) -> int:
    return bound.score if bound.reached is None else bound.reached


def _key(plan: Sequence[tuple[Slot, Standalone]], rules: UserRules) -> PlanKey:
    facts = {fact for slot, _ in plan for fact in slot_facts(slot.candidate, rules)}
    facts |= {fact for _, bound in plan for option, _ in bound.nodes for fact in option_facts(option, rules)}
    return PlanKey(tuple(sorted(facts)))
