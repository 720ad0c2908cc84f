"""``optimize new KIND``: a commented problem file to start from."""

from __future__ import annotations

from pathlib import Path

import click

from optimizer.commands.completion import complete_models
from optimizer.commands.options import FiniteRange, OutputFile, language_option, say_of
from optimizer.errors import Finding, UsageError
from optimizer.files.guard import will_write

_KINDS = ("chatbot", "rag", "batch", "agents", "office", "voice")


@click.command(name="new")
@click.argument("kind", type=click.Choice(_KINDS))
@click.option("--model", shell_complete=complete_models, help="A catalog id, its name alone, or a config.json.")
@click.option("--users", type=click.IntRange(min=1), help="People using it in a usual busy hour.")
@click.option(
    "--ttft", type=FiniteRange(min=0, min_open=True), metavar="MS", help="Wait for the first token, p95, in ms."
)
@click.option(
    "--tpot", type=FiniteRange(min=0, min_open=True), metavar="MS", help="Time per further token, p95, in ms."
)
@click.option("-o", "--output", type=OutputFile(), help="Write to a file instead of stdout.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@language_option
def command(
    kind: str,
    model: str | None,
    users: int | None,
    ttft: float | None,
    tpot: float | None,
    output: Path | None,
    force: bool,
    lang: str,
) -> None:
    """Write a commented problem file for a KIND of question, with safe margins, and the schema for editors beside it.

    optimize new rag --model Qwen3-32B --users 300 --ttft 1500 -o rag.yaml
    """
    from optimizer.handover.json_schema import FILE_NAME, render_schema
    from optimizer.handover.starters import Starter, StarterFigures, render_starter
    from optimizer.report import write_output

    if output is not None and output.exists() and not force:
        raise UsageError([Finding("exists already", file=str(output), hint="another name, or --force to replace it")])
    text = render_starter(Starter(kind), StarterFigures(model, users, ttft, tpot), lang)
    if (model, users, ttft, tpot) != (None, None, None, None):
        _sound(text, output or Path("problem.yaml"))
    if output is None:
        write_output(text, None)
        return
    schema = output.parent / FILE_NAME
    will_write(schema)  # before the first is written: one name cannot be both
    write_output(text, output)
    if not schema.exists() or force:
        write_output(render_schema(), schema)
    click.echo(f"{output}: {say_of(lang)('edit the figures marked <-, then run:')} optimize {output}")


def _sound(text: str, path: Path) -> None:
    """Refuse what a problem file with these figures would be refused for: an unknown model, too long a context."""
    from optimizer.catalog import load_catalog
    from optimizer.planning.inputs import known_ids
    from optimizer.problem.reader import problem_from_bytes

    problem_from_bytes(text.encode(), path=path, known=known_ids(load_catalog()))
