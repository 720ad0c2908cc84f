"""Strict CSV: every cell knows its line, every defect becomes a Finding, nothing is guessed."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TypeVar

from optimizer.documents.suggest import did_you_mean
from optimizer.errors import CatalogError, Finding

T = TypeVar("T")

MAX_BYTES = 256 * 1024 * 1024
"""Largest file read: a hundred times the packaged price list and more."""

MAX_FINDINGS = 200
"""Findings collected before reading stops: a wrong file should not print a hundred thousand lines."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(slots=True)
class Table:
    """A CSV file whose header was checked; rows are read once, in file order. ``findings`` gathers every defect."""

    path: Path
    index: Mapping[str, int]
    lines: Sequence[tuple[int, list[str]]]
    findings: list[Finding] = field(default_factory=list)

    def __iter__(self) -> Iterator[Row]:
        for line, cells in self.lines:
            if len(self.findings) >= MAX_FINDINGS:
                return
            yield Row(self, line, cells)


class Row:
    """One row. Accessors return a harmless value where a cell is wrong, after noting a Finding."""

    __slots__ = ("_index", "cells", "line", "table")

    def __init__(self, table: Table, line: int, cells: list[str]) -> None:
        self.table = table
        self._index = table.index
        self.line = line
        self.cells = cells

    def error(self, message: str, hint: str | None = None) -> None:
        """Note a defect of this row."""
        self.table.findings.append(Finding(message, str(self.table.path), self.line, None, hint))

    def text(self, column: str) -> str:
        """The cell as it stands; blank where the file has no such column."""
        position = self._index.get(column)
        return "" if position is None else self.cells[position]

    def required(self, column: str) -> str:
        """A cell that must not be blank."""
        text = self.text(column)
        if not text:
            self.error(f"{column} is blank")
        return text

    def number(self, column: str, low: float = 0.0, high: float = math.inf) -> float:
        """A finite number from ``low`` to ``high``."""
        value = self.number_or_none(column, low, high)
        if value is None:
            if not self.text(column):
                self.error(f"{column} is blank; a number is needed")
            return max(low, 1.0)
        return value

    def positive(self, column: str) -> float:
        """A finite number above zero."""
        value = self.number(column)
        if value == 0.0:
            self.error(f"{column} is 0; it must be above 0")
            return 1.0
        return value

    def number_or_none(self, column: str, low: float = 0.0, high: float = math.inf) -> float | None:
        """A finite number from ``low`` to ``high``; None where the cell is blank (or wrong, then noted)."""
        text = self.text(column)
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            self.error(f"{column}: {_shown(text)} is not a number", _number_hint(text))
            return None
        value = float(text)
        if not math.isfinite(value) or not low <= value <= high:
            self.error(f"{column}: {_shown(text)} is outside {_range(low, high)}")
            return None
        return value

    def integer(self, column: str, low: int = 0, high: float = math.inf) -> int:
        """A whole number from ``low`` to ``high``."""
        text = self.text(column)
        if not text:
            self.error(f"{column} is blank; a whole number is needed")
            return max(low, 1)
        if not _INTEGER.fullmatch(text):
            self.error(f"{column}: {_shown(text)} is not a whole number", _number_hint(text))
            return max(low, 1)
        value = int(text) if len(text) <= 19 else -1
        if not low <= value <= high:
            self.error(f"{column}: {_shown(text)} is outside {_range(low, high)}")
            return max(low, 1)
        return value

    def integer_or_none(self, column: str, low: int = 0, high: float = math.inf) -> int | None:
        """A whole number; None where the cell is blank."""
        return self.integer(column, low, high) if self.text(column) else None

    def integers(self, column: str) -> tuple[int, ...]:
        """Whole numbers above zero, separated by blanks."""
        words = self.text(column).split()
        if all(_INTEGER.fullmatch(word) and int(word) > 0 for word in words):
            return tuple(map(int, words))
        self.error(f"{column}: {_shown(self.text(column))} is not a list of whole numbers separated by blanks")
        return ()

    def words(self, column: str, known: Collection[str] = ()) -> tuple[str, ...]:
        """Words separated by blanks, each of ``known`` unless that is empty."""
        words = tuple(self.text(column).split())
        for word in words:
            if known and word not in known:
                self.error(f"{column}: unknown {_shown(word)}; known: {', '.join(known)}", did_you_mean(word, known))
        return words

    def flag(self, column: str) -> bool:
        """``yes`` or ``no``."""
        return self.choice(column, _FLAGS)

    def choice(self, column: str, choices: Mapping[str, T]) -> T:
        """The value that the cell's word stands for."""
        text = self.text(column)
        try:
            return choices[text]
        except KeyError:
            what = f"unknown {_shown(text)}" if text else "blank"
            self.error(f"{column}: {what}; known: {', '.join(choices)}", did_you_mean(text, choices))
            return next(iter(choices.values()))

    def day(self, column: str) -> str | None:
        """An ISO day (2026-08-03); None where the cell is blank."""
        text = self.text(column)
        if not text:
            return None
        try:
            if _DAY.fullmatch(text) and date.fromisoformat(text):
                return text
        except ValueError:
            pass
        self.error(f"{column}: {_shown(text)} is not a day", "write it as 2026-08-03")
        return None


