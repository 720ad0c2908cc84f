"""``optimize FILE``: the ranked, proven deployments of a problem file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.commands.options import EXIT_CODES, FiniteRange, OutputFile, answer_options, language_option, say_of
from optimizer.errors import UsageError

if TYPE_CHECKING:
    from optimizer.negotiate.plan_file import PackedAnswer, PlanText
    from optimizer.plan.types import Outcome

_ENDINGS = {".json": "json", ".csv": "csv"}


@click.command(name="solve")
@answer_options
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
    "--charts",
    is_flag=True,
    help="Also draw what the page of `optimize report` shows beyond the answer, which takes many more solves, and keep"
    " it in the plan file (-o FILE.json).",
)
@click.option(
    "--time-limit",
    type=FiniteRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Stop after so many seconds: the best plans found by then, with their gap (exit code 4).",
)
@language_option
def command(
    file: Path,
    plan: PlanText | None,
    sets: tuple[str, ...],
    catalogs: Path | None,
    no_simulate: bool,
    style: str | None,
    full: bool,
    output: Path | None,
    save_model: Path | None,
    charts: bool,
    time_limit: float,
    lang: str,
) -> None:
    """Rank the cheapest deployments that keep every promise of the problem FILE, with a proof.

    The answer fits a screen; --full has all of it. `optimize glossary` explains the terms. -o plan.json keeps the
    answer with its question: report, shortlist, launch, drill and diff take that file as it is, explain, targets,
    budget and frontier start from it, verify rechecks it; FILE may be one, to show its answer again.
    """
    from optimizer.commands.age import say_age
    from optimizer.report import render, status_of, write_output

    style = style or _ENDINGS.get("" if output is None else output.suffix.lower(), "text")
    say = say_of(lang, style)
    kept = output is not None and style == "json"
    if charts and not kept:
        raise UsageError("--charts are kept in a plan file: add -o plan.json")
    if plan is None:
        tested = kept or (style == "text" and full)  # nothing else shows the tests
        outcome, told = _solved(
            file, sets, catalogs, save_model, time_limit,
            simulate=not no_simulate, kept=kept, charts=charts, tested=tested, say=say,
        )  # fmt: skip
    else:
        if save_model is not None or charts:
            raise UsageError("an answer that is shown again has neither a model nor new charts: add --resolve")
        outcome, told = plan.outcome, _rendered(plan.carried) if kept else ""
    to_terminal = output is None and sys.stdout.isatty()
    shown = "screen" if style == "text" and not full else style
    write_output(told or render(outcome, shown, terminal=to_terminal, file=str(file), say=say), output)
    say_age(outcome, sys.stderr, say=say)
    sys.exit(EXIT_CODES[status_of(outcome)])


def _solved(
    file: Path,
    sets: tuple[str, ...],
    catalogs: Path | None,
    save_model: Path | None,
    time_limit: float,
    *,
    simulate: bool,
    kept: bool,
    charts: bool,
    tested: bool,
    say: Callable[[str], str],
) -> tuple[Outcome, str]:
    """The answer, and where it is kept the text of its plan file."""
    from optimizer.commands.progress import Progress
    from optimizer.negotiate.solve import solved
    from optimizer.report import write_output

    with Progress(sys.stderr, say) as progress:
        keep = partial(write_output, output=save_model) if save_model else None
        found = solved(
            file,
            catalogs,
            sets=sets,
            progress=progress.say,
            simulate=simulate,
            time_limit=time_limit,
            on_model=keep,
            tested=tested,
        )
        if not kept:
            return found.outcome, ""
        from optimizer.negotiate.page_curves import picture_of
        from optimizer.negotiate.plan_file import packed

        picture = picture_of(found.case, progress.say) if charts and found.outcome.plans else None
    return found.outcome, _rendered(packed(found, simulate=simulate, picture=picture))


def _rendered(carried: PackedAnswer) -> str:
    from optimizer.report.plan_file import render_plan_file

    return render_plan_file(carried)
