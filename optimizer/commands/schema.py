"""``optimize schema``: the JSON Schema of the problem file, for editors, or the reference page of its keys."""

from __future__ import annotations

from pathlib import Path

import click

from optimizer.commands.options import OutputFile


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
def command(output: Path | None, style: str) -> None:
    """Print the JSON Schema of the problem file: editors complete and check a file that names it in its first line.

    # yaml-language-server: $schema=problem.schema.json
    """
    from optimizer.handover.json_schema import render_reference, render_schema
    from optimizer.report import write_output

    write_output(render_schema() if style == "json" else render_reference(), output)
