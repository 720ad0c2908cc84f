"""``optimize FILE``: the ranked, proven deployments of a problem file."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from optimizer.commands.options import EXIT_CODES, FiniteRange, OutputFile, problem_options

_ENDINGS = {".json": "json", ".csv": "csv"}


@click.command(name="solve")
@problem_options
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "csv"]),
    help="Default: what the ending of -o says (.json, .csv), else text.",
)
@click.option("--full", is_flag=True, help="The whole report instead of its first screen (--format text).")
@click.option("-o", "--output", type=OutputFile(), help="Write the report to a file instead of stdout.")
@click.option("--save-model", type=OutputFile(), help="Also write the CP-SAT model (protobuf text).")
@click.option(
    "--time-limit",
    type=FiniteRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Stop after so many seconds: the best plans found by then, with their gap (exit code 4).",
)
def command(
    file: Path,
    sets: tuple[str, ...],
    catalogs: Path | None,
    no_simulate: bool,
    style: str | None,
    full: bool,
    output: Path | None,
    save_model: Path | None,
    time_limit: float,
) -> None:
    """Rank the cheapest deployments that keep every promise of the problem FILE, with a proof.

    The answer fits a screen; --full has all of it. `optimize glossary` explains the terms.
    """
    from optimizer.commands.age import say_age
    from optimizer.commands.progress import Progress
    from optimizer.negotiate.solve import solve
    from optimizer.report import render, status_of, write_output

    with Progress(sys.stderr) as progress:
        keep = partial(write_output, output=save_model) if save_model else None
        outcome = solve(
            file,
            catalogs,
            sets=sets,
            progress=progress.say,
            simulate=not no_simulate,
            time_limit=time_limit,
            on_model=keep,
        )
    to_terminal = output is None and sys.stdout.isatty()
    style = style or _ENDINGS.get("" if output is None else output.suffix.lower(), "text")
    shown = "screen" if style == "text" and not full else style
    write_output(render(outcome, shown, terminal=to_terminal, file=str(file)), output)
    say_age(outcome, sys.stderr)
    sys.exit(EXIT_CODES[status_of(outcome)])
