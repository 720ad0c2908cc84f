"""What the sellers of a model by the token would charge, counted anew from the plan's own requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise

from optimizer.catalog.types import TokenPrice
from optimizer.plan.costs import ApiComparison
from optimizer.pricing import mean_load, terms_of
from optimizer.problem import lengths_of
from optimizer.problem.schema import Workload
from optimizer.units import CENTS_PER_UNIT
from optimizer.verify.case import MAXIMIZE_LOAD, CheckedCase, Mismatch
from optimizer.verify.money import expected_requests

_NEAR = 1e-9
_MOST_DAYS = 180
_ROUNDED = 0.5 + 1e-3
"""How far a bill rounded once may be from the exact one, in cents."""


@dataclass(slots=True)
class _ExpectedTokens:
    """Millions of tokens that are expected of one workload in a month."""

    name: str
    model: str
    fresh: float
    again: float  # found in the prefix cache
    out: float
    longest: int
    least: dict[str, float] = field(default_factory=dict)  # by provider
    alike: dict[str, list[TokenPrice]] = field(default_factory=dict)  # the prices that lead to it


def by_the_token(case: CheckedCase) -> Iterator[Mismatch]:
    """Bills of the expected volume, seller by seller, and the share of it at which the plan costs as much as the
    cheapest."""
    run, stated = case.plan.long_run, case.problem.payment.api_price
    if run is None:
        return
    asked = [_sold(case, _asked(case, workload)) for workload in case.problem.workloads]
    if (run.api is None) != (stated is None and not any(one.least for one in asked)):
        yield Mismatch("by the token", "long_run.api", stated, run.api, "comparison with sellers by the token")
    if run.api is not None:
        yield from _bills(run.api, asked)
        yield from _ends(case, run.api, asked)


def _asked(case: CheckedCase, workload: Workload) -> _ExpectedTokens:
    millions = expected_requests(case)[workload.name] / 1e6
    lengths = lengths_of(workload)
    read = millions * lengths.input_mean
    return _ExpectedTokens(
        name=workload.name,
        model=workload.model,
        fresh=read * (1 - lengths.shared_prefix),
        again=read * lengths.shared_prefix,
        out=millions * lengths.output_mean,
        longest=lengths.context_max,
    )


def _sold(case: CheckedCase, asked: _ExpectedTokens) -> _ExpectedTokens:
    """With the least bill of every provider whose price is young enough, still holds and reaches far enough."""
    terms = terms_of(case.problem, case.catalog)
    rate, today = terms.exchange.rate("USD"), terms.as_of
    for price in case.catalog.api_prices.get(asked.model, ()):
        young = date.fromisoformat(price.date) >= today - timedelta(days=_MOST_DAYS)
        gone = price.sold_until is not None and date.fromisoformat(price.sold_until) < today
        if not young or gone or (price.context_limit or asked.longest) < asked.longest:
            continue
        bill = rate * _bill(asked, price.input_per_million, price.cached_input_per_million, price.output_per_million)
        least = asked.least.get(price.provider, bill)
        asked.least[price.provider] = min(bill, least)
        alike = [] if bill < least * (1 - _NEAR) else asked.alike.get(price.provider, [])
        asked.alike[price.provider] = [*alike, price] if bill <= least * (1 + _NEAR) else alike
    return asked


def _bill(asked: _ExpectedTokens, fresh: float, again: float | None, out: float) -> float:
    return asked.fresh * fresh + asked.again * (fresh if again is None else again) + asked.out * out


def _bills(found: ApiComparison, asked: list[_ExpectedTokens]) -> Iterator[Mismatch]:
    """Each provider of each workload once, at its least bill, named by a price that leads to it, cheapest first."""
    wanted = {(one.name, provider): (one, bill) for one in asked for provider, bill in one.least.items()}
    listed = [(seller.workload, seller.provider) for seller in found.sellers]
    if sorted(listed) != sorted(wanted):
        yield Mismatch("by the token", "long_run.api.sellers", sorted(wanted), listed, "who sells by the token")
        return
    for seller in found.sellers:
        one, bill = wanted[seller.workload, seller.provider]
        cents = bill * CENTS_PER_UNIT
        told = (seller.sold_as, seller.date, seller.source, seller.notes)
        named = any((p.sold_as, p.date, p.source, p.notes) == told for p in one.alike[seller.provider])
        if abs(seller.monthly_cents - cents) > _ROUNDED or not named:
            yield Mismatch("by the token", "long_run.api.sellers", cents, seller, "bill of a seller")
    order = [one.name for one in asked]
    ranks = [(order.index(seller.workload), seller.monthly_cents) for seller in found.sellers]
    if any(before > after for before, after in pairwise(ranks)):
        yield Mismatch("by the token", "long_run.api.sellers", sorted(ranks), ranks, "cheapest first")


def _ends(case: CheckedCase, found: ApiComparison, asked: list[_ExpectedTokens]) -> Iterator[Mismatch]:
    """The range over all workloads, the user's own price, and where the plan breaks even with the cheapest of them."""
    stated = case.problem.payment.api_price
    unsold = tuple(one.name for one in asked if not one.least)
    if found.unsold != unsold:
        yield Mismatch("by the token", "long_run.api.unsold", unsold, found.unsold, "models that nobody sells")
    own = [
        _bill(one, stated.input_per_million, stated.cached_input_per_million, stated.output_per_million)
        for one in asked
        if stated is not None
    ]
    low = [] if unsold else [min(one.least.values()) for one in asked]
    high = [] if unsold else [max(one.least.values()) for one in asked]
    for name, bills in (("own_cents", own), ("low_cents", low), ("high_cents", high)):
        cents = sum(bills) * CENTS_PER_UNIT
        have = getattr(found, name)
        if (have is None) != (not bills) or abs((have or 0) - cents) > _ROUNDED * max(1, len(bills)):
            yield Mismatch("by the token", f"long_run.api.{name}", cents, have, "bills by the token")
    wholes = [sum(bills) for bills in (own, low) if sum(bills) > 0]
    share = case.plan.monthly_cents / CENTS_PER_UNIT / min(wholes) if wholes else None
    whole = min(1.0 if one.traffic.batch else 1.0 / mean_load(case.problem) for one in case.problem.workloads)
    if case.problem.objective == MAXIMIZE_LOAD:  # what is expected is what the plan carries
        whole /= case.plan.load_factor or 1.0
    if abs(found.stated_volume - whole) > 1e-9:
        yield Mismatch("by the token", "long_run.api.stated_volume", whole, found.stated_volume, "stated over expected")
    have = found.break_even_share
    if (have is None) != (share is None) or abs((have or 0.0) - (share or 0.0)) > 1e-6 * max(1.0, share or 0.0):
        yield Mismatch("by the token", "long_run.api.break_even_share", share, have, "share of the expected volume")
