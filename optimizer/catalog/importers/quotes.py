"""A plain price list, as ``optimize catalog template`` prints it, in English or Chinese: one row per quote.

``price`` is per ``unit``: hour, month, gpu_hour, gpu_month (rents) or once (a purchase). A month is 730 hours. Where
the price includes tax (``tax_included``), the net price is taken and ``tax_percent`` is put on again when a plan is
priced, so the bill shows both. A wrong cell is an error and nothing is imported; a card that no alias knows is left out
and listed; a provider that nobody lists becomes a reseller of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from optimizer.catalog.importers.imported import Imported, LeftOut, ListedPrice, Node, best_of, price_of
from optimizer.catalog.importers.names import Names, Unmapped, normalised, split_count
from optimizer.catalog.links import link_of
from optimizer.catalog.rows import PROVIDER_CLASSES, TIERS, columns
from optimizer.catalog.types import FxRate, Provider
from optimizer.documents.csv_file import Row, Table, read_open_table
from optimizer.documents.suggest import did_you_mean
from optimizer.errors import CatalogError, Finding
from optimizer.vocabulary import ProviderClass, Tier

COLUMNS = columns(
    "id provider provider_class instance_type gpu gpus_per_node nvlink region price unit currency tier tax_percent "
    "tax_included condition stock lead_time_weeks quote_ref price_date valid_until source notes"
)
T = TypeVar("T")

_NEEDED = ("provider", "gpu", "price", "unit")
_MONTH_HOURS = 730.0
_UNITS: Mapping[str, tuple[float, bool, bool]] = {
    "hour": (1.0, False, False),
    "month": (1 / _MONTH_HOURS, False, False),
    "gpu_hour": (1.0, True, False),
    "gpu_month": (1 / _MONTH_HOURS, True, False),
    "once": (1.0, False, True),
}
"""Hours' worth of one unit, whether it is per card, whether it is paid once."""
_FLAGS: Mapping[str, bool | None] = {"": None, "yes": True, "no": False, "true": True, "false": False}
_CONDITIONS = {"": "", "new": "", "used": "used"}
_MOST_GPUS = 1024


def import_quotes(
    paths: Sequence[Path],
    names: Names,
    providers: Mapping[str, Provider],
    fx: Mapping[str, FxRate],
    *,
    date: str = "",
    source: str | None = None,
) -> Imported:
    """Read lists of quotes; ``date`` and ``source`` stand in where a row states none."""
    prices: list[ListedPrice] = []
    findings: list[Finding] = []
    left_out: list[LeftOut] = []
    new: dict[str, Provider] = {}
    assumed: dict[str, None] = {}
    for path in paths:
        reader = _Quotes(_named(read_open_table(path), names), names, providers, fx, (date, source or path.name))
        prices += reader.prices()
        findings += reader.table.findings
        left_out += reader.left_out
        new |= reader.new
        assumed |= reader.assumed
    if findings:
        raise CatalogError(findings)
    best = best_of(prices)
    return Imported(best, tuple(left_out), 0, len(prices) - len(best), tuple(new.values()), tuple(assumed))


def _named(table: Table, names: Names) -> Table:
    """The table under our column names; every unknown or missing column is named."""
    header, index = Table(table.path, {}, (), source=table.source), {}
    for position, name in enumerate(table.header):
        ours = name if name in COLUMNS else name.lower() if name.lower() in COLUMNS else names.one("column", name)
        if ours is None:
            header.error(f"unknown column {name[:40]!r}", 1, position, did_you_mean(name, COLUMNS))
        elif ours in index:
            header.error(f"column {ours} stands twice", 1, position)
        else:
            index[ours] = position
    hint = "`optimize catalog template` prints a list to fill in"
    for name in _NEEDED:
        if name not in index:
            header.error(f"column {name} is missing", 1, 0, hint)
    if header.findings:
        raise CatalogError(header.findings)
    width = len(table.index)
    lines = [(line, [cell.strip() for cell in cells]) for line, cells in table.lines if len(cells) >= width]
    return replace(table, index=index, lines=lines)


