"""The Cost sheet: every line of every ranked plan, per month and over 1, 3 and 5 years, all by formula.

Cost lines as live formulas, one per line of the pricing room and with its name, so that each can be checked.

The Inputs sheet: every figure that may change, once; all amounts of the other sheets follow from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.handover.shortlist.cells import Cell, Look, Sheet, money, total_of
from optimizer.pricing.types import starts_of
from optimizer.units import to_cents
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.handover.shortlist.cells import PricedLine, ShortlistCase
    from optimizer.plan.types import Plan
    from optimizer.pricing import NodeOption


YEARS = (1, 3, 5)


@dataclass(frozen=True)
class PlanTotals:
    """Where a plan's totals stand and what they are: per month, then per horizon."""

    refs: tuple[str, ...]
    cents: tuple[int, ...]


def cost_sheet(case: ShortlistCase, at: InputCells, say: Say) -> tuple[Sheet, dict[int, PlanTotals]]:
    """Build the sheet; totals by rank."""
    sheet = Sheet(say("Cost"), (6, 50, 22, 7, 15, 15, 15, 16, 16))
    sheet.title_row(say("Cost over 1, 3 and 5 years"))
    sheet.note(
        say("Rent is continued at the same price after a commitment ends; a purchase is charged until its term ends.")
    )
    sheet.note(f"{say('Amounts in')} {case.terms.currency}.")
    sheet.gap()
    horizons = [f"{years} {say('years') if years > 1 else say('year')}" for years in YEARS]
    sheet.head(say("rank"), say("offer"), say("line"), say("nodes"), say("per node"), say("per month"), *horizons)
    sheet.freeze(3)
    return sheet, {plan.rank: _plan(sheet, case, plan, at, say) for plan in case.outcome.plans}


def _plan(sheet: Sheet, case: ShortlistCase, plan: Plan, at: InputCells, say: Say) -> PlanTotals:
    first = len(sheet.rows) + 1
    sums = [0] * (1 + len(YEARS))
    lines: list[tuple[str, int, LiveLine]] = [
        (line.node.offer_id, counted.nodes, counted.line)
        for line in case.of(plan)
        for counted in counted_lines(line, at.options[line.option.key], say)
    ]
    extras, staff = case.problem.payment.extras_monthly, case.problem.ownership.staff_monthly
    lines += [("", 1, LiveLine(say("extras"), "ROUND(in_extras,2)", to_cents(extras)))]
    lines += [("", 1, LiveLine(say("staff"), "ROUND(in_staff,2)", to_cents(staff)))]
    for offer, count, live in lines:
        row = len(sheet.rows) + 1
        months = [_months(case, live, years) for years in YEARS]
        cents = [live.cents * count, *(live.cents * count * number for number, _ in months)]
        sums = [before + more for before, more in zip(sums, cents, strict=True)]
        sheet.add(
            Cell(plan.rank, Look.RANK),
            offer,
            live.name,
            count,
            money(live.cents, live.formula),
            money(cents[0], f"D{row}*E{row}"),
            *(money(value, f"F{row}*{formula}") for value, (_, formula) in zip(cents[1:], months, strict=True)),
        )
    last = len(sheet.rows)
    totals = [money(value, total_of(c, first, last), Look.TOTAL) for value, c in zip(sums, "FGHI", strict=True)]
    label = Cell(f"{say('total')} #{plan.rank}", Look.LABEL)
    blank = Cell("", Look.LABEL)
    row = sheet.add(blank, label, blank, blank, blank, *totals)
    sheet.gap()
    return PlanTotals(tuple(sheet.ref(column, row) for column in "FGHI"), tuple(sums))


def _months(case: ShortlistCase, live: LiveLine, years: int) -> tuple[int, str]:
    """Months charged within a horizon, as a number and as a formula."""
    months = 12 * years
    if live.until_term:
        return min(months, case.terms.ownership.term_months), f"MIN({months},in_term)"
    return months, str(months)


@dataclass(frozen=True, slots=True)
class LiveLine:
    """A cost line of one node and month; ``cents`` is the ledger's, the formula must give the same."""

    name: str
    formula: str
    cents: int
    until_term: bool = False  # ends with the term of the purchase


@dataclass(frozen=True, slots=True)
class Counted:
    """A cost line and the nodes that it is paid for."""

    nodes: int
    line: LiveLine


def counted_lines(line: PricedLine, at: dict[str, str], say: Callable[[str], str]) -> list[Counted]:
    """Every line of the nodes of one option; with a day profile those paid by use have lines for each period."""
    option, periods = line.option, line.plan.periods
    if not option.periods or not periods:
        return [Counted(line.node.count, _named(one, say(one.name))) for one in live_lines(option, at)]
    counted: list[Counted] = []
    for index, period in enumerate(periods):
        price, started = option.periods[index], starts_of(line.running)[index]
        there = {**at, "hours": hours_name(index)}
        ledger = tuple((one.name, one.monthly_cents) for one in price.lines)
        named = [(one, f"{say(one.name)}, {period.name}") for one in _live(option, there, ledger)]
        counted += [Counted(period.nodes[line.position], _named(one, name)) for one, name in named]
        if started:
            there = {**at, "hours": starts_name(index)}
            ledger = tuple((one.name, one.monthly_cents) for one in price.start_lines)
            named = [
                (one, f"{say(one.name)} {say('while starting')}, {period.name}") for one in _live(option, there, ledger)
            ]
            counted += [Counted(started, _named(one, name)) for one, name in named]
    return [one for one in counted if one.nodes]


def hours_name(period: int) -> str:
    """Name of the cell with the hours a month of a period."""
    return f"in_hours_{period + 1}"


