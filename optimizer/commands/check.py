"""``optimize check FILE``: what was understood, or everything that is wrong."""

from __future__ import annotations

from pathlib import Path

import click

from optimizer.commands.options import problem_options


@click.command(name="check")
@problem_options
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(file: Path, sets: tuple[str, ...], catalogs: Path | None, no_simulate: bool, style: str) -> None:
    """Read the problem FILE against the catalogs and say what was understood, without solving anything.

    Exit code 0: sound. 2: all that is wrong is listed, with line and column.
    """
    from optimizer.negotiate.check import check
    from optimizer.report.check import render_check

    click.echo(render_check(check(file, catalogs, sets=sets), style), nl=False)
