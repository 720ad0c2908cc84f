"""The last line of a command that prints for people: what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from optimizer.report.widths import columns_of, padded

_NEXT = {
    "explain": ("targets", "prices to ask for; or drill, report, shortlist"),
    "why_not": ("explain", "why the best plan is the best"),
    "targets": ("budget", "what a budget buys; or frontier, shortlist"),
    "confirm": ("launch", "what starts the plan; or explain, shortlist"),
    "budget": ("frontier", "the cost over one number; or explain, targets"),
    "frontier": ("explain", "why the best plan is the best; or report"),
    "drill": ("launch", "what starts the plan; or explain, report"),
    "report": ("shortlist", "the same for procurement; or launch"),
    "shortlist": ("launch", "what starts a plan; or report, targets"),
    "launch": ("drill", "what users see when a node dies"),
    "check": ("", "the answer"),
    "diff": ("explain", "why the best plan is the best"),
    "memory": ("new chatbot", "a problem file to start from"),
    "verify": ("explain", "why the best plan is the best; or report, shortlist"),
    "calibrate": ("predict", "rows of your own, with --calibration"),
    "quotes": ("", "the answer, with --quotes"),
}
_COLUMNS, _LABEL = 80, 9
_SPARE = {"launch": " -o DIR", "report": " -o page.html", "shortlist": " -o list.xlsx", "frontier": " --over FIELD"}


def say_next(
    command: str,
    file: Path | None,
    *,
    style: str = "text",
    output: Path | None = None,
    sets: Sequence[str] = (),
    say: Callable[[str], str] = str,
) -> None:
    """What to type next on standard output; nothing where a program reads it, or where it went to a file."""
    if style != "text" or output is not None:
        return
    click.echo(next_line(command, file, sets, say))


def next_line(command: str, file: Path | None, sets: Sequence[str] = (), say: Callable[[str], str] = str) -> str:
    """``next     optimize explain FILE   (why)``, at most 80 columns: a long path is left to the reader. Edits that the
    question was asked with stay with it, one a line where they do not fit."""
    step, why = _NEXT[command]
    head, why = padded(say("next"), _LABEL), say(why)
    name = "" if file is None else shlex.quote(str(file))
    whole = [_typed(step, target) for target in (name, "FILE" if name else "")]
    if sets:
        edits = [f"--set {shlex.quote(one)}" for one in sets]
        line = f"{head}{' '.join([whole[0], *edits])}"
        return line if len(line) <= _COLUMNS else " \\\n           ".join([f"{head}{whole[0]}", *edits])
    lines = [f"{head}{whole[0]}   ({why})", f"{head}{whole[0]}", f"{head}{whole[1]}   ({why})"]
    return next((line for line in lines if columns_of(line) <= _COLUMNS), f"{head}{whole[1]}")


def _typed(step: str, target: str) -> str:
    return " ".join(word for word in ("optimize", step, target) if word) + _SPARE.get(step, "")
