"""What one slot alone costs at least, and which plans of slots on nodes of their own are known to exist.

Screens where several configurations may share a workload: what a plan with a slot costs at least, and dominance.

A slot may then serve any share, so its own nodes for the whole load bound nothing. What does: every workload at its
cheapest price per unit of load, in fractions of the cheapest node, plus the extra of one replica at the slot.

The cheapest nodes that hold a candidate, and whether nodes keep the limits over the whole plan.

How many nodes of a type any plan can have: what bounds ``maximize_load``.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from optimizer.candidates.types import Candidate
from optimizer.errors import ProblemError
from optimizer.fleet.instance import Fact, Slot, option_facts, power_of, slot_facts
from optimizer.fleet.lower_bounds import (
    THOUSANDTHS,
    NodeKey,
    UsableOptions,
    bought_cents,
    least_running,
    nodes_running,
    replicas_running,
    some_running,
)
from optimizer.fleet.requirements import SHARE_PARTS, PlanLimits, UserRules
from optimizer.fleet.survival import Place, lost_with_a_node, place_of
from optimizer.plan.types import PlanKey
from optimizer.pricing.types import NodeOption, NodeType, Origin
from optimizer.units import ceil_guarded, floor_guarded
from optimizer.vocabulary import Survive

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
    market: UsableOptions,
    ceiling: Ceiling,
    scale: int,
    filled: KnownFills,
) -> Standalone | None:
    """Bound of one slot; None where stock does not suffice. Slots on as many nodes of a type share ``filled``."""
    if ceiling.applies:
        return _standalone_load(slot, rules, market, scale)
    if rules.periods:
        return _standalone_running(slot, rules, market)
    there = filled_for(slot.candidate, slot.left, rules, market, filled)
    if there is None:
        return None
    count = sum(of_option for _, of_option in there.nodes)
    match rules.objective:
        case "minimize_cost":
            score = there.cents
        case "minimize_gpus":
            score = count * slot.node_type.gpus_per_node
        case _:
            score = slot.objective_us
    exists = there.kept and not slot.candidate.nodes_per_replica and _any_site_may_go(slot, there, rules)
    return Standalone(score, score if exists else None, there.cents, there.nodes)


def filled_for(
    candidate: Candidate, replicas: int, rules: UserRules, market: UsableOptions, known: KnownFills
) -> Filled | None:
    """The cheapest nodes that hold what so many replicas need; None where stock does not suffice."""
    count = candidate.nodes_for(replicas) + rules.reserve(candidate)
    key = (candidate.node_type.key, count, candidate.nodes_per_replica > 0)
    if key not in known:
        nodes = market.fill_for(candidate, replicas, rules)
        known[key] = None if nodes is None else _as_filled(nodes, rules)
    return known[key]


def _any_site_may_go(slot: Slot, there: Filled, rules: UserRules) -> bool:
    """Whether nodes have enough left whichever site is gone: of n + L that serve at most L are at one place. What may
    be in any region of its provider counts as one place with all of it."""
    if rules.survive is not Survive.SITE:
        return True
    needed, places = slot.candidate.nodes_for(slot.left), [place_of(option) for option, _ in there.nodes]
    anywhere = {provider for provider, region in places if not region}
    at: dict[Place, int] = defaultdict(int)
    for (provider, region), (_, count) in zip(places, there.nodes, strict=True):
        at[provider, "" if provider in anywhere else region] += count
    enough = sum(at.values()) - rules.spare_nodes
    return any(
        sum(min(count, most) for count in at.values()) >= needed + most for most in range(1, enough - needed + 1)
    )


def joined(least: Standalone | None, there: Standalone | None) -> Standalone | None:
    """The bound over all offers, with the plan that is known to exist on those sold in any number."""
    if least is None or there is None or there.reached is None:
        return least if least is None else replace(least, reached=None)
    bill = there.cents if there.bill is None else there.bill
    return replace(least, reached=there.reached, nodes=there.nodes, bill=bill)


def _standalone_running(slot: Slot, rules: UserRules, market: UsableOptions) -> Standalone | None:
    """With a day profile: the bound of ``least_running``, and layer by layer a plan that exists."""
    replicas = replicas_running(slot.candidate.points[slot.point], rules.workloads[slot.workload].load)
    running = nodes_running(slot.candidate, replicas or (slot.left,), rules.reserve(slot.candidate))
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


def part_bounds(
    slots: Sequence[Slot], rules: UserRules, market: UsableOptions, scale: int
) -> list[tuple[Slot, Standalone]]:
    """Bounds where a slot may serve any share of its workload."""
    bounds = zip(slots, least_with(slots, rules, market, scale), strict=True)
    return [(slot, Standalone(least.score, None, least.cents, ())) for slot, least in bounds if least is not None]


def _standalone_load(slot: Slot, rules: UserRules, market: UsableOptions, scale: int) -> Standalone | None:
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
            left = replicas - (lost_with_a_node(candidate) if rules.survive is Survive.NODE else 0)
            known = not candidate.nodes_per_replica and rules.survive is not Survive.SITE and left > 0
            reached = -(capacity * left // unit) if known else None
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


_GUARD = 1e-9


@dataclass(frozen=True, slots=True)
class SlotFloors:
    """What every plan with a slot comes to at least."""

    score: int  # in the unit of the objective
    cents: int


def least_with(slots: Sequence[Slot], rules: UserRules, market: UsableOptions, scale: int) -> list[SlotFloors | None]:
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
        None if cent is None or score is None else SlotFloors(score, cent)
        for score, cent in zip(scores, cents, strict=True)
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


def _cheapest(slot: Slot, market: UsableOptions) -> float:
    options = market.options(slot.node_type)
    return float(options[0].monthly_cents) if options else math.inf


def _replica(slot: Slot, node_price: float) -> float:
    """The part of a node that a replica takes at least, at the node's price."""
    whole = slot.candidate.nodes_per_replica
    return node_price * (whole or slot.gpus / slot.node_type.gpus_per_node)


