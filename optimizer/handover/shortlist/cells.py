"""Sheets before they are a file: cells of text, numbers and live formulas with the value we computed ourselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias


class Look(Enum):
    """How a cell reads."""

    TITLE = "title"
    HEAD = "head"
    TEXT = "text"
    NOTE = "note"
    LINE = "line"  # text that runs on over the cells to its right
    MONO = "mono"
    COUNT = "count"
    NUMBER = "number"
    MONEY = "money"
    RATE = "rate"
    PERCENT = "percent"
    TOTAL = "total"
    BLANK = "blank"  # to be filled in by the reader


@dataclass(frozen=True, slots=True)
class Cell:
    """A value; ``formula`` (without ``=``) recomputes it in a spreadsheet; ``changeable`` invites an edit."""

    value: str | float | int | None
    look: Look = Look.TEXT
    formula: str | None = None
    changeable: bool = False


Row: TypeAlias = tuple[Cell | None, ...]


@dataclass(slots=True)
class Sheet:
    """Rows from the top; a row knows its number while the sheet is built, so that formulas can point at it."""

    title: str
    widths: tuple[int, ...]
    rows: list[Row] = field(default_factory=list)
    landscape: bool = True

    def add(self, *cells: Cell | str | float | int | None) -> int:
        """Append a row; its number as a spreadsheet counts, from 1. Plain values become text or numbers."""
        self.rows.append(tuple(cell if isinstance(cell, Cell) or cell is None else _plain(cell) for cell in cells))
        return len(self.rows)

    def head(self, *labels: str) -> int:
        """Append a row of column heads."""
        return self.add(*(Cell(label, Look.HEAD) for label in labels))

    def title_row(self, text: str) -> int:
        """Append a title."""
        return self.add(Cell(text, Look.TITLE))

    def note(self, text: str) -> int:
        """Append a remark."""
        return self.add(Cell(text, Look.NOTE))

    def gap(self) -> int:
        """Append an empty row."""
        return self.add()

    def ref(self, column: str, row: int) -> str:
        """An absolute reference that works from any sheet."""
        return f"'{self.title}'!${column}${row}"


@dataclass(frozen=True, slots=True)
class Workbook:
    """The sheets in order, and what names the reader may use in formulas."""

    title: str
    sheets: tuple[Sheet, ...]
    names: tuple[tuple[str, str], ...]  # defined name, reference


def _plain(value: str | float | int) -> Cell:
    if isinstance(value, str):
        return Cell(value)
    if isinstance(value, int):
        return Cell(value, Look.COUNT)
    return number(value)


def number(value: float | None, look: Look = Look.NUMBER) -> Cell:
    """A number; what is not finite is left blank."""
    return Cell(value if value is not None and math.isfinite(value) else None, look)


def money(cents: int, formula: str | None = None, look: Look = Look.MONEY) -> Cell:
    """An amount from integer cents."""
    return Cell(round(cents / 100, 2), look, formula)


def total_of(column: str, first: int, last: int) -> str:
    """Sum of a stretch of a column on the same sheet."""
    return f"SUM({column}{first}:{column}{last})"


def texts(values: Sequence[str]) -> list[Cell]:
    """Cells of text."""
    return [Cell(value) for value in values]
