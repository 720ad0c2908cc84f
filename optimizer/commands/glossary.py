"""``optimize glossary``: what the terms of the reports mean."""

from __future__ import annotations

import click

from optimizer.commands.options import language_option, say_of


@click.command(name="glossary")
@click.argument("words", nargs=-1)
@language_option
def command(words: tuple[str, ...], lang: str) -> None:
    """Explain the terms of the reports: all of them, or those that hold one of WORDS.

    optimize glossary TTFT room
    """
    from optimizer.errors import UsageError
    from optimizer.report.glossary import glossary

    lines = list(glossary(words, say_of(lang)))
    if not lines:
        raise UsageError(f"no term with {' or '.join(words)}; `optimize glossary` lists them all")
    for line in lines:
        click.echo(line)
