"""What wins under a stricter view of prices: at list prices alone, where stock notes are believed, after expiry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.plan.types import Plan


@dataclass(frozen=True, slots=True)
class Winner:
    """The cheapest plan under such a view. ``plan`` is None where nothing wins then."""

    plan: Plan | None
    rank: int | None = None  # where it is one of the ranking
    stock_notes: tuple[str, ...] = ()  # what was seen of the stock of its nodes
    in_stock: Winner | None = None  # what wins without them; None: no such note, or not worked out


@dataclass(frozen=True, slots=True)
class OtherWinners:
    """How far the first plan rests on its prices. None: not worked out (no plan, no time, or a large problem)."""

    at_list: Winner | None = None  # with ``payment.price_evidence: [quote, list]``
    first: Winner | None = None  # the first plan itself, with its stock notes
    expires: str | None = None  # last day on which every price of the first plan may be ranked
    after_expiry: Winner | None = None  # on the day after