class _Quotes:
    """One file."""

    def __init__(
        self,
        table: Table,
        names: Names,
        providers: Mapping[str, Provider],
        fx: Mapping[str, FxRate],
        defaults: tuple[str, str],
    ) -> None:
        self.table, self._names, self._fx, self._defaults = table, names, fx, defaults
        self._providers = providers
        self._by_word = {normalised(word): item for item in providers.values() for word in (item.id, *item.aliases)}
        self.left_out: list[LeftOut] = []
        self.new: dict[str, Provider] = {}
        self.assumed: dict[str, None] = {}

    def prices(self) -> list[ListedPrice]:
        """All quotes that could be mapped; defects are findings of the table."""
        read = [self._price(row) for row in self.table if any(row.cells)]
        return [price for price in read if price is not None]

    def _word(self, row: Row, column: str) -> str:
        """A word of a closed set, in English or by its alias."""
        text = row.text(column)
        return self._names.one("word", text) or text.lower().replace(" ", "_").replace("-", "_")

    def _price(self, row: Row) -> ListedPrice | None:
        node = self._node(row)
        unit = self._choice(row, "unit", _UNITS)
        tier = self._tier(row, unit is not None and unit[2])
        amount = self._amount(row)
        condition = self._choice(row, "condition", _CONDITIONS)
        tax, included = row.number_or_none("tax_percent", 0, 100), self._choice(row, "tax_included", _FLAGS)
        if included and tax is None:
            row.error(
                "tax_included is yes, yet tax_percent is blank",
                "write the tax that the price includes, such as 13",
                "tax_percent",
            )
        stock, weeks = row.integer_or_none("stock"), row.number_or_none("lead_time_weeks")
        day, until = row.day("price_date"), row.day("valid_until")
        currency = self._currency(row)
        if node is None or unit is None or tier is None:
            return None
        hours, per_card, _ = unit
        net = amount / (1 + (tax or 0.0) / 100) if included else amount
        notes = "; ".join(part for part in (condition, row.text("notes")) if part)
        return ListedPrice(
            node=node,
            tier=tier,
            amount=net * hours * (node.gpus_per_node if per_card else 1),
            currency=currency,
            date=day or self._defaults[0],
            source=row.text("source") or self._defaults[1],
            notes=notes,
            tax_percent=tax,
            stock=stock,
            lead_time_weeks=weeks,
            valid_until=until or "",
        )

    def _amount(self, row: Row) -> float:
        price = price_of(row.text("price"))
        if isinstance(price, float):
            return price
        hint = "write it without thousands separators and currency signs" if price and "number" in price else None
        row.error(price or "price is blank", hint, "price")
        return 1.0

    def _choice(self, row: Row, column: str, choices: Mapping[str, T]) -> T | None:
        text = row.text(column)
        word = text if text in choices else self._word(row, column)
        if word in choices:
            return choices[word]
        known = ", ".join(choice for choice in choices if choice)
        row.error(f"{column}: unknown {row.text(column)[:40]!r}; known: {known}", did_you_mean(word, choices), column)
        return None

    def _tier(self, row: Row, bought: bool) -> Tier | None:
        word = self._word(row, "tier") or str(Tier.PURCHASE if bought else Tier.ON_DEMAND)
        tier = TIERS.get(word)
        if tier is None:
            message = f"tier: unknown {row.text('tier')[:40]!r}; known: {', '.join(TIERS)}"
            row.error(message, did_you_mean(word, TIERS), "tier")
        elif (tier is Tier.PURCHASE) != bought:
            message = f"tier {tier} does not go with unit {row.text('unit')!r}"
            row.error(message, "a purchase is paid once, a rent is not", "tier" if row.text("tier") else "unit")
        return tier

    def _currency(self, row: Row) -> str:
        text = row.text("currency")
        code = text if text in self._fx else self._names.one("word", text) or text.upper() or "USD"
        if code != "USD" and code not in self._fx:
            message = f"currency {text[:20]!r} has no rate in fx.csv"
            row.error(message, did_you_mean(code, ["USD", *self._fx]), "currency")
        return code

    def _node(self, row: Row) -> Node | None:
        written = row.required("gpu")
        count, name = split_count(written)
        stated = row.integer_or_none("gpus_per_node", 1, _MOST_GPUS)
        if count is None and stated is None:
            hint = "write how many cards a node has, or a name such as 8xH20"
            row.error("gpus_per_node is blank", hint, "gpus_per_node")
        if count is not None and stated is not None and count != stated:
            row.error(f"gpu says {count} cards, gpus_per_node {stated}", None, "gpus_per_node")
        cards = stated or count or 1
        nvlink = self._choice(row, "nvlink", _FLAGS)
        provider = self._provider(row)
        mapped = self._names.gpu(name, provider, row.text("instance_type"))
        if isinstance(mapped, Unmapped):
            self.left_out.append(LeftOut(str(self.table.path), row.line, mapped.reason))
            return None
        if mapped.note:
            self.assumed[mapped.note] = None
        gpu = self._names.gpus[mapped.gpu]
        basis = "one GPU: no link between GPUs" if cards == 1 else "what the card's form implies"
        if nvlink is not None and cards > 1:
            basis = f"the quote says NVLink {'yes' if nvlink else 'no'}"
        return Node(
            id=row.text("id"),
            provider=provider,
            instance_type=row.text("instance_type"),
            gpu=gpu.id,
            gpus_per_node=cards,
            link=link_of(gpu, cards, nvlink),
            link_basis="; ".join(part for part in (basis, mapped.note) if part),
            region=row.text("region"),
            quote_ref=row.text("quote_ref"),
        )

    def _provider(self, row: Row) -> str:
        """A provider that nobody lists yet becomes a reseller of its own, unless the row says what it is."""
        name = row.required("provider")
        key = normalised(name)
        found = self._by_word.get(key)
        alias = self._names.one("provider", name)
        if found is not None or alias in self._providers:
            return found.id if found is not None else str(alias)
        word = self._word(row, "provider_class") or "reseller"
        if word not in PROVIDER_CLASSES:
            row.error(
                f"provider_class: unknown {word[:40]!r}; known: {', '.join(PROVIDER_CLASSES)}", None, "provider_class"
            )
        provider = name.replace(" ", "-")
        kind = PROVIDER_CLASSES.get(word, ProviderClass.RESELLER)
        self.new.setdefault(key, Provider(provider, (), kind, "", name))
        return self.new[key].id
