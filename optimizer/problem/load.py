"""What a workload of a problem file means as load, promises and lengths (design section 3, "Load", "Percentiles").

The rate floors are requests per second: as stated; of users; ``output_tokens_per_second / mean output``; of batch work
``requests / within_hours / 3600``. The largest counts, never the sum. Mean lengths are the nominal ones; clipping a
lognormal at ``context_max`` lowers the mean a little, so the load in tokens errs on the high side.

Users. ``active x requests_per_user_per_hour / 3600``; or, with a think time, a closed population: each user sends one
request per (think time + response time), so the rate is at most ``active / think_time_s``. That bound is used: it is
conservative and needs no predicted latency.
"""

from __future__ import annotations

from optimizer.problem.profile import factors_of, peak_of
from optimizer.problem.schema import LengthDistribution, PercentileLimits, Problem, Traffic, Users, Workload
from optimizer.units import seconds_to_us_down
from optimizer.workload import Lengths, Load, Metric, Promise, Slo

SECONDS_PER_HOUR = 3600.0
_MS = 1e-3
_SLO_KEYS = ((Metric.TTFT, "ttft_ms", _MS), (Metric.TPOT, "tpot_ms", _MS), (Metric.E2E, "e2e_s", 1.0))
PERCENTILE_KEYS = (("p50", 50.0), ("p90", 90.0), ("p95", 95.0), ("p99", 99.0))
"""Keys of a limit that is stated at several percentiles."""


def lengths_of(workload: Workload) -> Lengths:
    """Token lengths of a workload; a length without ``p95`` is constant."""
    tokens = workload.tokens
    input_mean, input_p95 = _mean_and_p95(tokens.input)
    output_mean, output_p95 = _mean_and_p95(tokens.output)
    return Lengths(
        input_mean=input_mean,
        output_mean=output_mean,
        context_max=tokens.context_max,
        input_p95=input_p95,
        output_p95=output_p95,
        shared_prefix=tokens.shared_prefix,
        requests_per_prefix=tokens.requests_per_prefix,
        kv_sizing=tokens.kv_sizing,
    )


def slo_of(workload: Workload) -> Slo:
    """Latency promises of a workload in seconds, each with the YAML path it was stated at."""
    slo, base = workload.slo, f"workloads.{workload.name}.slo"
    promises: list[Promise] = []
    for metric, key, unit in _SLO_KEYS:
        limit = getattr(slo, key)
        if isinstance(limit, PercentileLimits):
            stated = ((name, percentile, getattr(limit, name)) for name, percentile in PERCENTILE_KEYS)
            promises += [
                Promise(metric, percentile, _whole_us(value * unit), f"{base}.{key}.{name}")
                for name, percentile, value in stated
                if value is not None
            ]
        elif limit is not None:
            promises.append(Promise(metric, slo.percentile, _whole_us(limit * unit), f"{base}.{key}"))
    speed = slo.tokens_per_second_per_user
    if speed is not None:
        path = f"{base}.tokens_per_second_per_user"
        promises.append(Promise(Metric.TPOT, slo.percentile, _whole_us(1.0 / speed), path))
    return Slo(tuple(promises))


def _whole_us(seconds: float) -> float:
    """A limit in whole microseconds, rounded down: what the fleet model compares, so that a point may lie on it."""
    return max(1, seconds_to_us_down(seconds)) / 1e6


def load_of(workload: Workload, problem: Problem) -> Load:
    """The load a plan must carry: the largest floor x peak factor x (1 + headroom), in the busiest period.

    Without any traffic (``maximize_load``) one request in flight is the unit.
    """
    traffic, base = workload.traffic, f"workloads.{workload.name}.traffic"
    scale = traffic.peak_factor * (1.0 + problem.margins.load_headroom) * peak_of(traffic)
    floors = rate_floors(workload)
    inflight = traffic.concurrency or 0.0
    if not floors and not inflight:
        factors = factors_of(traffic, problem)
        return Load(0.0, scale, "objective", factors=factors, min_replicas=traffic.min_replicas)
    decided_by, rate = max(floors.items(), key=lambda floor: floor[1], default=("concurrency", 0.0))
    return Load(
        requests_per_second=rate * scale,
        inflight=inflight * scale,
        decided_by=f"{base}.{decided_by}",
        hours_per_month=_batch_hours(traffic),
        factors=factors_of(traffic, problem),
        min_replicas=traffic.min_replicas,
    )


def rate_floors(workload: Workload) -> dict[str, float]:
    """Requests per second that each stated key of ``traffic`` asks for, peak factor and headroom left out."""
    traffic = workload.traffic
    floors: dict[str, float] = {}
    if traffic.requests_per_second is not None:
        floors["requests_per_second"] = traffic.requests_per_second
    if traffic.users is not None:
        floors["users"] = _users_rate(traffic.users)
    if traffic.output_tokens_per_second is not None:
        output_mean, _ = _mean_and_p95(workload.tokens.output)
        floors["output_tokens_per_second"] = traffic.output_tokens_per_second / output_mean
    if traffic.batch is not None:
        floors["batch"] = traffic.batch.requests / traffic.batch.within_hours / SECONDS_PER_HOUR
    return floors


def _users_rate(users: Users) -> float:
    if users.think_time_s is not None:
        return users.active / users.think_time_s
    return users.active * (users.requests_per_user_per_hour or 0.0) / SECONDS_PER_HOUR


def _batch_hours(traffic: Traffic) -> float | None:
    return None if traffic.batch is None else traffic.batch.within_hours * traffic.batch.runs_per_month


def _mean_and_p95(length: float | LengthDistribution) -> tuple[float, float | None]:
    if isinstance(length, LengthDistribution):
        return length.mean, length.p95
    return length, None
