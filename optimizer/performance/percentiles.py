"""Percentiles of a latency: interpolation between the stored ones, and quantiles of a gamma law.

Nothing here needs numpy; the arithmetic works on floats and on numpy arrays alike.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

from optimizer.performance.types import Percentiles

STORED = (50.0, 90.0, 95.0, 99.0)
"""Percentiles every prediction carries."""

_HIGHEST, _LOWEST = 99.99, 0.01


def normal_score(percentile: float) -> float:
    """Standard normal quantile of a percentile, clipped to 0.01..99.99."""
    return NormalDist().inv_cdf(min(max(percentile, _LOWEST), _HIGHEST) / 100.0)


def interpolate(values: Percentiles, percentile: float) -> float:
    """Value at a percentile: log-linear in the normal score between the stored ones, extended beyond them."""
    low, high, weight = bracket(percentile)
    stored = (values.p50, values.p90, values.p95, values.p99)
    return float(between(stored[low], stored[high], weight))


def bracket(percentile: float) -> tuple[int, int, float]:
    """Indices into ``STORED`` around a percentile and the weight of the upper one (outside 0..1 beyond the ends)."""
    low = max(i for i in range(len(STORED) - 1) if i == 0 or STORED[i] <= percentile)
    z, z_low, z_high = (normal_score(p) for p in (percentile, STORED[low], STORED[low + 1]))
    return low, low + 1, (z - z_low) / (z_high - z_low)


def between(low: Any, high: Any, weight: float) -> Any:
    """``low`` at weight 0, ``high`` at weight 1, geometric between; exact at both ends."""
    if weight in (0.0, 1.0):
        return high if weight else low
    if isinstance(low, float) and math.isinf(low):
        return low
    return low * (high / low) ** weight


def gamma_quantile(mean: Any, variance: Any, score: float) -> Any:
    """Quantile of a gamma law of given mean and variance at a normal score.

    Wilson and Hilferty (1931): (X / mean)^(1/3) is nearly normal with mean 1 - 1/(9a) and variance 1/(9a), a the
    shape. Good to a few percent from a = 0.5 up; below, the result is floored at zero.
    """
    ninth = variance / (9.0 * mean * mean)
    root = 1.0 - ninth + score * ninth**0.5
    return mean * (root * (root > 0)) ** 3
