"""``optimize schema``: the JSON Schema of the problem file, for editors, or the reference page of its keys."""

from __future__ import annotations

from pathlib import Path

import click

from optimizer.commands.options import OutputFile
from optimizer.errors import UsageError


@click.command(name="schema")
@click.option("-o", "--output", type=OutputFile(), help="Write to a file instead of stdout.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["json", "markdown"]),
    default="json",
    show_default=True,
    help="json: for editors; markdown: the reference page.",
)
@click.option("--result", is_flag=True, help="Of the result (--format json, plan.json) instead of the problem file.")
def command(output: Path | None, style: str, result: bool) -> None:
    """Print the JSON Schema of the problem file: editors complete and check a file that names it in its first line.

    # yaml-language-server: $schema=problem.schema.json

    With --result that of the result, for programs that read it.
    """
    from optimizer.handover.json_schema import render_reference, render_schema
    from optimizer.handover.result_schema import render_result_schema
    from optimizer.report import write_output

    if result and style != "json":
        raise UsageError("the schema of the result is JSON: leave --format out")
    text = render_result_schema() if result else render_schema() if style == "json" else render_reference()
    write_output(text, output)
