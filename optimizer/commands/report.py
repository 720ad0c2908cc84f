"""``optimize report FILE -o report.html``: the answer as one page."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.commands.options import OutputFile, answer_options, language_option

if TYPE_CHECKING:
    from optimizer.negotiate.page_curves import Picture
    from optimizer.negotiate.plan_file import PlanText
    from optimizer.plan.types import Outcome


@click.command(name="report")
@answer_options
@click.option("-o", "--output", type=OutputFile(), required=True, help="The page, e.g. report.html.")
@language_option
def command(
    file: Path,
    plan: PlanText | None,
    sets: tuple[str, ...],
    catalogs: Path | None,
    no_simulate: bool,
    output: Path,
    lang: str,
) -> None:
    """Write the answer to the problem FILE as one HTML page: no network, no script, light and dark, printable.

    Of a plan file the page shows the charts that were kept in it (`optimize FILE --charts -o plan.json`).
    """
    from optimizer.commands.next_step import say_next
    from optimizer.commands.options import EXIT_CODES
    from optimizer.files.atomic_write import write_atomic
    from optimizer.handover.language import translator
    from optimizer.handover.page import render_page
    from optimizer.report import status_of

    say = translator(lang)
    if plan is None:
        outcome, picture = _drawn(file, sets, catalogs, say, simulate=not no_simulate)
    else:
        outcome, picture = plan.outcome, plan.carried.picture
    if outcome.plans and picture is None:
        missing = say("holds no charts of what more load and other promises cost: the page has none")
        click.echo(f"{file} {missing}", err=True)
    write_atomic(output, render_page(outcome, picture, say, lang))
    click.echo(f"{output}: {say(f'{len(outcome.plans)} plans, {status_of(outcome)}')}")
    say_next("report", file, say=say)
    sys.exit(EXIT_CODES[status_of(outcome)])


def _drawn(
    file: Path, sets: tuple[str, ...], catalogs: Path | None, say: Callable[[str], str], *, simulate: bool
) -> tuple[Outcome, Picture | None]:
    from optimizer.commands.progress import Progress
    from optimizer.negotiate.page_curves import picture_of
    from optimizer.negotiate.solve import solved

    with Progress(sys.stderr, say) as progress:
        found = solved(file, catalogs, sets=sets, progress=progress.say, simulate=simulate)
        return found.outcome, picture_of(found.case, progress.say) if found.outcome.plans else None
