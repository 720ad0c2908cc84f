"""The shortlist as Markdown (every sheet, with our values) and as CSV (the cost lines).

How a plan reads in a cell: words of the text report, joined for one line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimizer.handover.safe_text import code, plain, table, text
from optimizer.handover.shortlist.cells import Cell, Look, Row, Sheet, Workbook
from optimizer.report.csv_report import safe_cell
from optimizer.report.seen import SeenLatency, is_replayed, seen_by
from optimizer.report.words import (
    cache_words,
    gpu_name,
    interconnect_name,
    latency_unit,
    limit,
    promise_of,
    quant_name,
    tier_name,
    two_digits,
)
from optimizer.vocabulary import Role

if TYPE_CHECKING:
    from optimizer.plan.types import Group, NodeLine, Outcome, Plan, Prediction


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


def hardware(plan: Plan) -> str:
    """``4x H200 SXM 141GB``; several kinds joined by ``+``."""
    kinds: dict[str, int] = {}
    for node in plan.nodes:
        kinds[node.gpu] = kinds.get(node.gpu, 0) + node.count * node.gpus_per_node
    return " + ".join(f"{count}x {gpu_name(gpu)}" for gpu, count in kinds.items())


def setup(plan: Plan) -> str:
    """Formats and parallelism of every group."""
    several = len({group.workload for group in plan.groups}) > 1
    return "; ".join(f"{group.workload}: {_group(group)}" if several else _group(group) for group in plan.groups)


def _group(group: Group) -> str:
    split = f"{group.split} x {group.replicas:,}"
    link = interconnect_name(group.interconnect, group.link)
    pool = "" if group.role is Role.SERVE else f"{group.role}: "
    return f"{pool}{quant_name(group.weight_quant)}, {cache_words(group)}, {split}, {link}"


def source(node: NodeLine) -> str:
    """Provider, region, instance and tier of a line."""
    where = " ".join(part for part in (node.provider, node.region, node.instance_type) if part)
    return f"{where}, {tier_name(node.tier, node.commitment_months)}"


def sources(plan: Plan) -> str:
    """Where every node comes from."""
    return "; ".join(f"{node.count}x {source(node)}" for node in plan.nodes)


def kept(plan: Plan) -> list[str]:
    """Each promise: what the plan shows, replayed where it was, and its limit."""
    return [_kept(of, one) for of in plan.predicted for one in seen_by(plan, of) if one.estimate_s is not None]


def kept_head(outcome: Outcome) -> str:
    """What ``kept`` tells of these plans."""
    return "promises (replayed of limit)" if all(map(is_replayed, outcome.plans)) else "promises (estimate of limit)"


def _kept(of: Prediction, one: SeenLatency) -> str:
    name = promise_of(one.metric, one.percentile, one.length_class or of.length_class)
    factor, unit = latency_unit(one.limit_s, one.value_s)
    shown = f"{name} {two_digits(one.value_s * factor)}"
    return f"{shown} {unit}" if one.limit_s is None else f"{shown} / {limit(one.limit_s)}"
