"""Units and rounding: the only place that rounds.

Money is integer cents per month. Toward the solver, demand and cost round up and capacity rounds down, so that a plan
feasible for the solver is feasible in the reals.
"""

from __future__ import annotations

import math

CENTS_PER_UNIT = 100
"""Cents per unit of currency."""

SHARE_UNITS = 2520
"""A workload's share is counted in 1/2520: divisible by every number up to 10."""

_SLACK = 1e-9
"""Relative guard: floating noise below this never moves a rounded value to the next integer."""


def ceil_guarded(value: float) -> int:
    """Round up, forgiving floating noise of one part in 1e9."""
    return math.ceil(value - abs(value) * _SLACK)


def floor_guarded(value: float) -> int:
    """Round down, forgiving floating noise of one part in 1e9."""
    return math.floor(value + abs(value) * _SLACK)


def to_cents(amount: float) -> int:
    """Currency units -> integer cents, half away from zero. The single rounding every cost line goes through."""
    return math.floor(abs(amount) * CENTS_PER_UNIT + 0.5) * (1 if amount >= 0 else -1)


def from_cents(cents: int) -> float:
    """Integer cents -> currency units with two exact decimals."""
    return round(cents / CENTS_PER_UNIT, 2)


def seconds_to_us_up(seconds: float) -> int:
    """Seconds -> whole microseconds, rounded up (a latency)."""
    return ceil_guarded(seconds * 1e6)


def seconds_to_us_down(seconds: float) -> int:
    """Seconds -> whole microseconds, rounded down (a limit)."""
    return floor_guarded(seconds * 1e6)


def to_thousandths_down(value: float) -> int:
    """A capacity (requests/s, requests in flight) in thousandths, rounded down."""
    return floor_guarded(value * 1e3)


def to_thousandths_up(value: float) -> int:
    """A demand (requests/s, requests in flight) in thousandths, rounded up."""
    return ceil_guarded(value * 1e3)


def significant(value: float, digits: int) -> float:
    """``value`` to so many significant digits, for display; infinities and 0 pass through."""
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))
