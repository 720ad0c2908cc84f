"""What was understood of a problem, as text and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.errors import UsageError
from optimizer.negotiate.check import COLUMN
from optimizer.report.layout import Say
from optimizer.report.widths import padded, wrap
from optimizer.version import SCHEMA_VERSION, VERSION

if TYPE_CHECKING:
    from optimizer.negotiate.check import Checked


def render_check(checked: Checked, style: str = "text", say: Say = str, width: int | None = None) -> str:
    """The answer of ``optimize check`` as ``text``, wrapped at a width where one is given, or ``json``."""
    if style == "text":
        lines = [checked.title, *(f"  {padded(say(label), COLUMN)}{say(text)}" for label, text in checked.said)]
        lines += [say(remark) for remark in checked.remarks]
        if width is not None:
            lines = [piece for line in lines for piece in wrap(line, width, hang=" " * (COLUMN + 2), break_words=True)]
        return "\n".join(lines) + "\n"
    if style != "json":
        raise UsageError(f"no report format {style!r} for this answer; there are text, json")
    from optimizer.decide.understood import demand, loads, understood
    from optimizer.report.json_plan import dump
    from optimizer.report.json_report import demand_document, loads_document, understood_document

    problem = checked.problem
    return dump(
        {
            "schema_version": SCHEMA_VERSION,
            "tool_version": VERSION,
            "problem": {"name": problem.name, "path": problem.path, "sha256": problem.sha256},
            "understood": understood_document(understood(problem)),
            "load": loads_document(loads(problem, None)),
            "demand": demand_document(demand(problem)),
            "warnings": list(problem.warnings),
            "remarks": list(checked.remarks),
        }
    )
