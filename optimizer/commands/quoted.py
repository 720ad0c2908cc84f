"""``--quotes FILE`` for every command that takes a problem: lists of quotes as further entries of ``offers:``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click


def offers_edit(
    file: Path, sets: tuple[str, ...], quotes: tuple[Path, ...], catalogs: Path | None, say: Callable[[str], str] = str
) -> str:
    """The edit that adds the quotes of some lists to those of the problem file; what is refused is said on stderr.

    Raises ``UsageError`` where no quote could be read.
    """
    from optimizer.negotiate.quoted import add_quotes

    added = add_quotes(file, quotes, catalogs, sets=sets)
    for line in added.refused:
        click.echo(str(line.told(say)), err=True)
    return added.edit
