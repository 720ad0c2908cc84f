"""Strict CSV: a file becomes a table of rows, or findings that say where it cannot be read.

The rows of a CSV file: every cell knows its line and column, every defect becomes a Finding, nothing is guessed.
"""

from __future__ import annotations

import csv
import io
import math
import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TypeVar

from optimizer.errors import CatalogError, Finding
from optimizer.files.carried import contents, is_closed, refusal
from optimizer.files.text_file import control_in, did_you_mean, is_file, place_in

__all__ = ["MAX_BYTES", "MAX_FINDINGS", "CsvRow", "CsvTable", "open_table", "read_open_table", "read_table"]

MAX_BYTES = 256 * 1024 * 1024
"""Largest file read: a hundred times the packaged price list and more."""


def read_table(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> CsvTable:
    """Read a CSV file and check its header and the shape of its rows.

    Raises CatalogError where nothing can be read from it: missing, empty, binary, too large, not UTF-8, not CSV,
    columns missing, unknown or twice. Rows with too many or too few cells are findings of the table.
    """
    source = _text_of(path, _bytes_of(path))
    header = _header(path, source)
    _check_header(CsvTable(path, {}, (), source=source), header, required, optional)
    return _table(path, source, header)


def read_open_table(path: Path) -> CsvTable:
    """Read somebody else's CSV file, whatever its columns are called; a name that stands twice counts first."""
    return open_table(path, _bytes_of(path))


def open_table(path: Path, raw: bytes) -> CsvTable:
    """The same of what was read from ``path`` already. Blanks around cells do not count.

    Raises CatalogError where nothing can be read from it; also where one cell holds what a header has, which is what
    other separators than commas make of it.
    """
    source = _text_of(path, raw)
    header = [name.strip() for name in _header(path, source)]
    mark = (_OTHER_MARKS if len(header) == 1 else _FULL_WIDTH).search(",".join(header))
    if mark is not None:
        message = f"{mark[0]!r} between the names of the columns, where a CSV file has a comma"
        raise CatalogError([Finding(message, str(path), 1, source.index(mark[0]) + 1, _SEPARATE)])
    table = _table(path, source, header)
    stripped = [(line, [cell.strip() for cell in cells]) for line, cells in table.lines]
    return replace(table, lines=stripped)


_OTHER_MARKS = re.compile(r"[;\t|\uff0c\u3001\uff1b]")
"""What stands between the cells of files that are no CSV: semicolons, tabs, bars, full-width commas."""

_FULL_WIDTH = re.compile(r"[\uff0c\u3001\uff1b]")
_SEPARATE = "separate the cells by commas (,), in every line"


def _bytes_of(path: Path) -> bytes:
    if is_closed(path):
        raise CatalogError([refusal(path)])
    try:
        if not is_file(path):
            raise CatalogError([Finding("no such file" if not path.exists() else "not a file", str(path))])
        raw = contents(path, MAX_BYTES)
        if len(raw) > MAX_BYTES:
            raise CatalogError([Finding(f"larger than {MAX_BYTES // 2**20} MiB", str(path))])
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise CatalogError([Finding(f"cannot be read: {reason}", str(path))]) from None
    return raw


def _text_of(path: Path, raw: bytes) -> str:
    if b"\0" in raw:
        hint = "save it as CSV, with the encoding UTF-8"
        place = place_in(raw, raw.index(b"\0"))
        raise CatalogError([Finding("holds NUL bytes: not a text file", str(path), *place, hint)])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = place_in(raw, error.start)
        raise CatalogError([Finding("not UTF-8 text", str(path), *place, "save it as UTF-8")]) from None
    control = control_in(text, str(path))
    if control is not None:
        raise CatalogError([control])
    return text


def _header(path: Path, source: str) -> list[str]:
    try:
        header = next(csv.reader(io.StringIO(source, newline=""), strict=True), [])
    except csv.Error as error:
        raise CatalogError([Finding(f"not valid CSV: {error}", str(path), 1, 1, _QUOTES)]) from None
    if not header:
        raise CatalogError([Finding("empty: a header line is needed", str(path), 1, 1)])
    return header


def _check_header(table: CsvTable, header: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> None:
    known = (*required, *optional)
    hint = "separate the cells by commas" if len(header) == 1 and _OTHER_MARKS.search(header[0]) else None
    for position, name in enumerate(header):
        if name in header[:position]:
            table.error(f"column {shown(name)} stands twice", 1, position)
        elif name not in known:
            table.error(f"unknown column {shown(name)}", 1, position, hint or did_you_mean(name, known))
    for name in required:
        if name not in header:
            table.error(f"column {name} is missing", 1, 0)
    if table.findings:
        raise CatalogError(table.findings)


def _table(path: Path, source: str, header: Sequence[str]) -> CsvTable:
    """The rows below the header; one with another number of cells is a finding."""
    index = {name: len(header) - 1 - at for at, name in enumerate(reversed(header))}
    lines: list[tuple[int, list[str]]] = []
    table = CsvTable(path, index, lines, source=source, header=tuple(header))
    reader = csv.reader(io.StringIO(source, newline=""), strict=True)
    line = 1  # where the record in hand starts: a stray quote may swallow many lines
    try:
        for cells in reader:
            if line == 1 or len(cells) == len(header):
                lines.append((line, cells))
            elif cells:
                message = f"{len(cells)} cells where the header has {len(header)}"
                other = len(cells) < len(header) and _OTHER_MARKS.search(",".join(cells))
                table.error(message, line, len(header), _SEPARATE if other else "quote text that holds a comma")
            line = reader.line_num + 1
    except csv.Error as error:
        raise CatalogError([Finding(f"not valid CSV: {error}", str(path), line, 1, _QUOTES)]) from None
    del lines[0]
    return table


_QUOTES = 'a quote inside quoted text is written twice, "", and quoted text ends with a quote'


T = TypeVar("T")

MAX_FINDINGS = 200
"""Findings collected before reading stops: a wrong file should not print a hundred thousand lines."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LONGEST_INTEGER = 19
_SMALLEST, _LARGEST = 1e-9, 1e18
"""Beyond these a figure of any catalog is a slip, and what is computed from it would overflow."""

_LINE_END = re.compile(r"\r\n|\n|\r")
_CELL = re.compile(r'"(?:[^"]|"")*"|[^,\r\n]*')


@dataclass(slots=True)
class CsvTable:
    """A CSV file whose header was checked; rows are read once, in file order. ``findings`` gathers every defect."""

    path: Path
    index: Mapping[str, int]
    lines: Sequence[tuple[int, list[str]]]
    findings: list[Finding] = field(default_factory=list)
    source: str = ""
    """The text that was read: where a wrong cell stands is looked up in it."""
    header: tuple[str, ...] = ()
    _starts: list[int] = field(default_factory=list)

    def __iter__(self) -> Iterator[CsvRow]:
        for line, cells in self.lines:
            if len(self.findings) >= MAX_FINDINGS:
                return
            yield CsvRow(self, line, cells)

    def place(self, line: int, position: int) -> tuple[int, int]:
        """Line and column, counted from 1, of a cell of the record that starts in ``line``; where it lacks the cell,
        of the record's last one."""
        if not self._starts:
            self._starts = [0, *(match.end() for match in _LINE_END.finditer(self.source))]
        at = self._starts[min(line, len(self._starts)) - 1]
        for _ in range(position):
            match = _CELL.match(self.source, at)
            end = match.end() if match else at
            if self.source[end : end + 1] != ",":
                break
            at = end + 1
        found = bisect_right(self._starts, at)
        return found, at - self._starts[found - 1] + 1

    def error(self, message: str, line: int, position: int = 0, hint: str | None = None) -> None:
        """Note a defect at a cell of the record that starts in ``line``."""
        self.findings.append(Finding(message, str(self.path), *self.place(line, position), hint))


class CsvRow:
    """One row. Accessors return a harmless value where a cell is wrong, after noting a Finding."""

    __slots__ = ("_index", "cells", "line", "table")

    def __init__(self, table: CsvTable, line: int, cells: list[str]) -> None:
        self.table = table
        self._index = table.index
        self.line = line
        self.cells = cells

    def error(self, message: str, hint: str | None = None, column: str | None = None) -> None:
        """Note a defect of this row, at the cell of ``column`` where one is named."""
        self.table.error(message, self.line, self._index.get(column, 0) if column else 0, hint)

    def text(self, column: str) -> str:
        """The cell as it stands; blank where the file has no such column."""
        position = self._index.get(column)
        return "" if position is None else self.cells[position]

    def required(self, column: str) -> str:
        """A cell that must not be blank."""
        text = self.text(column)
        if not text:
            self.error(f"{column} is blank", None, column)
        return text

    def number(self, column: str, low: float = 0.0, high: float = _LARGEST) -> float:
        """A finite number from ``low`` to ``high``."""
        value = self.number_or_none(column, low, high)
        if value is None:
            if not self.text(column):
                self.error(f"{column} is blank; a number is needed", None, column)
            return max(low, 1.0)
        return value

    def positive(self, column: str) -> float:
        """A finite number above zero."""
        value = self.number(column)
        if value < _SMALLEST:
            seen = "0" if value == 0.0 else shown(self.text(column))
            self.error(f"{column} is {seen}; it must be above 0", None, column)
            return 1.0
        return value

    def number_or_none(self, column: str, low: float = 0.0, high: float = _LARGEST) -> float | None:
        """A finite number from ``low`` to ``high``; None where the cell is blank (or wrong, then noted)."""
        text = self.text(column)
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            self.error(f"{column}: {shown(text)} is not a number", _number_hint(text), column)
            return None
        value = float(text)
        if not math.isfinite(value) or not low <= value <= high:
            self.error(f"{column}: {shown(text)} is outside {_range(low, high)}", None, column)
            return None
        return value

    def integer(self, column: str, low: int = 0, high: float = math.inf) -> int:
        """A whole number from ``low`` to ``high``."""
        text = self.text(column)
        if not text:
            self.error(f"{column} is blank; a whole number is needed", None, column)
            return max(low, 1)
        if not _INTEGER.fullmatch(text):
            self.error(f"{column}: {shown(text)} is not a whole number", _number_hint(text), column)
            return max(low, 1)
        value = int(text) if len(text) <= _LONGEST_INTEGER else -1
        if not low <= value <= high:
            self.error(f"{column}: {shown(text)} is outside {_range(low, high)}", None, column)
            return max(low, 1)
        return value

    def integer_or_none(self, column: str, low: int = 0, high: float = math.inf) -> int | None:
        """A whole number; None where the cell is blank."""
        return self.integer(column, low, high) if self.text(column) else None

    def integers(self, column: str) -> tuple[int, ...]:
        """Whole numbers above zero, separated by blanks."""
        words = self.text(column).split()
        if all(_INTEGER.fullmatch(word) and len(word) <= _LONGEST_INTEGER and int(word) > 0 for word in words):
            return tuple(map(int, words))
        seen = shown(self.text(column))
        self.error(f"{column}: {seen} is not a list of whole numbers separated by blanks", None, column)
        return ()

    def words(self, column: str, known: Collection[str] = ()) -> tuple[str, ...]:
        """Words separated by blanks, each of ``known`` unless that is empty."""
        words = tuple(self.text(column).split())
        for word in words:
            if known and word not in known:
                self.error(
                    f"{column}: unknown {shown(word)}; known: {', '.join(known)}", did_you_mean(word, known), column
                )
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
            what = f"unknown {shown(text)}" if text else "blank"
            self.error(f"{column}: {what}; known: {', '.join(choices)}", did_you_mean(text, choices), column)
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
        self.error(f"{column}: {shown(text)} is not a day", "write it as 2026-08-03", column)
        return None


_FLAGS: Mapping[str, bool] = {"yes": True, "no": False, "true": True, "false": False}


def shown(text: str) -> str:
    """A cell for a message, cut to 60 characters."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _range(low: float, high: float) -> str:
    return f"{low:g} and above" if high >= _LARGEST else f"{low:g} to {high:g}"


def _number_hint(text: str) -> str | None:
    if not text.isascii():
        return "full-width or foreign digits: type them as 0-9"
    return "write it without thousands separators" if "," in text else None
