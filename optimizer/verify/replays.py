"""Rules about the replays that a plan carries: they are of its load and its promises, which they keep with the margin.

The replay itself is not run again. What the fluid limit says is checked beside it: no percentile can be below that.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose
from typing import TYPE_CHECKING

from optimizer.performance import error_factor
from optimizer.performance.fluid import fluid_seconds
from optimizer.units import SHARE_UNITS, ceil_guarded
from optimizer.verify.case import CheckedCase, Mismatch
from optimizer.verify.service import GroupAtLoad, is_replayed

if TYPE_CHECKING:
    from optimizer.demand import Promise
    from optimizer.plan.types import Replay, ReplayedPromise

TOLERANCE = 1e-6
"""Relative: floating noise between two ways of computing the same figure."""


def replays(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """Every group has a replay at the planned load in which every promise is kept with its margin."""
    if not is_replayed(case) or case.plan.has_pools:
        return
    if len(case.plan.simulated) != len(served):
        yield Mismatch("replays", "simulated", len(served), len(case.plan.simulated), "a replay of every group")
        return
    for entry, replay in zip(served, case.plan.simulated, strict=True):
        yield from of_its_load(entry, replay)
        if not replay.kept:
            yield Mismatch("replays", entry.group.path, "every promise kept", "one missed", "the replay of a group")
        if not entry.group.load.is_batch:
            yield from of_its_promises(case, entry, replay)


def minimality(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """Where a plan says why it has no fewer replicas, it does so of every group: fewer cost less and miss."""
    rows = case.plan.minimality
    if not rows:
        return
    del served
    expected = [(group.group.role, group.group.replicas) for group in case.groups]
    if [(row.role, row.replicas) for row in rows] != expected:
        yield Mismatch("minimality", "minimality", expected, [row.replicas for row in rows], "replicas of the groups")
    for index, row in enumerate(rows):
        path, fewer = f"minimality[{index}]", row.fewer
        if (fewer is None) != bool(row.reason):
            yield Mismatch("minimality", path, "fewer replicas or a reason", row.reason, "one of the two")
        if fewer is None:
            continue
        if not 0 < fewer.replicas < row.replicas:
            yield Mismatch("minimality", path, f"1 to {row.replicas - 1}", fewer.replicas, "fewer replicas")
        if not fewer.monthly_cents < case.plan.monthly_cents:
            yield Mismatch("minimality", path, case.plan.monthly_cents, fewer.monthly_cents, "fewer cost less")
        if not fewer.replayed * fewer.margin > fewer.limit:
            yield Mismatch("minimality", path, fewer.limit, fewer.replayed * fewer.margin, "fewer break the promise")


def of_its_load(entry: GroupAtLoad, replay: Replay) -> Iterator[Mismatch]:
    """A replay of a group is of its replicas at the planned load."""
    group, load = entry.group, entry.group.load
    share = group.group.share / SHARE_UNITS
    figures = (
        ("replicas", group.group.replicas, replay.replicas),
        ("requests_per_second", load.requests_per_second * share, replay.requests_per_second),
        ("inflight", ceil_guarded(load.inflight * share / group.group.replicas), replay.inflight),
        ("users", load.users * share, replay.users),
    )
    for name, expected, found in figures:
        if not isclose(expected, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield Mismatch("replays", f"{group.path} {name}", expected, found, "what was replayed is the planned load")


def of_its_promises(case: CheckedCase, entry: GroupAtLoad, replay: Replay) -> Iterator[Mismatch]:
    """A replay of a group is about its promises, with the error of its model as margin."""
    group, stated = entry.group, entry.stated.poisson
    seen = {(one.path, one.percentile, one.length_class): one for one in replay.promises}
    rate = stated.requests_per_second if stated is not None and stated.stable else 0.0
    least = fluid_seconds(group.spec, group.lengths, group.slo.promises, rate, case.params)
    for promise, bound in zip(group.slo.promises, least, strict=True):
        found = seen.get((promise.path, promise.percentile, promise.length_class))
        if found is None or (found.metric, found.limit_s) != (promise.metric, promise.limit_s):
            yield Mismatch("replays", promise.path, promise.limit_s, found and found.limit_s, "a promise and its limit")
        else:
            yield from _of_its_margin(case, entry, promise, (found, bound))


def _of_its_margin(
    case: CheckedCase, entry: GroupAtLoad, promise: Promise, told: tuple[ReplayedPromise, float]
) -> Iterator[Mismatch]:
    found, bound = told
    margin = error_factor(promise.metric, entry.grade, case.problem.margins.confidence, entry.engine)
    if not isclose(found.with_margin_s, found.simulated_s * margin, rel_tol=TOLERANCE):
        expected = found.simulated_s * margin
        yield Mismatch("replays", promise.path, expected, found.with_margin_s, "replayed seconds times the model error")
    if bound * margin > promise.limit_s * (1 + TOLERANCE):
        yield Mismatch("replays", promise.path, f"at most {promise.limit_s} s", bound * margin, "even at best")
