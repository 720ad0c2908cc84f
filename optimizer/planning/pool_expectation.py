"""What is printed of a plan with pools: as replayed, since no closed form says what two pools do together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.demand import Metric
from optimizer.performance import is_upper_bound
from optimizer.performance.accuracy import grade_of
from optimizer.performance.lengths import moments_of
from optimizer.performance.pooling import pool_error_factor
from optimizer.plan.experiment import experiment_of_pools
from optimizer.plan.types import Binding, Capacity, KeptPromise, Prediction
from optimizer.planning.inputs import stated_of
from optimizer.planning.predict import Expectation

if TYPE_CHECKING:
    from optimizer.fleet.types import FleetSolution
    from optimizer.performance.types import Grade
    from optimizer.plan.types import Plan, ReplayedPromise
    from optimizer.planning.inputs import Inputs

_MS = 1e3
_LOW, _HIGH = 0.05, 0.95
"""Ends of the two-sided 90 % band."""


def expected_of_pools(inputs: Inputs, solution: FleetSolution) -> Expectation:
    """The workload on the two pools at the planned load."""
    replay, specs = solution.pooled, [group.candidate.spec for group in solution.groups]
    assert replay is not None
    part = inputs.parts[solution.groups[0].candidate.workload]
    known = [grade_of(spec, inputs.params) for spec in specs]
    grade = max(one for one, _ in known)
    reasons = tuple(dict.fromkeys(reason for _, told in known for reason in told))
    moments, load = moments_of(part.lengths), part.load
    rate = max(load.requests_per_second, load.inflight / replay.e2e_s.mean)
    held = max(load.inflight, load.requests_per_second * replay.e2e_s.mean)
    factor = solution.load_factor
    prediction = Prediction(
        workload=part.name,
        ttft_ms=replay.ttft_ms,
        tpot_ms=replay.tpot_ms,
        e2e_s=replay.e2e_s,
        concurrency=held,
        output_tokens_per_second=rate * moments.output,
        requests_per_second=rate,
        capacity=Capacity(held * factor, rate * moments.output * factor, rate * factor),
        ttft_interval_ms=_band(Metric.TTFT, grade, replay.ttft_ms.mean),
        tpot_interval_ms=_band(Metric.TPOT, grade, replay.tpot_ms.mean),
        grade=str(grade),
        upper_bound=is_upper_bound(specs[0].model),
        grade_reasons=reasons,
        promises=tuple(_kept(one, grade) for one in replay.promises),
        length_class=part.length_class,
    )
    return Expectation(prediction, tuple(_binding(one, part.name) for one in replay.promises))


def _band(metric: Metric, grade: Grade, value: float) -> tuple[float, float]:
    return value * pool_error_factor(metric, grade, _LOW), value * pool_error_factor(metric, grade, _HIGH)


def _kept(promise: ReplayedPromise, grade: Grade) -> KeptPromise:
    low, high = _band(promise.metric, grade, promise.simulated_s)
    about = (promise.metric, promise.percentile, promise.simulated_s, low, high, promise.limit_s, promise.path)
    return KeptPromise(*about)


def _binding(promise: ReplayedPromise, workload: str) -> Binding:
    unit, scale = ("s", 1.0) if promise.metric is Metric.E2E else ("ms", _MS)
    slack = 1.0 - promise.with_margin_s / promise.limit_s
    return Binding(promise.path, workload, promise.with_margin_s * scale, promise.limit_s * scale, unit, slack)


def pool_notes(solution: FleetSolution) -> Iterator[str]:
    """What has to be known of a plan with pools before it is bought."""
    before, after = solution.groups
    nodes = sum(bought.count - bought.spare for bought in solution.nodes)
    how = (
        "over the links of their node"
        if nodes == 1
        else "over the network between their nodes, which takes RDMA (InfiniBand or RoCE with GPUDirect)"
    )
    yield (
        f"{before.replicas} prefill workers hand each request's KV cache to one of {after.replicas} decode workers"
        f" {how}; the router in front of both pools sends every request to one of each"
    )
    yield "latencies with pools carry the error of disaggregated serving, measured on other setups (pool_bands.csv)"


def pools_as_replayed(inputs: Inputs, solution: FleetSolution, plan: Plan) -> Plan:
    """The plan with its replay beside each pool, and with the test of both."""
    replay = solution.pooled
    assert replay is not None
    (part,) = inputs.parts
    test = experiment_of_pools(plan.groups, stated_of(part), plan.predicted[0])
    simulated = tuple(replace(replay, replicas=group.replicas) for group in plan.groups)
    return replace(plan, simulated=simulated, experiments=(test,) * len(plan.groups))
