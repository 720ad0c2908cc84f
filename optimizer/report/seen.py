"""What users see of a plan, promise by promise: the replayed latency where there is one, its band, its limit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from optimizer.demand import Metric
from optimizer.plan.types import KeptPromise, LatencyMs, Plan, Prediction, ReplayedPromise
from optimizer.problem import place_of
from optimizer.report.screen_words import NBSP
from optimizer.report.words import exact, latency_unit, metric_name, percentile_name, two_digits


@dataclass(frozen=True, slots=True)
class SeenLatency:
    """One latency of a plan. ``limit_s`` None: nothing is promised about it."""

    workload: str
    length_class: str
    metric: Metric
    percentile: float
    value_s: float  # replayed where the plan was, else estimated
    low_s: float  # two-sided 90 % band around the value: the error of the model is a factor
    high_s: float
    limit_s: float | None
    path: str = ""  # where the promise stands
    estimate_s: float | None = None  # closed form

    @property
    def title(self) -> str:
        """``TTFT p95``."""
        return f"{metric_name(self.metric)} {percentile_name(self.percentile)}"

    @property
    def closeness(self) -> float:
        """Share of the limit that is used; 0 where nothing is promised."""
        return 0.0 if self.limit_s is None else self.value_s / self.limit_s

    def value(self) -> str:
        """``0.19 s``, ``38 ms``."""
        factor, unit = self._unit()
        return f"{two_digits(self.value_s * factor)}{NBSP}{unit}" if math.isfinite(self.value_s) else "no end"

    def of(self) -> str:
        """``0.19 of 1 s``."""
        if self.limit_s is None:
            return self.value()
        factor, unit = self._unit()
        return f"{two_digits(self.value_s * factor)} of {exact(round(self.limit_s * factor, 6))} {unit}".replace(
            " ", NBSP
        )

    def band(self) -> str:
        """``28-47``, in the unit of the value; empty where it has no end."""
        if not math.isfinite(self.high_s):
            return ""
        factor, _ = self._unit()
        return f"{two_digits(self.low_s * factor)}-{two_digits(self.high_s * factor)}"

    def _unit(self) -> tuple[float, str]:
        return latency_unit(self.limit_s, self.value_s)


def seen(plan: Plan) -> list[SeenLatency]:
    """Every latency that a plan shows, workload by workload."""
    return [one for prediction in plan.predicted for one in seen_by(plan, prediction)]


def is_replayed(plan: Plan) -> bool:
    """Whether the latencies of a plan are replayed ones."""
    return bool(plan.simulated)


def batch_hours(plan: Plan) -> dict[str, tuple[float, float]]:
    """Per offline workload the hours that its run takes as replayed, and the hours it may take."""
    found: dict[str, tuple[float, float]] = {}
    for replay in plan.simulated:
        for promise in replay.promises:
            if place_of(promise.path).section == "traffic":
                known = found.get(replay.workload, (0.0, 0.0))
                found[replay.workload] = max(known, (promise.simulated_s / 3600, promise.limit_s / 3600))
    return found


def seen_by(plan: Plan, prediction: Prediction) -> Iterator[SeenLatency]:
    """Every latency of one workload, or of one length class that is served apart."""
    listed = set()
    for kept in prediction.promises:
        listed.add(kept.metric)
        value = _value(plan, prediction, kept)
        error = value / kept.estimate_s if math.isfinite(value) and 0 < kept.estimate_s < math.inf else 1.0
        yield SeenLatency(
            workload=prediction.workload,
            length_class=kept.length_class,
            metric=kept.metric,
            percentile=kept.percentile,
            value_s=value,
            low_s=kept.low_s * error,
            high_s=kept.high_s * error,
            limit_s=kept.limit_s,
            path=kept.path,
            estimate_s=kept.estimate_s,
        )
    for metric in (Metric.TTFT, Metric.TPOT):
        if metric not in listed:
            value = _percentile(plan, prediction, metric, 95)
            yield SeenLatency(prediction.workload, "", metric, 95, value, value, math.inf, None)


def _value(plan: Plan, prediction: Prediction, kept: KeptPromise) -> float:
    replays = [one for one in plan.simulated if one.workload == prediction.workload]
    promised = [p.simulated_s for one in replays for p in one.promises if _same(p, kept)]
    if promised:
        return max(promised)
    known = kept.limit_s is None and not kept.length_class and kept.percentile in _PERCENTILES
    return _percentile(plan, prediction, kept.metric, kept.percentile) if replays and known else kept.estimate_s


def _same(promise: ReplayedPromise, kept: KeptPromise) -> bool:
    return promise.path == kept.path and promise.length_class == kept.length_class


_PERCENTILES = (50, 90, 95, 99)


def _percentile(plan: Plan, prediction: Prediction, metric: Metric, percentile: float) -> float:
    """Seconds at one of the percentiles that every distribution of latencies has; the slowest of several replicas."""
    replays = [one for one in plan.simulated if one.workload == prediction.workload]
    whose: list[LatencyMs] = [_latency(one.ttft_ms, one.tpot_ms, one.e2e_s, metric) for one in replays]
    if not whose:
        whose = [_latency(prediction.ttft_ms, prediction.tpot_ms, prediction.e2e_s, metric)]
    values = [float(getattr(latency, f"p{percentile:g}")) for latency in whose]
    return max(values) * (1.0 if metric is Metric.E2E else 1e-3)


def _latency(ttft: LatencyMs, tpot: LatencyMs, e2e: LatencyMs, metric: Metric) -> LatencyMs:
    return {Metric.TTFT: ttft, Metric.TPOT: tpot, Metric.E2E: e2e}[metric]