def most_money(slots: Iterable[Slot], rules: UserRules, market: UsableOptions) -> int:
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
    fronts: dict[tuple[int, NodeKey, int, bool, tuple[Fact, ...]], list[Slot]] = defaultdict(list)
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


@dataclass(frozen=True, slots=True)
class Filled:
    """The cheapest nodes of a type that hold what is needed."""

    nodes: tuple[tuple[NodeOption, int], ...]
    cents: int
    kept: bool  # whether they keep every limit by themselves


KnownFills = dict[tuple[NodeKey, int, bool], Filled | None]
"""By node type, number of nodes, and whether a replica spans several."""


def _as_filled(nodes: Sequence[tuple[NodeOption, int]], rules: UserRules) -> Filled:
    cents = sum(option.monthly_cents * of_option for option, of_option in nodes)
    return Filled(tuple(nodes), cents, keeps_limits(nodes, rules))


def keeps_limits(nodes: Iterable[tuple[NodeOption, int]], rules: UserRules, bill: int | None = None) -> bool:
    """Whether nodes keep every limit over the plan; ``bill`` is what they cost where that is not all month."""
    nodes, limits = tuple(nodes), rules.limits
    cents = sum(n * o.monthly_cents for o, n in nodes) if bill is None else bill
    return (
        _most(sum(n * o.node_type.gpus_per_node for o, n in nodes), limits.gpus)
        and _most(sum(n for _, n in nodes), limits.nodes)
        and _most(sum(n * power_of(o) for o, n in nodes), limits.power_w)
        and _most(len({o.node_type.gpu.id for o, _ in nodes}), limits.gpu_kinds)
        and _most(cents + rules.fixed_cents, limits.budget_cents)
        and _quotas_kept(nodes, limits)
        and _stock_kept(nodes)
        and _orders_kept(nodes)
        and _shares_kept(nodes, limits)
    )


def _most(value: int, limit: int | None) -> bool:
    return limit is None or value <= limit


def _quotas_kept(nodes: Sequence[tuple[NodeOption, int]], limits: PlanLimits) -> bool:
    return all(
        sum(n * o.node_type.gpus_per_node for o, n in nodes if entry.concerns(o)) <= entry.max_gpus
        for entry in limits.quotas
    )


def _stock_kept(nodes: Sequence[tuple[NodeOption, int]]) -> bool:
    return all(
        o.max_nodes is None or sum(n for other, n in nodes if other.offer.id == o.offer.id) <= o.max_nodes
        for o, _ in nodes
    )


