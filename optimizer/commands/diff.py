"""``optimize diff A B``: what changed between two results or two problem files."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from optimizer.commands.options import OutputFile, calibration_option, language_option, say_of


@click.command(name="diff")
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option(
    "--set", "sets", multiple=True, metavar="PATH=VALUE", help="Change one value of both problems. Repeatable."
)
@click.option(
    "--catalogs",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Directory whose CSV files override or extend the packaged catalogs.",
)
@calibration_option
@click.option("--no-simulate", is_flag=True, help="Do not replay plans request by request before they are compared.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-o", "--output", type=OutputFile(), help="Write the report to a file instead of stdout.")
@language_option
def command(
    before: Path,
    after: Path,
    sets: tuple[str, ...],
    catalogs: Path | None,
    no_simulate: bool,
    style: str,
    output: Path | None,
    lang: str,
) -> None:
    """What changed from BEFORE to AFTER in plan, cost lines and promises, and which input caused it.

    Both are results (optimize FILE --format json) or both are problem files, which are solved first. Of problem files,
    every changed input is also put alone into the first, to see what it does.
    """
    from optimizer.commands.next_step import say_next
    from optimizer.commands.progress import Progress
    from optimizer.negotiate.compare import compare
    from optimizer.report import write_output
    from optimizer.report.negotiate_compare import render_comparison

    say = say_of(lang, style)
    with Progress(sys.stderr, say) as progress:
        answer = compare(before, after, sets=sets, catalog=catalogs, progress=progress.say, simulate=not no_simulate)
    write_output(render_comparison(answer, style, say), output)
    say_next("diff", after, style=style, output=output, say=say)
