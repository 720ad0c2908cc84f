"""``optimize drill FILE``: what users see when a node or a site dies, with and without spare nodes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.commands.options import FiniteRange, language_option, problem_options, say_of

if TYPE_CHECKING:
    from optimizer.negotiate.plan_file import PlanFile


@click.command(name="drill")
@problem_options
@click.option("--rank", type=click.IntRange(min=1), default=1, show_default=True, help="Which plan of the ranking.")
@click.option(
    "--minutes", type=FiniteRange(0.1, 1440), default=5.0, show_default=True, help="How long the node is away."
)
@click.option("--hours", type=FiniteRange(0.002, 24), help="The same in hours, instead of --minutes.")
@click.option("--site", is_flag=True, help="All nodes of a provider in a region are away, not one node.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--router",
    type=click.Choice(["round_robin", "least_outstanding", "shortest_queue", "prefix_affinity"]),
    help="How requests find a replica; left out: engine.router of FILE.",
)
@language_option
def command(
    file: Path,
    plan: PlanFile | None,
    sets: tuple[str, ...],
    catalogs: Path | None,
    no_simulate: bool,
    rank: int,
    minutes: float,
    hours: float | None,
    site: bool,
    style: str,
    router: str | None,
    lang: str,
) -> None:
    """Let a node of plan RANK of the problem FILE die under load and return: what users see meanwhile.

    What is gone is started again nowhere until it returns. Beside it stands the same with spare nodes for what is gone.

    With --no-simulate the ranking is not replayed first; the drill itself always is.
    """
    from optimizer.commands.next_step import say_next
    from optimizer.commands.options import answer, exit_without_plans, plan_of_rank
    from optimizer.commands.progress import Progress
    from optimizer.planning.drill import drill
    from optimizer.report.drill import Drilled, drill_json, render_drill
    from optimizer.vocabulary import Router

    say = say_of(lang, style)
    asked = None if router is None else Router(router)
    if asked is not None and plan is None:
        sets = (*sets, f"engine.router={asked}")
    inputs, outcome = answer(file, sets, catalogs, sys.stderr, simulate=not no_simulate, plan=plan, say=say)
    exit_without_plans(outcome, file, say)
    chosen = plan_of_rank(outcome, rank)
    away = minutes if hours is None else 60.0 * hours
    with Progress(sys.stderr, say) as progress:
        groups = drill(inputs, chosen, away, asked, say=progress.say, site=site)
    told = Drilled(outcome.problem_name, chosen, away, str(asked or inputs.problem.engine.router), groups, site)
    click.echo(drill_json(told) if style == "json" else render_drill(told, say), nl=False)
    if style == "text":
        say_next("drill", file, say=say)
