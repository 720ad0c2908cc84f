"""What every promise costs: the next value, either way, at which the answer gets better or worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from optimizer.errors import ProblemError
from optimizer.problem.figures import Figure, Reads
from optimizer.whatif.axes import Axis
from optimizer.whatif.case import Goal, Winner, ask, guess_on, near, score
from optimizer.whatif.search import first_where

if TYPE_CHECKING:
    from optimizer.plan.types import Plan
    from optimizer.whatif.case import Case

REACH = 20
"""A promise is tightened and loosened up to this factor."""


@dataclass(frozen=True, slots=True)
class Next:
    """The nearest value at which the answer changes, and the answer there; no plan: nothing keeps every promise."""

    value: float
    plan: Plan | None
    reached: float | None  # of the objective, in its own unit


@dataclass(frozen=True, slots=True)
class Move:
    """One promise, what loosening it gains and what tightening it costs."""

    path: str
    stated: float
    loosest: float  # how far it was loosened; the stated value: it is as loose as it gets
    strictest: float
    looser: Next | None  # None: nothing is gained up to the loosest value
    tighter: Next | None  # None: nothing is lost up to the strictest value


def moves(case: Case, best: Winner, goal: Goal, progress: Callable[[str], None]) -> tuple[Move, ...]:
    """Every promise of the problem that is a number, in file order."""
    from optimizer.problem import stated_promises

    lean = case.allowed()
    as_cheap, cheaper = as_cheap_as(lean, best), _Cheaper(lean, best)
    found: list[Move] = []
    for promise in stated_promises(case.inputs.problem):
        if not promise.figure.monotone or promise.figure.section == "budget":
            continue
        progress(f"moving {promise.path}")
        looser = _axis(case, promise.figure, promise.value, stricter=False)
        tighter = _axis(case, promise.figure, promise.value, stricter=True)
        found.append(
            Move(
                path=promise.path,
                stated=promise.value,
                loosest=looser.values[-1],
                strictest=tighter.values[-1],
                looser=_looser(cheaper.among(case, looser), best, goal, looser),
                tighter=_tighter(lean, as_cheap, best, goal, tighter),
            )
        )
    return tuple(found)


def _axis(case: Case, figure: Figure, stated: float, *, stricter: bool) -> Axis:
    """Values from the stated one either way, as far as the problem can take them beside its other values."""
    end = _end(figure, stated, stricter=stricter)
    if end == stated:
        return Axis(figure, (stated,))
    axis = axis_from(figure, stated, end)
    refused = first_where(lambda index: not _takes(case, axis.edit(index)), 1, len(axis.values) - 1)
    return axis if refused is None else Axis(figure, axis.values[:refused])


def _takes(case: Case, edit: str) -> bool:
    try:
        case.inputs.with_sets([edit])
    except ProblemError:
        return False
    return True


def axis_from(figure: Figure, start: float, end: float) -> Axis:
    """Values from one to another in the field's natural steps, ``start`` first, both ends included."""
    grain = Decimal(figure.number.step)
    first, last = Decimal(repr(start)), Decimal(repr(end))
    step = grain if last > first else -grain
    inner = (first / grain).to_integral_value("ROUND_FLOOR" if step > 0 else "ROUND_CEILING") * grain
    values = [start]
    value = inner + step
    while (value < last) if step > 0 else (value > last):
        values.append(float(value))
        value += step
    return Axis(figure, (*values, end))


def _looser(case: Case, best: Winner, goal: Goal, axis: Axis) -> Next | None:
    """The nearest looser value at which the answer is better. The loosest is asked first: often nothing is gained."""
    last = len(axis.values) - 1
    if not last:
        return None
    from_loosest = Axis(axis.figure, axis.values[::-1])
    asked = _AskedOnce(case, from_loosest, _of(best, 1))

    def no_better(winner: Winner) -> bool:
        return score(winner) >= score(best)

    if no_better(asked.at(0)):
        return None
    index = first_change(asked.at, guess_on(from_loosest), no_better, last - 1) or last
    return asked.next_at(index - 1, goal)


def _tighter(case: Case, as_cheap: Case, best: Winner, goal: Goal, axis: Axis) -> Next | None:
    """The nearest stricter value at which the answer is worse. Where each winner ends is guessed, then asked.

    Where a latency is minimised it may come out lower, for much more money: the loads that replicas are tried at follow
    from the promises, and a stricter one tries smaller loads. That too is a change of the answer.
    """
    from optimizer.fleet.requirements import LATENCY_OBJECTIVES

    any_change = goal.objective in LATENCY_OBJECTIVES
    asked = _AskedOnce(as_cheap, axis, _of(best), at_first=best)

    def worse(winner: Winner) -> bool:
        return score(winner) != score(best) if any_change else score(winner) > score(best)

    index = first_change(asked.at, guess_on(axis), worse, len(axis.values) - 1)
    return None if index is None else _AskedOnce(case, axis, told=best).next_at(index, goal)


