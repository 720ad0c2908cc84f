"""What a plan costs per token, per request and per user: its bill over the volume that is expected of it in a month.

The expected volume is that of the *stated* load: peak factor and headroom are bought for days that are not average, so
they raise the bill and not the volume, and a unit never costs less for them. It is the same for every plan: one that
answers faster brings nobody more requests.

* arrivals: hours a month x stated requests/s (the largest floor) x ``payment.mean_load``; with a day profile the sum
  over its periods of hours x factor x stated requests/s, where ``mean_load`` does not count;
* a closed population: N / (Z + R) with R at the limits of the promises, which is what a plan promises to serve;
* requests held in flight alone: n / R, likewise;
* batch work: requests x runs.

Where nothing bounds R, and under ``maximize_load`` without stated arrivals, the requests are those that the plan itself
makes of its planned load, peak factor and headroom divided out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.demand import Metric
from optimizer.plan.costs import UnitCosts
from optimizer.pricing.terms import load_hours, mean_load
from optimizer.units import CENTS_PER_UNIT

if TYPE_CHECKING:
    from optimizer.problem import Problem, Workload

SECONDS_PER_HOUR = 3600.0
_MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Volume:
    """What is expected in a month. ``users`` as stated; None: some workload has none."""

    requests: float
    input_tokens: float
    output_tokens: float
    users: float | None
    by_workload: Mapping[str, float]  # requests
    of_stated: float = 1.0  # it is of so many times the stated load: under ``maximize_load`` what a plan carries


def expected_volume(problem: Problem, made: Mapping[str, float], load_factor: float | None = None) -> Volume:
    """The volume of a month. ``made``: requests/s that a plan makes of the planned load in the busiest period, by
    workload; ``load_factor``: how many times the load it carries, where that is the objective."""
    from optimizer.problem import lengths_of

    requests = [_requests(one, problem, made.get(one.name, 0.0), load_factor) for one in problem.workloads]
    lengths = [lengths_of(workload) for workload in problem.workloads]
    stated = [workload.traffic.users for workload in problem.workloads]
    users = None if None in stated else sum(one.active for one in stated if one is not None) * (load_factor or 1.0)
    return Volume(
        requests=sum(requests),
        input_tokens=sum(count * each.input_mean for count, each in zip(requests, lengths, strict=True)),
        output_tokens=sum(count * each.output_mean for count, each in zip(requests, lengths, strict=True)),
        users=users,
        by_workload={workload.name: count for workload, count in zip(problem.workloads, requests, strict=True)},
        of_stated=load_factor or 1.0,
    )


def unit_costs(cents: int, volume: Volume) -> UnitCosts:
    """A monthly bill over the volume; None for what there is none of."""

    def over(count: float | None) -> float | None:
        return cents / CENTS_PER_UNIT / count if count else None

    return UnitCosts(
        per_million_output_tokens=over(volume.output_tokens / _MILLION),
        per_million_input_tokens=over(volume.input_tokens / _MILLION),
        per_request=over(volume.requests),
        per_user_month=over(volume.users),
        expected_output_tokens_per_month=volume.output_tokens,
        expected_input_tokens_per_month=volume.input_tokens,
        expected_requests_per_month=volume.requests,
    )


def response_at_limits(workload: Workload) -> float | None:
    """Seconds of the mean response where every promise is just kept, TTFT + (output - 1) x TPOT or the E2E limit; of
    length classes the mean over their requests. A first token that nothing is promised about counts as if it came at
    once; None where nothing bounds the rest."""
    from optimizer.problem import lengths_of, slo_of

    slo, lengths, total = slo_of(workload), lengths_of(workload), 0.0
    of_classes = [(one.name, one.share, one.lengths.output_mean) for one in lengths.classes]
    for name, share, output in of_classes or [("", 1.0, lengths.output_mean)]:
        ttft, tpot, e2e = (slo.limit_of(metric, name) for metric in (Metric.TTFT, Metric.TPOT, Metric.E2E))
        by_parts = None if tpot is None else (ttft or 0.0) + (output - 1.0) * tpot
        bounds = [bound for bound in (by_parts, e2e) if bound is not None]
        if not bounds:
            return None
        total += share * min(bounds)
    return total


def stated_rate(workload: Workload) -> float | None:
    """Requests/s of the stated load, the same for every plan; None where only a plan can tell."""
    from optimizer.problem import population_of, rate_floors

    floors = list(rate_floors(workload).values())
    (users, think_s), response = population_of(workload), response_at_limits(workload)
    if users and response is not None:
        floors.append(users / (think_s + response))
    held = workload.traffic.concurrency
    if not floors and not users and held is not None and response:
        floors.append(held / response)
    return max(floors, default=None)


def _requests(workload: Workload, problem: Problem, made: float, load_factor: float | None) -> float:
    """Requests of a workload in a month."""
    from optimizer.problem import periods_of, rate_floors
    from optimizer.problem.load import peak_of, stated_factor

    batch, traffic = workload.traffic.batch, workload.traffic
    if batch is not None:
        return batch.requests * batch.runs_per_month * (load_factor or 1.0)
    rate = stated_rate(workload)
    if rate is not None and load_factor is not None:
        rate = rate * load_factor if rate_floors(workload) else None
    if rate is None:
        rate = made / (traffic.peak_factor * (1.0 + problem.margins.load_headroom) * peak_of(traffic))
    hours = load_hours(workload, problem) * mean_load(problem)
    if periods := periods_of(problem):
        hours = sum(period.hours * stated_factor(traffic, index) for index, period in enumerate(periods))
    return rate * hours * SECONDS_PER_HOUR
