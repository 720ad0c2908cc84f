"""offers.csv: one row per price; rows of one ``offer_id`` make one offer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

from optimizer.catalog import rows
from optimizer.catalog.types import FxRate, Gpu, Offer, Price, Provider, Region
from optimizer.files.csv_file import CsvRow, CsvTable
from optimizer.files.text_file import did_you_mean
from optimizer.vocabulary import Evidence, Link

_MAX_GPUS_PER_NODE = 1024


def read_offers(
    tables: Sequence[CsvTable],
    gpus: Mapping[str, Gpu],
    providers: Mapping[str, Provider],
    fx: Mapping[str, FxRate],
    regions: Mapping[tuple[str, str], Region],
) -> dict[str, Offer]:
    """Offers by id, sorted; an offer of a later table replaces the whole offer of an earlier one."""
    found: dict[str, Offer] = {}
    for table in tables:
        found.update(_Assembler(table, gpus, providers, fx, regions).offers())
    return {key: found[key] for key in sorted(found)}


def offer_id(provider: str, instance_type: str, gpus: str, region: str) -> str:
    """Who, what and where; the day is the price's own and no part of it."""
    size = f"{gpus}x"
    parts = (provider, instance_type, "" if size in instance_type else size, region)
    return re.sub(r"[^a-z0-9]+", "-", "-".join(filter(None, parts)).lower()).strip("-")


class _Assembler:
    """Groups the price rows of one file and checks each against the other catalogs."""

    def __init__(
        self,
        table: CsvTable,
        gpus: Mapping[str, Gpu],
        providers: Mapping[str, Provider],
        fx: Mapping[str, FxRate],
        regions: Mapping[tuple[str, str], Region],
    ) -> None:
        self._table = table
        self._regions = regions
        self._gpus = gpus
        self._fx = fx
        self._providers = {name: item for item in providers.values() for name in (item.id, *item.aliases)}
        positions = [table.index[name] for name in rows.OFFER_LEVEL if name in table.index]
        self._level: Callable[[Sequence[str]], Any] = itemgetter(*positions)
        self._first: dict[str, CsvRow] = {}
        self._prices: dict[str, list[Price]] = {}

    def offers(self) -> dict[str, Offer]:
        """All offers of the file."""
        for row in self._table:
            self._add(row)
        return {key: self._offer(key, row) for key, row in self._first.items()}

    def _add(self, row: CsvRow) -> None:
        key = row.required("offer_id")
        first = self._first.setdefault(key, row)
        prices = self._prices.setdefault(key, [])
        if first is not row and self._level(first.cells) != self._level(row.cells):
            row.error(f"offer {key!r} differs from line {first.line} in more than tier and price")
        price = rows.price(row)
        if price.currency != "USD" and price.currency not in self._fx:
            row.error(
                f"currency {price.currency!r} has no rate in fx.csv", did_you_mean(price.currency, self._fx), "currency"
            )
        if any(other.tier == price.tier for other in prices):
            row.error(f"offer {key!r} has two prices for {price.tier}", None, "tier")
        prices.append(price)

    def _offer(self, key: str, row: CsvRow) -> Offer:
        provider = self._providers.get(row.required("provider"))
        if provider is None:
            name = row.text("provider")
            row.error(f"provider {name!r} is not in providers.csv", did_you_mean(name, self._providers), "provider")
            provider = next(iter(self._providers.values()))
        gpu = self._gpus.get(row.required("gpu"))
        if gpu is None:
            row.error(f"unknown GPU {row.text('gpu')!r}", did_you_mean(row.text("gpu"), self._gpus), "gpu")
        count = row.integer("gpus_per_node", 1, _MAX_GPUS_PER_NODE)
        link = row.choice("link", rows.LINKS)
        if count == 1 and link not in (Link.PCIE, Link.UNVERIFIED):
            row.error(f"link {link} on a node of one GPU", "write pcie: one GPU has no link to another", "link")
        prices = sorted(self._prices[key], key=lambda price: price.tier)
        if gpu is not None and gpu.confidence == "low":
            prices = [_not_rankable(price, "card of low confidence") for price in prices]
        return Offer(
            id=key,
            provider=provider.id,
            provider_class=provider.provider_class,
            country=row.text("country")
            or country_of_region(self._regions, provider.id, row.text("region"))
            or provider.country,
            headquarters=provider.headquarters,
            certificates=provider.certificates,
            instance_type=row.text("instance_type"),
            gpu=row.text("gpu"),
            gpus_per_node=count,
            link=link,
            region=row.text("region"),
            prices=tuple(prices),
            network_gbps=row.number_or_none("network_gbps"),
            tax_percent=row.number_or_none("tax_percent", 0, 100),
            stock=row.integer_or_none("stock"),
            lead_time_weeks=row.number_or_none("lead_time_weeks"),
            quote_ref=row.text("quote_ref"),
            valid_until=row.day("valid_until"),
            notes=row.text("notes"),
            host_memory_gib=row.number_or_none("host_memory_gib"),
        )


def country_of_region(regions: Mapping[tuple[str, str], Region], provider: str, region: str) -> str:
    """ISO 3166 code of the country that a provider's region lies in; empty where that is not known."""
    found = regions.get((provider, region))
    return found.country if found else ""


def _not_rankable(price: Price, reason: str) -> Price:
    return price if not price.rankable else replace(price, rankable=False, reason=reason, evidence=Evidence.REFERENCE)
