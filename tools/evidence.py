"""How far a collected price may be relied on: ``list``, ``indicative`` or ``reference``, and why it is not ranked.

``list``: published by the provider, or by its API or catalog, dated, for a whole node and a stated term.
``indicative``: the dated figure of a tracker, or of a marketplace. ``reference``: shown on request, never ranked. The
words that decide stand in the collected ``doubts``; ``catalogs/README.md`` says what was decided about doubtful rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.source_tables import Row

LIST, INDICATIVE, REFERENCE = "list", "indicative", "reference"

_NAMED = {"list_price": LIST, "catalog_snapshot": LIST, "tracker": INDICATIVE, "press": REFERENCE}
"""How a price was found -> the class it has where nothing is held against it."""

_AGAINST = (
    re.compile(r"\b(?:SUPERSEDED|SOLD OUT|NOT ON SALE|PROMO|UNCONFIRMED|LOW)\b"),
    re.compile(r"^derived\b"),
    re.compile(r"^GPU part only\b"),
    re.compile(r'"(?:from|starts from|starting at|as low as|about)"'),
    re.compile(r"\bcommitment not stated\b|\bterm\b.*\bnot (?:stated|confirmed)\b"),
    re.compile(r"\baverage market rate\b|\bmoving average\b|\bestimate, no quote\b"),
)
"""Remarks that keep a price from being ranked: capital words of the collector, parts of a price, no stated term."""

_STOCK = re.compile(r"\b(?:often sold out|sold out \(|stock low|availability low|stock not seen)")
_HOST = re.compile(r"^Arm \(aarch64\) host")

_NEEDS_TERM = ("reserved_1y", "reserved_3y")


@dataclass(frozen=True)
class Judged:
    """The class of a price, the reason where it is reference, and what else a buyer should know."""

    evidence: str
    reason: str
    stock_note: str
    remarks: str


def judged(row: Row) -> Judged:
    """Judge one collected price of ``data/dated_offers.csv``."""
    clauses = [clause.strip() for clause in row["doubts"].split(";") if clause.strip()]
    against = list(_against(row, clauses))
    if not against and row["evidence"] not in _NAMED:
        raise ValueError(f"{row['provider']} {row['instance_type']}: unknown evidence {row['evidence']!r}")
    evidence = REFERENCE if against else _NAMED[row["evidence"]]
    if evidence == LIST and row["provider_class"] == "marketplace":
        evidence = INDICATIVE
    stock = [clause for clause in clauses if _STOCK.search(clause)]
    rest = [c for c in clauses if c not in against and c not in stock and not _HOST.search(c)]
    return Judged(evidence, "; ".join(against), "; ".join(stock), "; ".join(rest))


def _against(row: Row, clauses: list[str]) -> Iterator[str]:
    if _NAMED.get(row["evidence"]) == REFERENCE:
        yield "press report, not a price list"
    if row["tier"] in _NEEDS_TERM and not row["commitment_months"]:
        yield "the term is not stated"
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", row["price_date"]):
        yield "undated"
    yield from (clause for clause in clauses if any(pattern.search(clause) for pattern in _AGAINST))
