"""A recorded stream of requests: arrival, input tokens, output tokens.

Three layouts are recognised by their header: our own (``arrival_s, input_tokens, output_tokens``), the Azure LLM
inference traces (``TIMESTAMP, ContextTokens, GeneratedTokens``; TIMESTAMP is a date and time) and BurstGPT
(``Timestamp, Request tokens, Response tokens``; Timestamp in seconds). Further columns are ignored. Requests without a
single output token failed when they were recorded (BurstGPT marks them so); they are left out and counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from optimizer.documents.csv_file import Row, Table, read_open_table
from optimizer.errors import CatalogError, Finding, ProblemError

LAYOUTS = (
    ("arrival_s", "input_tokens", "output_tokens"),
    ("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
    ("Timestamp", "Request tokens", "Response tokens"),
)

SHORTEST = 10
"""Requests below which a trace shows no pattern."""

_FRACTION = re.compile(r"(\.\d{6})\d+")
"""Azure writes seven decimals, Python reads six."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in order of arrival; seconds since the first one, tokens."""

    arrival_s: tuple[float, ...]
    input_tokens: tuple[float, ...]
    output_tokens: tuple[float, ...]
    failed: int  # rows without output, left out

    @property
    def rate(self) -> float:
        """Requests per second as recorded."""
        return (len(self.arrival_s) - 1) / self.arrival_s[-1]


def read_trace(path: Path) -> Trace:
    """Read a trace. Raises ``ProblemError`` with a line for every defect."""
    try:
        table = read_open_table(path)
    except CatalogError as error:
        raise ProblemError(error.findings) from None
    columns = next((layout for layout in LAYOUTS if all(name in table.index for name in layout)), None)
    if columns is None:
        hint = "the columns are " + "; or ".join(", ".join(layout) for layout in LAYOUTS)
        raise ProblemError([Finding("not a trace: its header has none of the known layouts", str(path), 1, 1, hint)])
    rows, failed = _requests(table, columns)
    if not table.findings and (len(rows) < SHORTEST or rows[-1][0] <= rows[0][0]):
        message = f"{len(rows)} requests over {rows[-1][0] - rows[0][0] if rows else 0:g} s show no pattern"
        table.findings.append(
            Finding(message, str(path), None, None, f"a trace needs {SHORTEST} requests and some time")
        )
    if table.findings:
        raise ProblemError(table.findings)
    first = rows[0][0]
    arrivals, inputs, outputs = zip(*rows, strict=True)
    return Trace(tuple(arrival - first for arrival in arrivals), inputs, outputs, failed)


def _requests(table: Table, columns: tuple[str, str, str]) -> tuple[list[tuple[float, float, float]], int]:
    rows: list[tuple[float, float, float]] = []
    failed, last = 0, float("-inf")
    for row in table:
        when = _seconds(row, columns[0])
        sent, made = row.number(columns[1], high=1e8), row.number(columns[2], high=1e8)
        if when is None:
            continue
        if when < last:
            row.error(f"{columns[0]} is before that of the line above", "sort the trace by arrival", columns[0])
        last = when
        if made < 1.0:
            failed += 1
            continue
        rows.append((when, max(sent, 1.0), made))
    return rows, failed


def _seconds(row: Row, column: str) -> float | None:
    """Seconds as they stand, or those of a date and time."""
    text = row.text(column)
    if ":" not in text:
        if not text:
            row.error(f"{column} is blank; seconds or a date and time are needed", None, column)
        return row.number_or_none(column)
    try:
        return _utc(datetime.fromisoformat(_FRACTION.sub(r"\1", text.strip())))
    except ValueError:
        row.error(f"{column}: {text[:60]!r} is neither seconds nor a date and time", None, column)
        return None


def _utc(when: datetime) -> float:
    """A time without a zone is taken as UTC, so that no clock change of this machine's zone can bend the trace."""
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
