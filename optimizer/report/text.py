"""The text report: plain on a pipe, coloured on a terminal (rich is imported there only)."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

from optimizer.plan.types import Outcome
from optimizer.report.api import api_line
from optimizer.report.layout import WIDTH, Line, Style
from optimizer.report.ledger import ledger, single_kinds
from optimizer.report.periods import day_profile
from optimizer.report.plans import ranked
from optimizer.report.question import question
from optimizer.report.quotes import your_quotes
from optimizer.report.replayed import rejections
from optimizer.report.verdicts import funnel, no_plan, targets, terms, unpriced, verdicts

_LOOKS = {Style.HEADING: "bold", Style.STRONG: "bold cyan", Style.QUIET: "", Style.CAUTION: "yellow", Style.PLAIN: ""}


def render_text(outcome: Outcome) -> str:
    """The whole report without escape codes, at most 100 columns wide wherever words allow."""
    return "\n".join(line.text for line in report_lines(outcome)) + "\n"


def report_lines(outcome: Outcome) -> Iterator[Line]:
    """Question, ranking, ledger, verdicts, funnel, terms; without a plan: why not, and what would help."""
    lines = list(question(outcome))
    if outcome.plans:
        lines += ranked(outcome)
        lines += api_line(outcome)
        lines += your_quotes(outcome)
        lines += single_kinds(outcome)
        lines += day_profile(outcome)
        lines += ledger(outcome)
        lines += verdicts(outcome)
        lines += rejections(outcome)
        lines += funnel(outcome)
        lines += unpriced(outcome)
        lines += targets(outcome)
    else:
        lines += no_plan(outcome)
        lines += your_quotes(outcome)
    lines += terms("\n".join(line.text for line in lines))
    return iter(_without_trailing_blanks(lines))


def render_coloured(outcome: Outcome) -> str:
    """The same lines with escape codes for a terminal."""
    from rich.console import Console
    from rich.text import Text

    stream = io.StringIO()
    console = Console(file=stream, width=WIDTH, highlight=False, markup=False, soft_wrap=True, force_terminal=True)
    for line in report_lines(outcome):
        console.print(Text(line.text, style=_LOOKS[line.style]))
    return stream.getvalue()


def wants_colour() -> bool:
    """Not where NO_COLOR is set to anything but empty (no-color.org), nor on a dumb terminal."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _without_trailing_blanks(lines: list[Line]) -> list[Line]:
    end = len(lines)
    while end and not lines[end - 1].text:
        end -= 1
    return lines[:end]
