"""When a price is too good: what an auction floor that passes for an on-demand price would win."""

from __future__ import annotations

from collections.abc import Collection
from statistics import median

_FAR_BELOW = 0.5
"""Share of a card's median price under which an on-demand price is questioned."""

_ENOUGH = 3
"""Providers that a median needs."""


def share_far_below(price: float, of_providers: Collection[float]) -> float | None:
    """The share of the median over providers that a price is, where that is little enough to be questioned."""
    if len(of_providers) < _ENOUGH:
        return None
    share = price / median(of_providers)
    return share if share < _FAR_BELOW else None
