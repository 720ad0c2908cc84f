"""The lists of SkyPilot, gpuhunt and ec2instances -> new prices of the catalog's offers, and what moved by them.

A list speaks for all instances of its provider in the ways to pay that it prices (on demand, and spot where it has
any): what is not in it retires, in its currency, unless the catalog's price is newer or the list has torn lines. Prices
are per node and hour.
``list`` is their evidence, ``indicative`` that of marketplaces; an on-demand price under half the card's median is
questioned and stands as reference, as an auction floor imported as on-demand would win everything.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from optimizer.catalog import rows
from optimizer.catalog.ages import MAX_AGE_DAYS, parse_day
from optimizer.catalog.importers.quote_columns import PUBLISHERS
from optimizer.catalog.importers.quote_types import QuoteLine, Status
from optimizer.catalog.offers import offer_id
from optimizer.catalog.price_doubts import share_far_below
from optimizer.catalog.types import link_of
from optimizer.vocabulary import Evidence, ProviderClass, Tier

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog

CURRENCY = "USD"
"""All of these programs state US dollars."""

OfferRow = Mapping[str, str]
"""A row of offers.csv: cells by column."""

_Product = tuple[str, str, str, str, str]
"""Provider, instance in lower case, card, cards per node, region."""


class Moved(StrEnum):
    """What became of a price."""

    PRICE = "moved"
    SAME = "same price, newer day"
    NEW = "new"
    RETIRED = "retired: not in the newest list of their provider"
    KEPT = "kept: newer than the list"


@dataclass(frozen=True, slots=True)
class PriceChange:
    """One price of the catalog and what the lists made of it."""

    what: Moved
    row: OfferRow  # as it stands now
    before: OfferRow | None  # as it stood
    place: str  # file:line of the list; of a retired price the list that lacks it
    questioned: str = ""  # why it may not be ranked although it is listed


@dataclass(frozen=True, slots=True)
class Listed:
    """One price of the lists: of all zones of a region the dearest, so that it holds in each."""

    line: QuoteLine
    provider: str
    amount: float
    cheapest: float
    rows: int
    day: str
    document: str  # publisher and file

    @property
    def product(self) -> _Product:
        """What it is a price of."""
        line = self.line
        return _key(self.provider, line.instance_type, line.gpu or "", str(line.gpus_per_node), line.region)

    @property
    def tier(self) -> str:
        """How it is paid."""
        return str(self.line.tier)

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.line.file}:{self.line.line}"


@dataclass(frozen=True)
class Refreshed:
    """What lists make of a catalog."""

    changes: tuple[PriceChange, ...]
    refused: tuple[QuoteLine, ...]  # lines that are no price of the catalog, with the reason
    aged: tuple[OfferRow, ...]  # prices that could be ranked and are too old against the day of the lists
    rows: tuple[OfferRow, ...] = field(repr=False)  # every row of the offers that changed

    def of(self, what: Moved) -> list[PriceChange]:
        """Changes of one kind."""
        return [change for change in self.changes if change.what is what]


def refresh(
    lines: Iterable[QuoteLine],
    days: Mapping[str, str],
    names: Mapping[str, str],
    base: Sequence[OfferRow],
    known: Catalog,
) -> Refreshed:
    """The new prices. ``days`` and ``names``: the day of each file and how its source is written, by the path in
    ``lines``; ``base``: the rows of the catalog's offers."""
    read, refused = _listed(lines, days, names, known)
    catalog = _Base(base)
    changes: dict[tuple[str, str], PriceChange] = {}
    medians = _medians(read, catalog, known)
    for one in read:
        change = _change(one, catalog, known, medians)
        changes[change.row["offer_id"], one.tier] = change
    for change in _retired(read, refused, catalog, changes):
        changes[change.row["offer_id"], change.row["tier"]] = change
    touched = {offer for (offer, _), change in changes.items() if change.what is not Moved.KEPT}
    current = {key: change.row for key, change in changes.items()}
    every = {(row["offer_id"], row["tier"]): row for row in base} | current
    result = tuple(row for (offer, _), row in sorted(every.items()) if offer in touched)
    ordered = tuple(changes[key] for key in sorted(changes))
    return Refreshed(ordered, tuple(refused), tuple(_aged(every.values(), base)), _one_node(result))


def _listed(
    lines: Iterable[QuoteLine], days: Mapping[str, str], names: Mapping[str, str], known: Catalog
) -> tuple[list[Listed], list[QuoteLine]]:
    found: dict[tuple[_Product, str], Listed] = {}
    refused = list[QuoteLine]()
    for line in lines:
        if line.status is Status.REFUSED:
            refused.append(line)
            continue
        provider = line.known_provider
        if provider not in known.providers:
            refused.append(
                line.refused(
                    f"{line.provider} is not in providers.csv: add it there, with its class, in the directory given as"
                    " --catalogs"
                )
            )
            continue
        amount = round(line.net_per_node, 6)
        document = f"{PUBLISHERS[line.layout]}, {names[line.file]}"
        one = Listed(line, provider, amount, amount, 1, days[line.file], document)
        key = (one.product, one.tier)
        other = found.get(key)
        if other is None:
            found[key] = one
        elif one.day == other.day:
            dearer = one if amount > other.amount else other
            found[key] = replace(dearer, cheapest=min(one.cheapest, other.cheapest), rows=other.rows + 1)
        elif one.day > other.day:
            found[key] = one
    return list(found.values()), refused


