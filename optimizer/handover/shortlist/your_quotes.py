"""The user's own quotes side by side: price, tax, validity, delivery, what each comes to, up to which price it wins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.handover.shortlist.cells import Cell, Look, Sheet, money, number
from optimizer.report.quotes import node_of, verdict_of
from optimizer.report.words import tier_name

if TYPE_CHECKING:
    from optimizer.handover.shortlist.cells import ShortlistCase
    from optimizer.handover.shortlist.cost_sheet import Say
    from optimizer.plan.quotes import QuoteVerdict

WIDTHS = (10, 12, 12, 17, 12, 17, 90)
"""Of the columns that the table has beyond those for vendors."""


def your_quotes(sheet: Sheet, case: ShortlistCase, say: Say) -> None:
    """Every entry of ``offers:``, in its order; nothing where there is none."""
    quotes = case.outcome.quotes
    if not quotes:
        return
    sheet.head(
        say("your quotes"),
        say("cards / node"),
        say("payment"),
        say("price of a node, before tax"),
        say("currency"),
        f"{say('exchange rate')} {case.terms.currency}",
        f"{say('price')}, {case.terms.currency}",
        say("tax, percent"),
        say("valid until"),
        say("delivery, weeks"),
        say("wins up to"),
        say("price would move"),
        f"{say('per month with it')}, {case.terms.currency}",
        say("verdict"),
    )
    for quote in quotes:
        sheet.add(*_row(case, quote, len(sheet.rows) + 1, say))
    sheet.note(say("Prices are per node and hour, or once for a purchase, in the quote's own currency."))
    sheet.gap()


def _row(case: ShortlistCase, quote: QuoteVerdict, row: int, say: Say) -> list[Cell | str | float | int | None]:
    rate = case.terms.exchange.rate(quote.currency)
    tax = case.terms.tax * 100 if quote.tax_percent is None else quote.tax_percent
    wins = quote.wins_below
    return [
        f"{quote.provider}: {node_of(quote)}" + (f", {quote.quote_ref}" if quote.quote_ref else ""),
        quote.gpus_per_node,
        say(tier_name(quote.tier, 0)),
        number(quote.price, Look.RATE),
        quote.currency,
        number(rate, Look.RATE),
        Cell(round(quote.price * rate, 6), Look.RATE, f"D{row}*F{row}"),
        number(tax),
        quote.valid_until or say("not stated"),
        say("not stated") if quote.lead_time_weeks is None else number(quote.lead_time_weeks),
        number(wins, Look.RATE) if wins is not None else None,
        Cell(wins / quote.price - 1, Look.PERCENT, f"K{row}/D{row}-1") if wins is not None else None,
        money(quote.monthly_cents) if quote.monthly_cents is not None else None,
        say(verdict_of(quote, case.outcome)),
    ]
