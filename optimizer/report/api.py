"""Buy, rent, or call an API: the range of the sellers by the token, and the load at which a plan breaks even."""

from __future__ import annotations

from collections.abc import Iterator

from optimizer.plan.costs import ApiComparison
from optimizer.plan.types import Outcome, Plan
from optimizer.report.json_plan import Json, Money
from optimizer.report.layout import BLANK, Block, Passage, Style
from optimizer.report.words import count, money, percent, plural

_NO_MORE = 1.005
"""A load factor that says no more than the volume itself."""


def api_line(outcome: Outcome) -> Iterator[Block]:
    """One paragraph below the ranking; nothing where nobody sells the models of the problem by the token."""
    text = api_sentence(outcome.plans[0]) if outcome.plans else ""
    if text:
        yield Passage(text, style=Style.QUIET, label="API", column=8)
        yield BLANK


def api_sentence(plan: Plan) -> str:
    """The sellers' range for the expected volume, and from which load on the plan is the cheaper way."""
    run = plan.long_run
    if run is None or run.api is None:
        return ""
    compared = run.api
    parts = [part for part in (_range(compared, plan), _own(compared, plan)) if part]
    if compared.unsold:
        parts.append(f"nobody in the catalog sells the model of {', '.join(compared.unsold)} by the token")
    return "; ".join([*parts, _break_even(compared, plan)] if _break_even(compared, plan) else parts)


def never(plan: Plan) -> bool:
    """Whether even the plan run full is dearer than the cheapest way by the token."""
    share = None if plan.long_run is None or plan.long_run.api is None else plan.long_run.api.break_even_share
    return share is not None and share > carried(plan)


def carried(plan: Plan) -> float:
    """How many times the expected volume the plan makes, run full."""
    api = None if plan.long_run is None else plan.long_run.api
    return plan.load_factor * (1.0 if api is None else api.stated_volume)


def _range(compared: ApiComparison, plan: Plan) -> str:
    if compared.low_cents is None or compared.high_cents is None:
        return ""
    names = {seller.provider for seller in compared.sellers}
    low, high = (money(cents, plan.currency) for cents in (compared.low_cents, compared.high_cents))
    cheapest = ", ".join(dict.fromkeys(_cheapest(compared)))
    sellers = f"{plural(len(names), 'seller')}, the cheapest {cheapest}" if len(names) > 1 else cheapest
    spread = low if low == high else f"{low} to {high}"
    return f"the same volume by the token: {spread} a month ({sellers})"


def _cheapest(compared: ApiComparison) -> Iterator[str]:
    seen: set[str] = set()
    for seller in compared.sellers:
        if seller.workload not in seen:
            seen.add(seller.workload)
            yield f"{seller.provider} for {seller.notes}" if seller.notes else seller.provider


def _own(compared: ApiComparison, plan: Plan) -> str:
    if compared.own_cents is None:
        return ""
    return f"at payment.api_price {money(compared.own_cents, plan.currency)} a month"


def _break_even(compared: ApiComparison, plan: Plan) -> str:
    share = compared.break_even_share
    if share is None:
        return ""
    if never(plan):
        times, most = count(share), carried(plan)
        if most <= _NO_MORE:
            return (
                f"this plan is never the cheaper way, even full: that would take {times} times the volume, and by"
                " formula it carries no more than that volume"
            )
        return (
            f"this plan is never the cheaper way, even full: that would take {times} times the volume, and by"
            f" formula it carries {count(most)} times"
        )
    where = percent(share) if share < 1 else f"{count(share)} times"
    return f"this plan is the cheaper way from {where} of it on"


def api_document(plan: Plan) -> Json:
    """The comparison as JSON; null where there is none. Loads are multiples of the expected volume."""
    run = plan.long_run
    if run is None or run.api is None:
        return None
    compared = run.api
    return {
        "plan_monthly": Money(plan.monthly_cents),
        "low_monthly": _money(compared.low_cents),
        "high_monthly": _money(compared.high_cents),
        "own_price_monthly": _money(compared.own_cents),
        "expected_load_share": run.mean_load,
        "break_even_load": compared.break_even_share,
        "carried_load": carried(plan),
        "never_even_full": never(plan),
        "sellers": [
            {
                "workload": seller.workload,
                "provider": seller.provider,
                "sold_as": seller.sold_as,
                "monthly_cost": Money(seller.monthly_cents),
                "price_date": seller.date,
                "source": seller.source,
                "notes": seller.notes,
            }
            for seller in compared.sellers
        ],
        "not_sold": list(compared.unsold),
    }


def _money(cents: int | None) -> Json:
    return None if cents is None else Money(cents)
