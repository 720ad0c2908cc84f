"""Who wins at list prices alone, without offers that were seen sold out, and once the first plan's prices are too old.

Each is the same problem solved anew over the same replicas, its plan verified, and replayed where the case replays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from optimizer.errors import OutOfTimeError
from optimizer.plan.types import OtherWinner, OtherWinners
from optimizer.pricing.terms import parse_day
from optimizer.vocabulary import RANKABLE_EVIDENCE, Evidence
from optimizer.whatif.stress import PRICED_UP_TO

if TYPE_CHECKING:
    from optimizer.plan.types import Plan
    from optimizer.whatif.case import Case

_SHARE = 0.3
"""Share of the time left that one of these searches may take."""

_FIRM = (Evidence.QUOTE, Evidence.LIST)


def other_winners(case: Case, plans: Sequence[Plan], say: Callable[[str], None]) -> OtherWinners:
    """Ask a case with its ranking; what no time is left for, or takes as long again, is None."""
    if not plans:
        return OtherWinners()
    asking = _Asking(case, tuple(plans))
    first, small = plans[0], len(case.allowed().candidates.candidates) <= PRICED_UP_TO
    evidence, expires = first.price_evidence, first.expires
    say("asking what wins at list prices alone")
    at_list: OtherWinner | None = OtherWinner(first, first.rank, first.stock_notes)
    if evidence not in (None, *_FIRM):
        firm = [str(kind) for kind in _FIRM if kind in case.inputs.problem.payment.price_evidence]
        at_list = (
            asking.winner(case.edited([f"payment.price_evidence=[{', '.join(firm)}]"])) if firm else OtherWinner(None)
        )
    if small and at_list is not None:
        at_list = asking.with_stock(at_list, _FIRM)
    after = None
    if small and expires is not None:
        say("asking what wins once its prices are too old")
        after = asking.winner(case.edited([f"payment.as_of={parse_day(expires) + timedelta(days=1)}"]))
    told = OtherWinner(first, first.rank, first.stock_notes)
    return OtherWinners(at_list, asking.with_stock(told) if small else told, expires, after)


class _Asking:
    """The searches of one answer."""

    def __init__(self, case: Case, plans: tuple[Plan, ...]) -> None:
        self._case, self._plans = case, plans

    def with_stock(self, winner: OtherWinner, evidence: Sequence[Evidence] = RANKABLE_EVIDENCE) -> OtherWinner:
        """A winner with what wins without the offers that were seen sold out, where it has such."""
        if not winner.stock_notes:
            return winner
        asked = [str(kind) for kind in evidence if kind in self._case.inputs.problem.payment.price_evidence]
        case = self._case.edited([f"payment.price_evidence=[{', '.join(asked)}]"])
        in_stock = self.winner(case.only(option=lambda one: one.price is None or not one.price.stock_note))
        return OtherWinner(winner.plan, winner.rank, winner.stock_notes, in_stock)

    def winner(self, case: Case) -> OtherWinner | None:
        """The best plan of a case; None where the clock ended the search."""
        from optimizer.fleet import SolveSettings

        with suppress(OutOfTimeError):
            asked = case.allowed()
            result = asked.solve(1, SolveSettings(clock=case.clock.part(_SHARE)))
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
    groups = sorted(
        (g.workload, g.gpu, g.weight_quant, g.kv_cache, g.tensor_parallel, g.pipeline_parallel, g.replicas)
        for g in plan.groups
    )
    return (nodes, groups)
