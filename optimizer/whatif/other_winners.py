"""Who wins at list prices alone, without offers that were seen sold out, once the first plan's prices are too old, of
each grade, with weights as published, and where any one node may be gone.

Each is the same problem solved anew over the same replicas, its plan verified, and replayed where the case replays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from optimizer.errors import OutOfTimeError
from optimizer.plan.types import OtherWinner, OtherWinners
from optimizer.pricing import last_day
from optimizer.problem import parts_of
from optimizer.vocabulary import Evidence
from optimizer.whatif.signable import best_as_published, best_by_grade
from optimizer.whatif.stress import PRICED_UP_TO, may_lose_a_node, surviving

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.fleet.types import FleetResult, FleetSolution
    from optimizer.plan.types import Plan
    from optimizer.pricing import NodeOption
    from optimizer.whatif.case import Case

_SHARE = 0.3
"""Share of the time left that one of these searches may take."""

_FIRM = (Evidence.QUOTE, Evidence.LIST)


def other_winners(
    case: Case, plans: Sequence[Plan], ranking: FleetResult, say: Callable[[str], None], *, tested: bool = True
) -> OtherWinners:
    """Ask a case with its ranking; what no time is left for, or takes as long again, is None. ``tested``: the plans
    come with what the tests before signing would show; ``ranking``: what they were made of."""
    if not plans:
        return OtherWinners()
    asking = _Asking(case.allowed(), tuple(plans), ranking, tested=tested)
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
    say("asking what wins of each grade, and with weights as published")
    ask = (lambda able: asking.winner(_any, able)) if small else None
    graded, published = best_by_grade(plans, ask), best_as_published(plans, case.inputs.catalog, ask)
    say("asking what goes on with any one node gone")
    surviving = asking.surviving() if small else None
    return OtherWinners(
        at_list, asking.with_stock(told) if small else told, expires, after, graded, published, surviving
    )


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

    def __init__(self, allowed: Case, plans: tuple[Plan, ...], ranking: FleetResult, *, tested: bool) -> None:
        self._allowed, self._plans, self._ranking, self._tested = allowed, plans, ranking, tested

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

    def winner(self, test: Test, able: Callable[[Candidate], bool] = lambda _: True) -> OtherWinner | None:
        """The best plan of candidates and ways to pay that pass; None where the clock ended the search."""
        asked = self._allowed.only(option=test)
        types = {option.node_type.key for option in asked.options}
        asked = asked.only(candidate=lambda one: one.node_type.key in types and able(one))
        return self._best(asked, self._at_most(test, able), asked)

    def surviving(self) -> OtherWinner | None:
        """The cheapest plan that keeps every promise with any one node gone and nothing started again; None where that
        is not known of plans, or cannot be asked."""
        first = self._plans[0]
        if not may_lose_a_node(self._allowed):
            return None
        if first.without_a_node is not False:
            return None if first.without_a_node is None else OtherWinner(first, first.rank, first.stock_notes)
        known = (plan.monthly_cents for plan in self._plans if plan.without_a_node)
        return self._best(surviving(self._allowed), min(known, default=None), self._allowed)

    def _best(self, asked: Case, at_most: int | None, told: Case) -> OtherWinner | None:
        """The best plan of a case, told as a plan of another one; None where the clock ended the search."""
        from optimizer.fleet import SolveSettings

        with suppress(OutOfTimeError):
            how = SolveSettings(clock=asked.clock.part(_SHARE), at_most=at_most)
            result = asked.solve_near(self._plans[0].monthly_cents, how)
            if result.status not in ("proven", "infeasible"):
                return None
            if not result.solutions:
                return OtherWinner(None)
            bought = _content_of_solution(asked, result.solutions[0])
            ranked = next((plan for plan in self._plans if _content(plan) == bought), None)
            found = ranked or told.plans(result, tested=self._tested)[0]
            return OtherWinner(found, ranked.rank if ranked else None, found.stock_notes)
        return None

    def _at_most(self, test: Test, able: Callable[[Candidate], bool]) -> int | None:
        """What the cheapest plan of the ranking costs that passes: the best costs no more; None: there is none."""
        passing = (
            plan.monthly_cents
            for plan in self._ranking.solutions
            if all(test(node.option) for node in plan.nodes) and all(able(group.candidate) for group in plan.groups)
        )
        return min(passing, default=None)


def _content_of_solution(case: Case, solution: FleetSolution) -> tuple[object, ...]:
    """The nodes that a solution buys and what runs on them, as ``_content`` has it of a plan."""
    names = [part.name for part in parts_of(case.inputs.problem)]
    nodes = sorted((one.option.offer.id, str(one.option.tier), one.count) for one in solution.nodes)
    groups = sorted(
        (
            names[group.candidate.workload], group.candidate.spec.gpu.id, group.candidate.spec.weight_quant,
            group.candidate.spec.kv_cache, group.candidate.spec.split, group.replicas,
            group.candidate.spec.host_kv_gib,
        )
        for group in solution.groups
    )  # fmt: skip
    return (nodes, groups)


def _content(plan: Plan) -> tuple[object, ...]:
    nodes = sorted((node.offer_id, str(node.tier), node.count) for node in plan.nodes)
    groups = sorted(
        (g.workload, g.gpu, g.weight_quant, g.kv_cache, g.split, g.replicas, g.host_kv_gib) for g in plan.groups
    )
    return (nodes, groups)
