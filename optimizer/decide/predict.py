"""What a chosen configuration is expected to do at the planned load: the median estimate, bands and capacity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.performance import band, behaviours, grade_of, is_upper_bound, promised_seconds
from optimizer.plan.types import Binding, Capacity, KeptPromise, LatencyMs, Prediction
from optimizer.problem import parts_of
from optimizer.units import SHARE_UNITS, ceil_guarded
from optimizer.workload import Metric, part_name

if TYPE_CHECKING:
    from optimizer.decide.inputs import Inputs
    from optimizer.fleet.types import GroupChoice
    from optimizer.performance.types import Band, Behaviour, Grade, Percentiles
    from optimizer.problem import Part
    from optimizer.workload import Promise

_MS = 1e3


@dataclass(frozen=True, slots=True)
class Expectation:
    """Behaviour of one replica of a group under each promise of the load, and what follows for its share."""

    prediction: Prediction
    bindings: tuple[Binding, ...]
    share: float = 1.0  # of the workload


@dataclass(frozen=True, slots=True)
class Asked:
    """A group and the factor its load is multiplied by (not one under ``maximize_load`` only)."""

    group: GroupChoice
    factor: float


def expect(inputs: Inputs, groups: Sequence[Asked]) -> list[Expectation]:
    """Predict every group at its load. All groups of a workload are predicted at once, which is what takes time."""
    found: dict[int, Expectation] = {}
    for workload in sorted({asked.group.candidate.workload for asked in groups}):
        places = [index for index, asked in enumerate(groups) if asked.group.candidate.workload == workload]
        mine = [groups[index] for index in places]
        under, capacities = _under_load(inputs, workload, mine), _capacities(inputs, workload, mine)
        for index, asked, behaviours_of, capacity in zip(places, mine, under, capacities, strict=True):
            found[index] = _expectation(inputs, asked.group, behaviours_of, capacity)
    return [found[index] for index in range(len(groups))]


def _expectation(inputs: Inputs, chosen: GroupChoice, under: list[Behaviour], capacity: Capacity) -> Expectation:
    part = parts_of(inputs.problem)[chosen.candidate.workload]
    promises = part.slo.promises
    grade, reasons = grade_of(chosen.candidate.spec, inputs.params)
    busiest = max(under, key=lambda behaviour: behaviour.inflight)
    engine = chosen.candidate.spec.engine.profile
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
    )
    bindings = tuple(_binding(promise, under, (grade, engine), part, inputs) for promise in promises)
    return Expectation(prediction, bindings, chosen.share / SHARE_UNITS)


def _under_load(inputs: Inputs, workload: int, groups: Sequence[Asked]) -> list[list[Behaviour]]:
    """One replica of each group under each floor of the load: Poisson arrivals, requests held in flight, people."""
    part = parts_of(inputs.problem)[workload]
    load, lengths = part.load, part.lengths
    specs = [asked.group.candidate.spec for asked in groups]
    parts = [asked.factor * (asked.group.share / SHARE_UNITS) / asked.group.replicas for asked in groups]
    sides: list[list[Behaviour]] = []
    if load.requests_per_second:
        rates = [load.requests_per_second * part for part in parts]
        sides.append(behaviours(specs, lengths, inputs.params, rates=rates))
    if load.inflight:
        held = [float(ceil_guarded(load.inflight * part)) for part in parts]  # whole requests: the fullest replica
        sides.append(behaviours(specs, lengths, inputs.params, inflights=held))
    if load.users:
        users = [load.users * part for part in parts]  # split evenly: never more of them than there are
        sides.append(behaviours(specs, lengths, inputs.params, users=users, think_s=load.think_s))
    return [list(of_group) for of_group in zip(*sides, strict=True)]


def _capacities(inputs: Inputs, workload: int, groups: Sequence[Asked]) -> list[Capacity]:
    """All replicas at the operating point that carries most with every promise kept."""
    part = parts_of(inputs.problem)[workload]
    load, lengths = part.load, part.lengths
    points = [(asked.group.roomiest(load), asked.group.replicas) for asked in groups]
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