def _of(best: Winner, less: int = 0) -> int | None:
    """What the best plan costs, or so many cents less, where money is sought."""
    if best.cents is None or best.result.objective != "minimize_cost":
        return None
    return best.cents - less


def as_cheap_as(case: Case, best: Winner) -> Case:
    """The case with what may be part of a plan as cheap as the best one, for asking whether any still is.

    Where something is asked for more strictly no plan gets cheaper: what answers there is as cheap as the best, or
    nothing answers, and then the answer is worse, at whatever cost.
    """
    cents = _of(best)
    return case if cents is None else case.cheaper_than(cents + 1)


def next_at(value: float, winner: Winner, goal: Goal) -> Next:
    """The answer at a value."""
    return Next(value, winner.plan(), goal.reached(winner))


class _AskedOnce:
    """Answers along an axis, each asked at most once. Where money is the objective, only how much each costs: which of
    the plans of one price is the best is settled where the answer is told. ``at_most``: dearer answers are not wanted;
    ``told``: an answer near which those that are told are likely to be.
    """

    def __init__(
        self,
        case: Case,
        axis: Axis,
        at_most: int | None = None,
        *,
        at_first: Winner | None = None,
        told: Winner | None = None,
    ) -> None:
        from optimizer.fleet.types import SolveSettings

        by_cost = case.candidates.rules.objective == "minimize_cost"
        self._case, self._axis = case, axis
        self._how = SolveSettings(first_level=by_cost, clock=case.clock, at_most=at_most)
        self._known: dict[int, Winner] = {} if at_first is None else {0: at_first}
        self._told = told

    def at(self, index: int) -> Winner:
        """The answer at a position."""
        if index not in self._known:
            self._known[index] = ask(self._case, [self._axis.edit(index)], self._how)
        return self._known[index]

    def next_at(self, index: int, goal: Goal) -> Next:
        """The answer at a position, whole."""
        known = self._known.get(index)
        case = self._case.edited([self._axis.edit(index)]) if known is None else known.case
        return next_at(self._axis.values[index], near(case, self._told if known is None else known), goal)


def first_change(
    at: Callable[[int], Winner],
    guess: Callable[[int, Winner], int | None],
    changed: Callable[[Winner], bool],
    last: int,
) -> int | None:
    """Smallest position in 1..last whose answer has changed, where once changed stays changed; None: none has.

    The position after the one where an answer is thought to end is asked first, then the neighbours in growing steps
    from the side that was last asked, and between two sides that are known the middle.
    """
    low, high, stride, turns, fell = 0, last + 1, 1, 0, False
    while high - low > 1:
        guessed = None if fell else guess(low, at(low))
        if guessed is not None and guessed < high - 1 and (guessed > low or (guessed == low and stride == 1)):
            probe, stride = guessed + 1, 1 if guessed > low else 4
        elif turns > 1:
            probe = (low + high) // 2
        else:
            probe, stride = (max(high - stride, low + 1) if fell else min(low + stride, high - 1)), stride * 4
        has_changed = changed(at(probe))
        turns += has_changed is not fell
        low, high, fell = (low, probe, True) if has_changed else (probe, high, False)
    return high if high <= last else None


def _end(figure: Figure, stated: float, *, stricter: bool) -> float:
    """How far a value is moved: a factor of 20, never past what anybody would ask for; shares and months to the end."""
    up = figure.loosens_up is not stricter
    if up:
        return figure.most if _is_range(figure) else min(figure.most, stated * REACH)
    if _is_range(figure) or not stated:
        return figure.least
    grain = float(figure.number.step)
    return min(stated, max(figure.least, round(stated / REACH / grain) * grain))


def _is_range(figure: Figure) -> bool:
    """Whether all of its range is worth a look: it has two ends, or stands for caution that may well be nothing."""
    return figure.number.reads is Reads.SHARE or figure.number.ends != (None, None)


class _Cheaper:
    """What may win when a number is loosened: rules about quality and payment bring candidates back, others do not.

    Where money is sought that is what may be part of a cheaper plan, if not at the loosest value then nowhere.
    """

    def __init__(self, allowed: Case, best: Winner) -> None:
        self._allowed, self._cents = allowed, best.cents
        self._by_cost = best.cents is not None and best.result.objective == "minimize_cost"
        self._of_promises: Case | None = None

    def among(self, case: Case, axis: Axis) -> Case:
        """The case to ask along an axis."""
        figure = axis.figure
        lean = case if figure.section in ("quality", "payment") else self._allowed
        if not self._by_cost or self._cents is None or len(axis.values) == 1:
            return lean
        if figure.is_promise:
            self._of_promises = self._of_promises or lean.cheaper_than(self._cents)
            return self._of_promises
        loosest = lean.edited([axis.edit(len(axis.values) - 1)])
        if loosest.replicas != lean.replicas:
            return lean
        cheaper = {one.key for one in loosest.cheaper_than(self._cents).candidates.candidates}
        return lean.only(candidate=lambda one: one.key in cheaper)
