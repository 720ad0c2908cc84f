"""The report of ``optimize explain``: what buys the hardware, what promises cost, what the plan survives."""

from __future__ import annotations

from collections.abc import Iterator

from optimizer.negotiate.explain import Explanation, Reign
from optimizer.negotiate.moves import Move, Next
from optimizer.plan.types import Binding, Plan, Stress
from optimizer.report.json_plan import plan_document
from optimizer.report.json_report import document
from optimizer.report.json_values import Json, Money, dump
from optimizer.report.layout import BLANK, Line, Style, columns
from optimizer.report.negotiate_words import Names, finished, heading, signed, sources, winner, wrapped
from optimizer.report.verdicts import no_plan
from optimizer.report.words import exact, money, percent, two_digits, what_if

_MANY = 2.0
"""From so many times the stated load on, it is told as a multiple."""


def render_explanation(answer: Explanation, style: str) -> str:
    """The explanation as ``text`` or ``json``."""
    return dump(_document(answer)) if style == "json" else finished(_lines(answer))


def _lines(answer: Explanation) -> Iterator[Line]:
    outcome, plan = answer.outcome, answer.plan
    yield from heading("Why this plan", outcome.problem_name, outcome.problem_path)
    yield BLANK
    if plan is None:
        yield from no_plan(outcome)
        return
    names = Names(len(outcome.loads) > 1, outcome.currency)
    yield from wrapped(f"{money(plan.monthly_cents, plan.currency)}/mo  {winner(plan)}", "", "  ", Style.STRONG)
    yield from wrapped(sources(plan))
    yield BLANK
    most_load = outcome.proof.objective == "maximize_load"
    yield from _binding(plan, answer.moves, names, most_load=most_load)
    yield from _moves(answer.moves, plan, names, most_load=most_load)
    if answer.reign is not None:
        yield from _reign(answer.reign, plan)
    yield from _stress(answer.stress, plan)


def _binding(plan: Plan, moves: tuple[Move, ...], names: Names, *, most_load: bool) -> Iterator[Line]:
    """Every promise and limit, the one that is closest to breaking first; then those that money hangs on."""
    yield Line("What buys the hardware", Style.HEADING)
    if plan.binding:
        rows = [("promise", "reaches", "limit", "left"), *(_row(binding, names) for binding in plan.binding)]
        yield from (Line(text) for text in columns(rows, "<>>>"))
        yield from wrapped('"Reaches" includes the safety margin for model error (margins.confidence).')
    else:
        yield from wrapped("Nothing is promised about latency and nothing is limited: the load alone decides.")
    buying = [names.of(move.path) for move in moves if move.looser is not None]
    if buying:
        gained = "carries more" if most_load else "saves some"
        what = "The load" if most_load else "Money"
        yield from wrapped(f"{what} hangs on: {', '.join(buying)}. Each, loosened far enough alone, {gained} (below).")
    elif moves:
        yield from wrapped("No single promise does: the plan is the smallest there is to buy that keeps them all.")
    if most_load or plan.load_factor >= _MANY:
        unit = " (one request in flight, where the file states none)" if most_load else ""
        yield from wrapped(f"It carries {_times(plan)}{unit} before a promise breaks.")
    elif plan.load_factor > 1.0:
        more = percent(plan.load_factor - 1.0)
        yield from wrapped(f"It carries {more} more than the stated load before a promise breaks.")
    yield BLANK


def _promise(binding: Binding, names: Names) -> str:
    """What a length class inherits from its workload is told with the name of the class."""
    inherited = binding.length_class and ".tokens.classes." not in binding.promise
    return f"{names.of(binding.promise)} ({binding.length_class})" if inherited else names.of(binding.promise)


def _row(binding: Binding, names: Names) -> tuple[str, str, str, str]:
    left, unit = binding.limit - binding.value, binding.unit
    return (
        _promise(binding, names),
        f"{exact(round(binding.value, 1 if unit == 'ms' else 2))} {unit}",
        f"{exact(round(binding.limit, 6))} {unit}",
        f"{two_digits(left) if abs(left) >= 0.005 else '0'} {unit} ({percent(binding.slack)})",
    )


