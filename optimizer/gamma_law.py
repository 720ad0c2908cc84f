"""The gamma law of scale 1: what of it lies below a value, its quantiles, and the shape that has a wanted percentile.

The incomplete gamma function by its series (Abramowitz and Stegun 1964, 6.5.29).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_TERMS = 3_000
_EXACT = 1e-13
_BISECTIONS = 50
_LARGEST_SHAPE = 1e4

_WIDEST = {90.0: 0.2, 95.0: 0.1}
"""Shapes below which the percentile, in means, falls again."""


def gamma_below(shape: float, x: Any) -> Floats:
    """Share of the values that are below ``x``."""
    x = np.asarray(x, dtype=np.float64)
    term = np.ones_like(x) / shape
    total = term.copy()
    for n in range(1, _TERMS):
        term = term * x / (shape + n)
        total += term
        if float(np.max(term / total)) < _EXACT:
            break
    safe = np.maximum(x, 1e-300)
    return np.asarray(np.minimum(total * np.exp(shape * np.log(safe) - x - math.lgamma(shape)), 1.0))


def gamma_at(shape: float, quantile: Any) -> Floats:
    """The value that so many are below."""
    wanted = np.asarray(quantile, dtype=np.float64)
    low = np.zeros_like(wanted)
    high = np.full_like(wanted, shape + 12.0 * math.sqrt(shape) + 40.0)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        enough = gamma_below(shape, middle) >= wanted
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.asarray(high)


@lru_cache(maxsize=64)
def largest_ratio(percentile: float) -> float:
    """The most means that the 90th or 95th percentile of a gamma law is."""
    shape = _WIDEST[percentile]
    return float(gamma_at(shape, percentile / 100.0)) / shape


@lru_cache(maxsize=64)
def gamma_shape(ratio: float, percentile: float) -> float:
    """The shape whose percentile is ``ratio`` times the mean; at most ``largest_ratio``."""
    low, high = _WIDEST[percentile], _LARGEST_SHAPE
    for _ in range(_BISECTIONS):
        middle = math.sqrt(low * high)
        wide = float(gamma_at(middle, percentile / 100.0)) / middle > ratio
        low, high = (middle, high) if wide else (low, middle)
    return high
