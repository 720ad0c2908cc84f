"""What a buyer may sign where the first plan is not it: the best of each grade, and with weights as published.

What the ranking has is taken from it; the rest is the same problem solved anew over the candidates that would do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from optimizer.performance import native_quant
from optimizer.plan.types import OtherWinner
from optimizer.vocabulary import GRADES

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.catalog.types import Catalog
    from optimizer.plan.types import Plan

Ask = Callable[[Callable[["Candidate"], bool]], "OtherWinner | None"]
"""The best plan of the candidates that pass; None where the time was up."""


def best_by_grade(plans: Sequence[Plan], ask: Ask | None) -> tuple[tuple[str, OtherWinner], ...]:
    """The best plan of every grade, the best grade first; without ``ask`` only what the ranking has.

    A grade has no entry where nothing reaches it, where the time was up, and where it is not in the ranking and a
    better one costs no more.
    """
    found: list[tuple[str, OtherWinner]] = []
    for grade in GRADES:
        listed = next((plan for plan in plans if plan.grade == grade), None)
        if listed is not None:
            found.append((grade, OtherWinner(listed, listed.rank, listed.stock_notes)))
            continue
        better = any(plan.grade < grade for plan in plans)
        winner = None if ask is None or better else ask(_graded(grade))
        if winner is not None and winner.plan is not None and winner.plan.grade == grade:
            found.append((grade, winner))
    return tuple(found)


def _graded(least: str) -> Callable[[Candidate], bool]:
    return lambda one: str(one.grade) <= least


def best_as_published(plans: Sequence[Plan], catalog: Catalog, ask: Ask | None) -> OtherWinner | None:
    """The best plan that serves every model in the format its weights were published in: what was validated is what
    runs. Its ``plan`` is None where there is no such plan; None where that is not known.

    The ranking lists none that a smaller format beats on the same nodes, so unless it begins with one it is asked for.
    """
    native = {model: native_quant(catalog.models[model]) for plan in plans for model in {g.model for g in plan.groups}}
    first = plans[0]
    if all(group.weight_quant == native[group.model] for group in first.groups):
        return OtherWinner(first, first.rank, first.stock_notes)
    return None if ask is None else ask(lambda one: one.spec.weight_quant == native_quant(one.spec.model))
