"""The same tokens from those who sell them one by one: what the expected volume costs there, and from which volume on
the plan is the cheaper way.

Input found in the prefix cache (``tokens.shared_prefix``) is charged at the seller's price for cached input, where it
has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.catalog.types import TokenPrice
from optimizer.plan.costs import ApiComparison, ApiSeller
from optimizer.pricing.terms import MAX_AGE_DAYS, USD, Terms, age_days, mean_load, parse_day, terms_of
from optimizer.units import CENTS_PER_UNIT, to_cents

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.pricing.unit_costs import Volume
    from optimizer.problem import Problem, Workload

_PER = 1e6


def api_comparison(cents: int, volume: Volume, problem: Problem, catalog: Catalog) -> ApiComparison | None:
    """A plan of so many cents a month against the sellers of its models; None where there is nothing to compare."""
    terms, own = terms_of(problem, catalog), _own_price(problem)
    sellers, unsold = list[ApiSeller](), list[str]()
    own_amount, low_amount, own_cents, low, high = 0.0, 0.0, 0, 0, 0
    for workload in problem.workloads:
        name, bills = workload.name, _bills(workload, volume, catalog, terms)
        if own is not None:
            amount = _amount(workload, volume, own, 1.0)
            own_amount, own_cents = own_amount + amount, own_cents + to_cents(amount)
        if not bills:
            unsold.append(name)
            continue
        sellers += [ApiSeller(name, *seller) for _, seller in bills]
        low_amount += bills[0][0]
        low, high = low + bills[0][1][2], high + bills[-1][1][2]
    if own is None and not sellers:
        return None
    whole = 1.0 if any(one.traffic.batch for one in problem.workloads) else 1.0 / mean_load(problem)
    references = [one for one, told in ((low_amount, not unsold), (own_amount, own is not None)) if told and one]
    return ApiComparison(
        own_cents=None if own is None else own_cents,
        sellers=tuple(sellers),
        unsold=tuple(unsold),
        low_cents=None if unsold else low,
        high_cents=None if unsold else high,
        break_even_share=cents / CENTS_PER_UNIT / min(references) if references else None,
        stated_volume=whole / volume.of_stated,
    )


def _own_price(problem: Problem) -> TokenPrice | None:
    """``payment.api_price`` in the problem's currency."""
    stated = problem.payment.api_price
    if stated is None:
        return None
    cached = stated.cached_input_per_million
    return TokenPrice("", "", "", stated.input_per_million, cached, stated.output_per_million, None, None, "", "", "")


_Seller = tuple[str, str, int, str, str, str]


def _bills(workload: Workload, volume: Volume, catalog: Catalog, terms: Terms) -> list[tuple[float, _Seller]]:
    """The cheapest price of each provider that may be compared with: its bill, and the seller; cheapest first."""
    from optimizer.problem import lengths_of

    model, longest = workload.model, lengths_of(workload).context_max
    rate = terms.exchange.rate(USD)
    best: dict[str, tuple[float, _Seller]] = {}
    for price in catalog.api_prices.get(model, ()):
        if why_not_compared(price, longest, terms):
            continue
        amount = _amount(workload, volume, price, rate)
        told = (price.provider, price.sold_as, to_cents(amount), price.date, price.source, price.notes)
        bill = (amount, told)
        best[price.provider] = min(bill, best.get(price.provider, bill))
    return sorted(best.values())


def why_not_compared(price: TokenPrice, longest: int, terms: Terms) -> str:
    """Why a price is left out: too old, no longer sold, or too short a context; empty: it counts."""
    if age_days(price.date, terms.as_of) > MAX_AGE_DAYS:
        return f"the price is older than {MAX_AGE_DAYS} days"
    if price.sold_until is not None and parse_day(price.sold_until) < terms.as_of:
        return f"sold until {price.sold_until}"
    if price.context_limit is not None and price.context_limit < longest:
        return f"a context of {price.context_limit:,} tokens"
    return ""


def _amount(workload: Workload, volume: Volume, price: TokenPrice, rate: float) -> float:
    """What the expected requests of a workload cost, in the problem's currency."""
    from optimizer.problem import lengths_of

    lengths = lengths_of(workload)
    cached = lengths.input_mean * lengths.shared_prefix if price.cached_input_per_million is not None else 0.0
    each = (lengths.input_mean - cached) * price.input_per_million + lengths.output_mean * price.output_per_million
    each += cached * (price.cached_input_per_million or 0.0)
    return volume.by_workload.get(workload.name, 0.0) * each / _PER * rate
