"""What a chosen configuration is expected to do at the planned load: the median estimate, bands and capacity.

One prediction per workload, or length class served apart, where several configurations share it.

A mean is the mean over requests: the shares weigh it. A percentile is that of the slowest configuration: at least so
many requests of every configuration are as fast, hence of all together, so no percentile of the whole is larger. What
the workload carries is what keeps every configuration inside its promises at its fixed share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.demand import Metric, part_name
from optimizer.performance import band, band_source, grade_of, is_upper_bound, promised_seconds
from optimizer.plan.types import Binding, CacheHits, Capacity, KeptPromise, LatencyMs, Prediction
from optimizer.units import SHARE_UNITS, ceil_guarded

if TYPE_CHECKING:
    from optimizer.demand import Promise
    from optimizer.fleet.types import GroupChoice
    from optimizer.performance.types import Band, Behaviour, Grade, Percentiles
    from optimizer.planning.inputs import Inputs
    from optimizer.problem import Part


_MS = 1e3


@dataclass(frozen=True, slots=True)
class Expectation:
    """Behaviour of one replica of a group under each promise of the load, and what follows for its share."""

    prediction: Prediction
    bindings: tuple[Binding, ...]
    share: float = 1.0  # of the workload


@dataclass(frozen=True, slots=True)
class GroupLoad:
    """A group and the factor its load is multiplied by (not one under ``maximize_load`` only)."""

    group: GroupChoice
    factor: float


def expect(inputs: Inputs, groups: Sequence[GroupLoad]) -> list[Expectation]:
    """Predict every group at its load. All groups of a workload are predicted at once, which is what takes time."""
    found: dict[int, Expectation] = {}
    for workload in sorted({asked.group.candidate.workload for asked in groups}):
        places = [index for index, asked in enumerate(groups) if asked.group.candidate.workload == workload]
        mine = [groups[index] for index in places]
        under, capacities = _under_load(inputs, workload, mine), _capacities(inputs, workload, mine)
        hits = _prefix_hits(inputs, workload, mine, under)
        for index, asked, behaviours_of, capacity, prefix in zip(places, mine, under, capacities, hits, strict=True):
            found[index] = _expectation(inputs, asked.group, behaviours_of, capacity, prefix)
    return [found[index] for index in range(len(groups))]


def _expectation(
    inputs: Inputs, chosen: GroupChoice, under: list[Behaviour], capacity: Capacity, prefix: CacheHits | None
) -> Expectation:
    part = inputs.parts[chosen.candidate.workload]
    promises = part.slo.promises
    grade, reasons = grade_of(chosen.candidate.spec, inputs.params, part.lengths)
    busiest = _busiest(under)
    engine = band_source(chosen.candidate.spec, inputs.params)
    ttft, tpot = band(Metric.TTFT, grade, engine), band(Metric.TPOT, grade, engine)
    prediction = Prediction(
        workload=part.name,
        ttft_ms=_latency(busiest.ttft, _MS),
        tpot_ms=_latency(busiest.tpot, _MS),
        e2e_s=_latency(busiest.e2e, 1.0),
        concurrency=busiest.inflight * chosen.replicas,
        output_tokens_per_second=busiest.output_tokens_per_second * chosen.replicas,
        requests_per_second=busiest.requests_per_second * chosen.replicas,
        capacity=capacity,
        ttft_interval_ms=(busiest.ttft.mean * _MS * ttft.low, busiest.ttft.mean * _MS * ttft.high),
        tpot_interval_ms=(busiest.tpot.mean * _MS * tpot.low, busiest.tpot.mean * _MS * tpot.high),
        grade=str(grade),
        upper_bound=is_upper_bound(chosen.candidate.spec.model),
        grade_reasons=tuple(reasons),
        promises=tuple(_kept(promise, under, band(promise.metric, grade, engine)) for promise in promises),
        length_class=part.length_class,
        prefix=prefix,
    )
    bindings = tuple(_binding(promise, under, (grade, engine), part, inputs) for promise in promises)
    return Expectation(prediction, bindings, chosen.share / SHARE_UNITS)


def _under_load(
    inputs: Inputs, workload: int, groups: Sequence[GroupLoad], *, one_more: bool = False
) -> list[list[Behaviour]]:
    """One replica of each group under each floor of the load: Poisson arrivals, requests held in flight, people.

    ``one_more``: with a node more to share it.
    """
    part = inputs.parts[workload]
    load, lengths = part.load, part.lengths
    specs = [asked.group.candidate.spec for asked in groups]
    more = [_per_node(asked.group) if one_more else 0 for asked in groups]
    shares = [asked.factor * (asked.group.share / SHARE_UNITS) for asked in groups]
    parts = [share / (asked.group.replicas + n) for share, asked, n in zip(shares, groups, more, strict=True)]
    sides: list[list[Behaviour]] = []
    if load.requests_per_second:
        rates = [load.requests_per_second * part for part in parts]
        sides.append(inputs.known.behaviours.of(specs, lengths, inputs.params, rates=rates))
    if load.inflight:
        held = [float(ceil_guarded(load.inflight * part)) for part in parts]  # whole requests: the fullest replica
        sides.append(inputs.known.behaviours.of(specs, lengths, inputs.params, inflights=held))
    if load.users:
        users = [load.users * part for part in parts]  # split evenly: never more of them than there are
        sides.append(inputs.known.behaviours.of(specs, lengths, inputs.params, users=users, think_s=load.think_s))
    return [list(of_group) for of_group in zip(*sides, strict=True)]


def _capacities(inputs: Inputs, workload: int, groups: Sequence[GroupLoad]) -> list[Capacity]:
    """All replicas at the operating point that carries most with every promise kept; where something may be gone, those
    that are left then."""
    part = inputs.parts[workload]
    load, lengths = part.load, part.lengths
    points = [(asked.group.roomiest(load), asked.group.left) for asked in groups]
    return [
        Capacity(
            concurrency=point.inflight * replicas,
            output_tokens_per_second=point.requests_per_second * lengths.output_mean * replicas,
            requests_per_second=point.requests_per_second * replicas,
            users=point.users * replicas if load.users else None,
        )
        for point, replicas in points
    ]


def _percentiles(behaviour: Behaviour, metric: Metric) -> Percentiles:
    return {Metric.TTFT: behaviour.ttft, Metric.TPOT: behaviour.tpot, Metric.E2E: behaviour.e2e}[metric]


def _estimate(promise: Promise, under: list[Behaviour]) -> float:
    """The worse of the two loads."""
    seen = [behaviour.seen_by(promise.length_class) for behaviour in under]
    return max(_percentiles(behaviour, promise.metric).at(promise.percentile) for behaviour in seen)


def _kept(promise: Promise, under: list[Behaviour], spread: Band) -> KeptPromise:
    estimate = _estimate(promise, under)
    return KeptPromise(
        metric=promise.metric,
        percentile=promise.percentile,
        estimate_s=estimate,
        low_s=estimate * spread.low,
        high_s=estimate * spread.high,
        limit_s=promise.limit_s,
        path=promise.path,
        length_class=promise.length_class,
    )


def _binding(promise: Promise, under: list[Behaviour], known: tuple[Grade, str], part: Part, inputs: Inputs) -> Binding:
    confidence, (grade, engine) = inputs.problem.margins.confidence, known
    value = max(promised_seconds(behaviour, promise, grade, confidence, engine) for behaviour in under)
    unit = "s" if promise.metric is Metric.E2E else "ms"
    scale = 1.0 if promise.metric is Metric.E2E else _MS
    slack = 1.0 - value / promise.limit_s if math.isfinite(value) else -math.inf
    workload, of_class = part_name(part.name, promise.length_class), part.length_class or promise.length_class
    return Binding(promise.path, workload, value * scale, promise.limit_s * scale, unit, slack, of_class)


def _latency(values: Percentiles, scale: float) -> LatencyMs:
    return LatencyMs(*(value * scale for value in (values.mean, values.p50, values.p90, values.p95, values.p99)))


def joint(expectations: Sequence[Expectation]) -> list[Expectation]:
    """One expectation per workload, in the order of their first configurations."""
    names = dict.fromkeys(expectation.prediction.workload for expectation in expectations)
    return [_joined([one for one in expectations if one.prediction.workload == name]) for name in names]


def _joined(parts: Sequence[Expectation]) -> Expectation:
    if len(parts) == 1:
        return parts[0]
    shares, predictions = [part.share for part in parts], [part.prediction for part in parts]

    def mean(read: Callable[[Prediction], float]) -> float:
        return sum(share * read(one) for share, one in zip(shares, predictions, strict=True))

    prediction = Prediction(
        workload=predictions[0].workload,
        ttft_ms=_joint_latency([one.ttft_ms for one in predictions], shares),
        tpot_ms=_joint_latency([one.tpot_ms for one in predictions], shares),
        e2e_s=_joint_latency([one.e2e_s for one in predictions], shares),
        concurrency=sum(one.concurrency for one in predictions),
        output_tokens_per_second=sum(one.output_tokens_per_second for one in predictions),
        requests_per_second=sum(one.requests_per_second for one in predictions),
        capacity=_capacity([one.capacity for one in predictions], shares),
        ttft_interval_ms=(mean(lambda one: one.ttft_interval_ms[0]), mean(lambda one: one.ttft_interval_ms[1])),
        tpot_interval_ms=(mean(lambda one: one.tpot_interval_ms[0]), mean(lambda one: one.tpot_interval_ms[1])),
        grade=max(one.grade for one in predictions),
        upper_bound=any(one.upper_bound for one in predictions),
        grade_reasons=tuple(dict.fromkeys(reason for one in predictions for reason in one.grade_reasons)),
        promises=tuple(_slowest([one.promises[i] for one in predictions]) for i in range(len(predictions[0].promises))),
        length_class=predictions[0].length_class,
        prefix=_joint_hits([(one.prefix, share) for one, share in zip(predictions, shares, strict=True)]),
    )
    bindings = [_tightest([part.bindings[i] for part in parts]) for i in range(len(parts[0].bindings))]
    return Expectation(prediction, tuple(bindings))


def _prefix_hits(
    inputs: Inputs, workload: int, groups: Sequence[GroupLoad], under: Sequence[list[Behaviour]]
) -> list[CacheHits | None]:
    """What the caches of each group find under the load that keeps most in flight, and with a node more."""
    lengths = inputs.parts[workload].lengths
    if not lengths.shared_prefix:
        return [None for _ in groups]
    busiest = [_busiest(sides) for sides in under]
    more: list[float | None] = [None for _ in groups]
    if lengths.earns_hits:
        more = [_busiest(sides).prefix_hit_rate for sides in _under_load(inputs, workload, groups, one_more=True)]
    return [
        CacheHits(lengths.shared_prefix, seen.prefix_hit_rate, then, seen.host_hit_rate)
        for seen, then in zip(busiest, more, strict=True)
    ]


def _busiest(under: Sequence[Behaviour]) -> Behaviour:
    return max(under, key=lambda behaviour: behaviour.inflight)


def _per_node(chosen: GroupChoice) -> int:
    """Replicas of a group that one more node holds; one that fills several nodes counts whole."""
    return max(chosen.candidate.node_type.gpus_per_node // chosen.candidate.spec.gpus, 1)


def _joint_hits(parts: Sequence[tuple[CacheHits | None, float]]) -> CacheHits | None:
    """Of several groups the mean, by share; what a node more would bring depends on whose it is."""
    known = [(hits, share) for hits, share in parts if hits is not None]
    if not known:
        return None
    total = sum(share for _, share in known)
    found, host = (sum(getattr(hits, of) * share for hits, share in known) / total for of in ("found", "host"))
    return CacheHits(known[0][0].could, found, None, host)


def _joint_latency(parts: Sequence[LatencyMs], shares: Sequence[float]) -> LatencyMs:
    return LatencyMs(
        mean=sum(share * part.mean for share, part in zip(shares, parts, strict=True)),
        p50=max(part.p50 for part in parts),
        p90=max(part.p90 for part in parts),
        p95=max(part.p95 for part in parts),
        p99=max(part.p99 for part in parts),
    )


def _capacity(parts: Sequence[Capacity], shares: Sequence[float]) -> Capacity:
    return Capacity(
        concurrency=min(part.concurrency / share for share, part in zip(shares, parts, strict=True)),
        output_tokens_per_second=min(
            part.output_tokens_per_second / share for share, part in zip(shares, parts, strict=True)
        ),
        requests_per_second=min(part.requests_per_second / share for share, part in zip(shares, parts, strict=True)),
        users=min(
            (part.users / share for share, part in zip(shares, parts, strict=True) if part.users is not None),
            default=None,
        ),
    )


def _slowest(parts: Sequence[KeptPromise]) -> KeptPromise:
    return max(parts, key=lambda part: (part.estimate_s, part.high_s))


def _tightest(parts: Sequence[Binding]) -> Binding:
    return max(parts, key=lambda part: part.value)
