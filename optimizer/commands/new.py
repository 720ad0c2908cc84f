"""``optimize new KIND``: a commented problem file to start from."""

from __future__ import annotations

from pathlib import Path

import click

from optimizer.commands.options import OutputFile
from optimizer.errors import Finding, UsageError
from optimizer.files.guard import will_write

_KINDS = ("chatbot", "rag", "batch", "agents", "office")


@click.command(name="new")
@click.argument("kind", type=click.Choice(_KINDS))
@click.option("-o", "--output", type=OutputFile(), help="Write to a file instead of stdout.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def command(kind: str, output: Path | None, force: bool) -> None:
    """Write a commented problem file for a KIND of question, with safe margins, and the schema for editors beside it.

    optimize new chatbot -o chatbot.yaml
    """
    from optimizer.handover.json_schema import FILE_NAME, render_schema
    from optimizer.handover.starters import Starter, render_starter
    from optimizer.report import write_output

    if output is not None and output.exists() and not force:
        raise UsageError([Finding("exists already", file=str(output), hint="another name, or --force to replace it")])
    if output is None:
        write_output(render_starter(Starter(kind)), None)
        return
    schema = output.parent / FILE_NAME
    will_write(schema)  # before the first is written: one name cannot be both
    write_output(render_starter(Starter(kind)), output)
    if not schema.exists() or force:
        write_output(render_schema(), schema)
    click.echo(f"{output}: edit the figures marked <-, then run: optimize {output}")
