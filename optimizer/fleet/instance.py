"""The data of one fleet model: what is decided over, in integers, after the screens.

A *slot* is one operating point of one candidate. Slots and options are in content order, so that nothing depends on the
order of a catalog.

Facts that a plan key is made of, in the form of ``optimizer.plan.key``, from the choices of the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from optimizer.candidates.pools import PoolSet
from optimizer.candidates.types import Candidate
from optimizer.demand import Load
from optimizer.errors import ProblemError
from optimizer.fleet.lower_bounds import THOUSANDTHS, capacities
from optimizer.fleet.requirements import LATENCY_OBJECTIVES, UserRules, objective_promises
from optimizer.fleet.survival import lost_with_a_node
from optimizer.fleet.types import GroupChoice
from optimizer.performance.types import OperatingPoint
from optimizer.plan.types import PlanKey
from optimizer.pricing.types import NodeOption, NodeType
from optimizer.units import CENTS_PER_UNIT, SHARE_UNITS, ceil_guarded, floor_guarded, seconds_to_us_up
from optimizer.vocabulary import Role, Survive

ACTIVITY_LIMIT = 2**31
"""Largest activity of a row of money in cents; beyond, whole currency units are used."""

REFUSAL_LIMIT = 2**62
"""Rows of a larger activity overflow inside the solver."""

MAX_LATENCY_US = 2**31 - 1
"""Latencies are clipped here (36 minutes): the promise of no service is longer."""

MAX_REPLICAS = 1_000_000
"""No plan has more replicas of one workload."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One operating point of one candidate, in the integers of the model."""

    candidate: Candidate
    point: int
    latencies_us: tuple[int, ...]  # one per promise
    capacity: tuple[int, int, int]  # arrivals, requests in flight, users, in units of the demand; -1: no such demand
    left: int  # replicas that have to run, whatever is gone that the plan survives
    max_replicas: int  # more are never needed
    objective_us: int  # the latency that is minimised; 0 under other objectives

    @property
    def workload(self) -> int:
        """Index of its workload."""
        return self.candidate.workload

    @property
    def gpus(self) -> int:
        """GPUs of a replica."""
        return self.candidate.spec.gpus

    @property
    def node_type(self) -> NodeType:
        """Node type it stands on."""
        return self.candidate.node_type

    @property
    def max_nodes(self) -> int:
        """Nodes for the most replicas."""
        return self.candidate.nodes_for(self.max_replicas)


@dataclass(frozen=True, slots=True)
class Decisions:
    """Values that the decision literals of one workload range over, whatever the screens left out."""

    gpu: tuple[str, ...]
    quant: tuple[str, ...]
    kv: tuple[str, ...]
    tp: tuple[int, ...]
    pp: tuple[int, ...]
    dp: tuple[int, ...]  # attention ranks of mixtures; none of dense models
    experts: tuple[str, ...]  # likewise: dealt, cut, whole
    link: tuple[str, ...]
    interconnect: tuple[str, ...]
    grade: tuple[str, ...]  # () where no grade is asked for
    unlicensed: frozenset[str]  # cards whose licence keeps them out
    poor: frozenset[tuple[str, str]]  # (weight format, KV type) below the quality floor


