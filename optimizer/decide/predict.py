"""What a chosen configuration is expected to do at the stated load: the median estimate, its bands and its capacity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.performance import band, behaviours, grade_of, is_upper_bound, promised_seconds
from optimizer.plan.types import Binding, Capacity, KeptPromise, LatencyMs, Prediction
from optimizer.problem import lengths_of, load_of, slo_of
from optimizer.units import SHARE_UNITS
from optimizer.workload import Metric

if TYPE_CHECKING:
    from optimizer.decide.inputs import Inputs
    from optimizer.fleet.types import GroupChoice
    from optimizer.performance.types import Behaviour, Grade, Percentiles
    from optimizer.workload import Lengths, Promise

_MS = 1e3


@dataclass(frozen=True, slots=True)
class Expectation:
    """Behaviour of one replica of a group under each promise of the load, and what follows for the workload."""

    prediction: Prediction
    bindings: tuple[Binding, ...]


def expect(inputs: Inputs, chosen: GroupChoice, load_factor: float) -> Expectation:
    """Predict a group at the stated load (times ``load_factor`` under ``maximize_load``)."""
    problem = inputs.problem
    workload = problem.workloads[chosen.candidate.workload]
    lengths, slo = lengths_of(workload), slo_of(workload)
    grade, reasons = grade_of(chosen.candidate.spec, inputs.params)
    under = _under_load(inputs, chosen, lengths, load_factor)
    busiest = max(under, key=lambda behaviour: behaviour.inflight)
    promises = tuple(_kept(promise, under, grade) for promise in slo.promises)
    ttft, tpot = band(Metric.TTFT, grade), band(Metric.TPOT, grade)
    prediction = Prediction(
        workload=workload.name,
        ttft_ms=_latency(busiest.ttft, _MS),
        tpot_ms=_latency(busiest.tpot, _MS),
        e2e_s=_latency(busiest.e2e, 1.0),
        concurrency=busiest.inflight * chosen.replicas,
        output_tokens_per_second=busiest.output_tokens_per_second * chosen.replicas,
        requests_per_second=busiest.requests_per_second * chosen.replicas,
        capacity=_capacity(inputs, chosen, lengths),
        ttft_interval_ms=(busiest.ttft.mean * _MS * ttft.low, busiest.ttft.mean * _MS * ttft.high),
        tpot_interval_ms=(busiest.tpot.mean * _MS * tpot.low, busiest.tpot.mean * _MS * tpot.high),
        grade=str(grade),
        upper_bound=is_upper_bound(chosen.candidate.spec.model),
        grade_reasons=tuple(reasons),
        promises=promises,
    )
    bindings = tuple(_binding(promise, under, grade, workload.name, inputs) for promise in slo.promises)
    return Expectation(prediction, bindings)


def _under_load(inputs: Inputs, chosen: GroupChoice, lengths: Lengths, factor: float) -> list[Behaviour]:
    """One replica under each of the two promises that the load makes: Poisson arrivals, requests held in flight."""
    load = load_of(inputs.problem.workloads[chosen.candidate.workload], inputs.problem)
    part = SHARE_UNITS / SHARE_UNITS / chosen.replicas * factor
    spec = [chosen.candidate.spec]
    found: list[Behaviour] = []
    if load.requests_per_second:
        found += behaviours(spec, lengths, inputs.params, rates=[load.requests_per_second * part])
    if load.inflight:
        found += behaviours(spec, lengths, inputs.params, inflights=[load.inflight * part])
    return found


def _capacity(inputs: Inputs, chosen: GroupChoice, lengths: Lengths) -> Capacity:
    """All replicas at the operating point inside every promise; what it does not state follows forward."""
    point = max(chosen.candidate.points, key=lambda p: (p.kind == "all", p.requests_per_second, p.inflight))
    spec = [chosen.candidate.spec]
    rate, inflight = point.requests_per_second, point.inflight
    if not rate:
        rate = behaviours(spec, lengths, inputs.params, inflights=[inflight])[0].requests_per_second
    if not inflight:
        inflight = behaviours(spec, lengths, inputs.params, rates=[rate])[0].inflight
    return Capacity(
        concurrency=inflight * chosen.replicas,
        output_tokens_per_second=rate * lengths.output_mean * chosen.replicas,
        requests_per_second=rate * chosen.replicas,
    )


def _percentiles(behaviour: Behaviour, metric: Metric) -> Percentiles:
    return {Metric.TTFT: behaviour.ttft, Metric.TPOT: behaviour.tpot, Metric.E2E: behaviour.e2e}[metric]


def _estimate(promise: Promise, under: list[Behaviour]) -> float:
    """The worse of the two loads."""
    return max(_percentiles(behaviour, promise.metric).at(promise.percentile) for behaviour in under)


def _kept(promise: Promise, under: list[Behaviour], grade: Grade) -> KeptPromise:
    estimate = _estimate(promise, under)
    spread = band(promise.metric, grade)
    return KeptPromise(
        metric=promise.metric,
        percentile=promise.percentile,
        estimate_s=estimate,
        low_s=estimate * spread.low,
        high_s=estimate * spread.high,
        limit_s=promise.limit_s,
        path=promise.path,
    )


def _binding(promise: Promise, under: list[Behaviour], grade: Grade, workload: str, inputs: Inputs) -> Binding:
    confidence = inputs.problem.margins.confidence
    value = max(promised_seconds(behaviour, promise, grade, confidence) for behaviour in under)
    unit = "s" if promise.metric is Metric.E2E else "ms"
    scale = 1.0 if promise.metric is Metric.E2E else _MS
    slack = 1.0 - value / promise.limit_s if math.isfinite(value) else -math.inf
    return Binding(promise.path, workload, value * scale, promise.limit_s * scale, unit, slack)


def _latency(values: Percentiles, scale: float) -> LatencyMs:
    return LatencyMs(*(value * scale for value in (values.mean, values.p50, values.p90, values.p95, values.p99)))
