"""Checks across the keys of a workload: lengths, promises, traffic. One function per rule.

Checks of the length classes of a workload. One function per rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

from optimizer.demand import LARGEST_P95_TO_MEAN, part_name
from optimizer.problem.checks_histogram import check_histogram
from optimizer.problem.checks_sessions import check_sessions
from optimizer.problem.fields import SHARE_TOLERANCE
from optimizer.problem.findings import Issue, KeyPath
from optimizer.problem.load import PERCENTILE_KEYS, mean_and_p95, slo_of
from optimizer.problem.schema import (
    GapPercentiles,
    LengthClass,
    LengthDistribution,
    PercentileLimits,
    ProblemFile,
    SloSection,
    Tokens,
    Workload,
)
from optimizer.vocabulary import Objective

LONGEST_MONTH_HOURS = 744.0
"""31 days."""

_LATENCY_FLOORS = (("ttft_ms", 1.0, "milliseconds"), ("tpot_ms", 0.1, "milliseconds"), ("e2e_s", 0.001, "seconds"))
"""Below these no engine answers: the unit was mistaken."""


def check_workloads(problem: ProblemFile) -> Iterator[Issue]:
    """Every rule for every workload."""
    yield from _unique_names(problem)
    for index, workload in enumerate(problem.workloads):
        base: KeyPath = ("workloads", index)
        yield from _lengths(workload.tokens, (*base, "tokens"))
        yield from check_sessions(workload, base)
        yield from _prefix(workload, base)
        yield from _prefix_gap(workload, base)
        yield from _promises(workload.slo, (*base, "slo"))
        yield from check_classes(workload, base, _lengths, _promises)
        yield from check_histogram(workload, base)
        yield from _users(workload, base)
        yield from _batch(workload, base)
        yield from _some_traffic(problem, workload, base)


def _unique_names(problem: ProblemFile) -> Iterator[Issue]:
    """Workload names are unique: paths are built from them."""
    seen: set[str] = set()
    for index, workload in enumerate(problem.workloads):
        names = {workload.name, *(part_name(workload.name, one.name) for one in workload.tokens.classes)}
        if taken := sorted(names & seen):
            hint = "give each workload its own name"
            yield Issue(("workloads", index, "name"), f"the name {taken[0]!r} is taken", hint)
        seen |= names


def _lengths(stated: Tokens | LengthClass, base: KeyPath) -> Iterator[Issue]:
    yield from _distributions(stated, base)
    yield from _context(stated, base)


def _promises(slo: SloSection, base: KeyPath) -> Iterator[Issue]:
    yield from _percentiles_in_order(slo, base)
    yield from _latency_units(slo, base)


def _distributions(stated: Tokens | LengthClass, base: KeyPath) -> Iterator[Issue]:
    """mean < p95 <= 3.87 x mean, as a lognormal has it; and p95 <= context_max."""
    for key in ("input", "output"):
        length = getattr(stated, key)
        if not isinstance(length, LengthDistribution) or length.p95 is None:
            continue
        path, about = (*base, key, "p95"), ((*base, key), (*base, "context_max"))
        if length.p95 <= length.mean:
            hint = "for a constant length write the number alone"
            yield Issue(path, f"p95 of {length.p95:g} tokens is not above the mean of {length.mean:g}", hint, about)
        elif length.p95 > LARGEST_P95_TO_MEAN * length.mean:
            message = f"p95 of {length.p95:g} tokens is more than {LARGEST_P95_TO_MEAN:.2f} times the mean"
            hint = (
                "no lognormal has such a tail: state the lengths as counted, histogram: a list of {input, output,"
                " share} or a CSV file, or split the requests into two workloads"
            )
            yield Issue(path, message, hint, about)
        if length.p95 > stated.context_max:
            message = f"p95 of {length.p95:g} tokens is beyond context_max of {stated.context_max:,}"
            yield Issue(path, message, "raise context_max: more than 5 % of the requests would be cut", about)


def _context(stated: Tokens | LengthClass, base: KeyPath) -> Iterator[Issue]:
    """mean input + mean output <= context_max."""
    if isinstance(stated, Tokens) and stated.histogram:
        return  # told by the row that is too long
    total = sum(mean_and_p95(length)[0] for length in (stated.input, stated.output))
    if total > stated.context_max:
        yield Issue(
            (*base, "context_max"),
            f"context_max is {stated.context_max:,} tokens, but input + output are {total:,.0f} on average",
            "it is the longest input + output that must be accepted",
            ((*base, "input"), (*base, "output")),
        )


def _prefix(workload: Workload, base: KeyPath) -> Iterator[Issue]:
    """The first of n requests finds no prefix, so at most (n - 1) / n of all input is found; without one, n says
    nothing."""
    n, share = workload.tokens.requests_per_prefix, workload.tokens.shared_prefix
    if n is None:
        return
    path, about = (*base, "tokens", "requests_per_prefix"), ((*base, "tokens", "shared_prefix"),)
    if share == 0.0:
        yield Issue(path, "says nothing without shared_prefix", "state the share of the input that is found", about)
    elif share > (n - 1) / n:
        message = f"of {n} requests with one prefix the first finds nothing, so at most {(n - 1) / n:.3g} is found"
        yield Issue(path, f"{message}, not {share:g}", "lower shared_prefix or raise this", about)


def _prefix_gap(workload: Workload, base: KeyPath) -> Iterator[Issue]:
    """A gap is one between requests that share a prefix, of sessions that can be replayed: they come as a Poisson
    stream, or from people, who state it as the time they think."""
    tokens, traffic, path = workload.tokens, workload.traffic, (*base, "tokens", "prefix_gap_s")
    gap = tokens.prefix_gap_s
    if gap is None:
        return
    if isinstance(gap, GapPercentiles) and gap.p90 < gap.p50:
        message = f"the p50 of {gap.p50:g} s is above the p90 of {gap.p90:g} s"
        yield Issue((*path, "p50"), message, "are the two swapped?", ((*path, "p90"),))
    if tokens.requests_per_prefix is None:
        message = "says nothing without requests_per_prefix: a prefix that all requests share is always in use"
        yield Issue(path, message, "state how many requests share one prefix", (path,))
    users = traffic.users
    others = {
        "tokens.classes": bool(tokens.classes),
        "traffic.trace": traffic.trace is not None,
        "traffic.batch": traffic.batch is not None,
        "traffic.concurrency": traffic.concurrency is not None,
        "traffic.users.think_time_s": users is not None and users.think_time_s is not None,
    }
    for other in (name for name, stated in others.items() if stated):
        about = ((*base, *other.split(".")),)
        yield Issue(path, f"stands beside {other}, {_NO_GAP[other]}", "leave one of them out", about)
    arrives = traffic.requests_per_second or traffic.output_tokens_per_second or traffic.users
    if not arrives and not any(others.values()):
        message = "says when the next request of a session comes, but none arrives"
        yield Issue(path, message, "state requests_per_second, output_tokens_per_second or users", (path,))


_NO_GAP = {
    "tokens.classes": "whose caches are not computed",
    "traffic.trace": "which tells when each request comes, and not of which session it is",
    "traffic.batch": "where nobody waits between two requests",
    "traffic.concurrency": "a number held in flight, of which session the next request is nobody says",
    "traffic.users.think_time_s": "which is the same time",
}
"""Why a gap cannot be stated beside other keys."""


def _percentiles_in_order(slo: SloSection, base: KeyPath) -> Iterator[Issue]:
    """A limit at a lower percentile is not above one at a higher percentile."""
    for key in ("ttft_ms", "tpot_ms", "e2e_s"):
        limit = getattr(slo, key)
        if not isinstance(limit, PercentileLimits):
            continue
        stated = [(name, getattr(limit, name)) for name, _ in PERCENTILE_KEYS if getattr(limit, name) is not None]
        if not stated:
            yield Issue((*base, key), f"{key} states no limit", "for example {p95: 1000}")
        for (low, low_value), (high, high_value) in pairwise(stated):
            if low_value > high_value:
                message = f"{key}: the {low} limit of {low_value:g} is above the {high} limit of {high_value:g}"
                path = (*base, key)
                yield Issue((*path, low), message, "are the two swapped?", ((*path, high),))


def _latency_units(slo: SloSection, base: KeyPath) -> Iterator[Issue]:
    """Limits are in the unit of their name."""
    for key, floor, unit in _LATENCY_FLOORS:
        limit = getattr(slo, key)
        if isinstance(limit, PercentileLimits):
            values = [((*base, key, name), getattr(limit, name)) for name, _ in PERCENTILE_KEYS]
        else:
            values = [((*base, key), limit)]
        for path, value in values:
            if value is not None and value < floor:
                yield Issue(path, f"{key} is {value:g} {unit}, which nothing can meet", f"the unit is {unit}")


def _users(workload: Workload, base: KeyPath) -> Iterator[Issue]:
    """Users state either how often they ask or how long they think; of sessions the waits say so."""
    users = workload.traffic.users
    if users is None or workload.sessions is not None:
        return
    path = (*base, "traffic", "users")
    stated = [name for name in ("requests_per_user_per_hour", "think_time_s") if getattr(users, name) is not None]
    about = ((*path, "requests_per_user_per_hour"), (*path, "think_time_s"))
    if len(stated) == 2:
        yield Issue((*path, "think_time_s"), "users state both a request rate and a think time", "keep one", about)
    elif not stated:
        message = "users need requests_per_user_per_hour or think_time_s"
        yield Issue(path, message, "for example requests_per_user_per_hour: 30", about)


def _batch(workload: Workload, base: KeyPath) -> Iterator[Issue]:
    """Batch work stands alone, fits into a month and promises no latency."""
    traffic = workload.traffic
    if traffic.batch is None:
        return
    path = (*base, "traffic", "batch")
    others = sorted(traffic.model_fields_set - {"batch", "profile"})
    if others:
        message = f"batch work stands beside {', '.join(others)}"
        yield Issue(path, message, "state online traffic and batch work as two workloads")
    promises = slo_of(workload).promises
    if promises:
        message = "batch work has no latency promises: only throughput matters"
        hint = "delete slo, or state the traffic as requests_per_second"
        yield Issue((*base, "slo"), message, hint, (path,))
    hours = traffic.batch.within_hours * traffic.batch.runs_per_month
    if hours > LONGEST_MONTH_HOURS:
        message = f"{traffic.batch.runs_per_month:g} runs of {traffic.batch.within_hours:g} hours are {hours:g} hours"
        yield Issue(path, f"{message}, more than a month has", "lower within_hours or runs_per_month")


def _some_traffic(problem: ProblemFile, workload: Workload, base: KeyPath) -> Iterator[Issue]:
    """A load is stated, unless the largest one is asked for."""
    traffic = workload.traffic
    floors = (traffic.concurrency, traffic.requests_per_second, traffic.output_tokens_per_second)
    stated = any(floor is not None for floor in floors) or traffic.users is not None or traffic.batch is not None
    if workload.sessions is None and not stated and problem.objective is not Objective.MAXIMIZE_LOAD:
        path = (*base, "traffic")
        hint = "state concurrency, requests_per_second, output_tokens_per_second, users or batch"
        yield Issue(path, f"the workload {workload.name!r} has no traffic", hint, (path, ("objective",)))


Lengths = Callable[["Tokens | LengthClass", KeyPath], Iterator[Issue]]
Promises = Callable[[SloSection, KeyPath], Iterator[Issue]]


def check_classes(workload: Workload, base: KeyPath, lengths: Lengths, promises: Promises) -> Iterator[Issue]:
    """Every rule for every class; ``lengths`` and ``promises`` are the rules that hold without classes too."""
    path = (*base, "tokens", "classes")
    if not workload.tokens.classes:
        return
    yield from _unique_class_names(workload, path)
    yield from _shares(workload, path)
    yield from _either_or(workload, base)
    yield from _contexts(workload, path)
    yield from _no_trace(workload, base)
    inherited = (*base, "tokens", "context_max")
    for number, one in enumerate(workload.tokens.classes):
        yield from (replace(issue, about=(*issue.about, inherited)) for issue in lengths(one, (*path, number)))
        yield from promises(one.slo, (*path, number, "slo"))


def _unique_class_names(workload: Workload, path: KeyPath) -> Iterator[Issue]:
    """Names of classes are unique: paths are built from them."""
    seen: set[str] = set()
    for number, one in enumerate(workload.tokens.classes):
        if one.name in seen:
            yield Issue((*path, number, "name"), f"the name {one.name!r} is taken", "give each class its own name")
        seen.add(one.name)


def _shares(workload: Workload, path: KeyPath) -> Iterator[Issue]:
    """The shares of the classes add up to 1."""
    total = sum(one.share for one in workload.tokens.classes)
    if abs(total - 1.0) > SHARE_TOLERANCE:
        message = f"the shares of the classes add up to {total:g}, not to 1"
        about = tuple((*path, number, "share") for number in range(len(workload.tokens.classes)))
        yield Issue((*path, 0, "share"), message, "a share is the part of the requests that are of the class", about)


def _either_or(workload: Workload, base: KeyPath) -> Iterator[Issue]:
    """Beside classes no other lengths are stated: what is filled in for them is their mean."""
    tokens = workload.tokens
    total = sum(one.share for one in tokens.classes)
    for key in ("input", "output"):
        stated = getattr(tokens, key)
        mean = sum(one.share * mean_and_p95(getattr(one, key))[0] for one in tokens.classes) / total
        if not isinstance(stated, float | int) or abs(stated - max(1.0, mean)) > 1e-9 * mean:
            message = f"{key} stands beside classes, which tell the lengths already"
            yield Issue((*base, "tokens", key), message, f"leave {key} out", ((*base, "tokens", "classes"),))


def _contexts(workload: Workload, path: KeyPath) -> Iterator[Issue]:
    """No class accepts more than the workload, and some class accepts the longest request of the workload."""
    most = workload.tokens.context_max
    about = ((*path[:-1], "context_max"),)
    for number, one in enumerate(workload.tokens.classes):
        if one.context_max > most:
            message = f"context_max of {one.context_max:,} tokens is beyond the workload's {most:,}"
            yield Issue((*path, number, "context_max"), message, "raise tokens.context_max, or leave it out", about)
    longest, last = max((one.context_max, number) for number, one in enumerate(workload.tokens.classes))
    if longest < most:
        message = f"no class accepts the longest request of {most:,} tokens; they stop at {longest:,}"
        hint = "lower tokens.context_max, or raise that of a class"
        yield Issue((*path, last, "context_max"), message, hint, (*about, path))


def _no_trace(workload: Workload, base: KeyPath) -> Iterator[Issue]:
    """Recorded requests say nothing about the class they belong to."""
    if workload.traffic.trace is not None:
        path = (*base, "traffic", "trace")
        message = "a trace stands beside length classes, and does not tell of which class a request is"
        yield Issue(path, message, "leave one of them out", ((*base, "tokens", "classes"),))
