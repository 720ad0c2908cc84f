"""Rules about the list of plans as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from optimizer.plan.types import Plan
from optimizer.verify.types import Mismatch
from optimizer.vocabulary import NVLINK_CLASS, Link

if TYPE_CHECKING:
    from optimizer.problem import Problem

TIE = 0.03
"""Plans closer than this in cost are marked as a tie (design.md section 7)."""


def ranks(problem: Problem, plans: Sequence[Plan]) -> Iterator[Mismatch]:
    """Ranks count from 1, and there are no more plans than asked for."""
    if [plan.rank for plan in plans] != list(range(1, len(plans) + 1)):
        yield Mismatch("ranks", "plans", "1, 2, 3, ...", [plan.rank for plan in plans], "ranks")
    if len(plans) > problem.ranking.top:
        yield Mismatch("ranks", "ranking.top", problem.ranking.top, len(plans), "more plans than asked for")


def order(problem: Problem, plans: Sequence[Plan]) -> Iterator[Mismatch]:
    """No plan is better than one ranked before it, by the objective and then by cost."""
    for better, worse in pairwise(plans):
        if _value(problem, worse) < _value(problem, better):
            path = f"plans[{worse.rank}]"
            yield Mismatch("order", path, _value(problem, better), _value(problem, worse), "better than the one before")


def distinct(problem: Problem, plans: Sequence[Plan]) -> Iterator[Mismatch]:
    """Every two plans differ under ``ranking.distinct_by``."""
    seen: dict[object, int] = {}
    for plan in plans:
        if plan.key in seen:
            found = f"ranks {seen[plan.key]} and {plan.rank}"
            yield Mismatch("distinct", "ranking.distinct_by", "different keys", found, "the same plan twice")
        seen.setdefault(plan.key, plan.rank)


def flagged_first(problem: Problem, plans: Sequence[Plan]) -> Iterator[Mismatch]:
    """TP >= 4 over PCIe is never rank 1 unless the user names the card (in gpus, owned or a quote)."""
    hardware = problem.hardware
    listed = hardware.gpus if isinstance(hardware.gpus, tuple) else ()
    named = {*listed, *(entry.gpu for entry in hardware.owned), *(quote.gpu for quote in problem.offers)}
    for group in plans[0].groups if plans else ():
        slow = group.link not in NVLINK_CLASS or group.link is Link.NVLINK_PAIR
        if slow and group.tensor_parallel >= 4 and group.gpu not in named:
            found = f"TP{group.tensor_parallel} over {group.link}"
            yield Mismatch("flagged first", "plans[1]", "a measured topology", found, f"{group.gpu} is not named")


def ties(problem: Problem, plans: Sequence[Plan]) -> Iterator[Mismatch]:
    """A plan said to tie with another is within 3 % of its cost."""
    del problem
    by_rank = {plan.rank: plan for plan in plans}
    for plan in plans:
        if plan.tie_with is None:
            continue
        other = by_rank.get(plan.tie_with)
        if other is None or abs(plan.monthly_cents - other.monthly_cents) > TIE * max(other.monthly_cents, 1):
            found = other and other.monthly_cents
            yield Mismatch("ties", f"plans[{plan.rank}].tie_with", plan.monthly_cents, found, "not within 3 %")


RankingRule = Callable[["Problem", Sequence[Plan]], Iterator[Mismatch]]

RANKING_RULES: tuple[RankingRule, ...] = (ranks, order, distinct, flagged_first, ties)
"""Every rule about the list."""


def _value(problem: Problem, plan: Plan) -> tuple[float, ...]:
    """What plans are ordered by; latencies are compared inside the solver's own points only, so not here."""
    match str(problem.objective):
        case "maximize_load":
            return (-plan.load_factor, plan.monthly_cents)
        case "minimize_gpus":
            return (plan.gpus, plan.monthly_cents)
        case "minimize_cost":
            return (plan.monthly_cents, plan.gpus)
    return ()
