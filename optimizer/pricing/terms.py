"""The money side of a problem, derived once: what day prices are aged against, how many hours are billed, which rates.

Hours. ``payment.hours_per_month`` is how many hours a month rented nodes run. A value that is a whole month by some
calendar (672 to 744 hours) also is what reservations and owned hardware are paid for; below it (part-time use) those
still pay a whole month of 730 hours. Where **all** workloads are batch work, on-demand and spot nodes are billed the
hours of the longest one; as soon as one workload is online, around the clock: a plan does not say which node runs
which workload, so a shared node may never be switched off. With a day profile the plan says how many nodes run in
each period, and those nodes are billed its hours.

Exchange rates: the catalog's dated ones, replaced by what the user states in ``payment.fx``.

Ages of prices against a stated day, never against the clock.

What a node costs per month that is bought or already owned.

Energy is counted at the full power of the node around the clock, an upper bound that needs no assumption about use.
Colocation is paid per kW of the node itself (critical IT power), electricity per kWh at the meter (times PUE).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING

from optimizer.catalog.ages import MAX_AGE_DAYS, WARN_AGE_DAYS, parse_day, ranks_until
from optimizer.errors import CatalogError, Finding
from optimizer.plan.costs import CostLine
from optimizer.pricing.types import Origin
from optimizer.units import to_cents
from optimizer.vocabulary import KvTiers, Tier

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog, Offer
    from optimizer.demand import Period
    from optimizer.pricing.types import NodeOption
    from optimizer.problem import Problem, Workload
    from optimizer.problem.schema import Discount as StatedDiscount


MONTHS_PER_YEAR = 12


@dataclass(frozen=True, slots=True)
class OwnershipRates:
    """The ``ownership`` section in the problem's currency. Shares, not percent."""

    term_months: int
    residual: float  # of the price, at the end of the term
    cost_of_capital: float  # per year, nominal, compounded monthly
    electricity_per_kwh: float
    pue: float
    colo_per_kw_month: float
    support: float  # of the price, per year
    tax: float  # on energy, space and support
    month_hours: float


def capital_charge(price: float, residual_value: float, annual_rate: float, months: int) -> float:
    """Equal payments at the end of each month that, with the residual value, pay ``price`` back with interest.

    The annuity of a lease (level payment with a balloon): with i = annual_rate / 12 and n = months,
    payment = (price - residual / (1 + i)^n) x i / (1 - (1 + i)^-n); without interest, (price - residual) / n.
    Source: Brealey, Myers & Allen, Principles of Corporate Finance, "equivalent annual cash flow", by months.
    """
    if annual_rate == 0:
        return (price - residual_value) / months
    rate = annual_rate / MONTHS_PER_YEAR
    discount: float = (1 + rate) ** -months
    return (price - residual_value * discount) * rate / (1 - discount)


def purchase_lines(price: float, tax: float, power_kw: float, rates: OwnershipRates) -> tuple[CostLine, ...]:
    """Lines of one bought node: depreciation, interest, support, energy, space, tax.

    ``price`` is net of tax, in the problem's currency. The tax on the price is financed with it and has no residual.
    """
    residual = price * rates.residual
    depreciation = (price - residual) / rates.term_months
    interest = capital_charge(price, residual, rates.cost_of_capital, rates.term_months) - depreciation
    purchase_tax = capital_charge(price * tax, 0.0, rates.cost_of_capital, rates.term_months)
    support = price * rates.support / MONTHS_PER_YEAR
    lines = [
        _line("depreciation", 1, "node-month", depreciation),
        _line("cost of capital", 1, "node-month", interest),
        _line("tax on the purchase", 1, "node-month", purchase_tax),
        _line("support", 1, "node-month", support),
    ]
    return tuple(line for line in lines if line.monthly_cents) + running_lines(power_kw, rates, extra_taxed=support)


def running_lines(power_kw: float, rates: OwnershipRates, extra_taxed: float = 0.0) -> tuple[CostLine, ...]:
    """Lines of energy and space of one node, and the tax on them (and on ``extra_taxed``)."""
    kwh = power_kw * rates.pue * rates.month_hours
    energy = kwh * rates.electricity_per_kwh
    space = power_kw * rates.colo_per_kw_month
    lines = (
        _line("energy", kwh, "kWh", rates.electricity_per_kwh),
        _line("colocation", power_kw, "kW-month", rates.colo_per_kw_month),
        _line("tax on running costs", rates.tax, "of running costs", energy + space + extra_taxed),
    )
    return tuple(line for line in lines if line.monthly_cents)


def _line(name: str, quantity: float, unit: str, unit_price: float) -> CostLine:
    return CostLine(name, quantity, unit, unit_price, to_cents(quantity * unit_price))


