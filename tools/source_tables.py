"""Reading and writing the tables that catalogs are built from."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

Row = Mapping[str, str]


Table = list[dict[str, str]]


COLLECTED = "2026-11-21"
"""Day the source data was taken over; rows whose source states no date of its own carry this one."""


def read(path: Path) -> Table:
    """All rows of a CSV file as text."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write rows with ``\\n`` line ends; the columns are those of the first row."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def number(text: str, scale: float = 1.0) -> str:
    """A figure without trailing zeros; blank and 0 stay apart."""
    if not text:
        return ""
    value = float(text) * scale
    return str(int(value)) if value == int(value) else repr(round(value, 9))
