"""``optimize drill FILE``: what users see when a node dies, with and without a spare one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.commands.options import FiniteRange, problem_options

if TYPE_CHECKING:
    from optimizer.negotiate.plan_file import PlanFile


@click.command(name="drill")
@problem_options
@click.option("--rank", type=click.IntRange(min=1), default=1, show_default=True, help="Which plan of the ranking.")
@click.option(
    "--minutes", type=FiniteRange(0.1, 1440), default=5.0, show_default=True, help="How long the node is away."
)
@click.option(
    "--router",
    type=click.Choice(["round_robin", "least_outstanding", "shortest_queue", "prefix_affinity"]),
    help="How requests find a replica; left out: engine.router of FILE.",
)
def command(
    file: Path,
    plan: PlanFile | None,
    sets: tuple[str, ...],
    catalogs: Path | None,
    no_simulate: bool,
    rank: int,
    minutes: float,
    router: str | None,
) -> None:
    """Let a node of plan RANK of the problem FILE die under load and return: what users see meanwhile.

    With --no-simulate the ranking is not replayed first; the drill itself always is.
    """
    from optimizer.commands.next_step import say_next
    from optimizer.commands.options import answer, exit_without_plans, plan_of_rank
    from optimizer.commands.progress import Progress
    from optimizer.planning.drill import drill
    from optimizer.report.drill import render_drill
    from optimizer.vocabulary import Router

    asked = None if router is None else Router(router)
    if asked is not None and plan is None:
        sets = (*sets, f"engine.router={asked}")
    inputs, outcome = answer(file, sets, catalogs, sys.stderr, simulate=not no_simulate, plan=plan)
    exit_without_plans(outcome, file)
    chosen = plan_of_rank(outcome, rank)
    with Progress(sys.stderr) as progress:
        groups = drill(inputs, chosen, minutes, asked, say=progress.say)
    click.echo(
        render_drill(outcome.problem_name, rank, minutes, str(asked or inputs.problem.engine.router), groups), nl=False
    )
    say_next("drill", file)
