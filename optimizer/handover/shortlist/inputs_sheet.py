"""The Inputs sheet: every figure that may change, once; all amounts of the other sheets follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.handover.shortlist.cells import Cell, Look, Sheet
from optimizer.handover.shortlist.cost_lines import hours_name, starts_name
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.handover.shortlist.priced import Case
    from optimizer.pricing import NodeOption

Say = Callable[[str], str]

OPTION_COLUMNS = ("price", "rate", "hours", "discount", "tax", "kw")


@dataclass(frozen=True)
class InputCells:
    """Where the changeable figures stand: defined names for what all share, references per option."""

    names: dict[str, str]
    options: dict[tuple[str, str], dict[str, str]]


def inputs_sheet(case: Case, say: Say) -> tuple[Sheet, InputCells]:
    """Build the sheet and the addresses that the cost formulas need."""
    sheet = Sheet(say("Inputs"), (50, 18, 16, 10, 12, 12, 10, 9, 10, 12))
    sheet.title_row(say("Inputs: change a coloured cell and every amount follows"))
    sheet.note(say("Amounts move with these cells; which plan is cheapest does not: run the optimizer again for that."))
    sheet.gap()
    names = _shared(sheet, case, say)
    rates = _rates(sheet, case, say)
    sheet.gap()
    return sheet, InputCells(names, _options(sheet, case, say, rates))


def _shared(sheet: Sheet, case: Case, say: Say) -> dict[str, str]:
    own, terms, problem = case.terms.ownership, case.terms, case.problem
    currency = terms.currency
    rows: tuple[tuple[str, str, float, Look, str], ...] = (
        ("in_tax", "Tax on prices", terms.tax, Look.PERCENT, ""),
        ("in_term", "Term of a purchase", own.term_months, Look.COUNT, say("months")),
        ("in_residual", "Value left at the end of the term", own.residual, Look.PERCENT, say("of the price")),
        ("in_capital", "Cost of capital per year", own.cost_of_capital, Look.PERCENT, ""),
        ("in_support", "Support per year", own.support, Look.PERCENT, say("of the price")),
        ("in_power", "Electricity", own.electricity_per_kwh, Look.RATE, f"{currency} / kWh"),
        ("in_pue", "PUE (facility power / IT power)", own.pue, Look.RATE, ""),
        ("in_space", "Space and cooling", own.colo_per_kw_month, Look.RATE, f"{currency} / kW, {say('month')}"),
        ("in_month", "Hours in a whole month", own.month_hours, Look.NUMBER, say("hours")),
        ("in_extras", "Fixed extras", problem.payment.extras_monthly, Look.MONEY, f"{currency} / {say('month')}"),
        ("in_staff", "Staff", problem.ownership.staff_monthly, Look.MONEY, f"{currency} / {say('month')}"),
    )
    rows += tuple(_profile(case, say))
    sheet.head(say("For all plans"), say("value"), say("unit"))
    names = {}
    for name, label, value, look, unit in rows:
        row = sheet.add(say(label), Cell(value, look, changeable=True), unit or None)
        names[name] = sheet.ref("B", row)
    sheet.gap()
    return names


def _profile(case: Case, say: Say) -> Iterator[tuple[str, str, float, Look, str]]:
    """Hours of the day profile, those billed for starting, and what interruptions add to the rent of spot nodes."""
    terms, hours = case.terms, f"{say('hours')} / {say('month')}"
    for index, period in enumerate(terms.periods):
        yield hours_name(index), f"{say('Period')}: {period.name}", period.hours, Look.NUMBER, hours
        started = terms.startup_hours * period.starts
        yield starts_name(index), f"{say('Starts of a node')}: {period.name}", started, Look.NUMBER, hours
    if terms.spot_uplift:
        yield "in_uplift", "Interruptions of spot nodes", terms.spot_uplift, Look.PERCENT, say("of the rent")


def _rates(sheet: Sheet, case: Case, say: Say) -> dict[str, str]:
    sheet.head(say("Exchange rates"), f"{case.terms.currency} / 1", say("date"))
    currencies = sorted({option.price.currency for option in case.options if option.price})
    found = {}
    for currency in currencies:
        rate = Cell(case.terms.exchange.rate(currency), Look.RATE, changeable=True)
        found[currency] = sheet.ref("B", sheet.add(currency, rate, case.terms.exchange.date(currency) or ""))
    return found


def _options(sheet: Sheet, case: Case, say: Say, rates: dict[str, str]) -> dict[tuple[str, str], dict[str, str]]:
    sheet.head(
        say("Offers"),
        say("payment"),
        say("price per node"),
        say("currency"),
        say("exchange rate"),
        say("hours / month"),
        say("discount"),
        say("tax"),
        say("kW / node"),
        say("price is per"),
    )
    found = {}
    for option in case.options:
        row = sheet.add(*_option_row(case, option, say, rates))
        columns = {"price": "C", "rate": "E", "hours": "F", "discount": "G", "tax": "H", "kw": "I"}
        found[option.key] = {name: sheet.ref(column, row) for name, column in columns.items()}
    return found


def _option_row(case: Case, option: NodeOption, say: Say, rates: dict[str, str]) -> list[Cell | str]:
    price, terms = option.price, case.terms
    offer = option.offer
    if price is None:
        stated = next((line.unit_price for line in option.lines if line.unit == "node-month"), 0.0)
        amount, currency, rate = stated, terms.currency, Cell(1.0, Look.RATE)
        unit = "month"
    else:
        amount, currency = price.amount, price.currency
        rate = Cell(terms.exchange.rate(currency), Look.RATE, rates[currency])
        unit = "purchase" if option.tier is Tier.PURCHASE else "hour"
    tax = Cell(terms.tax, Look.PERCENT, "in_tax")
    if offer.tax_percent is not None:
        tax = Cell(terms.tax_on(offer), Look.PERCENT, changeable=True)
    hours = terms.hours(option.tier, option.commitment_months) if unit == "hour" else 0.0
    return [
        offer.id,
        say(_TIERS[option.tier]),
        Cell(amount, Look.RATE, changeable=True),
        currency,
        rate,
        Cell(hours, Look.NUMBER, changeable=unit == "hour"),
        Cell(case.discount(option), Look.PERCENT, changeable=price is not None),
        tax,
        Cell(option.power_kw, Look.NUMBER),
        say(unit),
    ]


_TIERS = {
    Tier.ON_DEMAND: "on demand",
    Tier.SPOT: "spot",
    Tier.RESERVED_1Y: "1-year commitment",
    Tier.RESERVED_3Y: "3-year commitment",
    Tier.PURCHASE: "purchase",
    Tier.OWNED: "owned",
}
