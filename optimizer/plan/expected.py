"""What the users of a plan are expected to see: predictions and the promises they keep."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.plan.replayed import LatencyMs
from optimizer.workload import Metric


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the whole plan carries, spares left out, at the asked confidence."""

    concurrency: float
    output_tokens_per_second: float
    requests_per_second: float
    users: float | None = None  # of a closed population; None: the load has none


@dataclass(frozen=True, slots=True)
class KeptPromise:
    """One latency promise and what is expected of it at the planned load: median estimate and two-sided 90 % band.

    A metric without a promise is listed too (limit None), at the problem's percentile, so that a reader sees it.
    """

    metric: Metric
    percentile: float
    estimate_s: float
    low_s: float
    high_s: float
    limit_s: float | None
    path: str
    length_class: str = ""  # of a mix of length classes: whose requests the promise is about


@dataclass(frozen=True, slots=True)
class Prediction:
    """Median estimate for one workload, or one length class served apart, at the planned load, with 90 % bands."""

    workload: str
    ttft_ms: LatencyMs
    tpot_ms: LatencyMs
    e2e_s: LatencyMs  # seconds
    concurrency: float
    output_tokens_per_second: float
    requests_per_second: float
    capacity: Capacity
    ttft_interval_ms: tuple[float, float]  # of the mean
    tpot_interval_ms: tuple[float, float]
    grade: str
    upper_bound: bool  # a technique this class of model usually runs with is not modelled
    grade_reasons: tuple[str, ...]
    promises: tuple[KeptPromise, ...] = ()
    length_class: str = ""  # the class that is served apart; empty: the whole workload