def starts_name(period: int) -> str:
    """Name of the cell with the hours a month that a node is billed for starting with a period."""
    return f"in_starts_{period + 1}"


def _named(line: LiveLine, name: str) -> LiveLine:
    return replace(line, name=name)


def live_lines(option: NodeOption, at: dict[str, str]) -> list[LiveLine]:
    """Every line that the option's kind of payment can have, those that are 0 today too."""
    return _live(option, at, tuple((line.name, line.monthly_cents) for line in option.lines))


def _live(option: NodeOption, at: dict[str, str], ledger: tuple[tuple[str, int], ...]) -> list[LiveLine]:
    cents = dict(ledger)
    if option.tier is Tier.OWNED:
        rows = _owned(cents, at)
    elif option.tier is Tier.PURCHASE:
        rows = _bought(at)
    else:
        rows = _rented(at, interrupted="interruptions" in cents)
    known = {name for name, _, _ in rows}
    assert known >= set(cents), f"the pricing room has a line that the shortlist does not know: {set(cents) - known}"
    return [LiveLine(name, f"ROUND({formula},2)", cents.get(name, 0), until) for name, formula, until in rows]


def _rented(at: dict[str, str], *, interrupted: bool) -> list[tuple[str, str, bool]]:
    rent = f"{at['price']}*{at['rate']}*{at['hours']}"
    net = f"{rent}*(1-{at['discount']})"
    uplift = [("interruptions", f"in_uplift*{net}", False)] if interrupted else []
    taxed = f"{net}*(1+in_uplift)" if interrupted else net
    return [
        ("rent", rent, False),
        ("discount", f"-{at['discount']}*{rent}", False),
        *uplift,
        ("tax", f"{at['tax']}*{taxed}", False),
    ]


def _bought(at: dict[str, str]) -> list[tuple[str, str, bool]]:
    """``-PMT(i, n, price, -residual)`` is the level payment of the pricing room's ``capital_charge``."""
    price = f"{at['price']}*{at['rate']}*(1-{at['discount']})"
    wear = f"{price}*(1-in_residual)/in_term"
    charge = f"-PMT(in_capital/12,in_term,{price},-({price})*in_residual)"
    support = f"{price}*in_support/12"
    return [
        ("depreciation", wear, True),
        ("cost of capital", f"{charge}-{wear}", True),
        ("tax on the purchase", f"-PMT(in_capital/12,in_term,{price}*{at['tax']})", True),
        ("support", support, False),
        *_running(at, support),
    ]


def _owned(cents: dict[str, int], at: dict[str, str]) -> list[tuple[str, str, bool]]:
    stated = "owned hardware, as stated"
    return [(stated, at["price"], False)] if stated in cents else _running(at, "0")


def _running(at: dict[str, str], support: str) -> list[tuple[str, str, bool]]:
    energy = f"{at['kw']}*in_pue*in_month*in_power"
    space = f"{at['kw']}*in_space"
    return [
        ("energy", energy, False),
        ("colocation", space, False),
        ("tax on running costs", f"in_tax*({energy}+{space}+{support})", False),
    ]


Say = Callable[[str], str]

OPTION_COLUMNS = ("price", "rate", "hours", "discount", "tax", "kw")


@dataclass(frozen=True)
class InputCells:
    """Where the changeable figures stand: defined names for what all share, references per option."""

    names: dict[str, str]
    options: dict[tuple[str, str], dict[str, str]]


def inputs_sheet(case: ShortlistCase, say: Say) -> tuple[Sheet, InputCells]:
    """Build the sheet and the addresses that the cost formulas need."""
    sheet = Sheet(say("Inputs"), (50, 18, 16, 10, 12, 12, 10, 9, 10, 12))
    sheet.title_row(say("Inputs: change a coloured cell and every amount follows"))
    sheet.note(say("Amounts move with these cells; which plan is cheapest does not: run the optimizer again for that."))
    sheet.gap()
    names = _shared(sheet, case, say)
    rates = _rates(sheet, case, say)
    sheet.gap()
    return sheet, InputCells(names, _options(sheet, case, say, rates))


def _shared(sheet: Sheet, case: ShortlistCase, say: Say) -> dict[str, str]:
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


def _profile(case: ShortlistCase, say: Say) -> Iterator[tuple[str, str, float, Look, str]]:
    """Hours of the day profile, those billed for starting, and what interruptions add to the rent of spot nodes."""
    terms, hours = case.terms, f"{say('hours')} / {say('month')}"
    for index, period in enumerate(terms.periods):
        yield hours_name(index), f"{say('Period')}: {period.name}", period.hours, Look.NUMBER, hours
        started = terms.startup_hours * period.starts
        yield starts_name(index), f"{say('Starts of a node')}: {period.name}", started, Look.NUMBER, hours
    if terms.spot_uplift:
        yield "in_uplift", "Interruptions of spot nodes", terms.spot_uplift, Look.PERCENT, say("of the rent")


def _rates(sheet: Sheet, case: ShortlistCase, say: Say) -> dict[str, str]:
    sheet.head(say("Exchange rates"), f"{case.terms.currency} / 1", say("date"))
    currencies = sorted({option.price.currency for option in case.options if option.price})
    found = {}
    for currency in currencies:
        rate = Cell(case.terms.exchange.rate(currency), Look.RATE, changeable=True)
        found[currency] = sheet.ref("B", sheet.add(currency, rate, case.terms.exchange.date(currency) or ""))
    return found


def _options(
    sheet: Sheet, case: ShortlistCase, say: Say, rates: dict[str, str]
) -> dict[tuple[str, str], dict[str, str]]:
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


def _option_row(case: ShortlistCase, option: NodeOption, say: Say, rates: dict[str, str]) -> list[Cell | str]:
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
