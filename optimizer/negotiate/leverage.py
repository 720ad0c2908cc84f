"""What a buyer can say at the table: up to which price the best plan stays first, what comes without its sellers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.units import CENTS_PER_UNIT
from optimizer.vocabulary import Tier
from optimizer.whatif.case import Winner, near

if TYPE_CHECKING:
    from optimizer.fleet.types import NodeChoice
    from optimizer.plan.types import Plan
    from optimizer.pricing import NodeOption
    from optimizer.whatif.case import Case

_MOST = 100_000_00
"""Cents per GPU-hour beyond which no price is looked for."""


@dataclass(frozen=True, slots=True)
class Without:
    """The best plan without some sellers; no plan: nothing else keeps every promise."""

    names: tuple[str, ...]
    plan: Plan | None


@dataclass(frozen=True, slots=True)
class Leverage:
    """Of the best plan, where money is the objective. Prices: per GPU-hour, before tax, in the problem's currency."""

    offer_id: str | None  # the one rented offer of the plan; None: it has several, or none
    price_now: float | None
    first_up_to: float | None  # None beside a price: at any price, as nothing else keeps every promise
    providers: tuple[Without, ...]  # without each provider of the plan; of several, last without all of them
    vendor: Without


def leverage(case: Case, best: Winner) -> Leverage | None:
    """What the best plan leaves to bargain with; None where money is not the objective or nothing is bought."""
    solution = best.solution
    if solution is None or best.result.objective != "minimize_cost":
        return None
    others = [bought for bought in solution.nodes if bought.option.tier is not Tier.OWNED]
    if not others:
        return None
    providers = {bought.option.offer.provider for bought in others}
    vendors = {bought.option.node_type.gpu.vendor for bought in others}
    each = [{name} for name in sorted(providers)] + ([providers] if len(providers) > 1 else [])
    lean = case.allowed()
    rented = _only_rented(others)
    now = None if rented is None else _per_gpu_hour(rented.option, case)
    return Leverage(
        offer_id=None if rented is None else rented.option.offer.id,
        price_now=None if now is None else now / CENTS_PER_UNIT,
        first_up_to=None if rented is None or now is None else _first_up_to(lean, best, rented.option, now),
        providers=tuple(_without(lean, best, left_out, lambda option: option.offer.provider) for left_out in each),
        vendor=_without(lean, best, vendors, lambda option: option.node_type.gpu.vendor),
    )


def _only_rented(bought: list[NodeChoice]) -> NodeChoice | None:
    """The one rented offer of a plan, at one price all month."""
    hourly = [one for one in bought if one.option.tier is not Tier.PURCHASE and not one.option.periods]
    return hourly[0] if len(bought) == len(hourly) == 1 else None


def _without(case: Case, best: Winner, names: set[str], of: Callable[[NodeOption], str]) -> Without:
    rest = case.only(option=lambda option: option.tier is Tier.OWNED or of(option) not in names)
    return Without(tuple(sorted(names)), near(rest, best).plan())


def _per_gpu_hour(option: NodeOption, case: Case) -> float:
    """Cents per GPU-hour as the offer states them, in the problem's currency."""
    from optimizer.pricing import terms_of

    assert option.price is not None
    terms = terms_of(case.inputs.problem, case.inputs.catalog)
    rate = terms.exchange.rate(option.price.currency)
    return option.price.amount * rate * CENTS_PER_UNIT / option.offer.gpus_per_node


def _as_dear_as(best: Winner, offer: NodeOption, now: float, cents: int) -> int:
    """The highest whole cent per GPU-hour of the offer at which the best plan costs no more than so many cents."""
    assert best.solution is not None
    count = sum(bought.count for bought in best.solution.nodes if bought.option.key == offer.key)
    rest = best.solution.monthly_cents - count * offer.monthly_cents
    price = int((cents - rest) / count * now / offer.monthly_cents) + 1
    while price > now and rest + count * round(offer.monthly_cents * price / now) > cents:
        price -= 1
    return price


def _first_up_to(case: Case, best: Winner, offer: NodeOption, now: float) -> float | None:
    """The highest whole cent per GPU-hour of the offer at which the same plan is still the best."""
    known: dict[int, bool] = {}
    lean, guess = case, None
    elsewhere = near(case.only(option=lambda option: option.offer.id != offer.offer.id), best).cents
    if elsewhere is not None:
        lean = case.cheaper_than(elsewhere + 1)
        guess = _as_dear_as(best, offer, now, elsewhere)

    def first(cents: int) -> bool:
        if cents not in known:
            dearer = replace(offer, monthly_cents=round(offer.monthly_cents * cents / now))
            options = tuple(dearer if option.key == offer.key else option for option in lean.options)
            there = replace(lean, options=options)
            known[cents] = Winner(there, there.solve()).identity == best.identity
        return known[cents]

    low, step = int(now), 1
    for tried in () if guess is None else (guess, guess - 1):  # which of two plans that cost the same wins is not told
        if low < tried < _MOST and first(tried) and not first(tried + 1):
            return max(tried, now) / CENTS_PER_UNIT
    while low + step <= _MOST and first(low + step):
        low, step = low + step, step * 2
    if low + step > _MOST:
        return None
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if first(middle) else (low, middle)
    return max(low, now) / CENTS_PER_UNIT
