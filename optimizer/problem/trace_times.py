"""When a recorded request arrived: seconds, other ticks, or a date with a time, as logs write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_EPOCH = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""Numbers beyond this are so many ticks of a second since 1970: as seconds they would lie thousands of years ahead;
milliseconds of this century are about 1e12."""

_FRACTION = re.compile(r"([.,]\d{6})\d+")
"""Azure writes seven decimals, Python reads six."""

_YEAR_FIRST = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})(?=[ T])")
_ZONE = re.compile(r" ?(UTC|GMT)$")
_ACCESS_LOG = "%d/%b/%Y:%H:%M:%S %z"
"""As web servers log: 10/Oct/2026:13:55:36 +0800, in brackets."""

_MONTHS = re.compile(r"\[?\d{1,2}/[A-Z][a-z]{2}/\d{4}:")


def ticks_of(value: float, named: float | None) -> float:
    """Ticks a second of a number: as its unit is ``named``, else of seconds, unless only a finer unit makes sense."""
    if named is not None and named != 1.0:
        return named
    return next((ticks for least, ticks in _EPOCH if value > least), 1.0)


def of_date(text: str) -> float | None:
    """Seconds since 1970 of a date with a time; None where it is none, or where day and month could be swapped. A time
    without a zone is taken as UTC, so that no clock change of this machine's zone can bend the trace."""
    plain = text.strip()
    try:
        if _MONTHS.match(plain):
            return datetime.strptime(plain.strip("[]"), _ACCESS_LOG).timestamp()
        plain = _YEAR_FIRST.sub(lambda found: f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}", plain)
        when = datetime.fromisoformat(_FRACTION.sub(r"\1", _ZONE.sub("+00:00", plain)))
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
