"""``optimize explain FILE``: why this plan, and why not another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.commands.options import OutputFile, language_option, problem_options, say_of

if TYPE_CHECKING:
    from optimizer.negotiate.plan_file import PlanFile


@click.command(name="explain")
@problem_options
@click.option("--why-not", "wish", metavar="WORDS", help='Why not this, e.g. "a100_sxm_80 int4 tp2", or a provider.')
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-o", "--output", type=OutputFile(), help="Write the report to a file instead of stdout.")
@language_option
def command(
    file: Path,
    plan: PlanFile | None,
    sets: tuple[str, ...],
    catalogs: Path | None,
    no_simulate: bool,
    wish: str | None,
    style: str,
    output: Path | None,
    lang: str,
) -> None:
    """Why the best plan of the problem FILE is the best: what buys the hardware, what each promise costs.

    With --why-not: the promise that a card, provider or configuration breaks and by how much, or what it costs more
    and which line that comes from. Exit code 3 where nothing keeps every promise.
    """
    from optimizer.commands.next_step import say_next
    from optimizer.commands.options import EXIT_CODES
    from optimizer.commands.progress import Progress
    from optimizer.report import status_of, write_output

    say = say_of(lang, style)
    with Progress(sys.stderr, say) as progress:
        if wish is not None:
            from optimizer.negotiate.why_not import why_not
            from optimizer.report.negotiate_why_not import render_why_not

            refusal = why_not(
                plan or file, wish, sets=sets, catalog=catalogs, progress=progress.say, simulate=not no_simulate
            )
            report, code = render_why_not(refusal, style, say), 0
        else:
            from optimizer.negotiate.explain import explain
            from optimizer.report.negotiate_explain import render_explanation

            answer = explain(plan or file, sets=sets, catalog=catalogs, progress=progress.say, simulate=not no_simulate)
            report, code = render_explanation(answer, style, say), EXIT_CODES[status_of(answer.outcome)]
    write_output(report, output)
    say_next("explain" if wish is None else "why_not", file, style=style, output=output, say=say)
    sys.exit(code)
