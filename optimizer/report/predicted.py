"""Predictions of a table as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

from optimizer.errors import UsageError

if TYPE_CHECKING:
    from optimizer.negotiate.predict import Predicted


def render_predicted(answer: Predicted, style: str = "csv") -> str:
    """The answer of ``optimize predict`` as ``csv`` or ``json``; there blank cells are null, numbers numbers."""
    if style == "csv":
        return answer.csv
    if style != "json":
        raise UsageError(f"no report format {style!r} for this answer; there are csv, json")
    rows = [{key: _cell(cell) for key, cell in row.items()} for row in csv.DictReader(io.StringIO(answer.csv))]
    return json.dumps({"rows": rows, "failed": answer.failed}, indent=2, ensure_ascii=False) + "\n"


def _cell(text: str) -> str | int | float | None:
    """The value of a cell."""
    if not text:
        return None
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if abs(value) < float("inf") else text
    return text
