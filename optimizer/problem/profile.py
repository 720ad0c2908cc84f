"""The day profile: the periods that all workloads share, and the load of each workload in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.workload import Period

if TYPE_CHECKING:
    from optimizer.problem.schema import ProblemFile, Traffic

HOURS_PER_DAY = 24.0


def periods_of(problem: ProblemFile) -> tuple[Period, ...]:
    """The periods of the problem's day profile, in file order; empty: the load never changes.

    Workloads with a profile state the same periods (checked when the file is read), so the first one counts.
    """
    profile = next((w.traffic.profile for w in problem.workloads if w.traffic.profile is not None), ())
    daily = problem.payment.hours_per_month / HOURS_PER_DAY
    return tuple(Period(one.name, one.hours_per_month, one.starts_per_month or daily) for one in profile)


def peak_of(traffic: Traffic) -> float:
    """The largest factor of a profile; 1 without one."""
    return 1.0 if traffic.profile is None else max(period.factor for period in traffic.profile)


def stated_factor(traffic: Traffic, period: int) -> float:
    """What the stated load is multiplied by in a period; 1 without a profile."""
    return 1.0 if traffic.profile is None else traffic.profile[period].factor


def factors_of(traffic: Traffic, problem: ProblemFile) -> tuple[float, ...]:
    """The load in each period against the busiest; a workload without a profile runs all its load in all of them."""
    if traffic.profile is None:
        return (1.0,) * len(periods_of(problem))
    peak = peak_of(traffic)
    return tuple(period.factor / peak for period in traffic.profile)
