"""The search for the highest price that still wins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from optimizer.negotiate.quoted import Quoted

if TYPE_CHECKING:
    from optimizer.fleet.types import FleetSolution


NO_END = 10_000_000
"""A quote that wins at this price, 100,000 an hour for one GPU, wins at any."""


EXACT = 2**28
"""Bills up to so many cents are counted in cents by the search, not in whole units of currency."""


class Climb:
    """The highest price at which the least bill with quoted nodes is within that of the best plan without them."""

    def __init__(self, quoted: Quoted, bar: int) -> None:
        self._quoted, self._bar = quoted, bar

    def highest(self, guess: int, only_from: int | None = None) -> int | None:
        """The price; None: none from ``only_from`` (else from 1) on is low enough."""
        price = self._up_to(guess)
        if price is None:
            if only_from is not None or guess == 1:
                return None
            price = self._up_to(1)
        while price is not None:
            further = self._up_to(price + 1)
            if further is None:
                return price
            price = further
        return None

    def _up_to(self, price: int) -> int | None:
        """How far the price may rise with the plan that is best at it; None where even that costs too much.

        What costs more than the best plan without the quote is screened out, so that there may be no plan at all.
        """
        from optimizer.fleet.types import SolveSettings

        case = self._quoted.at(price)
        settings = SolveSettings(must_use=self._quoted.shape.offer_id, first_level=True, clock=case.clock)
        found = case.solve(settings=settings).solutions
        if not found or found[0].monthly_cents > self._bar:
            return None
        return self._last_within(price, found[0])

    def _last_within(self, price: int, plan: FleetSolution) -> int:
        """The highest price at which a plan costs no more than the best without the quote: doubling, then halving."""
        mine = [bought for bought in plan.nodes if bought.option.offer.id == self._quoted.shape.offer_id]
        rest = plan.monthly_cents - sum(bought.cents for bought in mine)

        def fits(at: int) -> bool:
            node = self._quoted.node(at)
            return rest + sum(node.cents_for(bought.running or (bought.count,)) for bought in mine) <= self._bar

        low, high = price, price + 1
        while fits(high):
            low, high = high, high + 2 * (high - price)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low


def highest(room: Callable[[int], int | None], guess: int) -> int | None:
    """Largest price that wins; None: not even 1 does.

    ``room``: by how much more at least the price may rise (0: not known) or None where it loses.
    """
    low, top, probe, stride = 0, None, guess, 1
    while top is None or top - low > 1:
        left = room(probe)
        if left is None:
            top = probe
            after = probe - 1 if probe == guess else 1 if low == 0 else (low + top) // 2
        else:
            low, after = probe, probe + max(left, stride)
            stride = 1 if left else 4 * stride
        if top is not None and not low < after < top:
            after = (low + top) // 2
        probe = max(1, after)
    return low or None
