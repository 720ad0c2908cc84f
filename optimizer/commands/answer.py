"""Solve a problem file for a command that hands the answer over in another form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from optimizer.decide.inputs import Inputs
    from optimizer.plan.types import Outcome, Plan


def answer(
    file: Path, sets: tuple[str, ...], catalogs: Path | None, stream: TextIO, *, simulate: bool = True
) -> tuple[Inputs, Outcome]:
    """The problem with its catalogs, and its outcome; progress goes to ``stream``."""
    from optimizer import decide
    from optimizer.commands.progress import Progress
    from optimizer.decide.inputs import read_inputs
    from optimizer.negotiate.your_quotes import with_quotes

    with Progress(stream) as progress:
        progress.say("reading the problem and the catalogs")
        inputs = read_inputs(file, sets=sets, catalogs=catalogs)
        found = decide.answer(inputs, progress=progress.say, simulate=simulate)
        return inputs, with_quotes(found.outcome, found.case, progress.say)


def exit_without_plans(outcome: Outcome, file: Path) -> None:
    """Leave with the exit code of the outcome where there is nothing to hand over."""
    import sys

    import click

    from optimizer.commands.solve import EXIT_CODES
    from optimizer.report import status_of

    if not outcome.plans:
        status = status_of(outcome)
        click.echo(f"{status}: no plan to hand over. `optimize {file}` says why, and what would help.", err=True)
        sys.exit(EXIT_CODES[status])


def plan_of_rank(outcome: Outcome, rank: int) -> Plan:
    """The plan asked for. Raises ``UsageError`` where the ranking has none."""
    from optimizer.errors import UsageError

    if rank > len(outcome.plans):
        raise UsageError(f"there is no plan #{rank}: the ranking has {len(outcome.plans)}; ranking.top lists more")
    return outcome.plans[rank - 1]
