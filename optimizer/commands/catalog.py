"""``optimize catalog``: what plans are made of, with filters; lists to fill in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optimizer.commands import catalog_update
from optimizer.commands.completion import complete_cards
from optimizer.commands.options import OutputFile, language_option, say_of

if TYPE_CHECKING:
    from optimizer.catalog import Catalog
    from optimizer.catalog.listing import Listing

_Decorated = Callable[..., Any]


@click.group(name="catalog")
def command() -> None:
    """List the GPUs, models and offers that plans are made of, with the source of every figure; refresh prices."""


command.add_command(catalog_update.command)


def _listing_options(function: _Decorated) -> _Decorated:
    for option in (
        language_option,
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
def gpus(vendor: str | None, search: str | None, form: str, catalogs: Path | None, lang: str) -> None:
    """GPUs and accelerators: memory, bandwidth, dense peaks, link."""
    from optimizer.catalog import listing

    catalog = _load(catalogs)
    if vendor is not None:
        _check("vendor", vendor, {gpu.vendor for gpu in catalog.gpus.values()})
    _show(listing.gpus(catalog, vendor), search, form, lang)


@command.command()
@click.option("--family", metavar="NAME", help="Only models of this family, as the listing names it.")
@_listing_options
def models(family: str | None, search: str | None, form: str, catalogs: Path | None, lang: str) -> None:
    """Models: parameters, KV cache per token, context, legal tensor-parallel sizes."""
    from optimizer.catalog import listing

    catalog = _load(catalogs)
    if family is not None:
        _check("family", family, {model.family for model in catalog.models.values()})
    _show(listing.models(catalog, family), search, form, lang)


@command.command()
@click.option("--gpu", metavar="ID", shell_complete=complete_cards, help="Only nodes of this GPU.")
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
    lang: str,
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
    _show(listing.offers(catalog, wanted), search, form, lang)


@command.command()
@click.option("--cn", is_flag=True, help="The list for Chinese quotes: yuan, VAT included, new and used servers.")
@click.option("-o", "--output", type=OutputFile(), metavar="FILE", help="Write it here.")
def template(cn: bool, output: Path | None) -> None:
    """Print a price list to fill in for `optimize quotes`."""
    from optimizer.catalog import default_root

    name = "price_list_cn.csv" if cn else "price_list.csv"
    text = (default_root() / "templates" / name).read_text(encoding="utf-8")
    if output is None:
        click.echo(text, nl=False)
    else:
        from optimizer.files.atomic_write import write_atomic

        write_atomic(output, text)


def _load(catalogs: Path | None) -> Catalog:
    from optimizer.catalog import load_catalog

    return load_catalog(catalogs)


def _check(what: str, word: str, known: set[str]) -> None:
    if word not in known:
        from optimizer.errors import Finding, UsageError
        from optimizer.files.text_file import did_you_mean

        hint = did_you_mean(word, known) or f"known: {', '.join(sorted(known))}"
        raise UsageError([Finding(f"unknown {what} {word!r}", hint=hint)])


def _show(listing: Listing, search: str | None, form: str, lang: str) -> None:
    from optimizer.catalog.listing import render

    click.echo(render(listing.searched(search), form, say_of(lang, form)), nl=False)
