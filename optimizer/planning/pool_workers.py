"""Workers of prefill and decode pools: what one carries at best, whatever the other pool is.

Bounds as of a fluid: no variance, no queue. A prefill worker takes as many prompt tokens a second as its fastest round
does; a decode worker has as many requests in a step as its slots and the promise of TPOT leave it. Rates are shares of
saturation with the model error at the asked confidence, as of replicas.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from optimizer.candidates.types import PoolWorker
from optimizer.demand import Metric
from optimizer.performance.lengths import moments_of
from optimizer.performance.memory import PLANNED_SHARE, memory_table
from optimizer.performance.operating_points import content_of_spec
from optimizer.performance.pooling import (
    RATE_SHARE,
    network_refusal,
    network_seconds_per_token,
    pool_error_factor,
    pool_throughput_factor,
)
from optimizer.performance.types import OperatingPoint, PointKind
from optimizer.simulate.draws import lengths_for
from optimizer.simulate.estimate import percentile_of
from optimizer.simulate.pool_times import decode_pool, prefill_pool
from optimizer.vocabulary import Role

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.performance.types import ReplicaSpec
    from optimizer.planning.inputs import Inputs
    from optimizer.simulate.draws import Floats
    from optimizer.simulate.pools import DecodePool, PrefillPool

DRAWN = 4_000
"""Prompts of which percentiles are taken: the first that every replay sends."""


class PoolWorkers:
    """The workers of one problem's pools, with their step times; each kind worked out once."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs, self.part = inputs, inputs.parts[0]
        self.lengths = self.part.lengths
        self._confidence = inputs.problem.margins.confidence
        self._prompt: Floats = lengths_for(self.lengths, DRAWN)[0]
        self._before: dict[object, PrefillPool] = {}
        self._after: dict[object, DecodePool] = {}

    def before(self, spec: ReplicaSpec) -> PrefillPool:
        """A prefill pool of one worker."""
        about = content_of_spec(spec)
        if about not in self._before:
            longest = float(self.lengths.context_max)
            self._before[about] = prefill_pool(spec, 1, self.lengths.input_mean, longest, self._inputs.params)
        return self._before[about]

    def after(self, spec: ReplicaSpec) -> DecodePool:
        """A decode pool of one worker."""
        about = content_of_spec(spec)
        if about not in self._after:
            one, slots = self.lengths, self.slots(spec)
            self._after[about] = decode_pool(spec, 1, slots, one.input_mean, one.output_mean, self._inputs.params)
        return self._after[about]

    def slots(self, spec: ReplicaSpec) -> int:
        """Requests that a decode worker takes at once: as its scheduler allows, and as 0.9 of its cache holds with
        their whole answers; at least one."""
        table = memory_table([spec])
        each = float(table.kv.sequence(moments_of(self.lengths).reserved)[0])
        held = int(PLANNED_SHARE * float(table.kv_budget[0]) / each)
        return max(min(spec.max_num_seqs, held), 1) * spec.attention_dp

    def needed_rate(self) -> float:
        """Requests per second that both pools work off at least: arrivals, or what a number in flight makes of itself
        while every promise is kept (Little's law)."""
        load, slo = self.part.load, self.part.slo
        first, each = slo.limit_of(Metric.TTFT), slo.limit_of(Metric.TPOT)
        held = 0.0
        if load.inflight and first is not None and each is not None:
            held = load.inflight / (first + max(moments_of(self.lengths).steps, 0.0) * each)
        return max(load.requests_per_second, held)

    def saturation(self, worker: Candidate) -> float:
        """Requests per second that one worker does at most, whatever their latencies."""
        if worker.role is Role.DECODE:
            return float(self._decode_steps(worker.spec)[1].max())
        times, ranks = self.before(worker.spec).rounds, worker.spec.attention_dp
        tokens = max(float(np.max(times.tokens / times.alone)), float(np.max(ranks * times.tokens / times.full)))
        return tokens / moments_of(self.lengths).prompt

    def _decode_steps(self, spec: ReplicaSpec) -> tuple[Floats, Floats]:
        """Seconds of a step and requests per second by the number of requests that are decoded, from one to all
        slots."""
        after, moments = self.after(spec), moments_of(self.lengths)
        held = np.arange(1, after.slots + 1, dtype=np.float64)
        step = np.array(after.fixed[1:]) + np.array(after.token[1:]) * held * (moments.input + 0.5 * moments.output)
        return step, held * after.advance / (max(moments.output, 1.0) * step)

    def prefill(self, candidate: Candidate) -> Candidate:
        """The candidate as a prefill worker."""
        times, ranks = self.before(candidate.spec).rounds, candidate.spec.attention_dp
        share = RATE_SHARE * pool_throughput_factor(candidate.grade, self._confidence)
        rate = share * self.saturation(replace(candidate, role=Role.PREFILL))
        latencies = []
        for promise in self.part.slo.promises:
            factor = pool_error_factor(promise.metric, candidate.grade, self._confidence)
            longest = percentile_of(self._prompt, promise.percentile)
            alone = times.seconds(longest, 1, ranks) if promise.metric is Metric.TTFT else 0.0
            latencies.append(alone * factor)
        return self._worker(candidate, Role.PREFILL, rate, 0, latencies)

    def decode(self, candidate: Candidate) -> Candidate:
        """The candidate as a decode worker."""
        after = self.after(candidate.spec)
        step, rates = self._decode_steps(candidate.spec)
        share = RATE_SHARE * pool_throughput_factor(candidate.grade, self._confidence)
        latencies, inside = [], np.full(step.size, True)
        for promise in self.part.slo.promises:
            factor = pool_error_factor(promise.metric, candidate.grade, self._confidence)
            least = float(step[0]) * (1.0 if promise.metric is Metric.TTFT else 1.0 / after.advance)
            latencies.append(0.0 if promise.metric is Metric.E2E else least * factor)
            if promise.metric is Metric.TPOT and promise.percentile >= 50.0:
                inside &= step / after.advance * factor <= promise.limit_s
        kept = rates[inside]
        rate = min(share * float(rates.max()), float(kept.max())) if kept.size else 0.0
        return self._worker(candidate, Role.DECODE, rate, after.slots, latencies)

    def _worker(self, candidate: Candidate, role: Role, rate: float, slots: int, latencies: list[float]) -> Candidate:
        spec, node_type = candidate.spec, candidate.node_type
        sent = 0.0
        if not network_refusal(spec, node_type.fabric_gbps):
            each = network_seconds_per_token(spec, node_type.fabric_gbps, node_type.gpus_per_node)
            sent = spec.attention_dp / (each * moments_of(self.lengths).prompt)
        inflight = max(float(slots), self.part.load.inflight, 1.0)
        point = OperatingPoint(PointKind.ALL, rate, inflight, tuple(latencies))
        return replace(candidate, role=role, points=(point,), worker=PoolWorker(rate, sent, slots))
