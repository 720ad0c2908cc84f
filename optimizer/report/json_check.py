"""``optimize check --format json``: the problem as read, in the words of the report of a solved one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimizer.decide.understood import demand, understood
from optimizer.report.json_plan import dump
from optimizer.report.json_report import demand_document, understood_document
from optimizer.version import SCHEMA_VERSION, VERSION

if TYPE_CHECKING:
    from optimizer.problem import Problem


def render_check(problem: Problem, remarks: Sequence[str]) -> str:
    """The question alone; ``remarks`` say what is known of its models."""
    return dump(
        {
            "schema_version": SCHEMA_VERSION,
            "tool_version": VERSION,
            "problem": {"name": problem.name, "path": problem.path, "sha256": problem.sha256},
            "understood": understood_document(understood(problem)),
            "demand": [demand_document(one) for one in demand(problem)],
            "warnings": list(problem.warnings),
            "remarks": [remark for remark in remarks if remark],
        }
    )
