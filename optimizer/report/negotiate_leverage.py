"""The lines on leverage that `explain` and `targets` share: how firm the first place is, and who else there is."""

from __future__ import annotations

from collections.abc import Iterator

from optimizer.negotiate.leverage import Leverage, Without
from optimizer.plan.types import Plan
from optimizer.report.json_plan import Json, Money, in_money
from optimizer.report.layout import BLANK, Block, Line, Style
from optimizer.report.negotiate_words import signed, winner, wrapped
from optimizer.report.words import money, price


def leverage_lines(told: Leverage | None, best: Plan) -> Iterator[Block]:
    """What to bargain with; nothing where money is not the objective."""
    if told is None:
        return
    yield Line("Leverage", Style.HEADING)
    if told.offer_id is not None and told.price_now is not None:
        now = price(told.price_now, best.currency)
        if told.first_up_to is None:
            text = f"#1 stays first at any price of {told.offer_id} (now {now} per GPU-hour)."
        else:
            most = price(told.first_up_to, best.currency)
            text = f"#1 stays first up to {most} per GPU-hour of {told.offer_id} (now {now})."
        yield from wrapped(text)
    one = "one of its providers" if told.providers[1:] else "its provider"
    for other in told.providers:
        yield from wrapped(_without(other, best, "all its providers" if other.names[1:] else one))
    yield from wrapped(_without(told.vendor, best, "its GPU vendor"))
    yield BLANK


def _without(other: Without, best: Plan, what: str) -> str:
    names = ", ".join(other.names)
    if other.plan is None:
        return f"Without {what} ({names}) nothing keeps every promise."
    cents = other.plan.monthly_cents
    more = signed(cents - best.monthly_cents, best.currency)
    return f"Without {what} ({names}): {money(cents, best.currency)}/mo ({more}), {winner(other.plan)}."


def leverage_document(told: Leverage | None) -> dict[str, Json] | None:
    """The same as nested values."""
    if told is None:
        return None
    return {
        "offer_id": told.offer_id,
        "price_per_gpu_hour": in_money(told.price_now),
        "first_up_to_per_gpu_hour": in_money(told.first_up_to),
        "without_provider": _other(told.providers[-1]),
        "without_each_provider": [_other(one) for one in told.providers if not one.names[1:]],
        "without_gpu_vendor": _other(told.vendor),
    }


def _other(other: Without) -> dict[str, Json]:
    plan = other.plan
    return {
        "left_out": list(other.names),
        "monthly_cost": None if plan is None else Money(plan.monthly_cents),
        "deployment": None if plan is None else winner(plan),
    }
