"""An amount with everything that says what it is for: the cell itself, its header, the columns of unit and currency."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from optimizer.catalog.importers.phrases import (
    GENERIC,
    SIGN_ALONE,
    Per,
    Phrase,
    RentPeriod,
    Taxed,
    amount_of,
    plain_of,
    read_phrase,
    same_currency,
)
from optimizer.catalog.importers.quote_types import Unit
from optimizer.catalog.types import FxRate, Offer
from optimizer.vocabulary import Tier

_ABSURD, _USUAL, _NODE_AT_LEAST = 30.0, 8.0, 0.25
"""Times the median of the catalog, or that part of it: beyond the first a price is taken for a slip; within the second
one reading of it is believed where the other is not; below the third a price for "8x H100" may be one card's."""

_ANY_RENT, _ANY_PRICE = (0.01, 100.0), (100.0, 400_000.0)
"""US dollars per card, an hour and once: what is believed of a card that has no price in the catalog."""


@dataclass(frozen=True, slots=True)
class AmountRead:
    """An amount that was understood."""

    amount: float
    currency: str
    unit: Unit
    tier: Tier
    tax: Taxed | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class UsualPrices:
    """What cards cost, to tell a slip from a price: US dollars per card, by the hour and once."""

    rents: Mapping[str, float]
    prices: Mapping[str, float]
    per_usd: Mapping[str, float]

    def times_usual(self, gpu: str, per_card: float, currency: str, *, bought: bool) -> float:
        """A price per card over the median of the catalog; where that has none, 1 if anybody might ask for it."""
        dollars = per_card / self.per_usd[currency]
        usual = (self.prices if bought else self.rents).get(gpu)
        if usual is not None:
            return dollars / usual
        low, high = _ANY_PRICE if bought else _ANY_RENT
        return 1.0 if low <= dollars <= high else 0.0 if dollars < low else float("inf")


def market_of(offers: Iterable[Offer], fx: Mapping[str, FxRate]) -> UsualPrices:
    """Medians per card of all prices of the catalog, reference prices included."""
    per_usd = {"USD": 1.0, **{code: rate.per_usd for code, rate in fx.items()}}
    seen: dict[bool, dict[str, list[float]]] = {True: defaultdict(list), False: defaultdict(list)}
    for offer in offers:
        for price in offer.prices:
            dollars = price.amount / per_usd[price.currency] / offer.gpus_per_node
            seen[price.tier is Tier.PURCHASE][offer.gpu].append(dollars)
    rents, prices = ({gpu: median(found) for gpu, found in seen[bought].items()} for bought in (False, True))
    return UsualPrices(rents, prices, per_usd)


def money_of(
    cell: str, header: Phrase, around: Phrase, gpu: str, gpus: int, market: UsualPrices, *, per_row: bool
) -> AmountRead | list[str]:
    """The price in a cell, or everything that keeps it from being one.

    ``around``: what other columns say of it; ``per_row``: the row is about an instance, so that its price is too.
    """
    said = read_phrase(cell, numbers=True)
    if isinstance(said, str):
        return [f"price {cell[:40]!r}: {said!r} is not understood"]
    if len(said.numbers) != 1:
        return [f"price {cell[:40]!r} is not one amount"]
    figure = amount_of(said.numbers[0])
    if figure is None or (plain_of(cell).startswith(("-", "("))):
        return [f"price {cell[:40]!r} is not an amount"]
    if not 0 < figure < 1e12:
        return [f"price {cell[:40]!r} is not above 0" if figure <= 0 else f"price {cell[:40]!r} is too large"]
    whole = said | around | header
    problems = [
        f"{name} is {one} in one place and {other} in another"
        for name in ("currency", "per", "period", "tier", "tax")
        for one, other in _clashes(name, said, around, header)
    ]
    currency = _currency(said, around, header)
    if currency is None:
        problems.append("the currency is not stated")
    elif currency not in market.per_usd:
        problems.append(f"currency {currency} has no rate in fx.csv")
    if whole.period is None:
        problems.append("whether it is per hour, per month or once is not stated")
    if (
        (whole.period is RentPeriod.PURCHASE) != (whole.tier is Tier.PURCHASE)
        and whole.tier is not None
        and whole.period
    ):
        problems.append(f"tier {whole.tier} does not go with a price per {whole.period}")
    if said.scale and header.scale and said.scale != header.scale:
        problems.append(f"{said.scale:,.0f} in the cell, {header.scale:,.0f} in the header")
    if problems:
        return problems
    assert currency is not None and whole.period is not None
    return _decided(figure, said, whole, currency, header, gpu, gpus, market, cell, per_row)


def _decided(
    figure: float,
    said: Phrase,
    whole: Phrase,
    currency: str,
    header: Phrase,
    gpu: str,
    gpus: int,
    market: UsualPrices,
    cell: str,
    per_row: bool,
) -> AmountRead | list[str]:
    assert whole.period is not None
    bought, notes = whole.period is RentPeriod.PURCHASE, list[str]()

    def times(amount: float, per: Per) -> float:
        per_card = Unit.of(per, whole.period or RentPeriod.HOUR).per_node(amount, gpus) / gpus
        return market.times_usual(gpu, per_card, currency, bought=bought)

    per = whole.per or Per.NODE
    scale = said.scale or header.scale or 1.0
    if header.scale and not said.scale and said.marked:
        readings = [one for one in (1.0, header.scale) if 1 / _USUAL <= times(figure * one, per) <= _USUAL]
        if len(readings) != 1:
            return [f"price {cell[:40]!r} stands under {header.scale:,.0f} {currency}: which of the two counts?"]
        scale = readings[0]
        if scale == 1.0:
            notes.append(f"{cell.strip()[:40]} stands under {header.scale:,.0f} {currency}: read as it is written")
    amount = round(figure * scale, 6)
    found = times(amount, per)
    if whole.per is None and gpus > 1 and not per_row:
        if found < _NODE_AT_LEAST:
            return [f"per card or per node of {gpus} is not stated: {_amount(amount, currency)} is little for the node"]
        notes.append(f"per node of {gpus} cards: the row is about that many and names no other unit")
    if not 1 / _ABSURD <= found <= _ABSURD:
        return [
            f"{_amount(amount, currency)} per {per} and {whole.period} is {found:.2g} times the usual price of {gpu}:"
            " check amount and unit"
        ]
    if found < 1 / _USUAL or found > _USUAL:
        notes.append(f"{found:.2g} times the usual price of {gpu}")
    tier = whole.tier or (Tier.PURCHASE if bought else Tier.ON_DEMAND)
    return AmountRead(amount, currency, Unit.of(per, whole.period), tier, whole.tax, tuple(notes))


def _amount(amount: float, currency: str) -> str:
    return f"{amount:,.10g} {currency}"


def _clashes(name: str, *phrases: Phrase) -> Iterable[tuple[object, object]]:
    stated = [getattr(phrase, name) for phrase in phrases if getattr(phrase, name) is not None]
    first = stated[0] if stated else None
    return [(first, other) for other in stated[1:] if other != first and not same_currency(name, first, other)][:1]


def _currency(*phrases: Phrase) -> str | None:
    """A code before a sign that several countries write; the sign alone means its best known."""
    stated = [phrase.currency for phrase in phrases if phrase.currency is not None]
    code = next((one for one in stated if one not in GENERIC), None)
    return code or next((SIGN_ALONE[one] for one in stated if one in GENERIC), None)
