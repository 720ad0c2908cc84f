"""``optimize quotes FILE...``: price lists and quotes as people have them, for ``offers:`` of a problem file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.commands.options import OutputFile, language_option, say_of

if TYPE_CHECKING:
    from optimizer.catalog.importers.quote_types import QuoteLine
    from optimizer.catalog.importers.quotes import QuotesRead


@click.command(name="quotes")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "-o",
    "--output",
    type=OutputFile(),
    metavar="FILE",
    help="Write the quotes that were read as the list for `offers:` (YAML).",
)
@click.option("--provider", metavar="NAME", help="Whose quotes these are, where the list does not say it.")
@click.option(
    "--date-order",
    type=click.Choice(["dmy", "mdy"]),
    help="What 05/06/2026 is: dmy, 5 June; mdy, 6 May. Without it such a day is refused.",
)
@click.option(
    "--catalogs",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Directory whose aliases.csv, providers.csv and fx.csv extend the packaged ones.",
)
@language_option
def command(
    files: tuple[Path, ...],
    style: str,
    output: Path | None,
    provider: str | None,
    date_order: str | None,
    catalogs: Path | None,
    lang: str,
) -> None:
    """Read quotes from CSV or XLSX, headers in English or Chinese, also lists of gpuhunt, SkyPilot and ec2instances.

    Every line is read or refused with the reason; provider, card, number of cards, amount, currency and unit are never
    guessed. Exit code 2 where no quote could be read.
    """
    from optimizer.catalog import default_root, load_catalog
    from optimizer.catalog.importers.days import DateOrder
    from optimizer.catalog.importers.names import read_names
    from optimizer.catalog.importers.quote_rows import Options
    from optimizer.catalog.importers.quote_types import Status
    from optimizer.catalog.importers.quote_yaml import offers_yaml
    from optimizer.catalog.importers.quotes import read_quotes
    from optimizer.files.atomic_write import write_atomic

    say = say_of(lang, style)
    catalog = load_catalog(catalogs, models=())
    roots = [default_root()] if catalogs is None else [default_root(), catalogs]
    options = Options(provider, DateOrder(date_order) if date_order else None)
    found = read_quotes(files, catalog, read_names(catalog.gpus, roots), options)
    read = any(line.status is Status.READ for line in found.lines)
    if output is not None and read:
        write_atomic(output, offers_yaml(found.lines, catalog.offers))
    if style == "json":
        click.echo(json.dumps([line.json() for line in found.lines], ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(_text(found, output if read else None, say)))
    sys.exit(0 if read else 2)


def _text(found: QuotesRead, output: Path | None, say: Callable[[str], str]) -> list[str]:
    from optimizer.catalog.importers.quote_types import Status

    read = [line for line in found.lines if line.status is Status.READ]
    refused = [line for line in found.lines if line.status is Status.REFUSED]
    text = [say(f"{len(read):,} quotes read, {len(refused):,} refused")]
    if found.without_gpu:
        text.append(say(f"{found.without_gpu:,} machines without a card passed over"))
    for line in read:
        text.append(f"{line.file}:{line.line}: {_quote(line, say)}")
        text += [f"    {say(note)}" for note in line.notes]
    for line in refused:
        text.append(f"{line.file}:{line.line}: {say('refused')}")
        text += [f"    {say(note)}" for note in line.notes]
    for file in dict.fromkeys(line.file for line in found.lines):
        names = dict.fromkeys(name for line in found.lines if line.file == file for name in line.ignored_columns)
        if names:
            text.append(f"{file}: {say('columns that say nothing of a price, kept as comments')}: {', '.join(names)}")
    if output is not None:
        how = f"written to {output}: paste it under `offers:` of a problem file, or name the lists with --quotes"
        text.append(say(how))
    return text


def _quote(line: QuoteLine, say: Callable[[str], str]) -> str:
    assert line.amount is not None and line.unit is not None
    each = say(f"per {str(line.unit).replace('_', ' ')}")
    until = f", {say(f'valid until {line.valid_until}')}" if line.valid_until else ""
    tax = "" if line.tax_percent is None else f", {say(f'tax {line.tax_percent:g} %')}"
    node = f"{line.gpus_per_node}x {line.gpu}"
    return f"{line.provider}: {node}, {line.amount:,.10g} {line.currency} {each} ({line.tier}){tax}{until}"
