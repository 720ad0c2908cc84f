"""Offline work replayed: how long the replicas take over a whole batch when all of it is there at once.

Each replica gets an even part and always holds as many requests as the engine admits, so it runs saturated from the
first to the last. The promise is ``batch.within_hours``: the simulated hours over the throughput error at the asked
confidence must be within it. Latencies of single requests promise nothing and are left out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from optimizer.performance import operating_points
from optimizer.performance.bands import throughput_factor
from optimizer.performance.grades import grade_of
from optimizer.plan.types import LatencyMs, Replay, ReplayedPromise
from optimizer.problem import parts_of
from optimizer.simulate.draws import Floats, routed, stream
from optimizer.simulate.estimate import BATCHES, NARROW, STUDENT_T
from optimizer.simulate.fleet import hold
from optimizer.units import ceil_guarded
from optimizer.vocabulary import Router
from optimizer.workload import Metric

if TYPE_CHECKING:
    from optimizer.decide.inputs import Inputs
    from optimizer.decide.trial import Trial
    from optimizer.simulate.replay import Replica

LONGEST = 6_000
"""Requests replayed; of a longer part the rest is taken at the pace of the middle of the run."""

_UNKNOWN = LatencyMs(math.nan, math.nan, math.nan, math.nan, math.nan)
_SECONDS_PER_HOUR = 3600.0


def replay_batch(inputs: Inputs, trial: Trial, replica: Replica) -> Replay:
    """What becomes of the batch on so many replicas."""
    problem = inputs.problem
    part = parts_of(problem)[trial.workload]
    lengths, load, batch = part.lengths, part.load, part.workload.traffic.batch
    assert batch is not None
    limit, router = batch.within_hours * _SECONDS_PER_HOUR, Router(problem.engine.router)
    mine = max(1, ceil_guarded(trial.rate(inputs) * limit / trial.replicas))
    count = min(mine, LONGEST)
    given = routed(stream(np.zeros(count), lengths), lengths, trial.replicas, router)
    served = hold(replica.c, replica.closed_loop, given, min(trial.spec.max_num_seqs, count))
    pace, half = _pace(np.sort(served.finish))
    seconds = float(served.finish.max()) + (mine - count) / pace
    rest = (mine - count) / mine * seconds * half / pace
    confidence = problem.margins.confidence
    margin = min(throughput_factor(grade_of(trial.spec, inputs.params)[0], confidence, trial.spec.engine.profile), 1.0)
    points = operating_points([trial.spec], lengths, part.slo, load, 0.5, inputs.params)[0]
    carried = max((point.requests_per_second for point in points), default=math.nan)
    promise = ReplayedPromise(
        metric=Metric.E2E,
        percentile=100.0,
        path=f"workloads.{part.workload.name}.traffic.batch.within_hours",
        predicted_s=mine / carried,
        simulated_s=seconds,
        low_s=seconds - rest,
        high_s=seconds + rest,
        narrow=rest <= NARROW * seconds,
        with_margin_s=seconds / margin,
        limit_s=limit,
    )
    unknown = (_UNKNOWN, _UNKNOWN, _UNKNOWN)
    return Replay(part.name, *unknown, count, str(router), (promise,), length_class=part.length_class)


def _pace(finish: Floats) -> tuple[float, float]:
    """Requests per second in the middle three fifths of a run, and the half-width of its 95 % confidence interval."""
    edge = finish.size // 5
    middle = finish[edge : finish.size - edge]
    if middle.size <= BATCHES:
        return finish.size / float(finish[-1]), 0.0
    parts = np.array_split(middle, BATCHES)
    ends = np.array([float(part[-1]) for part in parts])
    spans = np.diff(np.concatenate(([float(middle[0])], ends)))
    sizes = np.array([part.size for part in parts], dtype=np.float64)
    sizes[0] -= 1.0
    paces = sizes / np.maximum(spans, 1e-9)
    pace = (middle.size - 1) / max(float(middle[-1] - middle[0]), 1e-9)
    return pace, STUDENT_T * float(np.std(paces, ddof=1)) / math.sqrt(BATCHES)