USD = "USD"
"""The currency that all rates are stated against."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Rates as units of a currency per US dollar, toward one target currency."""

    target: str
    per_usd: Mapping[str, float]
    dates: Mapping[str, str]

    def rate(self, currency: str) -> float:
        """Units of the target currency for one unit of ``currency``: cross rate over the dollar."""
        if currency == self.target:
            return 1.0
        return self._per_usd(self.target) / self._per_usd(currency)

    def date(self, currency: str) -> str | None:
        """Date of the older of the two rates that a conversion rests on; None when nothing is converted."""
        if currency == self.target:
            return None
        dates = [self.dates[code] for code in (currency, self.target) if code in self.dates]
        return min(dates, default=None)

    def _per_usd(self, currency: str) -> float:
        try:
            return self.per_usd[currency]
        except KeyError:
            known = ", ".join(sorted(self.per_usd))
            hint = f"state it: payment: {{fx: {{{currency}: <units per USD>, date: <day>}}}}"
            raise CatalogError([Finding(f"no exchange rate for {currency}; known: {known}", hint=hint)]) from None


MEAN_MONTH_HOURS = 730.0
"""8,760 hours a year / 12."""

SHORTEST_MONTH_HOURS = 672.0
"""28 days: from here on ``hours_per_month`` means a whole month."""

COMMITMENT_MONTHS = MappingProxyType({Tier.RESERVED_1Y: 12, Tier.RESERVED_3Y: 36})
"""Months a tier binds the user for; other tiers bind for none (a purchase is allowed or not by ``payment.tiers``)."""

PAID_BY_USE = frozenset({Tier.ON_DEMAND, Tier.SPOT})
"""Tiers billed for the hours used only; the others are committed, paid always."""


SPOT_UPLIFT = 0.10
"""What interruptions add to the rent of spot nodes under a day profile unless ``payment.spot_uplift_percent`` says
otherwise: an assumption, printed as a ledger line of its own. It stands for work done twice and for the on-demand nodes
that step in while no spot node is to be had."""

_MINUTES_PER_HOUR = 60.0


@dataclass(frozen=True, slots=True)
class DiscountTerm:
    """A negotiated percentage off list prices; None matches everything."""

    provider: str | None
    tier: Tier | None
    gpu: str | None
    share: float

    def matches(self, provider: str, tier: Tier, gpu: str) -> bool:
        """Whether it applies to a price."""
        return self.provider in (None, provider) and self.tier in (None, tier) and self.gpu in (None, gpu)


@dataclass(frozen=True, slots=True)
class Terms:
    """What turns a price into cents per month under one problem."""

    currency: str
    exchange: Exchange
    as_of: date
    use_hours: float  # billed per month for on-demand and spot
    month_hours: float  # billed per month for reservations
    tax: float  # share
    discounts: tuple[DiscountTerm, ...]  # those still valid
    ownership: OwnershipRates
    periods: tuple[Period, ...] = ()  # of the day profile
    startup_hours: float = 0.0  # billed each time a node starts
    spot_uplift: float = 0.0  # share of the rent
    tax_recoverable: bool = False  # taxes come back, so that they are no cost
    host_tier: bool = False  # KV cache may lie in the host's memory, so nodes with other memory are other nodes

    def uplift(self, tier: Tier) -> float:
        """Share that interruptions add to the rent in a tier."""
        return self.spot_uplift if tier is Tier.SPOT else 0.0

    def hours(self, tier: Tier, commitment_months: int = 0) -> float:
        """Hours a month that a rented node is billed in a tier; what is committed to is billed the whole month."""
        return self.use_hours if tier in PAID_BY_USE and not commitment_months else self.month_hours

    def tax_on(self, offer: Offer) -> float:
        """Share of tax that counts on the price of an offer."""
        if self.tax_recoverable:
            return 0.0
        return self.tax if offer.tax_percent is None else offer.tax_percent / 100

    def discount(self, provider: str, tier: Tier, gpu: str) -> float:
        """Share off a list price: the largest of the discounts that match (they do not add up)."""
        return max((d.share for d in self.discounts if d.matches(provider, tier, gpu)), default=0.0)


def terms_of(problem: Problem, catalog: Catalog) -> Terms:
    """Derive the terms of a problem."""
    from optimizer.problem import periods_of

    payment = problem.payment
    exchange = exchange_of(problem, catalog)
    as_of = as_of_day(problem, catalog)
    month = payment.hours_per_month if payment.hours_per_month >= SHORTEST_MONTH_HOURS else MEAN_MONTH_HOURS
    tax = 0.0 if payment.tax_recoverable else payment.tax_percent / 100
    discounts = tuple(
        _discount(entry) for entry in payment.discounts if entry.until is None or parse_day(str(entry.until)) >= as_of
    )
    return Terms(
        currency=payment.currency,
        exchange=exchange,
        as_of=as_of,
        use_hours=use_hours(problem, month),
        month_hours=month,
        tax=tax,
        discounts=discounts,
        ownership=_ownership(problem, exchange, tax, month),
        periods=periods_of(problem),
        startup_hours=payment.startup_minutes / _MINUTES_PER_HOUR,
        spot_uplift=spot_uplift(problem) or 0.0,
        tax_recoverable=payment.tax_recoverable,
        host_tier=problem.engine.kv_tiers is not KvTiers.NONE,
    )


