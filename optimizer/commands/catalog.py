"""``optimize catalog``: what plans are made of, with filters; outside price lists; lists to fill in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optimizer.commands.options import OutputFile

if TYPE_CHECKING:
    from optimizer.catalog import Catalog
    from optimizer.catalog.importers.imported import Imported
    from optimizer.catalog.importers.names import Names
    from optimizer.catalog.listing import Listing

_Decorated = Callable[..., Any]


@click.group(name="catalog")
def command() -> None:
    """List the GPUs, models and offers that plans are made of, with the source of every figure."""


def _listing_options(function: _Decorated) -> _Decorated:
    for option in (
        click.option("--search", metavar="TEXT", help="Only rows in which TEXT occurs, in any column."),
        click.option(
            "--format",
            "form",
            type=click.Choice(["text", "json", "csv"]),
            default="text",
            show_default=True,
            help="json and csv show every column.",
        ),
        click.option(
            "--catalogs",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Directory whose CSV files override or extend the packaged catalogs.",
        ),
    ):
        function = option(function)
    return function


@command.command()
@click.option("--vendor", metavar="NAME", help="Only cards of this vendor: nvidia, amd, intel, huawei, cambricon.")
@_listing_options
def gpus(vendor: str | None, search: str | None, form: str, catalogs: Path | None) -> None:
    """GPUs and accelerators: memory, bandwidth, dense peaks, link."""
    from optimizer.catalog import listing

    catalog = _load(catalogs)
    if vendor is not None:
        _check("vendor", vendor, {gpu.vendor for gpu in catalog.gpus.values()})
    _show(listing.gpus(catalog, vendor), search, form)


@command.command()
@click.option("--family", metavar="NAME", help="Only models of this family, as the listing names it.")
@_listing_options
def models(family: str | None, search: str | None, form: str, catalogs: Path | None) -> None:
    """Models: parameters, KV cache per token, context, legal tensor-parallel sizes."""
    from optimizer.catalog import listing

    catalog = _load(catalogs)
    if family is not None:
        _check("family", family, {model.family for model in catalog.models.values()})
    _show(listing.models(catalog, family), search, form)


@command.command()
@click.option("--gpu", metavar="ID", help="Only nodes of this GPU.")
@click.option("--vendor", metavar="NAME", help="Only nodes of this GPU vendor.")
@click.option("--provider", metavar="ID", help="Only offers of this provider.")
@click.option("--tier", metavar="NAME", help="Only this tier: on_demand, spot, reserved_1y, reserved_3y, purchase.")
@click.option("--rankable/--reference", default=None, help="Only prices that may be ranked, or only reference prices.")
@_listing_options
def offers(
    *,
    gpu: str | None,
    vendor: str | None,
    provider: str | None,
    tier: str | None,
    rankable: bool | None,
    search: str | None,
    form: str,
    catalogs: Path | None,
) -> None:
    """Offers: one row per price, with its date and why it may or may not be ranked."""
    from optimizer.catalog import listing
    from optimizer.catalog.rows import TIERS

    catalog = _load(catalogs)
    for name, word, known in (
        ("GPU", gpu, set(catalog.gpus)),
        ("vendor", vendor, {item.vendor for item in catalog.gpus.values()}),
        ("provider", provider, set(catalog.providers)),
        ("tier", tier, set(TIERS)),
    ):
        if word is not None:
            _check(name, word, known)
    wanted = listing.OfferFilter(gpu, vendor, provider, tier, rankable)
    _show(listing.offers(catalog, wanted), search, form)


@command.group(name="import")
def import_group() -> None:
    """Turn outside price lists into an offers.csv that --catalogs DIR uses."""


def _import_options(function: _Decorated) -> _Decorated:
    for option in (
        click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."),
        click.option(
            "-o",
            "--output",
            required=True,
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
            help="Directory for offers.csv; what is there stays, an offer of the same id is replaced.",
        ),
        click.option("--date", metavar="DAY", help="Day of the prices, such as 2026-09-24, where the list has none."),
        click.option("--source", metavar="TEXT", help="Source of the prices, where the list names none."),
        click.option(
            "--catalogs",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Directory whose aliases.csv, providers.csv and fx.csv extend the packaged ones.",
        ),
    ):
        function = option(function)
    return function


@import_group.command()
@click.option("--provider", metavar="ID", help="Whose prices these are, where neither folder nor file name says it.")
@_import_options
def skypilot(
    files: tuple[Path, ...],
    output: Path,
    date: str | None,
    source: str | None,
    catalogs: Path | None,
    provider: str | None,
) -> None:
    """SkyPilot catalogs: vms.csv of any cloud, one or several.

    Of the zones of a region the cheapest price of each tier counts. Spot prices become the tier spot.
    """
    from optimizer.catalog.importers.skypilot import import_skypilot

    catalog, names = _for_import(catalogs)
    day = _day(date)
    read = import_skypilot(files, names, catalog.providers, provider=provider, date=day, source=source)
    _write_import(read, output, files)


@import_group.command(name="csv")
@_import_options
def plain_csv(
    files: tuple[Path, ...], output: Path, date: str | None, source: str | None, catalogs: Path | None
) -> None:
    """Plain quotes: a list as `optimize catalog template` prints it, in English or Chinese."""
    from optimizer.catalog.importers.quotes import import_quotes

    catalog, names = _for_import(catalogs)
    read = import_quotes(files, names, catalog.providers, catalog.fx, date=_day(date), source=source)
    _write_import(read, output, files)


@command.command()
@click.option("--cn", is_flag=True, help="The list for Chinese quotes: yuan, VAT included, new and used servers.")
@click.option("-o", "--output", type=OutputFile(), metavar="FILE", help="Write it here.")
def template(cn: bool, output: Path | None) -> None:
    """Print a price list to fill in for `optimize catalog import csv`."""
    from optimizer.catalog import default_root

    name = "price_list_cn.csv" if cn else "price_list.csv"
    text = (default_root() / "templates" / name).read_text(encoding="utf-8")
    if output is None:
        click.echo(text, nl=False)
    else:
        from optimizer.report.write import write_atomic

        write_atomic(output, text)


def _for_import(catalogs: Path | None) -> tuple[Catalog, Names]:
    from optimizer.catalog import default_root, load_catalog
    from optimizer.catalog.importers.names import read_names

    catalog = load_catalog(catalogs, models=())
    roots = [default_root()] if catalogs is None else [default_root(), catalogs]
    return catalog, read_names(catalog.gpus, roots)


def _day(text: str | None) -> str:
    from datetime import date

    from optimizer.errors import Finding, UsageError

    if text is None:
        return ""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise UsageError([Finding(f"--date: {text!r} is not a day", hint="write it as 2026-09-24")]) from None


def _write_import(read: Imported, output: Path, lists: tuple[Path, ...]) -> None:
    """What DIR holds is brought up to date; the price lists themselves are never written over."""
    from optimizer.catalog.importers.imported import summary
    from optimizer.catalog.importers.writing import offers_csv, providers_csv, rows_of
    from optimizer.documents.guard import refuse_to_write_over
    from optimizer.errors import CatalogError, Finding
    from optimizer.handover.folder import write_files

    if not read.prices:
        raise CatalogError([Finding(f"nothing could be imported\n{summary(read)}")])
    for name in ("offers.csv", "providers.csv"):
        refuse_to_write_over(output / name, lists)
    files = [("offers.csv", offers_csv(read, rows_of(output / "offers.csv")), False)]
    if read.providers:
        files.insert(0, ("providers.csv", providers_csv(read, rows_of(output / "providers.csv")), False))
    write_files(output, files, in_place=True)
    click.echo(f"{summary(read)}\nwritten to {output}; use it with --catalogs {output}")


def _load(catalogs: Path | None) -> Catalog:
    from optimizer.catalog import load_catalog

    return load_catalog(catalogs)


def _check(what: str, word: str, known: set[str]) -> None:
    if word not in known:
        from optimizer.documents.suggest import did_you_mean
        from optimizer.errors import Finding, UsageError

        hint = did_you_mean(word, known) or f"known: {', '.join(sorted(known))}"
        raise UsageError([Finding(f"unknown {what} {word!r}", hint=hint)])


def _show(listing: Listing, search: str | None, form: str) -> None:
    from optimizer.catalog.listing import render

    click.echo(render(listing.searched(search), form), nl=False)
