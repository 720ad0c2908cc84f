"""Render an outcome as text, JSON or CSV and write it safely. No computation: every figure comes from the plan.

The renderers are imported inside the functions, so that a run pays only for the format it prints.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
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


def render(
    outcome: Outcome | Answer,
    style: str = "text",
    *,
    terminal: bool = False,
    file: str = "",
    say: Callable[[str], str] = str,
) -> str:
    """Render an answer as text, JSON or CSV.

    Parameters
    ----------
    outcome : Outcome or another answer
        Of ``solve``, ``budget``, ``targets``, ``frontier``, ``explain``, ``why_not``, ``compare``, ``check`` or
        ``memory``; that of ``predict`` as ``csv`` or ``json``.
    style : str
        ``screen`` (what a person sees first: at most 40 lines), ``text`` (the whole of it), ``json``, or ``csv`` where
        the answer is a table.
    terminal : bool
        Whether it goes to one, so that it may carry colour where that is wanted; the screen is then as wide as it is,
        else 80 columns.
    file : str
        The problem as the user typed it, for the commands to type next.
    say : callable
        Says a sentence of ``screen`` or ``text`` in another language; ``translator("zh")`` of
        ``optimizer.handover.language``.

    Returns
    -------
    str
        Ends with a line end. Money in the problem's currency, latencies in the unit beside them.

    Raises
    ------
    UsageError
        For a style that the answer does not have.
    """
    if not isinstance(outcome, Outcome):
        from optimizer.report.negotiate_words import render_answer

        return render_answer(outcome, style, say)
    if style == "json":
        from optimizer.report.json_report import render_json

        return render_json(outcome)
    if style == "csv":
        from optimizer.report.csv_report import render_csv

        return render_csv(outcome)
    from optimizer.report.screen import render_screen, terminal_width, wants_colour

    colour = terminal and wants_colour()
    if style == "screen":
        return render_screen(outcome, width=terminal_width() if terminal else None, file=file, colour=colour, say=say)
    if style != "text":
        raise UsageError(f"no report format {style!r}; there are screen, text, json and csv")
    from optimizer.report.text import render_coloured, render_text

    return render_coloured(outcome, say) if colour else render_text(outcome, say)


def write_output(report: str, output: Path | None) -> None:
    """Write a report to a file, whole or not at all, or to stdout where ``output`` is None."""
    if output is not None:
        from optimizer.files.atomic_write import write_atomic

        write_atomic(output, report)
        return
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(report.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
