"""``optimize report FILE -o report.html``: the answer as one page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.commands.options import OutputFile, problem_options

if TYPE_CHECKING:
    from optimizer.negotiate.page_curves import Picture
    from optimizer.plan.types import Outcome
    from optimizer.planning.inputs import Inputs


@click.command(name="report")
@problem_options
@click.option("-o", "--output", type=OutputFile(), required=True, help="The page, e.g. report.html.")
@click.option(
    "--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Language of the labels."
)
def command(
    file: Path, sets: tuple[str, ...], catalogs: Path | None, no_simulate: bool, output: Path, lang: str
) -> None:
    """Write the answer to the problem FILE as one HTML page: no network, no script, light and dark, printable."""
    from optimizer.commands.next_step import say_next
    from optimizer.commands.options import EXIT_CODES, answer
    from optimizer.files.atomic_write import write_atomic
    from optimizer.handover.language import translator
    from optimizer.handover.page import render_page
    from optimizer.report import status_of

    inputs, outcome = answer(file, sets, catalogs, sys.stderr, simulate=not no_simulate)
    picture = _picture(inputs, outcome, simulate=not no_simulate)
    write_atomic(output, render_page(outcome, picture, translator(lang), lang))
    click.echo(f"{output}: {len(outcome.plans)} plans, {status_of(outcome)}")
    say_next("report", file)
    sys.exit(EXIT_CODES[status_of(outcome)])


def _picture(inputs: Inputs, outcome: Outcome, *, simulate: bool) -> Picture | None:
    from optimizer.negotiate.page_curves import picture_of
    from optimizer.whatif.case import open_case

    return picture_of(open_case(inputs, simulate=simulate)) if outcome.plans else None