_FLAGS: Mapping[str, bool] = {"yes": True, "no": False, "true": True, "false": False}


def read_table(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Read a CSV file and check its header and the shape of its rows.

    Raises CatalogError where nothing can be read from it: missing, empty, binary, too large, not UTF-8, not CSV,
    columns missing, unknown or twice. Rows with too many or too few cells are findings of the table.
    """
    text = _decoded(path)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        _check_header(path, header, required, optional)
        table = Table(path, {name: position for position, name in enumerate(header)}, [])
        table.lines = _rows(reader, len(header), table)
    except csv.Error as error:
        raise CatalogError([Finding(f"not valid CSV: {error}", str(path), reader.line_num)]) from None
    return table


def read_open_table(path: Path) -> Table:
    """Read somebody else's CSV file, whatever its columns are called; a name that stands twice counts first."""
    reader = csv.reader(io.StringIO(_decoded(path), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if not header:
            raise CatalogError([Finding("empty: a header line is needed", str(path))])
        table = Table(path, {name: len(header) - 1 - at for at, name in enumerate(reversed(header))}, [])
        table.lines = _rows(reader, len(header), table)
    except csv.Error as error:
        raise CatalogError([Finding(f"not valid CSV: {error}", str(path), reader.line_num)]) from None
    return table


def _decoded(path: Path) -> str:
    if not path.is_file():
        raise CatalogError([Finding("no such file" if not path.exists() else "not a file", str(path))])
    if path.stat().st_size > MAX_BYTES:
        raise CatalogError([Finding(f"larger than {MAX_BYTES // 2**20} MiB", str(path))])
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CatalogError([Finding(f"cannot be read: {error.strerror}", str(path))]) from None
    if b"\0" in raw:
        raise CatalogError(
            [Finding("holds NUL bytes: not a text file", str(path), raw[: raw.index(b"\0")].count(b"\n") + 1)]
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise CatalogError([Finding("not UTF-8 text", str(path), line, None, "save it as UTF-8")]) from None


def _check_header(path: Path, header: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> None:
    if not header:
        raise CatalogError([Finding("empty: a header line is needed", str(path))])
    known = (*required, *optional)
    findings = [
        Finding(f"column {name} stands twice", str(path), 1) for name in sorted({*header}) if header.count(name) > 1
    ]
    findings += [
        Finding(f"unknown column {_shown(name)}", str(path), 1, None, did_you_mean(name, known))
        for name in header
        if name not in known
    ]
    findings += [Finding(f"column {name} is missing", str(path), 1) for name in required if name not in header]
    if findings:
        raise CatalogError(findings)


def _rows(reader: Iterator[list[str]], width: int, table: Table) -> list[tuple[int, list[str]]]:
    rows = []
    line = 2
    for cells in reader:
        if len(cells) == width:
            rows.append((line, cells))
        elif cells:
            message = f"{len(cells)} cells where the header has {width}"
            table.findings.append(Finding(message, str(table.path), line, None, "quote text that holds a comma"))
        line = reader.line_num + 1  # type: ignore[attr-defined]
    return rows


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _range(low: float, high: float) -> str:
    return f"{low:g} and above" if math.isinf(high) else f"{low:g} to {high:g}"


def _number_hint(text: str) -> str | None:
    if not text.isascii():
        return "full-width or foreign digits: type them as 0-9"
    return "write it without thousands separators" if "," in text else None
