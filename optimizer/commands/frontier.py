"""``optimize frontier FILE``: the cost staircase over a field of the problem."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.commands.options import OutputFile, language_option, problem_options, say_of

if TYPE_CHECKING:
    from optimizer.negotiate.plan_file import PlanFile


@click.command(name="frontier")
@problem_options
@click.option("--over", nargs=2, required=True, metavar="FIELD FROM:TO[:STEP]", help="e.g. --over concurrency 50:400")
@click.option("--against", nargs=2, metavar="FIELD FROM:TO[:STEP]", help="One staircase per value of a second field.")
@click.option(
    "--points", type=click.IntRange(min=2), help="Values of --against, or of a field whose cost may rise and fall: 20."
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; default: one per processor.")
@click.option("--engine", metavar="dask://HOST[:PORT]", help="Spread the curves over a Dask cluster (extra: dask).")
@click.option("--chart", type=OutputFile(), metavar="FILE.svg|png", help="Also draw it (extra: charts).")
@click.option("--format", "style", type=click.Choice(["text", "json", "csv"]), default="text", show_default=True)
@click.option("-o", "--output", type=OutputFile(), help="Write the table to a file instead of stdout.")
@language_option
def command(
    file: Path,
    plan: PlanFile | None,
    sets: tuple[str, ...],
    catalogs: Path | None,
    no_simulate: bool,
    over: tuple[str, str],
    against: tuple[str, str] | None,
    points: int | None,
    jobs: int | None,
    engine: str | None,
    chart: Path | None,
    style: str,
    output: Path | None,
    lang: str,
) -> None:
    """The exact cost of every value of a numeric field of FILE, and where another deployment wins.

    FIELD is a path of the problem file (workloads.chat.slo.ttft_ms.p95) or its last names where they are unambiguous
    (concurrency, ttft_ms). Break points are found by bisection to the step of the field, not on a grid.
    """
    from optimizer.commands.next_step import say_next
    from optimizer.commands.progress import Progress
    from optimizer.files.atomic_write import write_atomic
    from optimizer.negotiate.frontier import frontier
    from optimizer.report import write_output
    from optimizer.report.negotiate_frontier import draw, render_frontier

    say = say_of(lang, style)
    with Progress(sys.stderr, say) as progress:
        answer = frontier(
            plan or file,
            over,
            against,
            points=points,
            jobs=jobs,
            engine=engine,
            sets=sets,
            catalog=catalogs,
            progress=progress.say,
            simulate=not no_simulate,
        )
    if chart is not None:
        write_atomic(chart, draw(answer, chart))
    write_output(render_frontier(answer, style, say), output)
    say_next("frontier", file, style=style, output=output, say=say)
