"""The report of ``optimize targets``: prices to ask for."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from optimizer.negotiate.asking_price import TargetPrice
from optimizer.negotiate.targets import ANY, Targets
from optimizer.report.json_plan import Json, dump
from optimizer.report.json_report import document
from optimizer.report.layout import BLANK, Block, Passage, RemarkedRows, Say
from optimizer.report.negotiate_leverage import leverage_document, leverage_lines
from optimizer.report.negotiate_words import finished, heading, not_replayed, setup, sources, winner, wrapped
from optimizer.report.verdicts import no_plan
from optimizer.report.words import gpu_name, money, plural, price, tier_name
from optimizer.units import CENTS_PER_UNIT
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.plan.types import Plan


def render_targets(answer: Targets, style: str, say: Say = str) -> str:
    """The prices as ``text``, ``json`` or ``csv``."""
    if style == "json":
        return dump(_document(answer))
    return _csv(answer) if style == "csv" else finished(_lines(answer), say)


def _lines(answer: Targets) -> Iterator[Block]:
    outcome = answer.outcome
    yield from heading("Prices to ask for", outcome.problem_name, outcome.problem_path)
    yield from not_replayed(replayed=answer.replayed)
    yield BLANK
    if not outcome.plans:
        yield from no_plan(outcome)
        return
    best = outcome.plans[0]
    text = f"{money(best.monthly_cents, best.currency)}/mo  {winner(best)}; {sources(best)}"
    yield Passage(text, label="to beat", column=9)
    yield from leverage_lines(answer.leverage, best)
    if not answer.prices:
        yield from wrapped(_why_none(answer))
        return
    for tier in dict.fromkeys(one.tier for one in answer.prices if one.per_gpu_hour is not None):
        yield from _priced([one for one in answer.prices if one.tier is tier], tier, outcome.currency)
    never = [_pair(one) for one in answer.prices if one.per_gpu_hour is None and not one.at_any_price]
    always = [_pair(one) for one in answer.prices if one.at_any_price]
    if always:
        yield from wrapped(f"Win at any price, as the objective is not money: {', '.join(always)}.")
    if never:
        yield from wrapped(f"Could serve the load, but win at no price: {', '.join(never)}.")
    yield BLANK


def _why_none(answer: Targets) -> str:
    """Why nobody is asked for a price."""
    if answer.only_owned:
        return "The file allows hardware of your own only (hardware.only_owned)."
    if answer.named_sellers:
        return (
            "None of the providers that hardware.providers names offers another card that could serve this problem:"
            " bring a quote of theirs, or name others."
        )
    return "No other card or provider could serve this problem at a price that payment.tiers allows."


def _priced(prices: Sequence[TargetPrice], tier: Tier, currency: str) -> Iterator[Block]:
    """The prices of one way to pay."""
    bought = tier is Tier.PURCHASE
    step = f"{currency} 1 per GPU" if bought else "one cent per GPU-hour"
    unit = "per GPU, paid once, in whole nodes" if bought else "per GPU and hour"
    price_of = "purchase price" if bought else f"price, {tier_name(tier, 0)}"
    yield from wrapped(
        (
            f"Each of these wins with a quote at or below the {price_of}, for whole nodes of that many GPUs; {step}"
            " more and it does not.",
            " ",
            "Remark: why a listed price does not compete as it is, or else how the winner would be set up.",
        )
    )
    yield BLANK
    rows = [("GPU", "provider", "node", "wins up to", "listed", "remark")]
    rows += [_row(one, currency) for one in prices if one.per_gpu_hour is not None]
    yield RemarkedRows(tuple(rows), "<<>>>")
    yield from wrapped(f"Prices are {unit}, before tax, as a quote states them.")
    yield BLANK


def _pair(one: TargetPrice) -> str:
    return f"{one.provider} {gpu_name(one.gpu)}"


def _row(one: TargetPrice, currency: str) -> tuple[str, str, str, str, str, str]:
    most = (one.cents or 0) / CENTS_PER_UNIT if one.purchase_price is None else one.purchase_price
    listed = "-" if one.listed is None else _amount(round(one.listed, 2), currency)
    note = one.listed_note if one.listed is not None else "no price: ask for a quote"
    provider = "anyone" if one.provider == ANY else one.provider
    node = plural(one.gpus_per_node, "GPU")
    return gpu_name(one.gpu), provider, node, _amount(most, currency), listed, note or _set_up(one.plan)


def _set_up(plan: Plan | None) -> str:
    """How a winner is set up; asked for only where it is shown, as plans at a price are worked out one by one."""
    if plan is None:
        return ""
    several, kinds = len(plan.groups) > 1, len({node.gpu for node in plan.nodes}) > 1
    return "; ".join(setup(group, several, kinds) for group in plan.groups)


def _amount(value: float, currency: str) -> str:
    """With cents where cents matter."""
    return price(value, currency) if value < 1000 else money(round(value * CENTS_PER_UNIT), currency)


def _document(answer: Targets) -> dict[str, Json]:
    """The report of the problem as ``optimize FILE --format json`` prints it, with its ``targets`` filled in."""
    listed: list[Json] = [
        {
            "gpu": one.gpu,
            "provider": one.provider,
            "wins_below_per_gpu_hour": one.per_gpu_hour,
            "wins_below_purchase_price_per_gpu": one.purchase_price,
            "gpus_per_node": one.gpus_per_node,
            "offer_id": one.offer_id,
            "tier": str(one.tier),
            "listed_per_gpu_hour": None if one.tier is Tier.PURCHASE else one.listed,
            "listed_purchase_price_per_gpu": one.listed if one.tier is Tier.PURCHASE else None,
            "listed_note": one.listed_note,
            "wins_at_any_price": one.at_any_price,
        }
        for one in answer.prices
    ]
    return {
        **document(answer.outcome),
        "replayed": answer.replayed,
        "targets": listed,
        "leverage": leverage_document(answer.leverage),
    }


def _csv(answer: Targets) -> str:
    stream = io.StringIO()
    out = csv.writer(stream, lineterminator="\n")
    out.writerow(["gpu", "provider", "gpus_per_node", "tier", "wins_up_to", "currency", "listed", "note"])
    for one in answer.prices:
        most = one.purchase_price if one.cents is None else f"{one.cents / CENTS_PER_UNIT:.2f}"
        listed = "" if one.listed is None else f"{one.listed:.4f}"
        row = [
            one.gpu,
            one.provider,
            one.gpus_per_node,
            one.tier,
            "" if most is None else most,
            answer.outcome.currency,
            listed,
        ]
        out.writerow([*row, one.listed_note])
    return stream.getvalue()
