"""``optimize shortlist FILE -o shortlist.xlsx``: the ranking as a workbook that procurement can work with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.commands.options import OutputFile, language_option, problem_options

if TYPE_CHECKING:
    from optimizer.negotiate.plan_file import PlanFile

_FORMS = (".xlsx", ".csv", ".md")


@click.command(name="shortlist")
@problem_options
@click.option("-o", "--output", type=OutputFile(), required=True, help="A file: .xlsx, .md or .csv.")
@language_option
def command(
    file: Path,
    plan: PlanFile | None,
    sets: tuple[str, ...],
    catalogs: Path | None,
    no_simulate: bool,
    output: Path,
    lang: str,
) -> None:
    """Write the ranking of the problem FILE as a shortlist: costs with live formulas, bill of materials, promises,
    reasons, sources, risks, quote comparison, request for quotation.

    The ending of the file decides the form: .xlsx has everything live, .md the same for reading, .csv the cost lines.
    """
    from optimizer.commands.next_step import say_next
    from optimizer.commands.options import EXIT_CODES, answer
    from optimizer.errors import Finding, UsageError
    from optimizer.files.atomic_write import write_atomic
    from optimizer.handover.language import translator
    from optimizer.handover.shortlist import workbook_of
    from optimizer.report import status_of

    if output.suffix not in _FORMS:
        raise UsageError(
            [Finding(f"no shortlist ends in {output.suffix!r}", str(output), hint="known: .xlsx, .md, .csv")]
        )
    say = translator(lang)
    inputs, outcome = answer(file, sets, catalogs, sys.stderr, simulate=not no_simulate, plan=plan, say=say)
    book = workbook_of(outcome, inputs.problem, inputs.catalog, say)
    write_atomic(output, _rendered(book, output.suffix))
    click.echo(f"{output}: {say(f'{len(book.sheets)} sheets, {len(outcome.plans)} plans, {status_of(outcome)}')}")
    say_next("shortlist", file, say=say)
    sys.exit(EXIT_CODES[status_of(outcome)])


def _rendered(book: object, suffix: str) -> str | bytes:
    from optimizer.handover.shortlist.cells import Workbook
    from optimizer.handover.shortlist.plain_forms import render_csv, render_markdown
    from optimizer.handover.shortlist.xlsx import render_xlsx

    assert isinstance(book, Workbook)
    if suffix == ".xlsx":
        return render_xlsx(book)
    return render_markdown(book) if suffix == ".md" else render_csv(book)
