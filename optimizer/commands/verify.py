"""``optimize verify plan.json``: an answer rechecked without the solver, by whoever holds it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from optimizer.commands.options import language_option, say_of

_DISAGREES = 1


@click.command(name="verify")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@language_option
def command(file: Path, style: str, lang: str) -> None:
    """Recheck the plan FILE (of `optimize PROBLEM -o plan.json`) without the solver and without the network.

    Money, placement, limits, quality, memory and load are worked out anew from the problem inside it; its fingerprints
    and the offers that it uses are held against the catalogs here. Exit code 0: all of it agrees. 1: what does not is
    listed. 2: FILE is no plan file.
    """
    from optimizer.commands.next_step import say_next
    from optimizer.negotiate.recheck import recheck
    from optimizer.report.json_report import render_json
    from optimizer.report.recheck import render_recheck

    say = say_of(lang, style)
    answer = recheck(file, render_json)
    click.echo(render_recheck(answer, style, say), nl=False)
    if not answer.holds:
        sys.exit(_DISAGREES)
    say_next("verify", file, style=style, say=say)
