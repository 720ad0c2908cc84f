"""Ways out of an infeasible problem: every promise and rule loosened alone, exactly as far as needed; then jointly.

A number is loosened to its end first. Where that helps, the least change that makes a plan possible is found by
bisection in the field's own steps, and the least change beyond which nothing gets cheaper. A choice is opened whole
and then narrowed to what the answer used. Each way is solved again before it is offered; model and engine stay.

Where the replay leaves no plan: the limits that what the closed form proposed would keep.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from optimizer.demand import Metric
from optimizer.errors import InternalError, OutOfTimeError, ProblemError
from optimizer.fleet.types import Edit
from optimizer.plan.types import Relaxation
from optimizer.problem import figure_of, place_of
from optimizer.units import CENTS_PER_UNIT, ceil_guarded, floor_guarded
from optimizer.whatif.choices import RuleChoice, as_set, stated_choices

if TYPE_CHECKING:
    from optimizer.fleet.types import FleetSolution
    from optimizer.plan.types import Rejection, ReplayedPromise
    from optimizer.problem import Problem, StatedPromise
    from optimizer.whatif.case import Case


_MANY = 1_000_000
_MOST_BUDGET = 4096
_NEVER_FELT = 10_000
"""A latency limit times this is no limit."""

_DEAR = 10
"""The least change that helps is left out where it costs more than so many times what the number costs at its end."""

_BEND = 2
"""Told instead is the bend of that curve: the least change that costs at most so many times that."""

_NEVER_MEANT = 100
"""Ways that cost more than so many times the cheapest are left out: no buyer could mean them."""


@dataclass(frozen=True, slots=True)
class Way:
    """Edits that make a plan possible, and what the best one then costs."""

    edits: tuple[Edit, ...]
    cents: int
    left_out: tuple[tuple[Edit, int], ...] = ()  # what would do too, at a price that nobody could mean

    @property
    def relaxation(self) -> Relaxation:
        """As an outcome carries it."""
        first, *rest = self.edits
        also = tuple((edit.path, edit.before, edit.after) for edit in rest)
        absurd = tuple((edit.path, edit.after, cents) for edit, cents in self.left_out)
        return Relaxation(first.path, first.before, first.after, self.cents, also, absurd)


def without_pools(case: Case, say: Callable[[str], None]) -> tuple[Relaxation, ...]:
    """The ways out where pools are required and none keeps every promise: replicas that do both phases; where those do
    not either, what helps them."""
    path, stated, opened = "engine.disaggregation", str(case.inputs.problem.engine.disaggregation), "any"
    found = _solved(case, (Edit(path, stated, opened),))
    if found is not None:
        return (Relaxation(path, stated, opened, found.monthly_cents),)
    ways = ways_out(case.edited([f"{path}={opened}"]), say)
    return tuple(replace(way, also=(*way.also, (path, stated, opened))) for way in ways)


def ways_out(case: Case, say: Callable[[str], None]) -> tuple[Relaxation, ...]:
    """Single changes, cheapest first, then a joint change that is cheaper still; empty: nothing could ever help.

    Where plans are replayed, ways are looked for by the closed form, each is solved again with its replay and told at
    that price; where none survives that, they are looked for with a replay at every step. Where the clock of the case
    ends the search, what was found by then.
    """
    if case.replays is None:
        return tuple(way.relaxation for way in _ways(case, say))
    found = _ways(replace(case, replays=None), say)
    survived: list[Way] = []
    try:
        say("replaying the ways out")
        for way in found:
            again = _solved(case, way.edits)
            survived += [] if again is None else [replace(way, cents=again.monthly_cents)]
        if found and not survived:
            survived = list(_ways(case, say))
    except OutOfTimeError:
        pass
    told = [way for way in survived if not any(_spares(other, way) for other in survived)]
    order = sorted(told, key=lambda way: (len(way.edits) > 1, *_by_cost(way)))
    return tuple(way.relaxation for way in order)


def _spares(one: Way, other: Way) -> bool:
    """Whether a way moves the same number less than another does, for no more money: by the closed form moving it
    further was cheaper, as replayed it is not."""
    if len(one.edits) > 1 or len(other.edits) > 1 or one.cents > other.cents:
        return False
    (mine,), (theirs,) = one.edits, other.edits
    if mine.path != theirs.path or not isinstance(mine.before, int | float) or not isinstance(mine.after, int | float):
        return False
    if not isinstance(theirs.after, int | float):  # no limit at all
        return True
    return abs(mine.after - mine.before) < abs(theirs.after - mine.before)


def _ways(case: Case, say: Callable[[str], None]) -> tuple[Way, ...]:
    """The ways out as the case itself answers."""
    singles: list[Way] = []
    joint: Sequence[Way] = ()
    try:
        for way in _singles(case, say):
            singles.append(way)
        singles = _meant(singles)
        say("trying changes together")
        joint = tuple(_joint(case, singles) if singles else _together(case))
    except OutOfTimeError:
        singles = _meant(singles)
    return (*singles, *joint)


def _meant(singles: Sequence[Way]) -> list[Way]:
    """Cheapest first, without those that cost a hundred times as much as the cheapest; it says what was left out."""
    ordered = sorted(singles, key=_by_cost)
    kept = [way for way in ordered if way.cents <= _NEVER_MEANT * max(1, ordered[0].cents)]
    absurd = tuple((way.edits[0], way.cents) for way in ordered[len(kept) :])
    return [replace(kept[0], left_out=(*kept[0].left_out, *absurd)), *kept[1:]] if absurd else kept


def _by_cost(way: Way) -> tuple[int, str]:
    return (way.cents, way.edits[0].path)


def _singles(case: Case, say: Callable[[str], None]) -> Iterator[Way]:
    for promise in _loosened(case.inputs.problem):
        say(f"trying {promise.path}")
        yield from _number(case, promise)
    for choice in stated_choices(case.inputs.problem):
        say(f"trying {choice.path}")
        yield from _choice(case, choice)


def _loosened(problem: Problem) -> list[StatedPromise]:
    """Promises and limits that a way out may loosen."""
    from optimizer.problem import stated_promises

    return [promise for promise in stated_promises(problem) if not promise.figure.number.kept]


def _number(case: Case, promise: StatedPromise) -> Iterator[Way]:
    """The least change that helps and, where that is cheaper, the least after which nothing gets cheaper."""
    if _is_budget(promise) and case.inputs.problem.objective == "maximize_load":
        yield from _budget_for_any_load(case, promise)
        return
    at_end = _solved(case, [Edit(promise.path, promise.value, _loosest(case, promise))])
    if at_end is None:
        return
    if _is_budget(promise):
        yield Way(
            (Edit(promise.path, promise.value, -(-at_end.monthly_cents // CENTS_PER_UNIT)),), at_end.monthly_cents
        )
        return
    steps = _LooserValues(case, promise)
    least = steps.first(lambda found: found is not None)
    if least is None:
        return
    floor, way = at_end.monthly_cents, steps.way(least)
    if case.inputs.problem.objective != "minimize_cost" or way.cents <= floor:
        yield way
        return
    if way.cents > _DEAR * floor:
        bend = steps.costing(_BEND * floor, after=least)
        way = way if bend is None else replace(steps.way(bend), left_out=((steps.edit(least), way.cents),))
    yield way
    enough = steps.costing(floor, after=least) if way.cents > floor else None
    if enough is not None:
        yield steps.way(enough)


def _budget_for_any_load(case: Case, promise: StatedPromise) -> Iterator[Way]:
    """The least budget that carries anything: without any, there is no end to the load."""
    steps = _LooserValues(case, promise)
    least = steps.first(lambda found: found is not None)
    if least is not None:
        yield steps.way(least)


def _is_budget(promise: StatedPromise) -> bool:
    return promise.figure.section == "budget"


def _loosest(case: Case, promise: StatedPromise) -> int | float | None:
    """As loose as the number gets, None: ``null``; never looser than what stands beside it in the file allows."""
    end = _end(case, promise)
    if end is None or _takes(case, [Edit(promise.path, promise.value, end)]):
        return end
    grain = Decimal(promise.figure.number.step)
    steps = int(abs(Decimal(repr(end)) - Decimal(repr(promise.value))) / grain)
    low, high = 0, max(1, steps)
    while high - low > 1:
        middle = (low + high) // 2
        edit = Edit(promise.path, promise.value, _moved(promise, middle))
        low, high = (middle, high) if _takes(case, [edit]) else (low, middle)
    return _moved(promise, low) if low else promise.figure.taken(promise.value)


def _end(case: Case, promise: StatedPromise) -> int | float | None:
    figure, value = promise.figure, promise.value
    if _is_budget(promise) and case.inputs.problem.objective == "maximize_load":
        return value * _MOST_BUDGET
    if figure.key == "context_max":
        return _shortest_context(case, figure.workload)
    if not figure.loosens_up:
        return figure.taken(min(value, figure.least))
    if figure.is_promise:
        return min(figure.most, value * _NEVER_FELT)
    return None if figure.nullable else figure.taken(min(figure.most, max(value, 1) * _MANY))


def _takes(case: Case, edits: Sequence[Edit]) -> bool:
    """Whether the file makes sense with the edits beside its other values: a limit at p50 is not above that at p95."""
    try:
        case.inputs.with_sets([as_set(edit) for edit in edits])
    except ProblemError:
        return False
    return True


def _moved(promise: StatedPromise, steps: int) -> int | float:
    """The value so many of its steps looser, on whole steps."""
    grain, up = Decimal(promise.figure.number.step), promise.loosens_up
    whole = (Decimal(repr(promise.value)) / grain).to_integral_value("ROUND_FLOOR" if up else "ROUND_CEILING")
    return promise.figure.taken(float((whole + (steps if up else -steps)) * grain))


def _shortest_context(case: Case, name: str) -> int:
    from optimizer.problem import lengths_of, session_means

    lengths = next(lengths_of(w) for w in case.inputs.problem.workloads if w.name == name)
    if lengths.sessions is not None:
        means = session_means(lengths.sessions, lengths.context_max)
        return math.ceil(means.input_p95 + means.output_p95)
    if lengths.histogram is not None:
        return math.ceil(lengths.histogram.longest)
    each = [one.lengths for one in lengths.classes] or [lengths]
    return max(math.ceil((one.input_p95 or one.input_mean) + (one.output_p95 or one.output_mean)) for one in each)


def _lean(case: Case, promise: StatedPromise) -> Case:
    """What may win when a number is loosened: quality and payment bring candidates back, other numbers do not."""
    if promise.figure.section in ("quality", "payment") or promise.figure.key == "context_max":
        return case
    budget = case.candidates.rules.limits.budget_cents
    by_cost = promise.figure.is_promise and budget is not None and case.inputs.problem.objective != "maximize_load"
    return case.allowed().cheaper_than((budget or 0) + 1) if by_cost else case.allowed()


class _LooserValues:
    """Values of one number from the stated one towards looser, in the field's steps; each asked at most once."""

    def __init__(self, case: Case, promise: StatedPromise) -> None:
        self._case, self._promise = _lean(case, promise), promise
        self._grain = Decimal(promise.figure.number.step)
        self._known: dict[int, FleetSolution | None] = {}
        self._end, stated = _loosest(case, promise), Decimal(repr(promise.value))
        span = max(stated, Decimal(1)) * _MANY if self._end is None else abs(Decimal(repr(self._end)) - stated)
        self._last = max(1, -int(-span // self._grain))

    def edit(self, step: int) -> Edit:
        """So many steps looser, never past the end."""
        past = step >= self._last and self._end is not None
        return Edit(self._promise.path, self._promise.value, self._end if past else _moved(self._promise, step))

    def at(self, step: int) -> FleetSolution | None:
        """The best plan so many steps looser."""
        if step not in self._known:
            self._known[step] = _solved(self._case, [self.edit(step)], whole=False)
        return self._known[step]

    def way(self, step: int) -> Way:
        """The way out that a step is."""
        found = self.at(step)
        assert found is not None
        return Way((self.edit(step),), found.monthly_cents)

    def costing(self, cents: int, *, after: int) -> int | None:
        """First step from which on the answer costs no more than so much."""
        return self.first(lambda found: found is not None and found.monthly_cents <= cents, after=after)

    def first(self, test: Callable[[FleetSolution | None], bool], after: int = 0) -> int | None:
        """First step whose answer passes a test that, once passed, stays passed: doubling, then halving."""
        low, reach = after, max(1, int(Decimal(repr(self._promise.value)) / self._grain) // 8)
        high = min(self._last, low + reach)
        while not test(self.at(high)):
            if high >= self._last:
                return None
            reach *= 2
            low, high = high, min(self._last, high + reach)
        while high - low > 1:
            middle = (low + high) // 2
            if test(self.at(middle)):
                high = middle
            else:
                low = middle
        return high


def _choice(case: Case, choice: RuleChoice) -> Iterator[Way]:
    """Opened whole; where that helps, narrowed to what the answer used and solved again."""
    opened = _solved(case, [Edit(choice.path, choice.stated, choice.open)])
    if opened is None:
        return
    for after in (choice.narrowed(opened), choice.open):
        found = _solved(case, [Edit(choice.path, choice.stated, after)])
        if found is not None:
            yield Way((Edit(choice.path, choice.stated, after),), found.monthly_cents)
            return


def _joint(case: Case, singles: Sequence[Way]) -> Iterator[Way]:
    """The cheapest single change of every path taken together, less those it does without at the same price.

    Less load is no part of it: that would only say that nothing costs nothing.
    """
    by_path: dict[str, Edit] = {}
    for way in sorted(singles, key=lambda way: way.cents):
        edit = way.edits[0]
        if place_of(edit.path).section not in ("traffic", "budget"):
            by_path.setdefault(edit.path, edit)
    together = _solved(case, list(by_path.values()))
    if together is None or together.monthly_cents >= min(way.cents for way in singles):
        return
    way = _without_needless(case, list(by_path.values()), together.monthly_cents)
    if len(way.edits) > 1:
        yield way


def _together(case: Case) -> Iterator[Way]:
    """No single change helps: the fewest that do together, by the elastic solve, each no looser than need be.

    Where that finds none, everything is opened and put back piece by piece.
    """
    from optimizer.fleet import propose_edits

    inputs = case.inputs
    loosened = {edit.path: edit for edit in _opened(case)}
    found: dict[tuple[str, ...], Way] = {}
    proposed = propose_edits(
        inputs.problem, inputs.catalog, inputs.params, case.candidates, case.options, memo=case.memo
    )
    for edit in proposed:
        edits = [loosened.get(one.path, one) for one in sorted((edit, *edit.also), key=_money_first)]
        if not _takes(case, edits):  # others' hardware let in where nothing then bounds the most load
            continue
        way = _sharpened(case, edits)
        if way is not None and len(way.edits) > 1:
            found.setdefault(tuple(one.path for one in way.edits), way)
    if found:
        yield from sorted(found.values(), key=lambda way: (way.cents, way.edits[0].path))
        return
    everything = sorted(loosened.values(), key=_money_first)
    if _solved(case, everything) is not None:
        way = _sharpened(case, _without_needless(case, everything, None).edits)
        if way is not None:
            yield way


def _opened(case: Case) -> Iterator[Edit]:
    """Every rule and promise of the problem as loose as it gets."""
    problem = case.inputs.problem
    for choice in stated_choices(problem):
        yield Edit(choice.path, choice.stated, choice.open)
    for promise in _loosened(problem):
        loosest = _loosest(case, promise)
        if loosest != promise.value:
            yield Edit(promise.path, promise.value, loosest)


def _money_first(edit: Edit) -> tuple[int, str]:
    """Less load is put back first; the budget is set first, so that the rest is loosened no further than it pays."""
    return (0 if place_of(edit.path).section == "budget" else 1, edit.path)


def _without_needless(case: Case, edits: Sequence[Edit], cents: int | None) -> Way:
    """Put back one edit after the other where a plan (at ``cents`` at most) remains without it."""
    kept, best = list(edits), _solved(case, edits)
    for edit in edits:
        fewer = [other for other in kept if other is not edit]
        found = _solved(case, fewer)
        if fewer and found is not None and (cents is None or found.monthly_cents <= cents):
            kept, best = fewer, found
    assert best is not None
    return Way(tuple(kept), best.monthly_cents)


def _sharpened(case: Case, edits: Sequence[Edit]) -> Way | None:
    """Each number no looser, each choice no wider than the others need it to be; None where they do not help.

    An edit without which the file does not take the others stays as it is: a limit that bounds the most load, say,
    where hardware of others is let in.
    """
    promises = {one.path: one for one in _loosened(case.inputs.problem)}
    choices = {one.path: one for one in stated_choices(case.inputs.problem)}
    kept = list(edits)
    for number, edit in enumerate(edits):
        rest = [other for other in kept if other is not kept[number]]
        if not _takes(case, rest):
            continue
        others = _edited(case, rest)
        if edit.path in promises:
            sharper = next(_number(others, promises[edit.path]), None)
        else:
            sharper = next(_choice(others, choices[edit.path]), None) if edit.path in choices else None
        if sharper is not None:
            kept[number] = sharper.edits[0]
    found = _solved(case, kept)
    return None if found is None else Way(tuple(kept), found.monthly_cents)


def _edited(case: Case, edits: Sequence[Edit]) -> Case:
    """The case under edits of our own. Raises ``InternalError`` where the file does not take them: that would be no
    answer about the problem, and no error of its user."""
    try:
        return case.edited([as_set(edit) for edit in edits])
    except ProblemError as error:
        stated = ", ".join(as_set(edit) for edit in edits)
        raise InternalError(f"a change that was to be tried is refused: {stated}: {error}") from error


def _solved(case: Case, edits: Sequence[Edit], *, whole: bool = True) -> FleetSolution | None:
    """The best plan under edits; None where there is none.

    Not ``whole``: where money is the objective only what it costs, and any of the plans that cost no more.
    """
    from optimizer.fleet import SolveSettings

    first = not whole and case.candidates.rules.objective == "minimize_cost"
    solutions = _edited(case, edits).solve(settings=SolveSettings(first_level=first, clock=case.clock)).solutions
    return solutions[0] if solutions else None


def limits_to_raise(rejected: Sequence[Rejection]) -> tuple[Relaxation, ...]:
    """Where the replay leaves no plan: what the limits would have to be for those that the closed form proposed."""
    cheapest: dict[str, Relaxation] = {}
    for rejection in sorted(rejected, key=lambda one: one.monthly_cents):
        slowest = {p.path: p for p in sorted(rejection.missed, key=lambda p: p.with_margin_s)}  # of several classes
        first, *rest = ((path, *_limits(slowest[path])) for path in dict.fromkeys(p.path for p in rejection.missed))
        cheapest.setdefault(first[0], Relaxation(*first, rejection.monthly_cents, tuple(rest)))
    return tuple(sorted(cheapest.values(), key=lambda way: (way.monthly_cents, way.change)))


def _limits(promise: ReplayedPromise) -> tuple[float, float]:
    """The limit as the file states it, and the one that the replay with its margin keeps, rounded up."""
    stated = figure_of(promise.path)
    if stated.section == "traffic":  # of offline work the hours of a run
        return _tidy(promise.limit_s / 3600.0), ceil_guarded(promise.with_margin_s / 360.0) / 10.0
    if stated.is_speed:
        return _tidy(1.0 / promise.limit_s), floor_guarded(10.0 / promise.with_margin_s) / 10.0
    unit = 1.0 if promise.metric is Metric.E2E else 1e3
    grain = 10.0 ** (floor_guarded(math.log10(promise.with_margin_s * unit)) - 2)
    return _tidy(promise.limit_s * unit), _tidy(ceil_guarded(promise.with_margin_s * unit / grain) * grain)


def _tidy(value: float) -> float:
    return float(f"{value:.9g}")
