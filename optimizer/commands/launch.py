"""``optimize launch FILE --rank N -o DIR``: what starts, serves and measures a ranked plan."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.commands.options import language_option, problem_options, say_of

if TYPE_CHECKING:
    from optimizer.negotiate.plan_file import PlanFile


@click.command(name="launch")
@problem_options
@click.option("--rank", type=click.IntRange(min=1), default=1, show_default=True, help="Which plan of the ranking.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the files."
)
@language_option
def command(
    file: Path,
    plan: PlanFile | None,
    sets: tuple[str, ...],
    catalogs: Path | None,
    no_simulate: bool,
    rank: int,
    output: Path,
    lang: str,
) -> None:
    """Write what starts plan RANK of the problem FILE: scripts, Kubernetes, compose, SkyPilot, and the benchmark.

    Kubernetes: manifests; KServe (vLLM); NVIDIA Dynamo (prefill and decode pools); autoscaling by KEDA between the
    periods of a day profile. The folder's README.md says what to do in which order, and what was left out and why. The
    files are in English, whatever --lang says.
    """
    from optimizer.commands.next_step import say_next
    from optimizer.commands.options import answer, exit_without_plans, plan_of_rank
    from optimizer.handover.language import write_files
    from optimizer.handover.launch import launch_files
    from optimizer.handover.launch.facts import load_facts

    say = say_of(lang)
    inputs, outcome = answer(file, sets, catalogs, sys.stderr, simulate=not no_simulate, plan=plan, say=say)
    exit_without_plans(outcome, file, say)
    chosen = plan_of_rank(outcome, rank)
    files = launch_files(outcome, chosen, inputs.catalog, load_facts(inputs.catalogs), inputs.problem.engine.version)
    write_files(output, [(one.name, one.text, one.executable) for one in files])
    click.echo(f"{output}: {say(f'{len(files)} files; start with')} {output / 'README.md'}")
    say_next("launch", file, say=say)
