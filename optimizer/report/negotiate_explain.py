"""The report of ``optimize explain``: what buys the hardware, what promises cost, what the plan survives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from optimizer.negotiate.explain import Explanation, Reign
from optimizer.plan.types import Binding, Plan, Stress
from optimizer.problem import place_of
from optimizer.report.api import api_sentence
from optimizer.report.drafts import drafts_told, without_drafts
from optimizer.report.json_plan import Json, Money, dump, plan_document
from optimizer.report.json_report import document
from optimizer.report.layout import BLANK, Block, Line, Name, Passage, Rows, Say, Style, said
from optimizer.report.negotiate_budget import Gain
from optimizer.report.negotiate_leverage import leverage_document, leverage_lines
from optimizer.report.negotiate_words import finished, heading, not_replayed, signed, sources, winner, wrapped
from optimizer.report.pools import pool_sentence
from optimizer.report.verdicts import no_plan
from optimizer.report.widths import columns_of
from optimizer.report.words import Names, counted, exact, money, percent, two_digits, what_if
from optimizer.whatif.moves import Move, Next

_MANY = 2.0
"""From so many times the planned load on, it is told as a multiple."""


def render_explanation(answer: Explanation, style: str, say: Say = str) -> str:
    """The explanation as ``text`` or ``json``."""
    return dump(_document(answer)) if style == "json" else finished(_lines(answer), say)


def _lines(answer: Explanation) -> Iterator[Block]:
    outcome, plan = answer.outcome, answer.plan
    title = "Why this plan" if plan else "Why no plan"
    yield from heading(title, outcome.problem_name, outcome.problem_path)
    yield from not_replayed(replayed=answer.replayed)
    yield BLANK
    if plan is None:
        yield from no_plan(outcome)
        return
    whose = tuple((one.promise, one.of) for one in plan.binding if one.of and place_of(one.promise).section != "offers")
    several = len(outcome.loads) > 1
    assert answer.goal is not None
    names = Names(several, outcome.currency, whose)
    gain = Gain(answer.goal, plan, answer.reached or 0.0, several=several)
    if gain.result():
        yield from wrapped(gain.result(), "", "  ", Style.STRONG)
    yield from wrapped(f"{money(plan.monthly_cents, plan.currency)}/mo  {winner(plan)}", "", "  ", Style.STRONG)
    yield from wrapped(sources(plan))
    if text := pool_sentence(plan):
        yield from wrapped(("Pools: ", text, "."))
    if answer.without_drafts is not None:
        most_load = answer.goal.objective == "maximize_load"
        without = without_drafts(plan, answer.without_drafts.plan, most_load=most_load)
        yield from wrapped((drafts_told(plan), "; ", without, "."))
    yield BLANK
    yield from _binding(answer, plan, names, gain)
    yield from _moves(answer.moves, names, gain)
    if answer.reign is not None:
        yield from _reign(answer.reign, gain)
    yield from leverage_lines(answer.leverage, plan)
    yield from _stress(answer.stress, plan, gain)


def _binding(answer: Explanation, plan: Plan, names: Names, gain: Gain) -> Iterator[Block]:
    """Every promise and limit, the one that is closest to breaking first; then those that the answer hangs on."""
    yield Line(gain.title, Style.HEADING)
    if plan.binding:
        rows = [("promise", "reaches", "limit", "left"), *(_row(binding, names) for binding in plan.binding)]
        yield Rows(tuple(rows), "<>>>")
        if any(place_of(binding.promise).section == "slo" for binding in plan.binding):
            yield from wrapped('"Reaches" includes the safety margin for model error (margins.confidence).')
    else:
        yield from wrapped("Nothing is promised about latency and nothing is limited: the load alone decides.")
    told = [move for move in answer.moves if not (gain.is_latency and move.path == "margins.confidence")]
    if told:
        yield from wrapped(gain.hangs_on([names.of(move.path) for move in told if move.looser is not None]))
    if room := _room(answer, plan, gain):
        yield from wrapped(room)
    if sentence := api_sentence(plan):
        yield from wrapped(("By API, ", sentence, "."))
    yield BLANK


def _room(answer: Explanation, plan: Plan, gain: Gain) -> str:
    """What the plan carries beyond the planned load. The replay allows another load than the closed form, whose figure
    the ranking shows as room: whoever reads both is told which is which."""
    if gain.is_load:
        return f"It carries {gain.load(plan.load_factor)} before a promise breaks."
    if plan.load_factor <= 1.0:
        return ""
    more = percent(plan.load_factor - 1.0)
    carried = gain.load(plan.load_factor) if plan.load_factor >= _MANY else f"{more} more than the planned load"
    if answer.reign is None or not answer.replayed:
        return f"It carries {carried} before a promise breaks."
    last = exact(answer.reign.last)
    return f"By formula it carries {carried}; replayed it stays the best up to {last} times (below)."


def _promise(binding: Binding, names: Names) -> str:
    """What a length class inherits from its workload is told with the name of the class."""
    inherited = binding.length_class and not place_of(binding.promise).length_class
    return f"{names.of(binding.promise)} ({binding.length_class})" if inherited else names.of(binding.promise)


def _row(binding: Binding, names: Names) -> tuple[str, str, str, str]:
    value, limit, unit = binding.value, binding.limit, binding.unit
    if place_of(binding.promise).key == "tokens_per_second_per_user":  # kept as a time per token
        value, limit, unit = 1e3 / value, 1e3 / limit, "tokens/s"
        left, share = value - limit, value / limit - 1.0
    else:
        left, share = limit - value, binding.slack
    if unit == names.currency:
        reaches, stated, rest = (money(round(amount * 100), unit) for amount in (value, limit, left))
    else:
        reaches = counted(exact(round(value, 1 if unit == "ms" else 2)), unit)
        stated = counted(exact(round(limit, 6)), unit)
        rest = counted(_left(left, unit), unit)
    return (_promise(binding, names), reaches, stated, f"{rest} ({percent(share)})")


def _left(left: float, unit: str) -> str:
    """What is left of a limit: of what is counted whole, of what is measured two digits."""
    if unit not in ("ms", "s", "tokens/s", "kW"):
        return exact(round(left))
    return two_digits(left) if abs(left) >= 0.005 else "0"


def _moves(moves: tuple[Move, ...], names: Names, gain: Gain) -> Iterator[Block]:
    if not moves:
        return
    yield Line("What each promise costs: the next value either way at which the answer changes", Style.HEADING)
    for move in moves:
        now = names.beside(move.path, move.stated)
        yield from wrapped((names.of(move.path), ": ", "now ", now, Name(f"  ({move.path})")))
        yield Passage(_looser(move, names, gain), "    ", label="looser", column=10)
        yield Passage(_tighter(move, names, gain), "    ", label="stricter", column=10)
    yield BLANK


def _looser(move: Move, names: Names, gain: Gain) -> str | tuple[str, ...]:
    if move.loosest == move.stated:
        return "it is as loose as it gets"
    if move.looser is None:
        return f"nothing is gained, not even at {names.beside(move.path, move.loosest)}"
    return "from ", names.beside(move.path, move.looser.value), ": ", gain.change(move.looser)


def _tighter(move: Move, names: Names, gain: Gain) -> str | tuple[str, ...]:
    if move.strictest == move.stated:
        return "it is as strict as it gets"
    if move.tighter is None:
        return f"costs nothing, not even at {names.beside(move.path, move.strictest)}"
    return "from ", names.beside(move.path, move.tighter.value), ": ", gain.change(move.tighter)


def _reign(reign: Reign, gain: Gain) -> Iterator[Block]:
    yield Line("Up to which load it wins", Style.HEADING)
    if reign.after is None:
        yield from wrapped(f"It stays the best up to {exact(reign.last)} times the planned load, and beyond.")
    else:
        if reign.last == 1.0:
            yield from wrapped("It is the best at the planned load, and at no more than that.")
        else:
            asked = ", as far as was asked (17 loads up to 32 times it)" if gain.is_latency else ""
            yield from wrapped(f"It stays the best up to {exact(reign.last)} times the planned load{asked}.")
        yield from wrapped(f"From {exact(reign.after.value)} times on: {gain.change(reign.after)}")
    yield BLANK


def _stress(stress: tuple[Stress, ...], plan: Plan, gain: Gain) -> Iterator[Block]:
    yield Line("What if", Style.HEADING)
    yield _StressRows(tuple((what_if(one), _verdict(one, plan, gain)) for one in stress))
    yield BLANK


@dataclass(frozen=True, slots=True)
class _StressRows:
    """A what-if and its verdict beside it."""

    rows: tuple[tuple[str, str], ...]

    def lines(self, say: Say) -> Iterator[Line]:
        """As printed."""
        rows = said(self.rows, say)
        width = max(columns_of(what) for what, _ in rows) + 2
        for what, verdict in rows:
            yield from Passage(verdict, label=what, column=width).lines(str)


def _verdict(one: Stress, plan: Plan, gain: Gain) -> str:
    """Whether the plan stands the what-if, and what the best one then costs."""
    cents = one.monthly_cents
    if one.holds:
        told = "it stays the best" if one.of_prices else "every promise holds"
        return told if cents in (None, plan.monthly_cents) else f"{told}, at {_bill(cents or 0, plan)}"
    if cents is None:
        return "a promise breaks, and nothing that the file allows would hold"
    if one.of_prices:
        return f"another is the best then, at {_bill(cents, plan)}"
    broken = "a promise breaks"
    if one.load_factor is not None:
        bill = "" if cents == plan.monthly_cents else f", at {_bill(cents, plan)}"
        return f"{broken}; with all kept it is {gain.load(one.load_factor)} at most{bill}"
    if cents == plan.monthly_cents:
        return f"{broken}; another setup at the same price would hold"
    return f"{broken}; the best that holds costs {_bill(cents, plan)}"


def _bill(cents: int, plan: Plan) -> str:
    return f"{money(cents, plan.currency)}/mo ({signed(cents - plan.monthly_cents, plan.currency)})"


def _document(answer: Explanation) -> dict[str, Json]:
    outcome = answer.outcome
    if answer.plan is None:
        return document(outcome)
    reign = answer.reign
    return {
        "problem": {"name": outcome.problem_name, "path": outcome.problem_path, "sha256": outcome.problem_sha256},
        "objective": {"name": outcome.proof.objective, "value": answer.reached, "unit": outcome.proof.unit},
        "replayed": answer.replayed,
        "plan": plan_document(answer.plan),
        "moves": [
            {"promise": m.path, "stated": m.stated, "looser": _next(m.looser), "stricter": _next(m.tighter)}
            for m in answer.moves
        ],
        "wins_up_to_times_stated_load": None if reign is None else reign.last,
        "leverage": leverage_document(answer.leverage),
        "then": None if reign is None else _next(reign.after),
        "without_speculation": _next(answer.without_drafts),
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
        "objective": step.reached,
        "monthly_cost": None if plan is None else Money(plan.monthly_cents),
        "deployment": None if plan is None else winner(plan),
    }