@dataclass(frozen=True, slots=True)
class CarriedShares:
    """What numbers of replicas of a candidate carry of their workload as replayed; fewer never carry more."""

    candidate: tuple[object, ...]  # its key
    shares: tuple[tuple[int, int], ...] = ()  # (replicas, at most so many of 2520), each number once

    def most(self, replicas: int) -> int:
        """The largest share that so many may carry."""
        return min((share for count, share in self.shares if replicas <= count), default=SHARE_UNITS)

    @property
    def enough(self) -> int:
        """Replicas of which no plan needs more: half again as many as would carry everything in proportion."""
        needed = (-(-count * SHARE_UNITS // max(share, 1)) for count, share in self.shares)
        return max((count + count // 2 + 1 for count in needed), default=0)


@dataclass(frozen=True, slots=True)
class UsePrice:
    """One node in one period of the day profile, in money units."""

    running: int
    start: int  # each time it starts with the period, all month


@dataclass(frozen=True, slots=True)
class Instance:
    """Everything that the rules of the model read."""

    rules: UserRules
    slots: tuple[Slot, ...]
    options: tuple[NodeOption, ...]
    prices: tuple[int, ...]  # of one node of each option, in money units
    power_w: tuple[int, ...]
    decisions: tuple[Decisions, ...]  # one per workload
    money_unit: int  # cents: 1, or 100 where amounts are large
    load_scale: int  # units in which the stated demand is counted
    use_prices: tuple[tuple[UsePrice, ...], ...] = ()  # of one node of each option; (): paid all month
    pools: PoolSet | None = None  # pairs of pools that may serve instead; their workers are slots too
    carried: Mapping[tuple[object, ...], CarriedShares] = field(default_factory=dict)  # by candidate, in mixes

    @property
    def periods(self) -> int:
        """Periods that nodes and replicas are counted in: those of the day profile, one without."""
        return max(1, len(self.rules.periods))

    def capacity(self, slot: Slot, period: int) -> tuple[int, int, int]:
        """Capacity of a slot against the load of one period; -1: no such demand."""
        load = self.rules.workloads[slot.workload].load
        there = load.in_period(period)
        if there is load:
            return slot.capacity
        return capacities(slot.candidate.points[slot.point], there, self.load_scale, shared=self.rules.mixed)

    @property
    def node_types(self) -> tuple[NodeType, ...]:
        """Node types of the slots and options, in content order."""
        found = {slot.node_type.key: slot.node_type for slot in self.slots}
        found |= {option.node_type.key: option.node_type for option in self.options}
        return tuple(found[key] for key in sorted(found))

    def max_nodes(self, node_type: NodeType) -> int:
        """Nodes of a type that any plan may need."""
        most: dict[tuple[int, Role], int] = {}
        for slot in self.slots:
            if slot.node_type.key == node_type.key:
                of = (slot.workload, slot.candidate.role)
                most[of] = max(most.get(of, 0), slot.max_nodes)
        lots = [option.from_nodes for option in self.options if option.node_type.key == node_type.key]
        return sum(most.values()) * self.rules.configurations + self.rules.spare_nodes + max(lots, default=1) - 1


def decisions_of(workload: int, candidates: Iterable[Candidate], rules: UserRules) -> Decisions:
    """Values of the decision literals of one workload."""
    mine = [candidate for candidate in candidates if candidate.workload == workload]
    floor = rules.workloads[workload].min_recovery
    return Decisions(
        gpu=tuple(sorted({candidate.node_type.gpu.id for candidate in mine})),
        quant=tuple(sorted({candidate.spec.weight_quant for candidate in mine})),
        kv=tuple(sorted({candidate.spec.kv_cache for candidate in mine})),
        tp=tuple(sorted({candidate.spec.tensor_parallel for candidate in mine})),
        pp=tuple(sorted({candidate.spec.pipeline_parallel for candidate in mine})),
        dp=tuple(sorted({candidate.spec.attention_dp for candidate in mine if candidate.spec.model.is_moe})),
        experts=tuple(sorted({candidate.experts for candidate in mine if candidate.spec.model.is_moe})),
        link=tuple(sorted({link_of(candidate.node_type) for candidate in mine})),
        interconnect=tuple(sorted({candidate.interconnect for candidate in mine})),
        grade=tuple(sorted({str(candidate.grade) for candidate in mine})) if rules.min_grade is not None else (),
        unlicensed=frozenset(c.node_type.gpu.id for c in mine if not rules.licence_allowed(c)),
        poor=frozenset((c.spec.weight_quant, c.spec.kv_cache) for c in mine if c.recovery < floor),
    )


def link_of(node_type: NodeType) -> str:
    """Value of the link literal: the node's link, or ``single`` for a node of one GPU."""
    return str(node_type.link) if node_type.gpus_per_node > 1 else "single"


def slots_of(
    candidate: Candidate, rules: UserRules, load_scale: int, points: Iterable[int], max_replicas: int | None = None
) -> list[Slot]:
    """Slots of one candidate; a point that carries nothing has none."""
    asked = rules.workloads[candidate.workload]
    minimised = objective_indices(candidate.workload, rules)
    slots: list[Slot] = []
    for point in points:
        of_point = candidate.points[point]
        capacity = capacities(of_point, asked.load, load_scale, shared=rules.mixed)
        smallest = min(value for value in capacity if value >= 0)
        if smallest <= 0:
            continue
        needed = max(-(-load_scale // smallest), asked.load.min_replicas) if max_replicas is None else max_replicas
        most = _most(candidate, needed, rules) if max_replicas is None else max_replicas
        latencies = tuple(latency_us(of_point, i) for i in range(len(asked.slo.promises)))
        slots.append(
            Slot(
                candidate=candidate,
                point=point,
                latencies_us=latencies,
                capacity=capacity,
                left=min(MAX_REPLICAS, needed),
                max_replicas=min(MAX_REPLICAS, most),
                objective_us=max((latency_us(of_point, index) for index in minimised), default=0),
            )
        )
    return slots


def _most(candidate: Candidate, left: int, rules: UserRules) -> int:
    """Replicas of which so many are left: no plan needs more. Of two sites each of which has enough, any may go."""
    match rules.survive:
        case Survive.NODE:
            return left + lost_with_a_node(candidate)
        case Survive.SITE:
            return 2 * (candidate.nodes_for(left) * candidate.replicas_per_node or left)
    return left


def worker_slots(pools: PoolSet, rules: UserRules) -> list[Slot]:
    """One slot for each kind of worker of a pool; its load is counted by the rows of pools."""
    most: dict[tuple[object, ...], int] = {}
    for one in pools.choices:
        for worker, count in zip((one.pair.prefill, one.pair.decode), one.most, strict=True):
            most[worker.key] = max(most.get(worker.key, 0), count)
    return [
        Slot(
            candidate=worker,
            point=0,
            latencies_us=tuple(
                latency_us(worker.points[0], i) for i in range(len(rules.workloads[worker.workload].slo.promises))
            ),
            capacity=(-1, -1, -1),
            left=min(MAX_REPLICAS, most[worker.key]),
            max_replicas=min(MAX_REPLICAS, most[worker.key]),
            objective_us=0,
        )
        for worker in pools.workers()
    ]


def objective_indices(workload: int, rules: UserRules) -> tuple[int, ...]:
    """Indices of the latencies whose largest the objective minimises; none under other objectives."""
    return objective_promises(rules.workloads[workload], rules.objective, 95)[1]


def latency_us(point: OperatingPoint, index: int) -> int:
    """A latency in whole microseconds, rounded up."""
    seconds = point.latencies_s[index]
    return MAX_LATENCY_US if seconds >= MAX_LATENCY_US / 1e6 else seconds_to_us_up(seconds)


def is_latency_objective(rules: UserRules) -> bool:
    """Whether a latency is minimised."""
    return rules.objective in LATENCY_OBJECTIVES


def money_unit(activity: int) -> int:
    """Cents, or whole currency units where money could reach 2^31 cents; refused where even those overflow."""
    if activity < ACTIVITY_LIMIT:
        return 1
    if activity // CENTS_PER_UNIT >= REFUSAL_LIMIT:
        raise ProblemError("the amounts of money are too large to compute with; state them in a larger currency")
    return CENTS_PER_UNIT


def use_prices_of(option: NodeOption, unit: int) -> tuple[UsePrice, ...]:
    """Prices of one node in each period, in money units, rounded up."""
    return tuple(UsePrice(-(-price.cents // unit), -(-price.start_cents // unit)) for price in option.periods)


def power_of(option: NodeOption) -> int:
    """Watts of a node, rounded up."""
    return ceil_guarded(option.power_kw * 1000)


def can_serve(instance: Instance) -> bool:
    """Whether some way to serve each workload, whole or class by class, has slots for all its parts."""
    able = {slot.workload for slot in instance.slots}
    if instance.rules.pools_required and instance.pools is None:
        return False
    return all(any(able.issuperset(parts) for parts in ways) for ways in instance.rules.ways_to_serve())


def load_factor(choices: Iterable[GroupChoice], loads: Sequence[Load]) -> int:
    """Largest f in thousandths, rounded down, that groups of replicas carry with every promise kept; pools count as
    carrying the load until they are replayed."""
    serving = (choice for choice in choices if choice.candidate.role is Role.SERVE)
    asked = ((choice, loads[choice.candidate.workload]) for choice in serving)
    factors = [choice.factor(choice.roomiest(load), load) for choice, load in asked]
    return floor_guarded(min(factors, default=1.0) * THOUSANDTHS)


def demand_units(largest_ratio: float) -> int:
    """Units of demand where a factor is sought: fewer where all replicas together carry many times the demand."""
    for units in (THOUSANDTHS * 1000, THOUSANDTHS * 100, THOUSANDTHS * 10):
        if units * largest_ratio < ACTIVITY_LIMIT:
            return units
    return THOUSANDTHS


Fact = tuple[str, ...]
"""A tagged fact: (name in ``distinct_by``, content...)."""


def slot_facts(candidate: Candidate, rules: UserRules) -> tuple[Fact, ...]:
    """Facts that a candidate brings into the key of a plan that uses it."""
    return tuple(fact for name in rules.distinct_by for fact in _of_candidate(name, candidate, rules))


def option_facts(option: NodeOption, rules: UserRules) -> tuple[Fact, ...]:
    """Facts that an option brings into the key of a plan that uses it, beyond those of its node type."""
    return (("provider", option.offer.provider),) if "provider" in rules.distinct_by else ()


def key_of(facts: Iterable[Fact]) -> PlanKey:
    """The key that a set of facts makes."""
    return PlanKey(tuple(sorted(set(facts))))


def fact_text(fact: Fact) -> str:
    """A fact on one line, for names in the model."""
    return "|".join(fact)


def _of_candidate(name: str, candidate: Candidate, rules: UserRules) -> tuple[Fact, ...]:
    spec, node_type = candidate.spec, candidate.node_type
    match name:
        case "configuration":
            return (
                (
                    name,
                    rules.workloads[candidate.workload].name,
                    node_type.gpu.id,
                    str(node_type.link),
                    spec.weight_quant,
                    spec.kv_cache,
                    str(spec.tensor_parallel),
                    str(spec.pipeline_parallel),
                    str(spec.attention_dp),
                    str(spec.expert_parallel),
                    *(() if candidate.role is Role.SERVE else (str(candidate.role),)),
                    *((candidate.drafts.words,) if candidate.drafts else ()),
                    *(() if spec.host_kv_gib == 0.0 else ("host",)),
                ),
            )
        case "weight_quant":
            return ((name, spec.weight_quant),)
        case "gpu":
            return ((name, node_type.gpu.id),)
        case "node":
            return ((name, str(node_type.gpus_per_node), node_type.gpu.id, str(node_type.link)),)
    return ()
