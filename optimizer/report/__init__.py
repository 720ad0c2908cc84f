"""Render an outcome as text, JSON or CSV and write it safely. No computation: every figure comes from the plan.

The renderers are imported inside the functions, so that a run pays only for the format it prints.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from optimizer.errors import UsageError
from optimizer.plan.types import Outcome, status_of

if TYPE_CHECKING:
    from optimizer.negotiate.budget import BudgetAnswer
    from optimizer.negotiate.check import Checked
    from optimizer.negotiate.compare import Comparison
    from optimizer.negotiate.explain import Explanation
    from optimizer.negotiate.frontier import Frontier
    from optimizer.negotiate.memory import MemoryAnswer
    from optimizer.negotiate.predict import Predicted
    from optimizer.negotiate.targets import Targets
    from optimizer.negotiate.why_not import WhyNot

    Answer: TypeAlias = (
        BudgetAnswer | Checked | Comparison | Explanation | Frontier | MemoryAnswer | Predicted | Targets | WhyNot
    )

__all__ = ["render", "status_of", "write_output"]


def render(outcome: Outcome | Answer, style: str = "text", *, terminal: bool = False) -> str:
    """The report as ``text``, ``json`` or ``csv``; ``terminal`` lets the text carry colour where it is wanted.

    Takes outcomes and the answers of ``budget``, ``targets``, ``frontier``, ``explain``, ``why_not``, ``compare``,
    ``check`` and ``memory``; those of ``predict`` as ``csv`` or ``json``.
    """
    if not isinstance(outcome, Outcome):
        from optimizer.report.negotiate_words import render_answer

        return render_answer(outcome, style)
    if style == "json":
        from optimizer.report.json_report import render_json

        return render_json(outcome)
    if style == "csv":
        from optimizer.report.csv_report import render_csv

        return render_csv(outcome)
    if style != "text":
        raise UsageError(f"no report format {style!r}; there are text, json and csv")
    from optimizer.report.text import render_coloured, render_text, wants_colour

    return render_coloured(outcome) if terminal and wants_colour() else render_text(outcome)


def write_output(report: str, output: Path | None) -> None:
    """Write a report to a file, whole or not at all, or to stdout where ``output`` is None."""
    if output is not None:
        from optimizer.files.atomic_write import write_atomic

        write_atomic(output, report)
        return
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(report.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
