"""Days as people write them. Where day and month could be swapped, nobody is asked to guess."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, timedelta
from enum import StrEnum

_ISO = re.compile(
    r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*[日号]?(?:[t\s]+\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?"
)
_PLAIN = re.compile(r"(20\d{2})(\d{2})(\d{2})")
_YEAR_LAST = re.compile(r"(\d{1,2})\s*([-/.])\s*(\d{1,2})\s*\2\s*(\d{4})")
_DAY_FIRST = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?[\s-]+([a-z]{3,9})\.?,?[\s-]+(\d{4})")
_MONTH_FIRST = re.compile(r"([a-z]{3,9})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})")
_SPAN = re.compile(r"(?:有效期)?\s*(\d{1,4})\s*(天|日|days?|d|个?月|months?|周|weeks?)\s*(?:内|有效)?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FULL = (
    *("january", "february", "march", "april", "may", "june", "july", "august"),
    *("september", "october", "november", "december", "sept"),
)


class DateOrder(StrEnum):
    """Which of two numbers before a year is the day."""

    DAY_FIRST = "dmy"
    MONTH_FIRST = "mdy"


def day_of(text: str, order: DateOrder | None = None) -> date | str:
    """The day a text names, or why it names none: ``2026年10月15日``, ``10/15/2026``, ``15 Oct 2026``."""
    plain = unicodedata.normalize("NFKC", text).strip().lower()
    if found := _ISO.fullmatch(plain) or _PLAIN.fullmatch(plain):
        return _day(text, int(found[1]), int(found[2]), int(found[3]))
    if found := _YEAR_LAST.fullmatch(plain):
        first, second, year = int(found[1]), int(found[3]), int(found[4])
        if first > 12 or order is DateOrder.DAY_FIRST:
            return _day(text, year, second, first)
        if second > 12 or first == second or order is DateOrder.MONTH_FIRST:
            return _day(text, year, first, second)
        return f"{text!r} is {_say(first, second)} or {_say(second, first)}: state --date-order dmy or mdy"
    for pattern, day, month in ((_DAY_FIRST, 1, 2), (_MONTH_FIRST, 2, 1)):
        found = pattern.fullmatch(plain)
        if found and (found[month] in _MONTHS or found[month] in _FULL):
            return _day(text, int(found[3]), _MONTHS.index(found[month][:3]) + 1, int(found[day]))
    return f"{text!r} is not a day: write it as 2026-10-15"


def last_day(text: str, quoted: date | None, order: DateOrder | None = None) -> date | str:
    """The last day of a quote: a day, or a span such as ``30天`` counted from the day of the quote."""
    found = _SPAN.fullmatch(unicodedata.normalize("NFKC", text).strip().lower())
    if found is None:
        return day_of(text, order)
    if quoted is None:
        return f"valid for {text!r}, but the day of the quote is not stated"
    number, unit = int(found[1]), found[2]
    if "月" in unit or unit.startswith("m"):
        months = quoted.month - 1 + number
        first = date(quoted.year + months // 12, months % 12 + 1, 1)
        return min(first + timedelta(days=quoted.day - 1), _month_end(first))
    return quoted + timedelta(days=number * (7 if unit in ("周", "week", "weeks") else 1))


def _month_end(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _day(text: str, year: int, month: int, day: int) -> date | str:
    try:
        return date(year, month, day)
    except ValueError:
        return f"{text!r} is not a day of the calendar"


def _say(day: int, month: int) -> str:
    return f"{day} {_FULL[month - 1].capitalize()}"
