"""Sheets before they are a file: cells of text, numbers and live formulas with the value we computed ourselves.

The node lines of the ranked plans with the option behind each: the offer, its price and its cost lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from optimizer.pricing.types import Origin, option_key, starts_of

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.plan.types import NodeLine, Outcome, Plan
    from optimizer.pricing import NodeOption, Terms
    from optimizer.problem import Problem


class Look(Enum):
    """How a cell reads."""

    TITLE = "title"
    HEAD = "head"
    TEXT = "text"
    NOTE = "note"
    LINE = "line"  # text that runs on over the cells to its right
    MONO = "mono"
    RANK = "rank"  # a number that names its row: it stands where text would
    COUNT = "count"
    NUMBER = "number"
    MONEY = "money"
    RATE = "rate"
    PERCENT = "percent"
    TOTAL = "total"
    LABEL = "label"  # beside a total
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
    frozen: tuple[int, int] = (0, 0)  # rows and columns that stay when the reader scrolls

    def freeze(self, columns: int) -> None:
        """All rows so far stay in sight, and so many columns."""
        self.frozen = (len(self.rows), columns)

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


@dataclass(frozen=True, slots=True)
class PricedLine:
    """Nodes of one option in a plan."""

    plan: Plan
    node: NodeLine
    option: NodeOption
    position: int = 0  # among the node lines of its plan

    @property
    def running(self) -> tuple[int, ...]:
        """Nodes in each period of the day profile; empty without one."""
        return tuple(period.nodes[self.position] for period in self.plan.periods)


@dataclass(frozen=True)
class ShortlistCase:
    """Everything a shortlist shows."""

    outcome: Outcome
    problem: Problem
    catalog: Catalog
    terms: Terms
    lines: tuple[PricedLine, ...]

    def of(self, plan: Plan) -> list[PricedLine]:
        """The lines of one plan."""
        return [line for line in self.lines if line.plan is plan]

    @property
    def options(self) -> list[NodeOption]:
        """Each option once, in the order of the ranking."""
        return list({line.option.key: line.option for line in self.lines}.values())

    def discount(self, option: NodeOption) -> float:
        """Share off the list price that the pricing room took: what is quoted or owned has none."""
        if option.price is None or option.origin is Origin.QUOTE:
            return 0.0
        return self.terms.discount(option.offer.provider, option.tier, option.offer.gpu)

    def node_hours(self, line: PricedLine) -> float:
        """Hours a month that all nodes of a line are billed, those of starting included."""
        if not line.option.periods:
            return self.terms.hours(line.node.tier) * line.node.count
        started = starts_of(line.running)
        return sum(
            period.hours * count + self.terms.startup_hours * period.starts * starts
            for period, count, starts in zip(self.terms.periods, line.running, started, strict=True)
        )


def case_of(outcome: Outcome, problem: Problem, catalog: Catalog) -> ShortlistCase:
    """Join the plans of an outcome with the pricing room's options."""
    from optimizer.pricing import node_options, terms_of

    wanted = {node.offer_id for plan in outcome.plans for node in plan.nodes}
    options = {option.key: option for option in node_options(problem, catalog, only=wanted)}
    return ShortlistCase(outcome, problem, catalog, terms_of(problem, catalog), tuple(_lines(outcome.plans, options)))


def _lines(plans: Sequence[Plan], options: dict[tuple[str, str], NodeOption]) -> list[PricedLine]:
    return [
        PricedLine(plan, node, options[option_key(node.offer_id, node.tier, node.from_nodes)], position)
        for plan in plans
        for position, node in enumerate(plan.nodes)
    ]
