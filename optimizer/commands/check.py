"""``optimize check FILE``: what was understood, or everything that is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.commands.options import problem_options

if TYPE_CHECKING:
    from optimizer.negotiate.plan_file import PlanFile


@click.command(name="check")
@problem_options
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    file: Path, plan: PlanFile | None, sets: tuple[str, ...], catalogs: Path | None, no_simulate: bool, style: str
) -> None:
    """Read the problem FILE against the catalogs and say what was understood, without solving anything.

    Exit code 0: sound. 2: all that is wrong is listed, with line and column.
    """
    from textwrap import wrap

    from optimizer.commands.next_step import say_next
    from optimizer.negotiate.check import check
    from optimizer.report.check import render_check

    told = render_check(
        check(plan.inputs.problem if plan else file, plan.inputs.catalog if plan else catalogs, sets=sets), style
    )
    if style == "json":
        click.echo(told, nl=False)
        return
    watched = sys.stdout.isatty()  # what another program reads is never wrapped
    for line in told.splitlines():
        click.echo(
            line if not watched else "\n".join(wrap(line, 80, subsequent_indent=" " * 12, break_on_hyphens=False))
        )
    say_next("check", file, sets=sets)
