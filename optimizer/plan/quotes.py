"""What became of every quote of the user: it wins, or why not and what would help."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from optimizer.vocabulary import Tier


class Verdict(StrEnum):
    """How a quote fares; of several that hold the first is told."""

    BREAKS_RULE = "breaks_rule"  # a rule of the problem file forbids it
    EXPIRED = "expired"
    CANNOT_SERVE = "cannot_serve"  # no replica fits such nodes, or the engine does not run on the card
    BREAKS_PROMISE = "breaks_promise"  # a latency that even one request at a time does not keep, or too little quality
    WINS = "wins"  # nodes of it stand in the first plan
    LOSES = "loses"  # others are cheaper, or better by the objective


@dataclass(frozen=True, slots=True)
class MissedPromise:
    """A promise that the best set-up on a quote's nodes breaks with one request at a time, error margin included."""

    path: str
    value: float  # in ms; in s for E2E
    limit: float
    unit: str
    setup: str  # card, format, sizes


NO_PLAN = "with it or without, no plan keeps every rule"
TIME_UP = "the time was up before a plan with it was priced"


@dataclass(frozen=True, slots=True)
class QuoteVerdict:
    """One entry of ``offers:``. Prices are per node and hour, or per node once, before tax, in its own currency."""

    offer_id: str
    provider: str
    gpu: str
    gpus_per_node: int
    tier: Tier
    price: float
    currency: str
    verdict: Verdict
    rules: tuple[str, ...] = ()  # YAML paths that forbid it
    why: str = ""  # of an expired one, one that cannot serve, or one that no plan was priced with
    missed: tuple[MissedPromise, ...] = ()
    rank: int | None = None  # of the first listed plan with nodes of it
    monthly_cents: int | None = None  # of the cheapest plan with nodes of it, in the problem's currency
    wins_below: float | None = None  # the highest price at which it wins; None: at none, or not sought
    replayed: bool = True  # whether the plans of the ranking were
    tax_percent: float | None = None
    lead_time_weeks: float | None = None
    quote_ref: str = ""
    valid_until: str = ""

    @property
    def bought(self) -> bool:
        """Paid once."""
        return self.tier is Tier.PURCHASE
