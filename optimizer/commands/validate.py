"""``optimize validate``: score the performance model against published measurements."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from optimizer.commands.options import language_option, say_of


@click.command(name="validate")
@click.option("--refit", is_flag=True, help="Fit all parameters anew first and write them (ten minutes or more).")
@click.option("--rounds", default=3, show_default=True, help="Rounds of a refit.")
@click.option("--catalogs", type=click.Path(path_type=Path), metavar="DIR", help="A whole catalog directory to use.")
@language_option
def command(refit: bool, rounds: int, catalogs: Path | None, lang: str) -> None:
    """Predict every packaged measurement by a fit that saw nothing of its source x GPU x model group, and score it.

    Prints median and mean absolute error, signed bias and how many truths lie inside the 90 % band (bands that did
    not see them either), by GPU, model family, engine, precision and load.
    """
    from optimizer.calibrate.refit import refit as fit_anew
    from optimizer.calibrate.scores import report, text_table
    from optimizer.calibrate.validation import validate
    from optimizer.catalog import default_root, load_catalog
    from optimizer.commands.progress import Progress
    from optimizer.report.widths import columns_of

    say = say_of(lang)
    with Progress(sys.stderr, say) as progress:
        if refit:
            fit_anew(catalogs or default_root(), load_catalog(), rounds, progress.say)
        found = validate(catalogs, progress=progress.say)
    for line in report(list(found.errors), partial(text_table, say=say, columns_of=columns_of), "-- {} --", say):
        click.echo(line)
    click.echo(say(f"{found.set_aside} rows are set aside, each with its reason in measurements/exclusions.csv"))
