"""What an importer hands over: prices in the terms of our catalog, and what was left out and why.

Imported prices as the text of ``offers.csv`` and ``providers.csv``: sorted, harmless in a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from optimizer.catalog.rows import OFFER_COLUMNS, OFFER_EXTRAS, PROVIDER_COLUMNS
from optimizer.catalog.types import Provider
from optimizer.errors import CatalogError
from optimizer.files.csv_file import read_table
from optimizer.files.text_file import is_there
from optimizer.vocabulary import Link, Tier

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LINES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Node:
    """What is rented out or sold. Two prices of the same node and tier are duplicates."""

    id: str  # as the list names it; blank: made from the rest
    provider: str
    instance_type: str
    gpu: str
    gpus_per_node: int
    link: Link
    link_basis: str
    region: str
    quote_ref: str = ""


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """One price of one node."""

    node: Node
    tier: Tier
    amount: float  # per hour and node, net of tax; for purchase per node, once
    currency: str
    date: str  # ISO; blank = not stated, so never ranked
    source: str
    notes: str
    tax_percent: float | None = None
    stock: int | None = None
    lead_time_weeks: float | None = None
    valid_until: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row, or a price of it, that was not taken over."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """Everything read from one or several lists."""

    prices: tuple[ListedPrice, ...]
    left_out: tuple[LeftOut, ...]
    without_gpu: int  # rows of machines without a card
    duplicates: int  # prices for which a better one of the same node and tier was taken
    providers: tuple[Provider, ...] = ()  # that providers.csv does not list yet
    assumed: tuple[str, ...] = ()


def price_of(text: str) -> float | str | None:
    """A price above zero; None where the cell is blank; else why it is refused."""
    text = text.strip()
    if not text or text.lower() in ("nan", "none", "null", "-"):
        return None
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        return f"price {text[:40]!r} is not a number"
    return value if value > 0 else f"price {text[:40]} is not above 0"


def best_of(prices: Sequence[ListedPrice]) -> tuple[ListedPrice, ...]:
    """One price per node and tier: the newest date counts, then the cheapest, then the first in the list."""
    best: dict[tuple[Node, Tier], ListedPrice] = {}
    for price in prices:
        key = (price.node, price.tier)
        other = best.get(key)
        if other is None or price.date > other.date or (price.date == other.date and price.amount < other.amount):
            best[key] = price
    return tuple(best.values())


def summary(imported: Imported) -> str:
    """What was taken over and what was not, reasons with their number of rows and the first lines."""
    nodes = len({price.node for price in imported.prices})
    tiers = Counter(str(price.tier) for price in imported.prices)
    shown = ", ".join(f"{count:,} {tier}" for tier, count in sorted(tiers.items()))
    lines = [f"imported {len(imported.prices):,} prices of {nodes:,} offers ({shown or 'none'})"]
    if imported.duplicates:
        lines.append(
            f"  {imported.duplicates:,} duplicates (zones): the newest, then the cheapest price of a region counts"
        )
    if imported.without_gpu:
        lines.append(f"  {imported.without_gpu:,} rows without a GPU skipped")
    undated = sum(not price.date for price in imported.prices)
    if undated:
        lines.append(f"  {undated:,} prices have no date, so they are reference prices, never ranked: state --date")
    lines += [f"  assumed: {text}" for text in imported.assumed]
    by_reason: dict[str, list[LeftOut]] = {}
    for row in imported.left_out:
        by_reason.setdefault(row.reason, []).append(row)
    if by_reason:
        lines.append(f"left out {len(imported.left_out):,} rows or prices:")
    for reason, rows in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
        places = ", ".join(f"{row.file}:{row.line}" for row in rows[:_LINES_SHOWN])
        more = f" and {len(rows) - _LINES_SHOWN:,} more" if len(rows) > _LINES_SHOWN else ""
        lines.append(f"  {len(rows):6,}  {reason} ({places}{more})")
    return "\n".join(lines)


HEADER = (*OFFER_COLUMNS, *OFFER_EXTRAS)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_UNFIT = re.compile(r"[^a-z0-9.]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def offers_csv(imported: Imported, kept: Sequence[Mapping[str, str]] = ()) -> str:
    """The whole file: rows of ``kept`` whose offer is not imported anew, then the imported ones, sorted by id."""
    fresh = _rows(imported.prices)
    ids = {row["offer_id"] for row in fresh}
    rows = [row for row in kept if row["offer_id"] not in ids] + fresh
    return _text(HEADER, sorted(rows, key=lambda row: (row["offer_id"], row["tier"])))


def providers_csv(imported: Imported, kept: Sequence[Mapping[str, str]] = ()) -> str:
    """Providers that the packaged catalog does not list, beside those the directory had."""
    rows = {row["id"]: row for row in kept}
    for provider in imported.providers:
        cells = (provider.id, " ".join(provider.aliases), str(provider.provider_class), provider.country, provider.name)
        rows.setdefault(provider.id, dict(zip(PROVIDER_COLUMNS, map(harmless, cells), strict=True)))
    return _text(PROVIDER_COLUMNS, [rows[key] for key in sorted(rows)])


def rows_of(path: Path) -> list[dict[str, str]]:
    """Rows of a catalog file that is there already, to be kept; raises where it is not sound."""
    if not is_there(path):
        return []
    columns = (HEADER, OFFER_COLUMNS) if path.name == "offers.csv" else (PROVIDER_COLUMNS, PROVIDER_COLUMNS)
    table = read_table(path, columns[1], columns[0])
    if table.findings:
        raise CatalogError(table.findings)
    return [{name: cells[at] for name, at in table.index.items()} for _, cells in table.lines]


def harmless(text: str) -> str:
    """Text on one line that no spreadsheet takes for a formula."""
    plain = text.strip() if text.isprintable() else _CONTROL.sub(" ", text).strip()
    return f"'{plain}" if plain.startswith(_FORMULA_STARTS) else plain


def _rows(prices: Sequence[ListedPrice]) -> list[dict[str, str]]:
    """One row per price; prices of a node that differ in more than tier, price, date and source are separate offers."""
    offers: dict[tuple[object, ...], list[ListedPrice]] = {}
    for price in prices:
        level = (price.node, price.notes, price.tax_percent, price.stock, price.lead_time_weeks, price.valid_until)
        offers.setdefault(level, []).append(price)
    taken: set[str] = set()
    rows = []
    for group in sorted(offers.values(), key=lambda group: _order(group[0])):
        name = _free(_slug(group[0]), taken)
        rows += [_row(name, price) for price in group]
    return rows


def _order(price: ListedPrice) -> tuple[str | float, ...]:
    node = price.node
    return (_slug(price), node.gpu, node.gpus_per_node, node.region, node.instance_type, str(price.tier), price.amount)


def _slug(price: ListedPrice) -> str:
    node = price.node
    parts = (
        (node.id,)
        if node.id
        else (
            node.provider,
            node.instance_type
            if node.instance_type.isascii() and node.instance_type
            else f"{node.gpus_per_node}x-{node.gpu}",
            node.region,
        )
    )
    words = [_UNFIT.sub("-", part.lower()).strip("-") for part in parts]
    plain = "-".join(word for word in words if word)
    return plain or f"{node.gpus_per_node}x-{_UNFIT.sub('-', node.gpu)}"


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free


def _row(name: str, price: ListedPrice) -> dict[str, str]:
    node = price.node
    filled = {
        "offer_id": name,
        "provider": node.provider,
        "instance_type": node.instance_type,
        "gpu": node.gpu,
        "gpus_per_node": str(node.gpus_per_node),
        "link": str(node.link),
        "link_basis": node.link_basis,
        "region": node.region,
        "tier": str(price.tier),
        "amount": repr(round(price.amount, 6)),
        "currency": price.currency,
        "price_date": price.date,
        "price_date_as_stated": price.date,
        "price_source": price.source,
        "tax_percent": _figure(price.tax_percent),
        "stock": _figure(price.stock),
        "lead_time_weeks": _figure(price.lead_time_weeks),
        "quote_ref": node.quote_ref,
        "valid_until": price.valid_until,
        "notes": price.notes,
    }
    return {name: harmless(text) for name, text in filled.items() if text}


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _text(header: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([row.get(name, "") for name in header] for row in rows)
    return stream.getvalue()
