"""The bill of the first plan line by line, its long run, and what it saves against single kinds of GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from optimizer.plan.costs import CostLine, RentOrBuy, UnitCosts
from optimizer.plan.types import Outcome, Plan
from optimizer.report.layout import BLANK, WIDTH, Block, Line, Passage, Rows, Say, Style, columns, said
from optimizer.report.widths import columns_of, padded
from optimizer.report.words import count, gpu_name, money, percent, plural, price
from optimizer.units import significant

_MONTH_HOURS = 730.0
"""Around the clock."""


def _quantity(line: CostLine, currency: str) -> str:
    """``730 hours x $27.60``."""
    return f"{count(line.quantity)} {units(line)} x {price(line.unit_price, currency)}"


def units(line: CostLine) -> str:
    """The unit of a cost line as it reads behind its quantity: ``hour`` of one, ``hours`` of more."""
    several = line.quantity != 1 and line.unit.endswith(("hour", "month", "node"))
    return line.unit + "s" if several else line.unit


def volume(costs: UnitCosts, currency: str) -> str:
    """``expected in a month: 2,628 million output tokens, 8.76 million requests; $0.0017 a request, $19 a user``."""
    millions = (costs.expected_output_tokens_per_month / 1e6, costs.expected_requests_per_month / 1e6)
    text = f"expected in a month: {count(millions[0])} million output tokens, {count(millions[1])} million requests"
    each = [(costs.per_request, "a request"), (costs.per_user_month, "a user")]
    told = ", ".join(f"{price(fractions(cost), currency)} {unit}" for cost, unit in each if cost is not None)
    return f"{text}; {told}" if told else text


def unit_rows(costs: UnitCosts, currency: str) -> list[tuple[str, float | None, str]]:
    """Label, millions expected in a month, and the cost of one in words; what there is none of is left out."""
    rows = (
        ("per million output tokens", costs.expected_output_tokens_per_month / 1e6, costs.per_million_output_tokens),
        ("per million input tokens", costs.expected_input_tokens_per_month / 1e6, costs.per_million_input_tokens),
        ("per request", costs.expected_requests_per_month / 1e6, costs.per_request),
        ("per user and month", None, costs.per_user_month),
    )
    return [(name, volume, price(fractions(cost), currency)) for name, volume, cost in rows if cost is not None]


def fractions(cost: float) -> float:
    """A cost of one of many in whole cents, below a dime in four decimals, below a thousandth in two digits."""
    return round(cost, 2 if cost >= 0.1 else 4) if cost >= 1e-3 else significant(cost, 2)


def _running(outcome: Outcome) -> str:
    """When the load runs that the tokens are counted from, and how much of it."""
    run = outcome.plans[0].long_run
    if run is None or run.mean_load == 1:
        return _hours(outcome)
    return f"{_hours(outcome)} at {percent(run.mean_load)} of it on average (payment.mean_load)"


def _hours(outcome: Outcome) -> str:
    if outcome.plans[0].periods:
        return "for the tokens made over all periods of the day profile"
    hours = {asked.load_hours for asked in outcome.asked} or {_MONTH_HOURS}
    if hours == {_MONTH_HOURS}:
        return "if the stated load runs around the clock"
    if len(hours) == 1:
        return f"if the stated load runs {count(hours.pop())} hours a month"
    each = ", ".join(f"{asked.workload} {count(asked.load_hours)}" for asked in outcome.asked)
    return f"if each stated load runs all its hours a month ({each})"


def single_kinds(outcome: Outcome) -> Iterator[Block]:
    """What the first plan saves against the best on each kind of GPU alone."""
    if not outcome.single_kinds:
        return
    plan = outcome.plans[0]
    yield Line(f"#{plan.rank} against one kind of GPU for all length classes", Style.HEADING)
    rows = []
    for one in outcome.single_kinds:
        if one.monthly_cents is None:
            rows.append((gpu_name(one.gpu), "", "", "cannot keep every promise alone"))
            continue
        saving = 1.0 - plan.monthly_cents / one.monthly_cents if one.monthly_cents else 0.0
        cost = f"{money(one.monthly_cents, plan.currency)}/mo"
        rows.append((gpu_name(one.gpu), f"{one.gpus:,}x", cost, f"#{plan.rank} saves {percent(saving)}"))
    yield Rows(tuple(rows), "<>><")
    yield BLANK


def ledger(outcome: Outcome) -> Iterator[Block]:
    """What the first plan costs, line by line, and what that leaves out."""
    plan = outcome.plans[0]
    yield Line(f"What #{plan.rank} costs a month", Style.HEADING)
    lines = [line for line in plan.cost_lines if line.monthly_cents]
    rows = [(line.name, _quantity(line, plan.currency), money(line.monthly_cents, plan.currency)) for line in lines]
    rows.append(("total", "", money(plan.monthly_cents, plan.currency)))
    yield _CostRows(tuple(rows))
    if plan.cost_per_million_output_tokens is not None:
        each = price(round(plan.cost_per_million_output_tokens, 2), plan.currency)
        yield Passage(f"{each} per million output tokens, {_running(outcome)}")
    if plan.unit_costs is not None:
        yield Passage(volume(plan.unit_costs, plan.currency), hang="    ")
    for sentence in _long_run(plan):
        yield Passage(sentence, hang="    ")
    if plan.excludes:
        yield Passage(f"not in the price: {', '.join(plan.excludes)}", hang="    ")
    yield BLANK


@dataclass(frozen=True, slots=True)
class _CostRows:
    """Name, quantity and money of each line; a name that leaves the figures no room stands on a line above them."""

    rows: tuple[tuple[str, str, str], ...]

    def lines(self, say: Say) -> Iterator[Line]:
        """As printed."""
        rows = said(self.rows, say)
        figures = columns([row[1:] for row in rows], ">>", indent="")
        wide = min(max(columns_of(row[0]) for row in rows), WIDTH - 4 - max(map(columns_of, figures)))
        for row, figure in zip(rows, figures, strict=True):
            beside = row[0] if columns_of(row[0]) <= wide else ""
            if not beside:
                yield Line(f"  {row[0]}")
            yield Line(f"  {padded(beside, wide)}  {figure}")


def _long_run(plan: Plan) -> Iterator[str]:
    """Totals over years, renting against buying."""
    run = plan.long_run
    if run is None:
        return
    spans = [f"{money(cents, plan.currency)} over {plural(years, 'year')}" for years, cents in run.totals]
    yield f"in all {', '.join(spans)}"
    if run.rent_or_buy is not None:
        yield _rent_or_buy(run.rent_or_buy, plan.currency)


def _rent_or_buy(compared: RentOrBuy, currency: str) -> str:
    once, rent = money(compared.price_cents, currency), money(compared.rent_cents, currency)
    running = money(compared.running_cents, currency)
    when = "never pays off" if compared.months is None else f"is the cheaper way from month {compared.months} on"
    bought = ", ".join(dict.fromkeys(offer for offer, _ in compared.bought))
    rented = ", ".join(dict.fromkeys(f"{offer} ({tier})" for offer, tier in compared.rented))
    return f"buying ({bought}: {once} once, {running}/mo to run) {when}, against renting ({rented}: {rent}/mo)"
