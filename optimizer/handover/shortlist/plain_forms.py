"""The shortlist as Markdown (every sheet, with our values) and as CSV (the cost lines)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from optimizer.handover.markdown import code, table, text
from optimizer.handover.names import plain
from optimizer.handover.shortlist.cells import Cell, Look, Row, Sheet, Workbook
from optimizer.report.csv_report import safe_cell

_COST_SHEET = 3


def render_markdown(book: Workbook) -> str:
    """Every sheet as a section; amounts as computed, without formulas."""
    parts = [f"# {text(book.title)}"]
    for sheet in book.sheets:
        parts += [f"## {text(sheet.title)}", *_blocks(sheet)]
    return "\n\n".join(parts) + "\n"


def _blocks(sheet: Sheet) -> list[str]:
    """Runs of rows become tables: each starts at a row of heads, ends at a gap."""
    blocks: list[str] = []
    head: Row | None = None
    rows: list[Row] = []

    def close() -> None:
        if rows:
            blocks.append(_table(head, rows))

    for number, row in enumerate(sheet.rows):
        first = row[0] if row else None
        if first is not None and first.look in (Look.TITLE, Look.NOTE):
            close()
            head, rows = None, []
            if number or first.look is Look.NOTE:
                blocks.append(text(_shown(first)))
        elif not row or (first is not None and first.look is Look.HEAD and len(row) > 1 and _is_head(row)):
            close()
            head, rows = (row or head), []
        else:
            rows.append(row)
    close()
    return blocks


def _is_head(row: Row) -> bool:
    return all(cell is None or cell.look is Look.HEAD for cell in row)


def _table(head: Row | None, rows: Sequence[Row]) -> str:
    width = max(len(row) for row in [*rows, *([head] if head else [])])
    return table(_cells(head or (), width), [_cells(row, width) for row in rows])


def _cells(row: Row, width: int) -> list[str]:
    shown = [_cell(cell) for cell in row]
    return shown + [""] * (width - len(shown))


def _cell(cell: Cell | None) -> str:
    if cell is None or cell.value in (None, ""):
        return ""
    return code(str(cell.value)) if cell.look is Look.MONO else text(_shown(cell))


def _shown(cell: Cell) -> str:
    """The value as its look formats it."""
    value = cell.value
    if value is None or isinstance(value, str):
        return value or ""
    if cell.look is Look.PERCENT:
        return f"{value:.1%}"
    if cell.look in (Look.MONEY, Look.NUMBER) or (cell.look is Look.TOTAL and isinstance(value, float)):
        return f"{value:,.2f}"
    return f"{value:,.4f}" if cell.look is Look.RATE else f"{value:,}"


def render_csv(book: Workbook) -> str:
    """The cost lines and totals of every plan, as numbers."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for row in book.sheets[_COST_SHEET].rows:
        if len(row) > 1:
            writer.writerow([safe_cell(plain(_raw(cell))) for cell in row])
    return stream.getvalue()


def _raw(cell: Cell | None) -> str:
    if cell is None or cell.value is None:
        return ""
    return f"{cell.value:.2f}" if isinstance(cell.value, float) else str(cell.value)
