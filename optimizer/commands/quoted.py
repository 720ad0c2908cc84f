"""``--quotes FILE`` for every command that takes a problem: lists of quotes as further entries of ``offers:``."""

from __future__ import annotations

import json
from pathlib import Path

import click


def offers_edit(file: Path, sets: tuple[str, ...], quotes: tuple[Path, ...], catalogs: Path | None) -> str:
    """The edit that adds the quotes of some lists to those of the problem file; what is refused is said on stderr.

    Raises ``UsageError`` where no quote could be read.
    """
    from optimizer.catalog import default_root, load_catalog
    from optimizer.catalog.importers.names import read_names
    from optimizer.catalog.importers.quote_types import Status
    from optimizer.catalog.importers.quote_yaml import offers_of
    from optimizer.catalog.importers.quotes import read_quotes
    from optimizer.errors import Finding, UsageError
    from optimizer.problem import load_problem

    catalog = load_catalog(catalogs)
    roots = [default_root()] if catalogs is None else [default_root(), catalogs]
    found = read_quotes(quotes, catalog, read_names(catalog.gpus, roots))
    refused = [line for line in found.lines if line.status is Status.REFUSED]
    if len(refused) == len(found.lines):
        raise UsageError([Finding(f"no quote: {line.reason}", line.file, line.line) for line in refused])
    for line in refused:
        click.echo(f"{line.file}:{line.line}: quote refused: {line.reason}", err=True)
    stated = load_problem(file, sets=sets).offers  # references are checked when the quotes are among them
    kept = [quote.model_dump(mode="json", exclude_none=True) for quote in stated]
    taken = {*catalog.offers, *(quote.id for quote in stated)}
    return f"offers={json.dumps([*kept, *offers_of(found.lines, taken)])}"