def _moves(moves: tuple[Move, ...], plan: Plan, names: Names, *, most_load: bool) -> Iterator[Line]:
    if not moves:
        return
    yield Line("What each promise costs: the next value either way at which the answer changes", Style.HEADING)
    for move in moves:
        yield from wrapped(f"{names.of(move.path)}: now {names.value(move.path, move.stated)}  ({move.path})")
        yield from wrapped(f"looser    {_looser(move, plan, names, most_load=most_load)}", "    ", " " * 14)
        yield from wrapped(f"stricter  {_tighter(move, plan, names, most_load=most_load)}", "    ", " " * 14)
    yield BLANK


def _looser(move: Move, plan: Plan, names: Names, *, most_load: bool) -> str:
    if move.looser is None:
        return "nothing is gained, however far"
    return f"from {names.value(move.path, move.looser.value)}: {_change(move.looser, plan, most_load=most_load)}"


def _tighter(move: Move, plan: Plan, names: Names, *, most_load: bool) -> str:
    if move.tighter is None:
        return "costs nothing, as far as it was tried (a factor of 20, or the end of its range)"
    return f"from {names.value(move.path, move.tighter.value)}: {_change(move.tighter, plan, most_load=most_load)}"


def _change(step: Next, plan: Plan, *, most_load: bool = False) -> str:
    if step.plan is None:
        return "no deployment keeps every promise"
    gap = step.plan.monthly_cents - plan.monthly_cents
    cost = f"{signed(gap, plan.currency)} a month" if gap else "another setup at the same price"
    if most_load:
        cost = f"it carries {_times(step.plan)}"
    return f"{cost} ({money(step.plan.monthly_cents, plan.currency)}/mo: {winner(step.plan)})"


def _times(plan: Plan) -> str:
    """How much of the stated load a plan carries."""
    return f"{exact(round(plan.load_factor, 3))} times the stated load"


def _reign(reign: Reign, plan: Plan) -> Iterator[Line]:
    yield Line("Up to which load it wins", Style.HEADING)
    if reign.after is None:
        yield from wrapped(f"It stays the best up to {exact(reign.last)} times the stated load, and beyond.")
    else:
        yield from wrapped(f"It stays the best up to {exact(reign.last)} times the stated load.")
        yield from wrapped(f"From {exact(reign.after.value)} times on: {_change(reign.after, plan)}")
    yield BLANK


def _stress(stress: tuple[Stress, ...], plan: Plan) -> Iterator[Line]:
    yield Line("What if", Style.HEADING)
    rows = [(what_if(one), "holds" if one.holds else "does not hold", _then(one, plan)) for one in stress]
    yield from (Line(text) for text in columns(rows, "<<<"))
    yield BLANK


def _then(one: Stress, plan: Plan) -> str:
    if one.monthly_cents is None:
        return "" if one.holds else "and no other deployment would"
    if one.holds and one.monthly_cents == plan.monthly_cents:
        return ""
    cost = f"{money(one.monthly_cents, plan.currency)}/mo"
    gap = signed(one.monthly_cents - plan.monthly_cents, plan.currency)
    return f"it then costs {cost} ({gap})" if one.holds else f"one that does costs {cost} ({gap})"


def _document(answer: Explanation) -> dict[str, Json]:
    outcome = answer.outcome
    if answer.plan is None:
        return document(outcome)
    reign = answer.reign
    return {
        "problem": {"name": outcome.problem_name, "path": outcome.problem_path, "sha256": outcome.problem_sha256},
        "plan": plan_document(answer.plan),
        "moves": [
            {"promise": m.path, "stated": m.stated, "looser": _next(m.looser), "stricter": _next(m.tighter)}
            for m in answer.moves
        ],
        "wins_up_to_times_stated_load": None if reign is None else reign.last,
        "then": None if reign is None else _next(reign.after),
        "stress": [
            {
                "what": one.what,
                "holds": one.holds,
                "monthly_cost": None if one.monthly_cents is None else Money(one.monthly_cents),
            }
            for one in answer.stress
        ],
    }


def _next(step: Next | None) -> dict[str, Json] | None:
    if step is None:
        return None
    plan = step.plan
    return {
        "value": step.value,
        "monthly_cost": None if plan is None else Money(plan.monthly_cents),
        "deployment": None if plan is None else winner(plan),
    }
