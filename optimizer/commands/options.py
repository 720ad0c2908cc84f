"""Options shared by every command that takes a problem file.

Solve a problem file for a command that hands the answer over in another form.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from optimizer.commands.completion import complete_edits
from optimizer.errors import UsageError
from optimizer.files.guard import will_write

if TYPE_CHECKING:
    from optimizer.negotiate.plan_file import PlanFile
    from optimizer.plan.types import Outcome, Plan
    from optimizer.planning.inputs import Inputs


_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


EXIT_CODES = {"optimal": 0, "infeasible": 3, "feasible": 4, "unknown": 4}
"""By what is known of the answer."""


class OutputFile(click.Path):
    """A file that the command writes. Named before anything is read, so that it is none of what is read."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path. Raises ``UsageError`` where another output is the same file."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        will_write(path)
        return path


class FiniteRange(click.FloatRange):
    """A range of numbers that nan and infinity are outside of."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


language_option = click.option(
    "--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Language of what people read."
)


def say_of(lang: str, style: str = "text") -> Callable[[str], str]:
    """What says a sentence in that language. Raises ``UsageError`` for a form that programs read."""
    from optimizer.handover.language import translator

    if lang != "en" and style in ("json", "csv"):
        raise UsageError(f"--lang {lang} is for what people read: {style} has names that programs know")
    return translator(lang)


def calibration_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--calibration FILE`` for a command with ``--set``: an edit of ``engine.calibration`` like any other."""

    @wraps(function)
    def with_edit(*, sets: tuple[str, ...], calibration: Path | None, **rest: Any) -> Any:
        if calibration is not None:  # here relative to where the user stands, in a problem file to the file
            sets = (*sets, f"engine.calibration={json.dumps(str(calibration.absolute()))}")
        return function(sets=sets, **rest)

    option = click.option(
        "--calibration",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Own fit, of `optimize calibrate`; overrides engine.calibration of the problem.",
    )
    return option(with_edit)


def quotes_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--quotes FILE`` for a command that takes a problem: an edit of ``offers`` like any other."""

    @wraps(function)
    def with_edit(
        *, file: Path, sets: tuple[str, ...], catalogs: Path | None, quotes: tuple[Path, ...], **rest: Any
    ) -> Any:
        if quotes:
            from optimizer.commands.quoted import offers_edit
            from optimizer.handover.language import error_translator

            sets = (*sets, offers_edit(file, sets, quotes, catalogs, error_translator(rest.get("lang", "en"))))
        return function(file=file, sets=sets, catalogs=catalogs, **rest)

    option = click.option(
        "--quotes",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A list of quotes (CSV, XLSX) beside the offers of the problem; see `optimize quotes`. Repeatable.",
    )
    return option(with_edit)


def problem_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """FILE, ``--set``, ``--catalogs``, ``--quotes``, ``--calibration``, ``--no-simulate``, ``--resolve``: one meaning
    everywhere. Of a plan file the command gets the problem in it, opened, as ``plan``."""
    return _opening(_asked(function), opened=True)


def answer_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command that shows the answer of a plan file as it is, whatever is here today."""
    return _opening(_asked(function), opened=False)


def _opening(function: Callable[..., Any], *, opened: bool) -> Callable[..., Any]:
    """Hand a plan file over as ``plan``, or with ``--resolve`` the question in it as ``file``."""

    @wraps(function)
    def with_plan(*, file: Path, resolve: bool, **rest: Any) -> Any:
        if file.suffix.lower() in (".yaml", ".yml"):
            return function(file=file, plan=None, **rest)
        from optimizer.commands.plan_file import with_plan_file

        return with_plan_file(function, file, rest, resolve=resolve, opened=opened)

    return click.option("--resolve", is_flag=True, help="Of a plan file: solve its problem anew, with what is here.")(
        with_plan
    )


def _asked(function: Callable[..., Any]) -> Callable[..., Any]:
    decorators: tuple[_Decorator, ...] = (
        click.argument("file", type=click.Path(path_type=Path)),
        click.option(
            "--set",
            "sets",
            multiple=True,
            metavar="PATH=VALUE",
            shell_complete=complete_edits,
            help="Change one value of the problem, e.g. workloads.chat.slo.ttft_ms=1500. Repeatable.",
        ),
        click.option(
            "--catalogs",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Directory whose CSV files override or extend the packaged catalogs.",
        ),
        quotes_option,
        calibration_option,
        click.option(
            "--no-simulate",
            is_flag=True,
            help="Do not replay plans request by request before they are shown.",
        ),
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def answer(
    file: Path,
    sets: tuple[str, ...],
    catalogs: Path | None,
    stream: TextIO,
    *,
    simulate: bool = True,
    plan: PlanFile | None = None,
    say: Callable[[str], str] = str,
) -> tuple[Inputs, Outcome]:
    """The problem with its catalogs, and its outcome, of a plan file as it is; progress goes to ``stream``."""
    from optimizer.commands.progress import Progress
    from optimizer.negotiate.solve import solved

    if plan is not None:
        return plan.inputs, plan.outcome
    with Progress(stream, say) as progress:
        found = solved(file, catalogs, sets=sets, progress=progress.say, simulate=simulate)
        return found.case.inputs, found.outcome


def exit_without_plans(outcome: Outcome, file: Path, say: Callable[[str], str]) -> None:
    """Leave with the exit code of the outcome where there is nothing to hand over."""
    import sys

    import click

    from optimizer.report import status_of

    if not outcome.plans:
        status = status_of(outcome)
        told = say(f"no plan to hand over. `optimize {file}` says why, and what would help.")
        click.echo(f"{say(status)}: {told}", err=True)
        sys.exit(EXIT_CODES[status])


def plan_of_rank(outcome: Outcome, rank: int) -> Plan:
    """The plan asked for. Raises ``UsageError`` where the ranking has none."""
    from optimizer.errors import UsageError

    if rank > len(outcome.plans):
        raise UsageError(f"there is no plan #{rank}: the ranking has {len(outcome.plans)}; ranking.top lists more")
    return outcome.plans[rank - 1]
