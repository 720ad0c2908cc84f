"""``optimize check FILE``: what was understood, or everything that is wrong."""

from __future__ import annotations

from pathlib import Path

import click

from optimizer.commands.options import problem_options


@click.command(name="check")
@problem_options
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(file: Path, sets: tuple[str, ...], catalogs: Path | None, no_simulate: bool, style: str) -> None:
    """Read the problem FILE against the catalogs and say what was understood, without solving anything.

    Exit code 0: sound. 2: all that is wrong is listed, with line and column.
    """
    from textwrap import wrap

    from optimizer.catalog import load_catalog, with_configs
    from optimizer.catalog.remarks import remarks
    from optimizer.commands.next_step import say_next
    from optimizer.planning.inputs import known_ids
    from optimizer.problem import load_problem
    from optimizer.problem.summary import summary_of

    catalog = load_catalog(catalogs)
    problem = load_problem(file, sets=sets, known=known_ids(catalog))
    names = list(dict.fromkeys(workload.model for workload in problem.workloads))
    models = with_configs(catalog, names, Path(problem.path).parent).models
    if style == "json":
        from optimizer.report.json_check import render_check

        click.echo(render_check(problem, [models[name].notes for name in names]), nl=False)
        return
    for line in summary_of(problem):
        click.echo("\n".join(wrap(line, 80, subsequent_indent=" " * 12, break_on_hyphens=False)))
    for name in names:
        for line in remarks(models[name]):
            click.echo(line)
    say_next("check", file)
