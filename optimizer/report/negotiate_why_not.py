"""The report of ``optimize explain --why-not``: what the wish breaks, or what it costs more and where."""

from __future__ import annotations

from collections.abc import Iterator

from optimizer.negotiate.why_not import Broken, WhyNot
from optimizer.plan.types import Plan
from optimizer.report.json_plan import Json, Money, dump, plan_document
from optimizer.report.layout import BLANK, Block, Line, Passage, Rows, Say, Style
from optimizer.report.negotiate_budget import Gain
from optimizer.report.negotiate_words import finished, heading, not_replayed, sources, winner, wrapped
from optimizer.report.verdicts import edits
from optimizer.report.words import Names, money, percent, two_digits


def render_why_not(answer: WhyNot, style: str, say: Say = str) -> str:
    """The answer as ``text`` or ``json``."""
    return dump(_document(answer)) if style == "json" else finished(_lines(answer), say)


def _lines(answer: WhyNot) -> Iterator[Block]:
    yield from heading(f"Why not {answer.wish.text}", answer.problem_name, answer.problem_path)
    yield from not_replayed(replayed=answer.replayed)
    yield BLANK
    names = Names(answer.several_workloads, answer.currency)
    if answer.best is not None:
        yield from _plan("best", answer.best)
    if answer.plan is None:
        yield from _refused(answer, names)
        return
    if answer.best is not None and _same(answer.plan, answer.best):
        yield from wrapped("It is the best plan.", style=Style.STRONG)
        return
    yield from _plan("asked", answer.plan)
    yield BLANK
    if answer.best is not None:
        yield from _compared(answer, answer.plan, answer.best)


def _plan(what: str, plan: Plan) -> Iterator[Block]:
    text = f"{money(plan.monthly_cents, plan.currency)}/mo  {winner(plan)}; {sources(plan)}; grade {plan.grade}"
    yield Passage(text, label=what, column=6)


def _same(one: Plan, other: Plan) -> bool:
    return one.groups == other.groups and one.nodes == other.nodes


def _compared(answer: WhyNot, plan: Plan, best: Plan) -> Iterator[Block]:
    assert answer.goal is not None
    first, second = (value or 0.0 for value in answer.reached)
    gap, cost = plan.monthly_cents - best.monthly_cents, answer.goal.objective == "minimize_cost"
    share = f" ({percent(gap / best.monthly_cents)})" if best.monthly_cents else ""
    better = second > first if answer.goal.objective == "maximize_load" else second < first
    if cost and gap == 0:
        text = ["It keeps every promise for the same price; the best plan comes first by fewer GPUs, then by name."]
    elif cost and gap > 0:
        text = [f"It keeps every promise and costs {money(gap, plan.currency)} a month more{share}."]
    else:
        gain = Gain(answer.goal, best, first, several=answer.several_workloads)
        text = [f"It keeps every promise: {gain.against(plan, second)}."]
    if better:
        text.append(
            " It is not ranked first all the same: how its GPUs reach each other (TP of four or more over PCIe) was"
            " never measured, and the card is not named in hardware.gpus."
        )
    if answer.several_workloads:
        text.insert(0, "All workloads were put on what was asked for. ")
    yield from wrapped(tuple(text), style=Style.STRONG)
    yield Line("Where the difference comes from", Style.HEADING)
    rows = [("asked", *_ledger(line, plan.currency)) for line in _nodes(plan)]
    rows += [("best", *_ledger(line, best.currency)) for line in _nodes(best)]
    yield Rows(tuple(rows), "<<>")
    yield BLANK


def _nodes(plan: Plan) -> Iterator[tuple[str, int]]:
    for line in plan.cost_lines:
        yield line.name, line.monthly_cents


def _ledger(line: tuple[str, int], currency: str) -> tuple[str, str]:
    return line[0], f"{money(line[1], currency)}/mo"


def _refused(answer: WhyNot, names: Names) -> Iterator[Block]:
    yield BLANK
    yield from wrapped("It is not possible as the problem stands.", style=Style.STRONG)
    yield from (line for reason in answer.impossible for line in wrapped(reason, "    ", "      "))
    if answer.unpriced:
        text = f"no price of it may be ranked ({answer.unpriced}): ask for a quote and list it under offers"
        if not answer.rules:
            text += f"; `optimize targets {answer.problem_path}` says at which price it wins"
        yield from wrapped(text, "    ", "      ")
    for path in answer.rules:
        whose = "the default rule" if path in answer.defaults else "your rule"
        yield from wrapped(f"{whose} {path} stands against it", "    ", "      ")
    if answer.broken:
        yield from wrapped(f"{answer.closest} comes closest, and even with one request at a time breaks:", "    ")
        yield from (line for one in answer.broken for line in wrapped(_broken(one, names), "      "))
    yield BLANK
    if answer.ways_out:
        yield Line("What would make it possible", Style.HEADING)
        yield from edits(answer.ways_out, answer.currency)


def _broken(one: Broken, names: Names) -> str:
    over = percent(one.value / one.limit - 1.0)
    unit = one.unit
    reached = f"{two_digits(one.value)} {unit} at best, error margin included"
    return f"{names.of(one.path)}: {reached}; at most {two_digits(one.limit)} {unit} is promised ({over} over)"


def _document(answer: WhyNot) -> dict[str, Json]:
    plan, best = answer.plan, answer.best
    extra = None if plan is None or best is None else Money(plan.monthly_cents - best.monthly_cents)
    return {
        "problem": {"name": answer.problem_name, "path": answer.problem_path},
        "asked": answer.wish.text,
        "possible": plan is not None,
        "replayed": answer.replayed,
        "extra_monthly_cost": extra,
        "plan": None if plan is None else plan_document(plan),
        "best": None if best is None else plan_document(best),
        "impossible": list(answer.impossible),
        "rules": list(answer.rules),
        "no_price_may_be_ranked": answer.unpriced or None,
        "broken": [
            {"promise": one.path, "workload": one.workload, "value": one.value, "limit": one.limit, "unit": one.unit}
            for one in answer.broken
        ],
        "closest": answer.closest or None,
        "relaxations": [{"change": way.change, "monthly_cost": Money(way.monthly_cents)} for way in answer.ways_out],
    }
