"""The same tokens from those who sell them one by one: what the expected volume costs there, and from which load on the
plan is the cheaper way.

The expected volume is the stated load times ``payment.mean_load`` (batch work and day profiles: as stated). Input found
in the prefix cache (``tokens.shared_prefix``) is charged at the seller's price for cached input where it has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from optimizer.catalog.types import TokenPrice
from optimizer.ledger import ApiComparison, ApiSeller
from optimizer.pricing.dates import MAX_AGE_DAYS, age_days, parse_day
from optimizer.pricing.exchange import USD
from optimizer.pricing.terms import Terms, mean_load, terms_of
from optimizer.units import to_cents

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.problem import Problem
    from optimizer.problem.parts import Part

_PER = 1e6

Requests = Mapping[str, float]
"""Requests of the stated load a month, by workload or class served apart."""


def api_comparison(cents: int, requests: Requests, problem: Problem, catalog: Catalog) -> ApiComparison | None:
    """A plan of so many cents a month against the sellers of its models; None where there is nothing to compare."""
    terms, own = terms_of(problem, catalog), _own_price(problem)
    sellers, unsold, full, own_full, own_cents = list[ApiSeller](), list[str](), 0.0, 0.0, 0
    low = high = 0
    for name, parts, part_of in _workloads(problem):
        bills = _bills(parts, requests, part_of, catalog, terms)
        if own is not None:
            amount = _amount(parts, requests, own, 1.0)
            own_full, own_cents = own_full + amount, own_cents + to_cents(amount * part_of)
        if not bills:
            unsold.append(name)
            continue
        sellers += [ApiSeller(name, *seller) for _, seller in bills]
        full += bills[0][0]
        low, high = low + bills[0][1][2], high + bills[-1][1][2]
    if own is None and not sellers:
        return None
    references = [amount for amount, stated in ((full, not unsold), (own_full, own is not None)) if stated and amount]
    return ApiComparison(
        own_cents=None if own is None else own_cents,
        sellers=tuple(sellers),
        unsold=tuple(unsold),
        low_cents=None if unsold else low,
        high_cents=None if unsold else high,
        break_even_share=cents / 100 / min(references) if references else None,
    )


def _workloads(problem: Problem) -> Iterator[tuple[str, list[Part], float]]:
    """Each workload, whole and by class, with the share of its stated load that runs on average."""
    from optimizer.problem import parts_of

    mean, parts = mean_load(problem), parts_of(problem)
    for workload in problem.workloads:
        mine = [part for part in parts if part.workload.name == workload.name]
        yield workload.name, mine, 1.0 if workload.traffic.batch is not None else mean


def _own_price(problem: Problem) -> TokenPrice | None:
    """``payment.api_price`` in the problem's currency."""
    stated = problem.payment.api_price
    if stated is None:
        return None
    cached = stated.cached_input_per_million
    return TokenPrice("", "", "", stated.input_per_million, cached, stated.output_per_million, None, None, "", "", "")


_Seller = tuple[str, str, int, str, str, str]


def _bills(
    parts: Sequence[Part], requests: Requests, part_of: float, catalog: Catalog, terms: Terms
) -> list[tuple[float, _Seller]]:
    """The cheapest price of each provider that may be compared with: the bill of the whole stated load, and the seller
    with the cents of the expected volume; cheapest first."""
    model, longest = parts[0].workload.model, max(part.lengths.context_max for part in parts)
    rate = terms.exchange.rate(USD)
    best: dict[str, tuple[float, _Seller]] = {}
    for price in catalog.api_prices.get(model, ()):
        if why_not_compared(price, longest, terms):
            continue
        amount = _amount(parts, requests, price, rate)
        cents = to_cents(amount * part_of)
        bill = (amount, (price.provider, price.sold_as, cents, price.date, price.source, price.notes))
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


def _amount(parts: Sequence[Part], requests: Requests, price: TokenPrice, rate: float) -> float:
    """What the stated load costs a month, in the problem's currency."""
    total = 0.0
    for part in parts:
        lengths = part.lengths
        cached = lengths.input_mean * lengths.shared_prefix if price.cached_input_per_million is not None else 0.0
        each = (lengths.input_mean - cached) * price.input_per_million + lengths.output_mean * price.output_per_million
        each += cached * (price.cached_input_per_million or 0.0)
        total += requests.get(part.name, 0.0) * each
    return total / _PER * rate
