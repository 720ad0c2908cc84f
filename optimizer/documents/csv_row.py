"""The rows of a CSV file: every cell knows its line and column, every defect becomes a Finding, nothing is guessed."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TypeVar

from optimizer.documents.suggest import did_you_mean
from optimizer.errors import Finding

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
class Table:
    """A CSV file whose header was checked; rows are read once, in file order. ``findings`` gathers every defect."""

    path: Path
    index: Mapping[str, int]
    lines: Sequence[tuple[int, list[str]]]
    findings: list[Finding] = field(default_factory=list)
    source: str = ""
    """The text that was read: where a wrong cell stands is looked up in it."""
    header: tuple[str, ...] = ()
    _starts: list[int] = field(default_factory=list)

    def __iter__(self) -> Iterator[Row]:
        for line, cells in self.lines:
            if len(self.findings) >= MAX_FINDINGS:
                return
            yield Row(self, line, cells)

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


class Row:
    """One row. Accessors return a harmless value where a cell is wrong, after noting a Finding."""

    __slots__ = ("_index", "cells", "line", "table")

    def __init__(self, table: Table, line: int, cells: list[str]) -> None:
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
