"""What a signature binds the buyer to pay, and what is still owed when leaving early. Integer cents.

A commitment of M months at c cents a month is C = M c. Upfront u C is paid at once, the rest in M equal instalments.
Who leaves after m months owes the early-exit share of the instalments left, (C - u C) (M - m) / M; what was paid
upfront is not given back. Bought nodes are paid at once; nodes on demand, on the spot market or owned bind to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimizer.plan.costs import Owed
from optimizer.pricing.long_run import purchase_cents
from optimizer.pricing.types import NodeOption
from optimizer.units import to_cents
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.problem import Problem

_CENTS = 100


def owed(nodes: Sequence[tuple[NodeOption, int]], problem: Problem, catalog: Catalog) -> Owed:
    """Of all nodes of a plan: at the signature, of that at once, and after each month to the end of the longest."""
    months = max((option.commitment_months for option, _ in nodes), default=0)
    now = upfront = 0
    by_month = [0] * months
    for option, count in nodes:
        if option.tier is Tier.PURCHASE:
            once = purchase_cents(option, problem, catalog) * count
            now, upfront = now + once, upfront + once
            continue
        term = option.commitment_months
        if not term:
            continue
        whole = option.monthly_cents * count * term
        at_once = _share(whole, option.offer.upfront_percent)
        now, upfront = now + whole, upfront + at_once
        for month in range(1, term + 1):
            left = (whole - at_once) * (term - month) / term
            by_month[month - 1] += to_cents(left / _CENTS * option.offer.early_exit_percent / 100)
    return Owed(now, upfront, tuple(by_month))


def _share(cents: int, percent: float) -> int:
    return to_cents(cents / _CENTS * percent / 100)
