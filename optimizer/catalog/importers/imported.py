"""What an importer hands over: prices in the terms of our catalog, and what was left out and why."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from optimizer.catalog.types import Provider
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
