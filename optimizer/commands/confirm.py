"""``optimize confirm FILE``: what to measure before signing, and what that is worth."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.commands.options import OutputFile, language_option, problem_options, say_of

if TYPE_CHECKING:
    from optimizer.negotiate.plan_file import PlanFile


@click.command(name="confirm")
@problem_options
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
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
    """Which benchmark, on which rented node, would lower the bill of the problem FILE most, in expectation.

    Prints the bill at the asked confidence and without a margin, every setup that could be measured with what it costs
    and saves, and the commands. Exit code 3 where nothing keeps every promise.
    """
    from optimizer.commands.next_step import say_next
    from optimizer.commands.options import EXIT_CODES
    from optimizer.commands.progress import Progress
    from optimizer.negotiate.confirm import confirm
    from optimizer.report import status_of, write_output
    from optimizer.report.negotiate_confirm import render_confirmation

    say = say_of(lang, style)
    with Progress(sys.stderr, say) as progress:
        answer = confirm(plan or file, sets=sets, catalog=catalogs, progress=progress.say, simulate=not no_simulate)
    write_output(render_confirmation(answer, style, say), output)
    say_next("confirm", file, style=style, output=output, say=say)
    sys.exit(EXIT_CODES[status_of(answer.outcome)])
