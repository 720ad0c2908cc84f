"""Who wins at list prices alone, without offers that were seen sold out, and once the first plan's prices are too old.

Each is the same problem solved anew over the same replicas, its plan verified, and replayed where the case replays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from optimizer.errors import OutOfTimeError
from optimizer.plan.types import OtherWinner, OtherWinners
from optimizer.pricing import last_day
from optimizer.vocabulary import Evidence
from optimizer.whatif.stress import PRICED_UP_TO

if TYPE_CHECKING:
    from optimizer.plan.types import Plan
    from optimizer.pricing import NodeOption
    from optimizer.whatif.case import Case

_SHARE = 0.3
"""Share of the time left that one of these searches may take."""

_FIRM = (Evidence.QUOTE, Evidence.LIST)


def other_winners(case: Case, plans: Sequence[Plan], say: Callable[[str], None]) -> OtherWinners:
    """Ask a case with its ranking; what no time is left for, or takes as long again, is None."""
    if not plans:
        return OtherWinners()
    asking = _Asking(case.allowed(), tuple(plans))
    first, small = plans[0], asking.is_small
    evidence, expires = first.price_evidence, first.expires
    say("asking what wins at list prices alone")
    at_list: OtherWinner | None = OtherWinner(first, first.rank, first.stock_notes)
    if evidence not in (None, *_FIRM):
        at_list = asking.winner(_is_firm)
    if small and at_list is not None:
        at_list = asking.with_stock(at_list, _is_firm)
    after = None
    if small and expires is not None:
        say("asking what wins once its prices are too old")
        after = asking.winner(lambda option: (last_day(option) or _NEVER) > expires)
    told = OtherWinner(first, first.rank, first.stock_notes)
    return OtherWinners(at_list, asking.with_stock(told) if small else told, expires, after)


_NEVER = "9999-12-31"

Test = Callable[["NodeOption"], bool]
"""Whether a way to pay for a node counts under a stricter view."""


def _is_firm(option: NodeOption) -> bool:
    """Whether a price is the user's own or published; own hardware has none to doubt."""
    return option.evidence is None or option.evidence in _FIRM


def _any(option: NodeOption) -> bool:
    return True


class _Asking:
    """The searches of one answer, over what the user's rules allow."""

    def __init__(self, allowed: Case, plans: tuple[Plan, ...]) -> None:
        self._allowed, self._plans = allowed, plans

    @property
    def is_small(self) -> bool:
        """Whether there are so few configurations that further searches take no time."""
        return len(self._allowed.candidates.candidates) <= PRICED_UP_TO

    def with_stock(self, winner: OtherWinner, test: Test = _any) -> OtherWinner:
        """A winner with what wins without the offers that were seen sold out, where it has such."""
        if not winner.stock_notes:
            return winner
        in_stock = self.winner(lambda one: test(one) and (one.price is None or not one.price.stock_note))
        return OtherWinner(winner.plan, winner.rank, winner.stock_notes, in_stock)

    def winner(self, test: Test) -> OtherWinner | None:
        """The best plan with ways to pay that pass; None where the clock ended the search."""
        from optimizer.fleet import SolveSettings

        asked = self._allowed.only(option=test)
        types = {option.node_type.key for option in asked.options}
        asked = asked.only(candidate=lambda one: one.node_type.key in types)
        with suppress(OutOfTimeError):
            result = asked.solve(1, SolveSettings(clock=asked.clock.part(_SHARE)))
            if result.status not in ("proven", "infeasible"):
                return None
            plans = asked.plans(result)
            if not plans:
                return OtherWinner(None)
            found = plans[0]
            rank = next((plan.rank for plan in self._plans if _same(plan, found)), None)
            return OtherWinner(found if rank is None else self._plans[rank - 1], rank, found.stock_notes)
        return None


def _same(plan: Plan, other: Plan) -> bool:
    """Whether two plans buy the same nodes and run the same on them."""
    return _content(plan) == _content(other)


def _content(plan: Plan) -> tuple[object, ...]:
    nodes = sorted((node.offer_id, str(node.tier), node.count) for node in plan.nodes)
    groups = sorted((g.workload, g.gpu, g.weight_quant, g.kv_cache, g.split, g.replicas) for g in plan.groups)
    return (nodes, groups)
