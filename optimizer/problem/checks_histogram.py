"""Checks of the histogram of a workload, and of what may stand beside it. One function per rule."""

from __future__ import annotations

import math
from collections.abc import Iterator

from optimizer.length_histogram import histogram_of
from optimizer.problem.fields import SHARE_TOLERANCE
from optimizer.problem.findings import Issue, KeyPath
from optimizer.problem.schema import Workload

_MOST_ROWS_TOLD = 20
"""Rows beyond the longest context that are listed."""


def check_histogram(workload: Workload, base: KeyPath) -> Iterator[Issue]:
    """Every rule for one workload."""
    if not workload.tokens.histogram or workload.sessions is not None:
        return
    path = (*base, "tokens", "histogram")
    if workload.tokens.classes:
        message = "a histogram stands beside classes: it is one distribution, not split into classes"
        yield Issue(path, message, "leave one of them out", ((*base, "tokens", "classes"),))
        return
    yield from _shares(workload, path)
    yield from _lengths_follow(workload, base)
    yield from _context(workload, path)


def _shares(workload: Workload, path: KeyPath) -> Iterator[Issue]:
    """The shares of the rows add up to 1."""
    rows = workload.tokens.histogram
    total = math.fsum(row.share for row in rows)
    if abs(total - 1.0) > SHARE_TOLERANCE:
        hint = "a share is the part of the requests that are so long; divide each by their sum"
        about = tuple((*path, number, "share") for number in range(len(rows)))
        yield Issue((*path, 0, "share"), f"the shares of the rows add up to {total:g}, not to 1", hint, about)


def _lengths_follow(workload: Workload, base: KeyPath) -> Iterator[Issue]:
    """Beside a histogram no other lengths are stated: what is filled in for them is its mean."""
    tokens = workload.tokens
    counted = histogram_of((row.input, row.output, row.share) for row in tokens.histogram)
    for key, mean in (("input", counted.input_mean), ("output", counted.output_mean)):
        if getattr(tokens, key) != mean:
            message = f"{key} stands beside a histogram, which tells the lengths already"
            yield Issue((*base, "tokens", key), message, f"leave {key} out", ((*base, "tokens", "histogram"),))


def _context(workload: Workload, path: KeyPath) -> Iterator[Issue]:
    """Every row is accepted: input + output <= context_max."""
    most = workload.tokens.context_max
    long = [(at, row) for at, row in enumerate(workload.tokens.histogram) if row.input + row.output > most]
    for number, row in long[:_MOST_ROWS_TOLD]:
        message = f"input + output are {row.input + row.output:,g} tokens, beyond context_max of {most:,}"
        about = ((*path[:-1], "context_max"), (*path, number))
        yield Issue((*path, number, "input"), message, "raise context_max, or leave it out", about)
