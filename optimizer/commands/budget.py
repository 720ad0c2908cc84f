"""``optimize budget FILE``: what a monthly budget buys."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.commands.options import OutputFile, language_option, problem_options, say_of

if TYPE_CHECKING:
    from optimizer.negotiate.plan_file import PlanFile


@click.command(name="budget")
@problem_options
@click.option("--monthly", type=float, metavar="MONEY", help="The budget a month; left out: budget.monthly of FILE.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-o", "--output", type=OutputFile(), help="Write the report to a file instead of stdout.")
@language_option
def command(
    file: Path,
    plan: PlanFile | None,
    sets: tuple[str, ...],
    catalogs: Path | None,
    no_simulate: bool,
    monthly: float | None,
    style: str,
    output: Path | None,
    lang: str,
) -> None:
    """What a budget buys: the most users, requests or tokens per second, and the best latencies.

    Ranked: the deployments that carry the largest load with every promise of FILE kept, within the budget. Then the
    lowest TTFT and TPOT for the load that FILE states. Exit code 3 where the budget buys nothing at all.
    """
    from optimizer.commands.next_step import say_next
    from optimizer.commands.options import EXIT_CODES
    from optimizer.commands.progress import Progress
    from optimizer.negotiate.budget import budget
    from optimizer.report import status_of, write_output
    from optimizer.report.negotiate_budget import render_budget

    say = say_of(lang, style)
    with Progress(sys.stderr, say) as progress:
        answer = budget(
            plan or file, monthly, sets=sets, catalog=catalogs, progress=progress.say, simulate=not no_simulate
        )
    write_output(render_budget(answer, style, say), output)
    say_next("budget", file, style=style, output=output, say=say)
    sys.exit(EXIT_CODES[status_of(answer.most)])
