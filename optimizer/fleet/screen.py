"""Which candidates and options the model needs: bounds without a solver, and what is safe to leave out.

Screens are admissible. A slot is left out when a rule of the user fixes it to 0, or when its cheapest nodes alone,
ignoring every other rule, already score worse than a plan that is known to exist for the last rank asked for. An option
is left out when it is forbidden, stands on a node type no slot uses, or is dominated: another option of the same node
type is at most as dear and nothing limits how many of it there are.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from optimizer.candidates.funnel import configuration_allowed, kept_points
from optimizer.candidates.market import DEMAND, THOUSANDTHS, Market, NodeKey, replicas_running
from optimizer.candidates.rules import UserRules
from optimizer.candidates.running import bought_cents, least_running, nodes_running, some_running
from optimizer.candidates.types import Candidate, CandidateSet
from optimizer.fleet.bounds import Ceiling, ceiling_of
from optimizer.fleet.facts import option_facts, slot_facts
from optimizer.fleet.filled import Filled, filled_with, keeps_limits
from optimizer.fleet.instance import (
    MAX_REPLICAS,
    Instance,
    Slot,
    decisions_of,
    demand_units,
    money_unit,
    power_of,
    slots_of,
    use_prices_of,
)
from optimizer.fleet.mix_bounds import least_with, most_money, undominated_slots
from optimizer.fleet.running_screens import most_running, undominated_running
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


@dataclass(frozen=True, slots=True)
class Screened:
    """The instance to solve, and what is known without solving."""

    instance: Instance
    bounds: tuple[Standalone, ...]  # one per slot of the instance
    screened: int  # candidates left out by their bound
    flagged: tuple[tuple[Slot, Standalone], ...]  # allowed slots that may not come first, whatever the screens


def prepare(candidate_set: CandidateSet, options: Sequence[NodeOption], *, screens: bool) -> Screened:
    """The instance of a problem."""
    rules = candidate_set.rules
    allowed = tuple(option for option in options if not rules.forbidden_by(option))
    market = Market(allowed)
    standing = [c for c in candidate_set.candidates if market.options(c.node_type) and configuration_allowed(c, rules)]
    ceiling = ceiling_of(rules, market, {c.node_type.key: c.node_type for c in standing})
    scale = _load_scale(candidate_set.candidates, rules, ceiling)
    known = _kept_slots(standing, rules, ceiling, scale)
    filled: dict[tuple[NodeKey, int], Filled | None] = {}
    alone = [(slot, standalone(slot, rules, market, ceiling, scale, filled)) for slot in known]
    bounded = [(slot, bound) for slot, bound in alone if bound is not None]
    upper = upper_bound(bounded, rules)
    racing = part_bounds(known, rules, market, scale) if rules.mixed else bounded
    kept = [(slot, bound) for slot, bound in racing if upper is None or bound.score <= upper]
    activity = _activity(racing, upper, rules, market)
    decisions = tuple(decisions_of(w, candidate_set.candidates, rules) for w in range(len(rules.workloads)))
    needed = undominated_slots([slot for slot, _ in kept], rules) if rules.mixed else [slot for slot, _ in kept]
    slots = needed if screens else _all_slots(candidate_set.candidates, rules, ceiling, scale)
    in_play = undominated(allowed, slots, rules) if screens else tuple(options)
    bound_of = {(slot.candidate.key, slot.point): bound for slot, bound in racing}
    instance = Instance(
        rules=rules,
        slots=tuple(slots),
        options=tuple(sorted(in_play, key=lambda option: option.key)),
        prices=(),
        power_w=(),
        decisions=decisions,
        money_unit=money_unit(activity),
        load_scale=scale,
    )
    return Screened(
        instance=_priced(instance),
        bounds=tuple(bound_of.get((slot.candidate.key, slot.point), _HOPELESS) for slot in slots),
        screened=_candidates(racing) - _candidates(kept),
        flagged=tuple((slot, bound) for slot, bound in bounded if rules.is_flagged(slot.candidate) and bound.nodes),
    )


_HOPELESS = Standalone(score=2**62, reached=None, cents=2**62, nodes=())
"""A slot that no nodes can hold."""


def _priced(instance: Instance) -> Instance:
    from dataclasses import replace

    return replace(
        instance,
        prices=tuple(-(-option.monthly_cents // instance.money_unit) for option in instance.options),
        use_prices=tuple(use_prices_of(option, instance.money_unit) for option in instance.options),
        power_w=tuple(power_of(option) for option in instance.options),
    )


def _kept_slots(candidates: Iterable[Candidate], rules: UserRules, ceiling: Ceiling, scale: int) -> list[Slot]:
    """Slots that no promise fixes to 0."""
    return [
        slot
        for candidate in candidates
        for slot in slots_of(candidate, rules, scale, kept_points(candidate, rules), ceiling.replicas(candidate))
    ]


def _all_slots(candidates: Iterable[Candidate], rules: UserRules, ceiling: Ceiling, scale: int) -> list[Slot]:
    """Every operating point of every candidate."""
    return [
        slot
        for candidate in candidates
        for slot in slots_of(candidate, rules, scale, range(len(candidate.points)), ceiling.replicas(candidate))
    ]


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


def undominated(allowed: Sequence[NodeOption], slots: Sequence[Slot], rules: UserRules) -> tuple[NodeOption, ...]:
    """Allowed options that some plan may need.

    Within a node type (and provider, where plans must differ in it) an option is left out once cheaper ones hold as
    many nodes as any plan has: its nodes could be swapped for theirs. Offers under a quota, and stocks of nodes that
    one replica may span, count for nothing here, as there it matters whose nodes they are.
    """
    most = _most_nodes(slots, rules)
    if rules.periods:
        return undominated_running(allowed, most, rules)
    kept: list[NodeOption] = []
    held: dict[tuple[object, ...], int] = {}
    counted: set[tuple[object, ...]] = set()
    in_types = [option for option in allowed if option.node_type.key in most]
    for option in sorted(in_types, key=lambda option: (option.monthly_cents, option.key)):
        key = option.node_type.key
        group = (key, option_facts(option, rules))
        if held.get(group, 0) >= most[key]:
            continue
        kept.append(option)
        once = (*group, option.offer.id)
        if once in counted or any(quota.concerns(option) for quota in rules.limits.quotas):
            continue
        counted.add(once)
        stock = most[key] if option.max_nodes is None else 0 if option.node_type.fabric_gbps else option.max_nodes
        held[group] = held.get(group, 0) + stock
    return tuple(kept)


def _most_nodes(slots: Iterable[Slot], rules: UserRules) -> dict[NodeKey, int]:
    """Nodes of each type that any plan may need, at least one; types that no slot stands on are not in it."""
    most: dict[tuple[NodeKey, int], int] = {}
    for slot in slots:
        key = (slot.node_type.key, slot.workload)
        most[key] = max(most.get(key, 0), slot.max_nodes)
    total: dict[NodeKey, int] = {}
    for (node_type, _), nodes in most.items():
        total[node_type] = total.get(node_type, max(1, rules.spare_nodes)) + nodes * rules.configurations
    return total


def _load_scale(candidates: Sequence[Candidate], rules: UserRules, ceiling: Ceiling) -> int:
    if rules.objective != "maximize_load":
        return DEMAND
    most = 1.0
    for candidate in candidates:
        load, replicas = rules.workloads[candidate.workload].load, ceiling.replicas(candidate) or 0
        for point in candidate.points:
            pairs = ((point.requests_per_second, load.requests_per_second), (point.inflight, load.inflight))
            ratios = [capacity / asked for capacity, asked in pairs if asked > 0]
            most = max(most, min(replicas, MAX_REPLICAS) * max(ratios))
    return demand_units(most)


def _activity(bounded: Sequence[tuple[Slot, Standalone]], upper: int | None, rules: UserRules, market: Market) -> int:
    """Cents that the row of money can reach: at most what the last plan asked for costs, where that is known."""
    if upper is not None and rules.objective == "minimize_cost":
        return upper + rules.fixed_cents
    most = [0] * len(rules.workloads)
    for slot, bound in bounded:
        most[slot.workload] = max(most[slot.workload], bound.cents)
    if rules.periods:
        most = most_running([slot for slot, _ in bounded], rules, market)
    if rules.mixed:
        most = [most_money((slot for slot, _ in bounded), rules, market)]
    total = sum(most) + rules.fixed_cents
    budget = rules.limits.budget_cents
    return total if budget is None else min(total, budget)


def _candidates(pairs: Iterable[tuple[Slot, Standalone]]) -> int:
    return len({slot.candidate.key for slot, _ in pairs})