def spot_uplift(problem: Problem) -> float | None:
    """Share that interruptions add to the rent of spot nodes; None: not counted."""
    from optimizer.problem import periods_of

    stated = problem.payment.spot_uplift_percent
    if stated is not None:
        return stated / 100
    return SPOT_UPLIFT if periods_of(problem) else None


def unused_discounts(problem: Problem, catalog: Catalog, options: Iterable[NodeOption]) -> Iterator[str]:
    """A sentence for each discount that is still valid and matches no list price of the tiers asked for."""
    as_of = as_of_day(problem, catalog)
    priced = {
        (option.offer.provider, option.tier, option.offer.gpu)
        for option in options
        if option.origin is Origin.CATALOG and option.tier in problem.payment.tiers
    }
    for index, entry in enumerate(problem.payment.discounts):
        discount = _discount(entry)
        expired = entry.until is not None and parse_day(str(entry.until)) < as_of
        if not expired and not any(discount.matches(*price) for price in priced):
            yield (
                f"payment.discounts.{index}: matches no list price in payment.tiers, so it changes nothing"
                " (quotes under offers are taken as already negotiated)"
            )


def _discount(entry: StatedDiscount) -> DiscountTerm:
    return DiscountTerm(entry.provider, Tier(entry.tier) if entry.tier else None, entry.gpu, entry.percent / 100)


def as_of_day(problem: Problem, catalog: Catalog) -> date:
    """The day prices are aged against: stated, else the newest price date of the catalog.

    A catalog without a dated price has nothing to age: the first of all days then, so that nothing is too old.
    """
    stated = problem.payment.as_of or catalog.newest_price_date
    return parse_day(stated) if stated else date.min


def use_hours(problem: Problem, month_hours: float) -> float:
    """Hours a month that on-demand and spot nodes are billed (see the module's docstring)."""
    from optimizer.problem import load_of, periods_of

    if periods_of(problem):
        return problem.payment.hours_per_month
    stated = [load_of(workload, problem).hours_per_month for workload in problem.workloads]
    used = [hours for hours in stated if hours is not None]
    if len(used) < len(stated):
        return problem.payment.hours_per_month
    return min(max(used), month_hours)


def load_hours(workload: Workload, problem: Problem) -> float:
    """Hours a month in which a workload's stated load runs, and in which its tokens are made.

    Batch work: its runs. Online work: around the clock, or part-time where ``payment.hours_per_month`` says so; with a
    day profile the hours of each period, weighed by its load against that of the busiest.
    """
    from optimizer.problem import load_of, periods_of

    load = load_of(workload, problem)
    if load.hours_per_month is not None:
        return load.hours_per_month
    if load.factors:
        periods = periods_of(problem)
        return sum(period.hours * factor for period, factor in zip(periods, load.factors, strict=True))
    stated = problem.payment.hours_per_month
    return stated if stated < SHORTEST_MONTH_HOURS else MEAN_MONTH_HOURS


def mean_load(problem: Problem) -> float:
    """Share of the stated load that runs on average in those hours: 1 with a day profile, as its factors say."""
    from optimizer.problem import periods_of

    return 1.0 if periods_of(problem) else problem.payment.mean_load


def exchange_of(problem: Problem, catalog: Catalog) -> Exchange:
    """Rates of the catalog; ``payment.fx`` (units per US dollar, one date) replaces them."""
    per_usd = {USD: 1.0, **{code: rate.per_usd for code, rate in catalog.fx.items()}}
    dates = {code: rate.date for code, rate in catalog.fx.items()}
    stated = problem.payment.fx
    if stated is not None:
        per_usd |= stated.rates
        dates |= {code: str(stated.date) for code in stated.rates if stated.date is not None}
    return Exchange(problem.payment.currency, per_usd, dates)


def _ownership(problem: Problem, exchange: Exchange, tax: float, month_hours: float) -> OwnershipRates:
    """Figures that the user states are in the problem's currency; the defaults are US dollars and converted."""
    stated = problem.ownership

    def money(field: str) -> float:
        amount: float = getattr(stated, field)
        return amount if field in stated.model_fields_set else amount * exchange.rate(USD)

    return OwnershipRates(
        term_months=stated.term_months,
        residual=stated.residual,
        cost_of_capital=stated.cost_of_capital,
        electricity_per_kwh=money("electricity_per_kwh"),
        pue=stated.pue,
        colo_per_kw_month=money("colo_per_kw_month"),
        support=stated.support_percent / 100,
        tax=tax,
        month_hours=month_hours,
    )


__all__ = ["MAX_AGE_DAYS", "WARN_AGE_DAYS", "age_days", "parse_day", "ranks_until"]


def age_days(day: str, as_of: date) -> int:
    """Days from ``day`` to ``as_of``; negative when the price is newer."""
    return (as_of - parse_day(day)).days
