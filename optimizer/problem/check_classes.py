"""Checks of the length classes of a workload. One function per rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from optimizer.problem.issues import Issue, KeyPath
from optimizer.problem.load import mean_and_p95
from optimizer.problem.schema import LengthClass, SloSection, Tokens, Workload

SHARE_TOLERANCE = 0.005
"""Shares that add up to 1 but for rounding are taken in proportion."""

Lengths = Callable[["Tokens | LengthClass", KeyPath], Iterator[Issue]]
Promises = Callable[[SloSection, KeyPath], Iterator[Issue]]


def check_classes(workload: Workload, base: KeyPath, lengths: Lengths, promises: Promises) -> Iterator[Issue]:
    """Every rule for every class; ``lengths`` and ``promises`` are the rules that hold without classes too."""
    path = (*base, "tokens", "classes")
    if not workload.tokens.classes:
        return
    yield from _unique_names(workload, path)
    yield from _shares(workload, path)
    yield from _either_or(workload, base)
    yield from _contexts(workload, path)
    yield from _no_trace(workload, base)
    inherited = (*base, "tokens", "context_max")
    for number, one in enumerate(workload.tokens.classes):
        yield from (replace(issue, about=(*issue.about, inherited)) for issue in lengths(one, (*path, number)))
        yield from promises(one.slo, (*path, number, "slo"))


def _unique_names(workload: Workload, path: KeyPath) -> Iterator[Issue]:
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