class _Base:
    """The rows of offers.csv as they stood."""

    def __init__(self, base: Sequence[OfferRow]) -> None:
        self.rows = base
        self.by_key = {(row["offer_id"], row["tier"]): row for row in base}
        self._offers: dict[_Product, list[OfferRow]] = {}
        self._nodes: dict[tuple[str, ...], OfferRow] = {}
        self._ids = {row["offer_id"]: product for row in base for product in [_product(row)]}
        self._stock: dict[tuple[str, str, str], str] = {}
        for row in base:
            if note := row.get("stock_note"):
                self._stock[row["provider"], row["gpu"], row["gpus_per_node"]] = note
            product = _product(row)
            self._offers.setdefault(product, []).append(row)
            known = self._nodes.get(product[:4])
            if known is None or known.get("link") == "unverified":
                self._nodes[product[:4]] = row

    def offer(self, one: Listed) -> OfferRow | None:
        """A row of the offer that the price belongs to: the one that may be ranked, the newest of several."""
        rows_ = self._offers.get(one.product, [])
        order = sorted(rows_, key=lambda row: (may_rank(row), row["tier"] == one.tier, row["price_date"]))
        return order[-1] if order else None

    def node(self, one: Listed) -> OfferRow | None:
        """The same instance in another region."""
        return self._nodes.get(one.product[:4])

    def stock_note(self, one: Listed, before: OfferRow | None) -> str:
        """What was seen of its stock; of another name for as many of the same cards at the same provider too."""
        own = (before or {}).get("stock_note", "")
        return own or self._stock.get((one.provider, one.line.gpu or "", str(one.line.gpus_per_node)), "")

    def new_id(self, one: Listed) -> str:
        """The id of an offer that the catalog has not got: of that product, and no other's."""
        line = one.line
        stem = offer_id(one.provider, line.instance_type, str(line.gpus_per_node), line.region)
        number, name = 1, stem
        while self._ids.setdefault(name, one.product) != one.product:
            number += 1
            name = f"{stem}-{number}"
        return name


def _key(provider: str, instance: str, gpu: str, gpus: str, region: str) -> _Product:
    return (provider, instance.strip().lower(), gpu, gpus, region)


def _product(row: OfferRow) -> _Product:
    return _key(row["provider"], row.get("instance_type", ""), row["gpu"], row["gpus_per_node"], row.get("region", ""))


def may_rank(row: OfferRow) -> bool:
    """Whether a row may win a ranking while it is young enough: as ``rows.price`` reads it."""
    if not row["price_date"]:
        return False
    if row.get("evidence"):
        return row["evidence"] != Evidence.REFERENCE
    return row.get("rankable", "") in ("yes", "true") if row.get("rankable") else not row.get("reason")


def _change(one: Listed, catalog: _Base, known: Catalog, medians: Mapping[str, Sequence[float]]) -> PriceChange:
    offer = catalog.offer(one)
    name = catalog.new_id(one) if offer is None else offer["offer_id"]
    before = catalog.by_key.get((name, one.tier))
    if before is not None and may_rank(before) and before["price_date"] > one.day:
        return PriceChange(Moved.KEPT, before, before, one.place)
    questioned = _questioned(one, medians)
    level = {column: (offer or {}).get(column, "") for column in rows.OFFER_LEVEL}
    if offer is None:
        level = _new_node(one, catalog, known)
    marketplace = known.providers[one.provider].provider_class is ProviderClass.MARKETPLACE
    evidence = Evidence.REFERENCE if questioned else Evidence.INDICATIVE if marketplace else Evidence.LIST
    row = {
        **level,
        "link_basis": level.get("link_basis") or (offer or {}).get("link_basis", ""),
        "offer_id": name,
        "tier": one.tier,
        "amount": f"{one.amount:.10g}",
        "currency": CURRENCY,
        "price_date": one.day,
        "price_date_as_stated": one.day,
        "price_source": f"{one.document}, {one.day}",
        "evidence": str(evidence),
        "reason": questioned,
        "stock_note": catalog.stock_note(one, before),
        "remarks": _remarks(one),
    }
    if before is None:
        return PriceChange(Moved.NEW, row, None, one.place, questioned)
    same = float(before["amount"]) == one.amount and before["currency"] == CURRENCY and may_rank(before)
    return PriceChange(Moved.SAME if same and not questioned else Moved.PRICE, row, before, one.place, questioned)


def _remarks(one: Listed) -> str:
    if one.cheapest == one.amount:
        return ""
    return f"the dearest of {one.rows} rows for this region; the cheapest is {one.cheapest:g}"


