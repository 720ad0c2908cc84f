"""``optimize targets FILE``: what others must charge to win."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.commands.options import OutputFile, language_option, problem_options, say_of

if TYPE_CHECKING:
    from optimizer.negotiate.plan_file import PlanFile


@click.command(name="targets")
@problem_options
@click.option("--format", "style", type=click.Choice(["text", "json", "csv"]), default="text", show_default=True)
@click.option("-o", "--output", type=OutputFile(), help="Write the report to a file instead of stdout.")
@language_option
def command(
    file: Path,
    plan: PlanFile | None,
    sets: tuple[str, ...],
    catalogs: Path | None,
    no_simulate: bool,
    style: str,
    output: Path | None,
    lang: str,
) -> None:
    """The price per GPU-hour below which each other card and provider would win the problem FILE.

    For every card and provider that could keep the promises but is dearer, has no price or only a reference price:
    solved exactly, to the cent. Exit code 3 where nothing keeps every promise.
    """
    from optimizer.commands.next_step import say_next
    from optimizer.commands.options import EXIT_CODES
    from optimizer.commands.progress import Progress
    from optimizer.negotiate.targets import targets
    from optimizer.report import status_of, write_output
    from optimizer.report.negotiate_targets import render_targets

    say = say_of(lang, style)
    with Progress(sys.stderr, say) as progress:
        answer = targets(plan or file, sets=sets, catalog=catalogs, progress=progress.say, simulate=not no_simulate)
    write_output(render_targets(answer, style, say), output)
    say_next("targets", file, style=style, output=output, say=say)
    sys.exit(EXIT_CODES[status_of(answer.outcome)])
