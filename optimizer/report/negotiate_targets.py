"""The report of ``optimize targets``: prices to ask for."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from optimizer.negotiate.targets import ANY, TargetPrice, Targets
from optimizer.report.json_report import Json, document, dump
from optimizer.report.layout import BLANK, Line, Style, columns
from optimizer.report.negotiate_words import finished, heading, setup, sources, winner, wrapped
from optimizer.report.verdicts import no_plan
from optimizer.report.words import gpu_name, money, plural, price, tier_name
from optimizer.units import CENTS_PER_UNIT


def render_targets(answer: Targets, style: str) -> str:
    """The prices as ``text``, ``json`` or ``csv``."""
    if style == "json":
        return dump(_document(answer))
    return _csv(answer) if style == "csv" else finished(_lines(answer))


def _lines(answer: Targets) -> Iterator[Line]:
    outcome = answer.outcome
    yield from heading("Prices to ask for", outcome.problem_name, outcome.problem_path)
    yield BLANK
    if not outcome.plans:
        yield from no_plan(outcome)
        return
    best = outcome.plans[0]
    text = f"to beat  {money(best.monthly_cents, best.currency)}/mo  {winner(best)}; {sources(best)}"
    yield from wrapped(text, "  ", " " * 11)
    if not answer.prices:
        yield from wrapped(
            "No other card or provider could serve this problem at an hourly price that payment.tiers allows."
        )
        return
    tier = tier_name(answer.prices[0].tier, 0)
    yield from wrapped(
        f"Each of these wins with a quote at or below the price, {tier}, for whole nodes of that many GPUs; one cent "
        "per GPU-hour more and it does not. A listed price with a reason beside it does not compete as it is."
    )
    yield BLANK
    rows = [("GPU", "provider", "node", "wins up to", "listed", "")]
    rows += [_row(one, outcome.currency) for one in answer.prices if one.cents is not None]
    texts = columns(rows, "<<>>><")
    yield Line(texts[0], Style.HEADING)
    yield from (Line(text) for text in texts[1:])
    yield Line("  Prices are per GPU and hour.")
    never = [f"{one.provider} {gpu_name(one.gpu)}" for one in answer.prices if one.cents is None]
    if never:
        yield from wrapped(f"Could serve the load, but win at no price: {', '.join(never)}.")
    yield BLANK


def _row(one: TargetPrice, currency: str) -> tuple[str, str, str, str, str, str]:
    assert one.cents is not None
    several = one.plan is not None and len(one.plan.groups) > 1
    how = "; ".join(setup(group, several) for group in one.plan.groups) if one.plan else ""
    listed = "-" if one.listed is None else price(round(one.listed, 2), currency)
    note = one.listed_note if one.listed is not None else "no price: ask for a quote"
    provider = "anyone" if one.provider == ANY else one.provider
    node = plural(one.gpus_per_node, "GPU")
    return gpu_name(one.gpu), provider, node, price(one.cents / CENTS_PER_UNIT, currency), listed, note or how


def _document(answer: Targets) -> dict[str, Json]:
    """The report of the problem as ``optimize FILE --format json`` prints it, with its ``targets`` filled in."""
    listed: list[Json] = [
        {
            "gpu": one.gpu,
            "provider": one.provider,
            "wins_below_per_gpu_hour": None if one.cents is None else one.cents / CENTS_PER_UNIT,
            "gpus_per_node": one.gpus_per_node,
            "offer_id": one.offer_id,
            "tier": str(one.tier),
            "listed_per_gpu_hour": one.listed,
            "listed_note": one.listed_note,
        }
        for one in answer.prices
    ]
    return {**document(answer.outcome), "targets": listed}


def _csv(answer: Targets) -> str:
    stream = io.StringIO()
    out = csv.writer(stream, lineterminator="\n")
    out.writerow(["gpu", "provider", "gpus_per_node", "tier", "wins_up_to_per_gpu_hour", "currency", "listed", "note"])
    for one in answer.prices:
        cents = "" if one.cents is None else f"{one.cents / CENTS_PER_UNIT:.2f}"
        listed = "" if one.listed is None else f"{one.listed:.4f}"
        row = [one.gpu, one.provider, one.gpus_per_node, one.tier, cents, answer.outcome.currency, listed]
        out.writerow([*row, one.listed_note])
    return stream.getvalue()
