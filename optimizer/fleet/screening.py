"""Which candidates and options the model needs: bounds without a solver, and what is safe to leave out.

Screens are admissible. A slot is left out when a rule of the user fixes it to 0, or when its cheapest nodes alone,
ignoring every other rule, already score worse than a plan that is known to exist for the last rank asked for. An option
is left out when it is forbidden, stands on a node type no slot uses, or is dominated: another option of the same node
type is at most as dear and nothing limits how many of it there are.

Screens under a day profile: which ways to pay no plan needs, and how large money can get.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress

from optimizer.candidates.pools import PoolSet
from optimizer.candidates.types import Candidate
from optimizer.fleet.candidate_set import CandidateSet
from optimizer.fleet.constraints_pools import site_of
from optimizer.fleet.funnel import configuration_allowed, kept_points
from optimizer.fleet.instance import (
    MAX_REPLICAS,
    Instance,
    Slot,
    decisions_of,
    demand_units,
    money_unit,
    option_facts,
    power_of,
    slots_of,
    use_prices_of,
    worker_slots,
)
from optimizer.fleet.lower_bounds import DEMAND, NodeKey, UsableOptions, most_cents
from optimizer.fleet.objective_floors import ObjectiveFloors
from optimizer.fleet.requirements import UserRules
from optimizer.fleet.starting_plans import (
    Ceiling,
    KnownFills,
    Standalone,
    ceiling_of,
    joined,
    most_money,
    part_bounds,
    standalone,
    undominated_slots,
    upper_bound,
)
from optimizer.fleet.survival import Place, place_of
from optimizer.pricing.types import NodeOption
from optimizer.vocabulary import Role, Survive


@dataclass(frozen=True, slots=True)
class Screened:
    """The instance to solve, and what is known without solving."""

    instance: Instance
    bounds: tuple[Standalone, ...]  # one per slot of the instance
    screened: int  # candidates left out by their bound
    flagged: tuple[tuple[Slot, Standalone], ...]  # allowed slots that may not come first, whatever the screens


def prepare(
    candidate_set: CandidateSet, options: Sequence[NodeOption], *, screens: bool, at_most: int | None = None
) -> Screened:
    """The instance of a problem; ``at_most``: cents a month beyond which plans need not be in it."""
    rules = candidate_set.rules
    allowed = tuple(option for option in options if not rules.forbidden_by(option))
    market, sure = UsableOptions(allowed), UsableOptions(option for option in allowed if not option.ordered_in_lots)
    types = market.within(at_most if rules.objective == "minimize_cost" else None, rules)
    standing = [c for c in candidate_set.candidates if c.node_type.key in types and configuration_allowed(c, rules)]
    ceiling = ceiling_of(rules, market, {c.node_type.key: c.node_type for c in standing})
    scale = _load_scale(candidate_set.candidates, rules, ceiling)
    known = _kept_slots(standing, rules, ceiling, scale)
    enough = {one.candidate: one.enough for one in candidate_set.carried}
    if enough:
        known = [replace(s, max_replicas=max(s.max_replicas, enough.get(s.candidate.key, 0))) for s in known]
    filled: KnownFills = {}
    in_lots = any(option.ordered_in_lots for option in allowed)
    alone = [(slot, standalone(slot, rules, market, ceiling, scale, filled)) for slot in known]
    if in_lots:  # what there is to buy in any number tells which plans exist, all offers tell what they cost at least
        filled = {}
        known_to_exist = [standalone(slot, rules, sure, ceiling, scale, filled) for slot in known]
        alone = [(slot, joined(least, there)) for (slot, least), there in zip(alone, known_to_exist, strict=True)]
    bounded = [(slot, bound) for slot, bound in alone if bound is not None]
    # of mixes that replays decide, plans that the screens know of may not exist
    upper = None if candidate_set.carried else upper_bound(bounded, rules)
    racing = part_bounds(known, rules, market, scale) if rules.mixed else bounded
    kept = [(slot, bound) for slot, bound in racing if upper is None or bound.score <= upper]
    wanted = kept
    if ObjectiveFloors.apply(rules):
        kept, wanted = _able(kept, rules, market, sure, scale)
    activity = _activity(racing, upper, rules, market) + _lots(allowed)
    pools = candidate_set.pools
    workers = () if pools is None else pools.workers()
    every = (*candidate_set.candidates, *workers)
    decisions = tuple(decisions_of(w, every, rules) for w in range(len(rules.workloads)))
    linear = rules.mixed and not candidate_set.carried
    needed = undominated_slots([slot for slot, _ in kept], rules) if linear else [slot for slot, _ in wanted]
    slots = needed if screens else _all_slots(candidate_set.candidates, rules, ceiling, scale)
    if pools is not None:
        slots = [*slots, *worker_slots(pools, rules)]
        activity = _with_pools(activity, pools, slots, market)
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
        pools=pools,
        carried={one.candidate: one for one in candidate_set.carried},
    )
    return Screened(
        instance=_priced(instance),
        bounds=tuple(bound_of.get((slot.candidate.key, slot.point), _HOPELESS) for slot in slots),
        screened=_candidates(racing) - _candidates(kept),
        flagged=tuple((slot, bound) for slot, bound in bounded if rules.is_flagged(slot.candidate) and bound.nodes),
    )


def _able(
    bounded: list[tuple[Slot, Standalone]], rules: UserRules, market: UsableOptions, sure: UsableOptions, scale: int
) -> tuple[list[tuple[Slot, Standalone]], list[tuple[Slot, Standalone]]]:
    """The slots that may be part of a plan which reaches what the last rank surely does; and those of them that may be
    part of one that costs as little, where nothing reaches more."""
    floors = ObjectiveFloors([slot for slot, _ in bounded], rules, market, scale)
    reached = floors.surely_reached(sure)
    if reached is None:
        return bounded, bounded
    value, cents = reached
    able = floors.able(value)
    cheap = able if cents is None else floors.as_cheap(value, cents, able)
    return list(compress(bounded, able)), list(compress(bounded, cheap))


def _with_pools(activity: int, pools: PoolSet, slots: Sequence[Slot], market: UsableOptions) -> int:
    """The same where pools compete: what the plans cost that they are listed below, else their most workers."""
    if pools.below_cents is not None:
        return max(activity, pools.below_cents)
    most: dict[Role, int] = {}
    for slot in slots:
        if slot.candidate.role is not Role.SERVE:
            dearest = max((most_cents(option) for option in market.options(slot.node_type)), default=0)
            most[slot.candidate.role] = max(most.get(slot.candidate.role, 0), slot.max_nodes * dearest)
    return max(activity, sum(most.values()))


_HOPELESS = Standalone(score=2**62, reached=None, cents=2**62, nodes=())
"""A slot that no nodes can hold."""


def _priced(instance: Instance) -> Instance:
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


def undominated(allowed: Sequence[NodeOption], slots: Sequence[Slot], rules: UserRules) -> tuple[NodeOption, ...]:
    """Allowed options that some plan may need.

    Within a node type (and provider, where plans must differ in it; and place, where a site may be gone) an option is
    left out once cheaper ones hold as
    many nodes as any plan has: its nodes could be swapped for theirs. Offers under a quota or sold in certain numbers
    only, and stocks of nodes that one replica may span, count for nothing here, as there it matters whose nodes they
    are; where providers have a share of the money at most, nothing does. Pools take the nodes of one site, so beside
    them each site keeps its own.
    """
    if rules.limits.provider_share is not None:
        types = {slot.node_type.key for slot in slots}
        return tuple(option for option in allowed if option.node_type.key in types)
    most = _most_nodes(slots, rules)
    if rules.periods:
        return undominated_running(allowed, most, rules)
    pooled = any(slot.candidate.role is not Role.SERVE for slot in slots)
    kept: list[NodeOption] = []
    held: dict[tuple[object, ...], int] = {}
    counted: set[tuple[object, ...]] = set()
    in_types = [option for option in allowed if option.node_type.key in most]
    for option in sorted(in_types, key=lambda option: (option.monthly_cents, option.key)):
        key = option.node_type.key
        group = (key, option_facts(option, rules), *_place(option, rules), site_of(option) if pooled else None)
        if held.get(group, 0) >= most[key]:
            continue
        kept.append(option)
        once = (*group, option.offer.id)
        if once in counted or any(quota.concerns(option) for quota in rules.limits.quotas) or option.ordered_in_lots:
            continue
        counted.add(once)
        stock = most[key] if option.max_nodes is None else 0 if option.node_type.fabric_gbps else option.max_nodes
        held[group] = held.get(group, 0) + stock
    return tuple(kept)


def _place(option: NodeOption, rules: UserRules) -> Place | tuple[()]:
    """Where nodes are, where a plan has to survive that they are gone together."""
    return place_of(option) if rules.survive is Survive.SITE else ()


def _most_nodes(slots: Iterable[Slot], rules: UserRules) -> dict[NodeKey, int]:
    """Nodes of each type that any plan may need, at least one; types that no slot stands on are not in it."""
    most: dict[tuple[NodeKey, int, Role], int] = {}
    for slot in slots:
        key = (slot.node_type.key, slot.workload, slot.candidate.role)
        most[key] = max(most.get(key, 0), slot.max_nodes)
    total: dict[NodeKey, int] = {}
    for (node_type, _, _), nodes in most.items():
        total[node_type] = total.get(node_type, max(1, rules.spare_nodes)) + nodes * rules.configurations
    return total


def _load_scale(candidates: Sequence[Candidate], rules: UserRules, ceiling: Ceiling) -> int:
    if rules.objective != "maximize_load":
        return DEMAND
    most = 1.0
    for candidate in candidates:
        load, replicas = rules.workloads[candidate.workload].load, ceiling.replicas(candidate) or 0
        for point in candidate.points:
            pairs = zip(point.carries, load.floors, strict=True)
            ratios = [capacity / asked for capacity, asked in pairs if asked > 0]
            most = max(most, min(replicas, MAX_REPLICAS) * max(ratios))
    return demand_units(most)


def _activity(
    bounded: Sequence[tuple[Slot, Standalone]], upper: int | None, rules: UserRules, market: UsableOptions
) -> int:
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


def _lots(options: Iterable[NodeOption]) -> int:
    """Cents that nodes may cost which are bought only because an offer is sold in no smaller number."""
    return sum((option.from_nodes - 1) * option.monthly_cents for option in options)


def _candidates(pairs: Iterable[tuple[Slot, Standalone]]) -> int:
    return len({slot.candidate.key for slot, _ in pairs})


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
            group = (option.node_type.key, option_facts(option, rules), bool(option.periods), *_place(option, rules))
            groups[group].append(option)
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


def most_running(slots: Iterable[Slot], rules: UserRules, market: UsableOptions) -> list[int]:
    """Cents that the nodes of each workload can come to, running and starting in every period."""
    most = [0] * len(rules.workloads)
    for slot in slots:
        dearest = max((most_cents(option) for option in market.options(slot.node_type)), default=0)
        most[slot.workload] = max(most[slot.workload], (slot.max_nodes + rules.spare_nodes) * dearest)
    return most
