"""The user's quotes, one line each: what they come to, and below which price one would win."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from optimizer.plan.quotes import TIME_UP, MissedPromise, QuoteVerdict, Verdict
from optimizer.plan.types import Outcome
from optimizer.report.json_plan import Json, Money, in_money
from optimizer.report.layout import BLANK, Block, Line, Say, Style, columns, fold, said
from optimizer.report.plans import promise_name
from optimizer.report.words import exact, gpu_name, money, percent, price, tier_name, two_digits
from optimizer.units import CENTS_PER_UNIT


def your_quotes(outcome: Outcome) -> Iterator[Block]:
    """The table; nothing where the problem has no quotes."""
    if not outcome.quotes:
        return
    yield Line("Your quotes", Style.HEADING)
    rows = [(one.provider, node_of(one), price_of(one), terms_of(one)) for one in outcome.quotes]
    yield _QuoteRows(tuple(rows), tuple(verdict_of(one, outcome) for one in outcome.quotes))
    yield BLANK


@dataclass(frozen=True, slots=True)
class _QuoteRows:
    """A quote a row, its verdict below it."""

    rows: tuple[tuple[str, str, str, str], ...]
    verdicts: tuple[str, ...]

    def lines(self, say: Say) -> Iterator[Line]:
        """As printed."""
        for text, verdict in zip(columns(said(self.rows, say), "<<><", folds=False), self.verdicts, strict=True):
            yield from (Line(part) for part in fold(text, " " * 6))
            yield from (Line(part) for part in fold(f"      {say(verdict)}", " " * 8))


def node_of(one: QuoteVerdict) -> str:
    """``8x L20 48GB``."""
    return f"{one.gpus_per_node}x {gpu_name(one.gpu)}"


def price_of(one: QuoteVerdict) -> str:
    """``CNY 350,000 once``, ``$23.92 an hour``: per node, before tax."""
    return f"{_amount(one.price, one)} {'once' if one.bought else 'an hour'}"


def terms_of(one: QuoteVerdict) -> str:
    """How it is paid, until when it holds, when it is delivered."""
    parts = [tier_name(one.tier, 0)]
    parts += [f"valid until {one.valid_until}"] if one.valid_until else []
    parts += [f"{one.lead_time_weeks:g} weeks to delivery"] if one.lead_time_weeks else []
    return ", ".join(parts)


def verdict_of(one: QuoteVerdict, outcome: Outcome) -> str:
    """Why it wins or not, in a line."""
    missed = "; ".join(missed_of(promise) for promise in one.missed)
    where = f" on {node_of(one)}"
    match one.verdict:
        case Verdict.BREAKS_RULE:
            also = f"; it would miss {missed}{where}" if missed else f"; {one.why}" if one.why else ""
            return f"breaks {', '.join(one.rules)}{also}"
        case Verdict.EXPIRED:
            return f"expired: {one.why}"
        case Verdict.CANNOT_SERVE:
            return f"cannot serve: {one.why}"
        case Verdict.BREAKS_PROMISE:
            return f"loses because {missed}{where}, one request at a time ({one.missed[0].setup})"
        case Verdict.WINS:
            return "wins: #1 stands on it"
    return _loses(one, outcome)


def _loses(one: QuoteVerdict, outcome: Outcome) -> str:
    best = outcome.plans[0] if outcome.plans else None
    parts = []
    if one.monthly_cents is not None and best is not None and best.monthly_cents:
        more = one.monthly_cents / best.monthly_cents - 1
        cost = money(one.monthly_cents, best.currency)
        listed = f"#{one.rank}, " if one.rank else ""
        gap = "as much as" if abs(more) < 0.0005 else f"{percent(more)} more than"
        parts.append(f"loses: {listed}{cost}/mo with it, {gap} #1")
    else:
        parts.append(f"loses: #{one.rank}" if one.rank else f"loses: {one.why}")
    if one.wins_below is not None:
        unit = "once" if one.bought else "an hour"
        parts.append(f"wins up to {_amount(one.wins_below, one)} {unit} ({_change(one)})")
    elif best is not None and one.why != TIME_UP and outcome.proof.objective == "minimize_cost":
        parts.append("wins at no price")
    if not one.replayed and one.wins_below is not None:
        parts.append("not replayed")
    return "; ".join(parts)


def _change(one: QuoteVerdict) -> str:
    """By how much the price would have to move."""
    share = (one.wins_below or 0.0) / one.price - 1
    return f"{'+' if share > 0 else ''}{percent(share)}"


def missed_of(promise: MissedPromise) -> str:
    """``TTFT p95 4.1 s of 2 s``."""
    factor, unit = (1e-3, "s") if promise.unit == "ms" and promise.limit >= 1000 else (1.0, promise.unit)
    value = two_digits(promise.value * factor)
    return f"{promise_name(promise.path)} {value} {unit} of {exact(round(promise.limit * factor, 6))} {unit}"


def _amount(value: float, one: QuoteVerdict) -> str:
    return money(round(value * CENTS_PER_UNIT), one.currency) if one.bought else price(round(value, 4), one.currency)


def quote_document(one: QuoteVerdict, outcome: Outcome) -> dict[str, Json]:
    """One quote as JSON; ``price`` and ``wins_below`` are per node, before tax, in the quote's currency."""
    return {
        "offer_id": one.offer_id,
        "provider": one.provider,
        "gpu": one.gpu,
        "gpus_per_node": one.gpus_per_node,
        "tier": str(one.tier),
        "price": in_money(one.price),
        "currency": one.currency,
        "unit": "node_purchase" if one.bought else "node_hour",
        "tax_percent": one.tax_percent,
        "quote_ref": one.quote_ref or None,
        "valid_until": one.valid_until or None,
        "lead_time_weeks": one.lead_time_weeks,
        "verdict": str(one.verdict),
        "rank": one.rank,
        "monthly_cost": None if one.monthly_cents is None else Money(one.monthly_cents),
        "wins_below": in_money(one.wins_below),
        "rules": list(one.rules),
        "missed": [
            {"promise": miss.path, "value": miss.value, "limit": miss.limit, "unit": miss.unit, "setup": miss.setup}
            for miss in one.missed
        ],
        "replayed": one.replayed,
        "reason": verdict_of(one, outcome),
    }