def _orders_kept(nodes: Sequence[tuple[NodeOption, int]]) -> bool:
    """Whether each option is bought in a number it is sold in, and each offer at one of its prices."""
    bought: dict[tuple[str, str], tuple[NodeOption, int]] = {}
    for option, count in nodes:
        bought[option.key] = (option, count + bought.get(option.key, (option, 0))[1])
    lots = [(option, count) for option, count in bought.values() if option.ordered_in_lots and count]
    at_one_price = len({(option.offer.id, option.tier) for option, _ in lots}) == len(lots)
    return at_one_price and all(o.from_nodes <= n and (o.up_to_nodes is None or n <= o.up_to_nodes) for o, n in lots)


def _shares_kept(nodes: Sequence[tuple[NodeOption, int]], limits: PlanLimits) -> bool:
    """Whether no provider gets more than its share; not known, so no, where nodes run in some periods only."""
    share = limits.provider_share
    if share is None:
        return True
    if any(option.periods for option, _ in nodes):
        return False
    paid: dict[str, int] = {}
    for option, count in nodes:
        who = "" if option.origin is Origin.OWNED else option.offer.provider
        paid[who] = paid.get(who, 0) + option.monthly_cents * count
    total = sum(paid.values())
    return all(SHARE_PARTS * cents <= share * total for who, cents in paid.items() if who)


UNBOUNDED = (
    "objective maximize_load needs something that bounds the plan: budget.monthly, hardware.only_owned, "
    "hardware.limits, or a stock on every offer that may be used"
)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Most nodes of each type under the limits, one limit at a time; empty under objectives with a stated load."""

    nodes: dict[NodeKey, int]
    spare: int
    applies: bool

    def replicas(self, candidate: Candidate) -> int | None:
        """Most replicas of a candidate; None where the load decides."""
        if not self.applies:
            return None
        nodes = max(0, self.nodes.get(candidate.node_type.key, 0) - self.spare)
        per_node = candidate.replicas_per_node
        return nodes * per_node if per_node else nodes // candidate.nodes_per_replica


def ceiling_of(rules: UserRules, market: UsableOptions, node_types: dict[NodeKey, NodeType]) -> Ceiling:
    """The ceiling of a problem; an error where ``maximize_load`` has none."""
    if rules.objective != "maximize_load":
        return Ceiling({}, rules.spare_nodes, False)
    nodes: dict[NodeKey, int] = {}
    for key, node_type in node_types.items():
        most = _most_nodes(node_type, rules, market.options(node_type))
        if most is None:
            raise ProblemError(UNBOUNDED)
        nodes[key] = most
    return Ceiling(nodes, rules.spare_nodes, True)


def _most_nodes(node_type: NodeType, rules: UserRules, options: list[NodeOption]) -> int | None:
    if not options:
        return 0
    limits = rules.limits
    bounds = [limits.nodes, None if limits.gpus is None else limits.gpus // node_type.gpus_per_node]
    if limits.power_w is not None:
        bounds.append(limits.power_w // min(ceil_guarded(option.power_kw * 1000) for option in options))
    if limits.budget_cents is not None:
        bounds.append(_affordable(options, limits.budget_cents - rules.fixed_cents))
    stocks = {option.offer.id: option.max_nodes for option in options}
    bounds.append(_total(list(stocks.values())))
    for quota in limits.quotas:
        if all(quota.concerns(option) for option in options):
            bounds.append(quota.max_gpus // node_type.gpus_per_node)
    return min((bound for bound in bounds if bound is not None), default=None)


def _total(stocks: list[int | None]) -> int | None:
    known = [stock for stock in stocks if stock is not None]
    return sum(known) if len(known) == len(stocks) else None


def _affordable(options: list[NodeOption], cents: int) -> int | None:
    """Most nodes that so much money buys, cheapest first; None where they cost nothing and there is no end of them."""
    left, count = max(0, cents), 0
    for option in sorted(options, key=_least_cents):
        price = _least_cents(option)
        if price == 0:
            if option.max_nodes is None:
                return None
            count += option.max_nodes
            continue
        buys = left // price
        taken = buys if option.max_nodes is None else min(buys, option.max_nodes)
        count += taken
        left -= taken * price
        if option.max_nodes is None:
            break
    return count


def _least_cents(option: NodeOption) -> int:
    """What a node of an option costs a month at least; under a day profile in the cheapest period alone."""
    return min((price.cents for price in option.periods), default=option.monthly_cents)
