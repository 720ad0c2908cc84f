"""The funnel: how many candidates each rule leaves, in a fixed order, and the cheapest that it removed.

Physical rules, the rules of the user one by one, each promise, the confidence margin alone, then limits that a
candidate breaks all by itself. Prices are lower bounds: the cheapest nodes that hold the replicas, ignoring all else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from optimizer.candidates.enumerate import EXCHANGE, HOST_MEMORY, SPECULATION, WIDE
from optimizer.candidates.types import Candidate
from optimizer.fleet.lower_bounds import NodeKey, UsableOptions, least_cents, replicas_needed
from optimizer.fleet.requirements import OFFER_RULES, SHARE_PARTS, UserRules
from optimizer.plan.types import FunnelStep
from optimizer.pricing.types import NodeOption, NodeType, Origin
from optimizer.units import ceil_guarded, seconds_to_us_down, seconds_to_us_up

CandidateKey = tuple[str | int | float, ...]
"""Content key of a candidate."""

_NEAR, _TWO_US = 1e-8, 2e-6

PHYSICAL_ORDER = (
    "engine runs on the card",
    "precision",
    "tensor parallel divides the model",
    "fits a node or fills nodes",
    WIDE,
    EXCHANGE,
    SPECULATION,
    HOST_MEMORY,
    "memory",
)


@dataclass(frozen=True, slots=True)
class Physical:
    """What was enumerated, and how many the physical rules removed."""

    enumerated: int
    removed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Summary:
    """The funnel and what is worth saying about it."""

    steps: tuple[FunnelStep, ...]
    remaining: int
    warnings: tuple[str, ...]
    note: str


def promise_kept(candidate: Candidate, point: int, promise: int, rules: UserRules) -> bool:
    """Whether an operating point meets a promise, in the microseconds that the model compares."""
    limit = rules.workloads[candidate.workload].slo.promises[promise].limit_s
    return _within(candidate.points[point].latencies_s[promise], limit)


def _within(latency_s: float, limit_s: float) -> bool:
    """Latency rounded up, limit rounded down, in microseconds; far from the limit no rounding is needed."""
    if latency_s < limit_s * (1 - _NEAR) - _TWO_US:
        return True
    return latency_s <= limit_s * (1 + _NEAR) and seconds_to_us_up(latency_s) <= seconds_to_us_down(limit_s)


def kept_points(candidate: Candidate, rules: UserRules) -> tuple[int, ...]:
    """Operating points that meet every promise of the workload."""
    limits = [promise.limit_s for promise in rules.workloads[candidate.workload].slo.promises]
    kept = []
    for index, point in enumerate(candidate.points):
        for latency, limit in zip(point.latencies_s, limits, strict=False):
            if not _within(latency, limit):
                break
        else:
            kept.append(index)
    return tuple(kept)


def configuration_allowed(candidate: Candidate, rules: UserRules) -> bool:
    """Whether no rule about cards, links, formats, sizes or quality fixes the candidate to 0.

    Asked tens of thousands of times an answer, so rules that are not stated are not looked into.
    """
    spec = candidate.spec
    return (
        rules.gpu_allowed(candidate.node_type.gpu.id)
        and rules.licence_allowed(candidate)
        and (rules.nvlink == "any" or nvlink_kept(candidate, rules.nvlink))
        and rules.quant_allowed(candidate.workload, spec.weight_quant)
        and spec.kv_cache in rules.kv_caches
        and spec.tensor_parallel in rules.tensor_parallel
        and spec.pipeline_parallel in rules.pipeline_parallel
        and (rules.attention_dp is None or rules.ranks_allowed(candidate))
        and (rules.expert_parallel == "any" or rules.experts_allowed(candidate.experts))
        and candidate.recovery >= rules.workloads[candidate.workload].min_recovery
        and (rules.min_grade is None or rules.grade_allowed(candidate.grade))
    )


def build_funnel(
    candidates: Sequence[Candidate],
    rules: UserRules,
    options: Sequence[NodeOption],
    physical: Physical,
    without_margin: Mapping[CandidateKey, Candidate],
) -> Summary:
    """Count survivors rule by rule."""
    counter = _Counter(candidates, rules, options)
    counter.physical(physical)
    counter.configuration_rules()
    counter.offer_rules()
    counter.promises(without_margin)
    note = counter.margin(without_margin)
    counter.limits()
    return Summary(tuple(counter.steps), len(counter.left), _warnings(counter, rules), note)


def _warnings(counter: _Counter, rules: UserRules) -> tuple[str, ...]:
    left = {candidate.workload for candidate in counter.left}
    missing = [
        rules.workloads[ways[0][0]].name
        for ways in rules.ways_to_serve()
        if not any(left.issuperset(parts) for parts in ways)
    ]
    return tuple(f"no configuration keeps every rule for workload {name} by itself" for name in missing)


class _Counter:
    """Candidates still in the race, and the steps so far."""

    def __init__(self, candidates: Sequence[Candidate], rules: UserRules, options: Sequence[NodeOption]) -> None:
        self.left = list(candidates)
        self.steps: list[FunnelStep] = []
        self._rules = rules
        self._options = list(options)
        self._market = UsableOptions(options)
        self._points = {candidate.key: tuple(range(len(candidate.points))) for candidate in candidates}

    def physical(self, physical: Physical) -> None:
        """Impossible whatever the user wants."""
        remaining = physical.enumerated
        self.steps.append(FunnelStep("enumerated", remaining, None))
        for rule in PHYSICAL_ORDER:
            if rule in (EXCHANGE, HOST_MEMORY, SPECULATION, WIDE) and not physical.removed.get(rule):
                continue
            remaining -= physical.removed.get(rule, 0)
            self.steps.append(FunnelStep(rule, remaining, None))

    def configuration_rules(self) -> None:
        """Cards, links, formats, sizes and quality that the user allows."""
        rules = self._rules
        self._keep("hardware.gpus", lambda c: rules.gpu_allowed(c.node_type.gpu.id))
        self._keep("hardware.datacenter_licensed_only", rules.licence_allowed)
        self._keep("hardware.nvlink", lambda c: nvlink_kept(c, rules.nvlink))
        self._keep("engine.weight_quant", lambda c: rules.quant_allowed(c.workload, c.spec.weight_quant))
        self._keep("engine.kv_cache", lambda c: c.spec.kv_cache in rules.kv_caches)
        self._keep("engine.tensor_parallel", lambda c: c.spec.tensor_parallel in rules.tensor_parallel)
        self._keep("engine.pipeline_parallel", lambda c: c.spec.pipeline_parallel in rules.pipeline_parallel)
        if rules.attention_dp is not None:
            self._keep("engine.attention_dp", rules.ranks_allowed)
        if rules.expert_parallel != "any":
            self._keep("engine.expert_parallel", lambda c: rules.experts_allowed(c.experts))
        self._keep("quality.min_recovery", lambda c: c.recovery >= rules.workloads[c.workload].min_recovery)
        if rules.min_grade is not None:
            self._keep("ranking.min_grade", lambda c: rules.grade_allowed(c.grade))

    def offer_rules(self) -> None:
        """Providers, regions, tiers and prices that the user allows: a candidate needs one option left."""
        forbidden = [(option, self._rules.forbidden_by(option)) for option in self._options]
        stated = Counter(rule for _, by in forbidden for rule in by)
        for rule in OFFER_RULES:
            if not stated[rule]:
                continue
            forbidden = [(option, by) for option, by in forbidden if rule not in by]
            allowed = {option.node_type.key for option, _ in forbidden}
            self._keep(rule.value, partial(_stands_on, allowed))
            self._market = UsableOptions(option for option, _ in forbidden)

    def promises(self, without_margin: Mapping[CandidateKey, Candidate]) -> None:
        """Latency promises, one by one; what the margin alone removes waits for its own step."""
        stated: dict[str, dict[int, list[int]]] = {}
        for workload, asked in enumerate(self._rules.workloads):
            for index, promise in enumerate(asked.slo.promises):
                stated.setdefault(promise.path, {}).setdefault(workload, []).append(index)
        groups: list[list[Candidate]] = [[] for _ in self._rules.workloads]
        for candidate in self.left:
            groups[candidate.workload].append(candidate)
        for path, concerned in stated.items():
            costs: list[int] = []
            for workload, promises in concerned.items():
                groups[workload], removed = self._keep_promises(groups[workload], promises, without_margin)
                costs += removed
            self.steps.append(FunnelStep(path, sum(map(len, groups)), min(costs, default=None)))
        self.left = [candidate for group in groups for candidate in group]

    def _keep_promises(
        self, group: Sequence[Candidate], promises: Sequence[int], without_margin: Mapping[CandidateKey, Candidate]
    ) -> tuple[list[Candidate], list[int]]:
        """Those of one workload that have a point left, or wait for the margin; the costs of the rest."""
        kept: list[Candidate] = []
        costs: list[int] = []
        for candidate in group:
            key = candidate.key
            before = self._points[key]
            points = tuple(
                point for point in before if all(promise_kept(candidate, point, one, self._rules) for one in promises)
            )
            self._points[key] = points
            if points or key in without_margin:
                kept.append(candidate)
                continue
            cents = self._cents(candidate, before)
            if cents is not None:
                costs.append(cents)
        return kept, costs

    def margin(self, without_margin: Mapping[CandidateKey, Candidate]) -> str:
        """What the confidence margin alone removed; returns the sentence that says what would bring it back."""
        removed = [candidate for candidate in self.left if not self._points[candidate.key]]
        if not without_margin:
            return ""
        self.left = [candidate for candidate in self.left if self._points[candidate.key]]
        moved = [without_margin[candidate.key] for candidate in removed]
        costs = [(self._cents(c, kept_points(c, self._rules)), c.key, c) for c in moved]
        priced = sorted((cents, key, c) for cents, key, c in costs if cents is not None)
        note = ""
        if priced:
            spec = priced[0][2].spec
            note = (
                f"the error margin alone removed {len(removed):,}; a benchmark of {spec.model.id} in"
                f" {spec.weight_quant} on {spec.gpu.id} ({spec.split})"
                " could bring back the cheapest"
            )
        self.steps.append(FunnelStep("margins.confidence", len(self.left), priced[0][0] if priced else None, note))
        return note

    def limits(self) -> None:
        """Limits that a candidate breaks with its own nodes alone."""
        limits, reserve = self._rules.limits, self._rules.reserve
        if self._rules.objective == "maximize_load" or self._rules.mixed:  # no candidate has to carry all the load
            return
        nodes = {c.key: self._nodes(c) for c in self.left}
        self._keep("stock", lambda c: self._cents(c, self._points[c.key]) is not None)
        if limits.gpus is not None:
            self._keep(
                "hardware.limits.max_gpus",
                lambda c: (nodes[c.key] + reserve(c)) * c.node_type.gpus_per_node <= (limits.gpus or 0),
            )
        if limits.nodes is not None:
            self._keep("hardware.limits.max_nodes", lambda c: nodes[c.key] + reserve(c) <= (limits.nodes or 0))
        if limits.power_w is not None:
            self._keep(
                "hardware.limits.max_power_kw",
                lambda c: (nodes[c.key] + reserve(c)) * self._least_power_w(c.node_type) <= (limits.power_w or 0),
            )
        if limits.quotas:
            self._keep(
                "hardware.quota",
                lambda c: (nodes[c.key] + reserve(c)) * c.node_type.gpus_per_node <= self._most_gpus(c.node_type),
            )
        if limits.provider_share is not None and len(self._rules.workloads) == 1:
            fewest = -(-SHARE_PARTS // limits.provider_share)  # sellers that have to share the money
            self._keep(
                "hardware.limits.max_share_per_provider",
                lambda c: min(nodes[c.key] + reserve(c), self._sellers(c.node_type)) >= fewest,
            )
        if limits.budget_cents is not None:
            self._keep(
                "budget.monthly", lambda c: (self._cents(c, self._points[c.key]) or 0) <= (limits.budget_cents or 0)
            )

    def _sellers(self, node_type: NodeType) -> float:
        """Providers of a node type; without end where there is own hardware, which is no provider."""
        options = self._market.options(node_type)
        if any(option.origin is Origin.OWNED for option in options):
            return math.inf
        return len({option.offer.provider for option in options})

    def _least_power_w(self, node_type: NodeType) -> int:
        return min((ceil_guarded(o.power_kw * 1000) for o in self._market.options(node_type)), default=0)

    def _most_gpus(self, node_type: NodeType) -> float:
        """GPUs of a node type that the quotas of its options leave at most."""
        quotas = self._rules.limits.quotas
        binding = [
            min((quota for quota in quotas if quota.concerns(option)), key=lambda quota: quota.max_gpus, default=None)
            for option in self._market.options(node_type)
        ]
        return math.inf if None in binding else sum(quota.max_gpus for quota in set(binding) if quota)

    def _nodes(self, candidate: Candidate) -> int:
        load = self._rules.workloads[candidate.workload].load
        needed = [replicas_needed(candidate.points[point], load) for point in self._points[candidate.key]]
        return min((candidate.nodes_for(replicas) for replicas in needed if replicas is not None), default=0)

    def _cents(self, candidate: Candidate, points: Iterable[int]) -> int | None:
        load = self._rules.workloads[candidate.workload].load
        cents = least_cents(candidate, load, self._market, self._rules, points)
        return None if cents is None else cents + self._rules.fixed_cents

    def _keep(self, rule: str, test: Callable[[Candidate], bool]) -> None:
        """One step: keep what passes, price the cheapest of the rest."""
        kept, costs = [], []
        for candidate in self.left:
            if test(candidate):
                kept.append(candidate)
            else:
                costs.append(self._cents(candidate, self._points[candidate.key]))
        self.left = kept
        cheapest = min((cents for cents in costs if cents is not None), default=None)
        self.steps.append(FunnelStep(rule, len(kept), cheapest))


def _stands_on(node_types: Collection[NodeKey], candidate: Candidate) -> bool:
    return candidate.node_type.key in node_types


def nvlink_kept(candidate: Candidate, nvlink: str) -> bool:
    """``hardware.nvlink``: required - replicas on several GPUs in one domain; forbidden - no node with NVLink."""
    from optimizer.pricing.rules import has_nvlink

    if nvlink == "required":
        return candidate.spec.gpus == 1 or candidate.in_nvlink_domain
    return nvlink != "forbidden" or not has_nvlink(candidate.node_type)
