"""The text of ``plan.json``: the JSON report and what it carries for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.report.json_report import render_json

if TYPE_CHECKING:
    from optimizer.negotiate.plan_file import PackedAnswer


def render_plan_file(answer: PackedAnswer) -> str:
    """The report of the outcome, the question inside it."""
    from optimizer.negotiate.plan_file import written

    return written(render_json(answer.outcome), answer)