def _new_node(one: Listed, catalog: _Base, known: Catalog) -> dict[str, str]:
    """What belongs to a node that the catalog has not got: as the same instance elsewhere, else as the list says."""
    line, node = one.line, catalog.node(one)
    assert line.gpu is not None and line.gpus_per_node is not None
    link = str(link_of(known.gpus[line.gpu], line.gpus_per_node, None))
    basis = "not in the list: as the card's form implies"
    if line.gpus_per_node == 1:
        basis = "one GPU: no link between GPUs"
    elif node is not None:
        link, basis = node["link"], node.get("link_basis", "")
    return {
        "provider": one.provider,
        "instance_type": line.instance_type,
        "gpu": line.gpu,
        "gpus_per_node": str(line.gpus_per_node),
        "link": link,
        "link_basis": basis,
        "region": line.region,
        "host_memory_gib": "" if line.host_memory_gib is None else f"{line.host_memory_gib:g}",
        "network_gbps": "" if node is None else node.get("network_gbps", ""),
    }


def _medians(read: Iterable[Listed], catalog: _Base, known: Catalog) -> dict[str, list[float]]:
    """The cheapest on-demand price of a card at each provider, in dollars per card, by card: lists and catalog."""
    per_usd = {CURRENCY: 1.0, **{code: rate.per_usd for code, rate in known.fx.items()}}
    found: dict[str, dict[str, float]] = {}

    def note(gpu: str, provider: str, dollars: float) -> None:
        of_card = found.setdefault(gpu, {})
        of_card[provider] = min(of_card.get(provider, math.inf), dollars)

    for row in catalog.rows:
        if row["tier"] == Tier.ON_DEMAND and may_rank(row):
            dollars = float(row["amount"]) / per_usd[row["currency"]] / int(row["gpus_per_node"])
            note(row["gpu"], row["provider"], dollars)
    for one in read:
        if one.line.tier is Tier.ON_DEMAND:
            note(one.line.gpu or "", one.provider, one.amount / (one.line.gpus_per_node or 1))
    return {gpu: list(providers.values()) for gpu, providers in found.items()}


def _questioned(one: Listed, medians: Mapping[str, Sequence[float]]) -> str:
    prices = medians.get(one.line.gpu or "", ())
    share = share_far_below(one.amount / (one.line.gpus_per_node or 1), prices)
    if one.line.tier is not Tier.ON_DEMAND or share is None:
        return ""
    return (
        f"{share:.2f} of the median on-demand price of {len(prices)} providers for the card: an auction floor, a part"
        " of the price, or tied to a commitment? Not ranked until you have asked and set its evidence to list"
    )


def _retired(
    read: Sequence[Listed], refused: Iterable[QuoteLine], catalog: _Base, changes: Collection[tuple[str, str]]
) -> Iterator[PriceChange]:
    """Prices of the providers and ways to pay that the lists cover, which the lists do not have any more.

    A line that could not be read retires nothing: neither its own instance nor, where it is torn and nobody knows which
    that is, anything of the provider of its list.
    """
    unread = {(line.known_provider, line.instance_type.strip().lower()) for line in refused if line.layout}
    torn = {line.file for line in refused if not line.layout}
    covered: dict[tuple[str, str], Listed] = {}
    for one in read:
        key = (one.provider, one.tier)
        if key not in covered or one.day > covered[key].day:
            covered[key] = one
    whole = {provider for provider, _ in covered} - {one.provider for one in read if one.line.file in torn}
    for row in catalog.rows:
        list_ = covered.get((row["provider"], row["tier"]))
        if list_ is None or row["provider"] not in whole or (row["offer_id"], row["tier"]) in changes:
            continue
        instance = (row["provider"], row.get("instance_type", "").strip().lower())
        if instance in unread or not may_rank(row) or row["currency"] != CURRENCY or row["price_date"] > list_.day:
            continue
        reason = f"retired: not in {list_.document}, {list_.day}"
        gone = {**row, "rankable": "", "evidence": str(Evidence.REFERENCE), "reason": reason}
        yield PriceChange(Moved.RETIRED, gone, row, list_.line.file)


def _aged(after: Iterable[OfferRow], before: Sequence[OfferRow]) -> Iterator[OfferRow]:
    """Prices that the newest day of the catalog was young enough for and the newest day of today's is not."""
    every = list(after)
    newest_before = max((row["price_date"] for row in before), default="")
    newest = max((row["price_date"] for row in every), default="")
    if not newest_before:
        return
    for row in every:
        if may_rank(row) and _age(row, newest_before) <= MAX_AGE_DAYS < _age(row, newest):
            yield row


def _age(row: OfferRow, day: str) -> int:
    return (parse_day(day) - parse_day(row["price_date"])).days


def _one_node(result: Sequence[OfferRow]) -> tuple[OfferRow, ...]:
    """What belongs to the node is the same in all rows of an offer: where one states the host's memory, all do."""
    memory: dict[str, str] = {}
    for row in result:
        memory[row["offer_id"]] = memory.get(row["offer_id"]) or row.get("host_memory_gib", "")
    return tuple({**row, "host_memory_gib": memory[row["offer_id"]]} for row in result)
