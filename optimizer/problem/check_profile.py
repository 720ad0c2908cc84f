"""Checks of day profiles. One function per rule."""

from __future__ import annotations

from collections.abc import Iterator

from optimizer.problem.issues import Issue, KeyPath
from optimizer.problem.parts import is_split
from optimizer.problem.profile import peak_of
from optimizer.problem.schema import ProblemFile, ProfilePeriod

_ROUNDING_HOURS = 0.5
"""Hours are often written rounded."""


def check_profiles(problem: ProblemFile) -> Iterator[Issue]:
    """Every rule for every profile."""
    stated = [(index, w.traffic.profile) for index, w in enumerate(problem.workloads) if w.traffic.profile is not None]
    if not stated:
        return
    yield from _supported(problem, ("workloads", stated[0][0], "traffic", "profile"))
    for index, profile in stated:
        path: KeyPath = ("workloads", index, "traffic", "profile")
        yield from _names(profile, path)
        yield from _same_periods(profile, stated[0][1], path, problem.workloads[stated[0][0]].name)
        yield from _some_load(problem, index, path)
        yield from _batch(problem, index, path)
    yield from _whole_month(problem, stated[0][1], ("workloads", stated[0][0], "traffic", "profile"))


def _supported(problem: ProblemFile, path: KeyPath) -> Iterator[Issue]:
    """A workload with a profile has one configuration, which serves all of it."""
    for index, workload in enumerate(problem.workloads):
        if is_split(workload):
            message = "length classes that may be served apart do not go with a day profile"
            hint = "state tokens.split_classes: no, or leave the profile out"
            yield Issue(("workloads", index, "tokens", "classes"), message, hint, (path,))
    if problem.ranking.max_configurations_per_workload > 1:
        where = ("ranking", "max_configurations_per_workload")
        message = "a workload with a day profile is served by one configuration"
        yield Issue(where, message, "leave max_configurations_per_workload at 1", (path,))


def _names(profile: tuple[ProfilePeriod, ...], path: KeyPath) -> Iterator[Issue]:
    """Names are unique: reports and paths are built from them."""
    seen: set[str] = set()
    for index, period in enumerate(profile):
        if period.name in seen:
            yield Issue((*path, index, "name"), f"the period {period.name!r} is there twice", "give it another name")
        seen.add(period.name)


def _same_periods(
    profile: tuple[ProfilePeriod, ...], first: tuple[ProfilePeriod, ...], path: KeyPath, owner: str
) -> Iterator[Issue]:
    """Hours per month do not say when: only equal periods of two workloads are the same hours of the day."""
    ours, theirs = ([(p.name, p.hours_per_month, p.starts_per_month) for p in one] for one in (profile, first))
    if ours != theirs:
        message = f"the periods differ from those of workload {owner!r}, so it is not known which hours they share"
        yield Issue(path, message, "state the same names, hours_per_month and starts_per_month; factors may differ")


def _some_load(problem: ProblemFile, index: int, path: KeyPath) -> Iterator[Issue]:
    """Some period has load."""
    if peak_of(problem.workloads[index].traffic) == 0:
        yield Issue(path, "the factor is 0 in every period", "give the busiest period the factor 1")


def _batch(problem: ProblemFile, index: int, path: KeyPath) -> Iterator[Issue]:
    """Batch work runs in a period or does not, and its runs fit into the periods it runs in."""
    batch, profile = problem.workloads[index].traffic.batch, problem.workloads[index].traffic.profile
    if batch is None or profile is None:
        return
    if any(period.factor not in (0, 1) for period in profile):
        yield Issue(
            path, "factors of batch work are 0 (it waits) or 1 (it runs)", "its speed follows from within_hours"
        )
    hours = sum(period.hours_per_month for period in profile if period.factor)
    needed = batch.within_hours * batch.runs_per_month
    if needed > hours + _ROUNDING_HOURS:
        message = f"the runs take {needed:g} hours a month, the periods of factor 1 have {hours:g}"
        yield Issue(path, message, "let it run in more periods, or lower within_hours", ((*path[:-1], "batch"),))


def _whole_month(problem: ProblemFile, profile: tuple[ProfilePeriod, ...], path: KeyPath) -> Iterator[Issue]:
    """``sum of hours_per_month = payment.hours_per_month``, up to half an hour of rounding: no hour goes unsaid."""
    total, month = sum(period.hours_per_month for period in profile), problem.payment.hours_per_month
    gap = month - total
    if abs(gap) <= _ROUNDING_HOURS:
        return
    message = f"the periods add up to {total:g} hours, a month has {month:g} (payment.hours_per_month)"
    if gap > 0:
        hint = f"{gap:g} hours are missing: add a period (factor 0 where nothing runs)"
    else:
        hint = f"{-gap:g} hours are too many: hours_per_month counts all days of a month together"
    yield Issue(path, message, hint, (("payment", "hours_per_month"),))
