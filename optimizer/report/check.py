"""What was understood of a problem, as text and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.errors import UsageError
from optimizer.version import SCHEMA_VERSION, VERSION

if TYPE_CHECKING:
    from optimizer.negotiate.check import Checked


def render_check(checked: Checked, style: str = "text") -> str:
    """The answer of ``optimize check`` as ``text`` or ``json``."""
    if style == "text":
        return "\n".join([*checked.lines, *checked.remarks]) + "\n"
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
