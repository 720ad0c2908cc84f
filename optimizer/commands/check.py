"""``optimize check FILE``: what was understood, or everything that is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.commands.options import language_option, problem_options, say_of

if TYPE_CHECKING:
    from optimizer.negotiate.plan_file import PlanFile


_COLUMNS = 80


@click.command(name="check")
@problem_options
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@language_option
def command(
    file: Path,
    plan: PlanFile | None,
    sets: tuple[str, ...],
    catalogs: Path | None,
    no_simulate: bool,
    style: str,
    lang: str,
) -> None:
    """Read the problem FILE against the catalogs and say what was understood, without solving anything.

    Exit code 0: sound. 2: all that is wrong is listed, with line and column.
    """
    from optimizer.commands.next_step import say_next
    from optimizer.negotiate.check import check
    from optimizer.report.check import render_check

    say = say_of(lang, style)
    checked = check(plan.inputs.problem if plan else file, plan.inputs.catalog if plan else catalogs, sets=sets)
    width = _COLUMNS if sys.stdout.isatty() else None  # what another program reads is never wrapped
    click.echo(render_check(checked, style, say, width), nl=False)
    say_next("check", file, style=style, sets=sets, say=say)
