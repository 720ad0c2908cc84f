"""The load of a workload in three words that are never mixed: stated, at the peak, planned (design section 3)."""

from __future__ import annotations

from optimizer.plan.types import Demand, Figures
from optimizer.problem.load import lengths_of, peak_of, population_of, rate_floors
from optimizer.problem.schema import Problem, Workload


def demand_of(workload: Workload, problem: Problem) -> Demand:
    """What the file states, the same at the peak, and the same as planned for."""
    traffic, headroom = workload.traffic, problem.margins.load_headroom
    peak = traffic.peak_factor * peak_of(traffic)
    return Demand(
        workload=workload.name,
        stated=_figures(workload, 1.0),
        peak=_figures(workload, peak),
        planned=_figures(workload, peak * (1.0 + headroom)),
        peak_by=peak,
        headroom=headroom,
    )


def _figures(workload: Workload, factor: float) -> Figures:
    """The largest floor of each kind, so many times."""
    traffic, users = workload.traffic, workload.traffic.users
    rate = max(rate_floors(workload).values(), default=None)
    people = population_of(workload)[0] or (users.active if users is not None else None)

    def times(value: float | None) -> float | None:
        return None if value is None else value * factor

    return Figures(
        requests_per_second=times(rate),
        output_tokens_per_second=None if rate is None else rate * factor * lengths_of(workload).output_mean,
        inflight=times(traffic.concurrency),
        users=times(people),
    )
