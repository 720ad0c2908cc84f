"""The last line of a command that prints for people: what to type next."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

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
_COLUMNS = 80
_SPARE = {"launch": " -o DIR", "report": " -o page.html", "shortlist": " -o list.xlsx", "frontier": " --over FIELD"}


def say_next(command: str, file: Path | None, *, style: str = "text", output: Path | None = None) -> None:
    """One line on standard output; none where a program reads it, or where it went to a file."""
    if style != "text" or output is not None:
        return
    click.echo(next_line(command, file))


def next_line(command: str, file: Path | None) -> str:
    """``next     optimize explain FILE   (why)``, at most 80 columns: a long path is left to the reader."""
    step, why = _NEXT[command]
    name = "" if file is None else shlex.quote(str(file))
    whole = [_typed(step, target) for target in (name, "FILE" if name else "")]
    lines = [f"next     {whole[0]}   ({why})", f"next     {whole[0]}", f"next     {whole[1]}   ({why})"]
    return next((line for line in lines if len(line) <= _COLUMNS), f"next     {whole[1]}")


def _typed(step: str, target: str) -> str:
    return " ".join(word for word in ("optimize", step, target) if word) + _SPARE.get(step, "")
