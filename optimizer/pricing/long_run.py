"""Beyond one month: totals over years, renting against buying, the same tokens from an API. Integer cents throughout.

Totals repeat the ledger month by month; the lines that write a purchase off (depreciation, cost of capital, tax on the
purchase) end with ``ownership.term_months``, after which the hardware costs its running lines only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from optimizer.plan.costs import LongRun, RentOrBuy
from optimizer.pricing.api import api_comparison
from optimizer.pricing.bill import Running, cost_lines
from optimizer.pricing.rules import OptionRules
from optimizer.pricing.terms import MONTHS_PER_YEAR, mean_load, terms_of
from optimizer.pricing.types import NodeOption, Origin
from optimizer.pricing.unit_costs import Volume
from optimizer.units import to_cents
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.problem import Problem

YEARS = (1, 3, 5)
"""Spans that totals are given for."""

MOST_MONTHS = 240
"""A break-even later than this is none."""

UNTIL_TERM = frozenset({"depreciation", "cost of capital", "tax on the purchase"})
"""Lines of a bought node that end when it is written off."""

Other = Mapping[tuple[str, str], NodeOption]
"""The counterpart of an option, by its key: the same node bought instead of rented, or the other way round."""


def total_cents_over(
    nodes: Iterable[tuple[NodeOption, int]], problem: Problem, years: int, running: Running | None = None
) -> int:
    """Cents over so many years of the same plan."""
    pairs, months = list(nodes), years * MONTHS_PER_YEAR
    written_off = min(months, problem.ownership.term_months)
    monthly = sum(line.monthly_cents for line in cost_lines(pairs, problem, running=running))
    ending = sum(
        line.monthly_cents * count for option, count in pairs for line in option.lines if _ends(option, line.name)
    )
    return (monthly - ending) * months + ending * written_off


def _ends(option: NodeOption, name: str) -> bool:
    return option.tier is Tier.PURCHASE and name in UNTIL_TERM


def counterparts(
    used: Iterable[NodeOption], options: Iterable[NodeOption], rules: OptionRules
) -> dict[tuple[str, str], NodeOption]:
    """For each option in use the cheapest one on the same node type on the other side, where a fit price is known.

    A rented node is held against purchase prices that may be ranked, whether ``payment.tiers`` has purchases or not; a
    bought one against rents that the user's rules allow.
    """
    wanted: dict[tuple[object, bool], list[NodeOption]] = {}
    for option in used:
        if option.tier is not Tier.OWNED:
            wanted.setdefault((option.node_type.key, option.tier is not Tier.PURCHASE), []).append(option)
    best: dict[tuple[object, bool], NodeOption] = {}
    for option in options:
        bought = option.tier is Tier.PURCHASE
        side = (option.node_type.key, bought)
        if side not in wanted or option.tier is Tier.OWNED:
            continue
        if rules.why_not_rankable(option) if bought else rules.forbidden_by(option):
            continue
        other = best.get(side)
        if other is None or (option.monthly_cents, option.key) < (other.monthly_cents, other.key):
            best[side] = option
    return {option.key: best[side] for side, of_side in wanted.items() for option in of_side if side in best}


def rent_or_buy(
    nodes: Sequence[tuple[NodeOption, int]],
    other: Other,
    problem: Problem,
    catalog: Catalog,
    running: Running | None = None,
) -> RentOrBuy | None:
    """The plan's nodes rented against bought; None where some node has no counterpart.

    Rented nodes cost what they cost in the plan, counterparts the whole month.
    """
    if not nodes or any(option.key not in other for option, _ in nodes):
        return None
    pairs = [
        (option, other[option.key], count) if option.tier is Tier.PURCHASE else (other[option.key], option, count)
        for option, count in nodes
    ]
    price = sum(purchase_cents(bought, problem, catalog) * count for bought, _, count in pairs)
    owning = sum(
        line.monthly_cents * count for bought, _, count in pairs for line in bought.lines if line.name not in UNTIL_TERM
    )
    rent = sum(_rent(option, other[option.key], count, running) for option, count in nodes)
    return RentOrBuy(
        bought=tuple(bought.key for bought, _, _ in pairs),
        rented=tuple(rented.key for _, rented, _ in pairs),
        price_cents=price,
        running_cents=owning,
        rent_cents=rent,
        months=break_even_months(price, rent - owning, problem.ownership.cost_of_capital),
    )


def _rent(option: NodeOption, other: NodeOption, count: int, running: Running | None) -> int:
    """Cents a month of renting: what the plan pays, or what the counterpart of bought nodes costs around the clock."""
    if option.tier is Tier.PURCHASE:
        return other.monthly_cents * count
    return option.monthly_cents * count if running is None else option.cents_for(running[option.key])


def purchase_cents(option: NodeOption, problem: Problem, catalog: Catalog) -> int:
    """What a bought node costs once: its price after discount, with tax, in the problem's currency."""
    terms, price, offer = terms_of(problem, catalog), option.price, option.offer
    assert price is not None
    off = 0.0 if option.origin is Origin.QUOTE else terms.discount(offer.provider, price.tier, offer.gpu)
    tax = terms.tax_on(offer)
    return to_cents(price.amount * terms.exchange.rate(price.currency) * (1 - off) * (1 + tax))


def break_even_months(price: int, saved_monthly: int, annual_rate: float) -> int | None:
    """First month at whose end the rent saved, with interest, has paid the price back; the residual value is left out.

    Discounted payback: with i = rate / 12, price = saved (1 - (1 + i)^-n) / i solved for n, rounded up. Without
    interest n = price / saved. Source: Brealey, Myers & Allen, Principles of Corporate Finance, "discounted payback".
    """
    if saved_monthly <= 0:
        return None
    rate = annual_rate / MONTHS_PER_YEAR
    share = price * rate / saved_monthly
    if share >= 1:
        return None
    months = price / saved_monthly if rate == 0 else -math.log1p(-share) / math.log1p(rate)
    whole = math.ceil(months - 1e-9)
    return whole if whole <= MOST_MONTHS else None


def long_run(
    nodes: Sequence[tuple[NodeOption, int]],
    other: Other,
    volume: Volume,
    problem: Problem,
    catalog: Catalog,
    running: Running | None = None,
) -> LongRun:
    """All of it for one plan."""
    cents = sum(line.monthly_cents for line in cost_lines(nodes, problem, running=running))
    return LongRun(
        totals=tuple((years, total_cents_over(nodes, problem, years, running)) for years in YEARS),
        mean_load=mean_load(problem),
        rent_or_buy=rent_or_buy(nodes, other, problem, catalog, running),
        api=api_comparison(cents, volume, problem, catalog),
    )
