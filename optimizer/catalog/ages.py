"""How long a catalog price may be ranked: days counted from its own date."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache

MAX_AGE_DAYS = 180
"""A price older than this is reference only (shown on request, never ranked)."""

WARN_AGE_DAYS = 75
"""A price older than this is ranked with a warning: the market rose in 2026."""


@lru_cache(maxsize=4096)
def parse_day(text: str) -> date:
    """ISO day; of a bare month or year the first day, so that a vague date counts as old rather than as new."""
    parts = text.split("-")
    return date.fromisoformat("-".join([*parts, *("01" for _ in range(3 - len(parts)))]))


def ranks_until(day: str) -> str:
    """The last day (ISO) on which a catalog price of ``day`` may be ranked."""
    return (parse_day(day) + timedelta(days=MAX_AGE_DAYS)).isoformat()
