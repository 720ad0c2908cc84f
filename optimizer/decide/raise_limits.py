"""Where the replay leaves no plan: the limits that what the closed form proposed would keep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimizer.plan.types import Relaxation
from optimizer.problem import figure_of
from optimizer.units import ceil_guarded, floor_guarded
from optimizer.workload import Metric

if TYPE_CHECKING:
    from optimizer.plan.types import Rejection, ReplayedPromise


def limits_to_raise(rejected: Sequence[Rejection]) -> tuple[Relaxation, ...]:
    """Where the replay leaves no plan: what the limits would have to be for those that the closed form proposed."""
    cheapest: dict[str, Relaxation] = {}
    for rejection in sorted(rejected, key=lambda one: one.monthly_cents):
        slowest = {p.path: p for p in sorted(rejection.missed, key=lambda p: p.with_margin_s)}  # of several classes
        first, *rest = ((path, *_limits(slowest[path])) for path in dict.fromkeys(p.path for p in rejection.missed))
        cheapest.setdefault(first[0], Relaxation(*first, rejection.monthly_cents, tuple(rest)))
    return tuple(sorted(cheapest.values(), key=lambda way: (way.monthly_cents, way.change)))


def _limits(promise: ReplayedPromise) -> tuple[float, float]:
    """The limit as the file states it, and the one that the replay with its margin keeps, rounded up."""
    stated = figure_of(promise.path)
    if stated.section == "traffic":  # of offline work the hours of a run
        return _tidy(promise.limit_s / 3600.0), ceil_guarded(promise.with_margin_s / 360.0) / 10.0
    if stated.is_speed:
        return _tidy(1.0 / promise.limit_s), floor_guarded(10.0 / promise.with_margin_s) / 10.0
    unit = 1.0 if promise.metric is Metric.E2E else 1e3
    grain = 10.0 ** (floor_guarded(math.log10(promise.with_margin_s * unit)) - 2)
    return _tidy(promise.limit_s * unit), _tidy(ceil_guarded(promise.with_margin_s * unit / grain) * grain)


def _tidy(value: float) -> float:
    return float(f"{value:.9g}")
