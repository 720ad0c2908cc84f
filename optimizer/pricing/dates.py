"""Ages of prices against a stated day, never against the clock."""

from __future__ import annotations

from datetime import date

from optimizer.catalog.ages import MAX_AGE_DAYS, WARN_AGE_DAYS, parse_day, ranks_until

__all__ = ["MAX_AGE_DAYS", "WARN_AGE_DAYS", "age_days", "parse_day", "ranks_until"]


def age_days(day: str, as_of: date) -> int:
    """Days from ``day`` to ``as_of``; negative when the price is newer."""
    return (as_of - parse_day(day)).days
