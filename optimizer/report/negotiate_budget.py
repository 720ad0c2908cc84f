"""The report of ``optimize budget``: what the money buys."""

from __future__ import annotations

import math
from collections.abc import Iterator

from optimizer.negotiate.budget import BudgetAnswer, Fastest, Reach
from optimizer.plan.types import KeptPromise, Plan, Prediction
from optimizer.report.json_plan import plan_document
from optimizer.report.json_report import document
from optimizer.report.json_values import Money, dump
from optimizer.report.layout import BLANK, Line, Style
from optimizer.report.names import Names
from optimizer.report.negotiate_words import finished, heading, not_replayed, sources, winner, wrapped
from optimizer.report.verdicts import ways_out
from optimizer.report.words import latency, limit, metric_name, money, percent, promise_of, two_digits
from optimizer.workload import Metric

_GOAL = {Metric.TTFT: "Quickest first token", Metric.TPOT: "Quickest stream of tokens"}


def render_budget(answer: BudgetAnswer, style: str) -> str:
    """The answer as ``text`` or ``json``."""
    return _json(answer) if style == "json" else finished(_lines(answer))


def _lines(answer: BudgetAnswer) -> Iterator[Line]:
    names = Names(len(answer.most.loads) > 1, answer.currency)
    per_month = f"{money(answer.budget_cents, answer.currency)} a month"
    yield from heading(f"What {per_month} buys", answer.most.problem_name, answer.most.problem_path)
    yield from not_replayed(replayed=answer.replayed)
    yield BLANK
    yield Line("Most load, every promise kept", Style.HEADING)
    if not answer.most.plans:
        yield from wrapped(f"Nothing: {per_month} buys no deployment that keeps every promise, at any load.")
        yield from ways_out(answer.most)
    for plan, reach in zip(answer.most.plans, answer.reach, strict=True):
        yield from _most(plan, reach, names, stated=any(asked.floors for asked in answer.most.asked))
    yield BLANK
    for fastest in answer.fastest:
        yield from _fastest(fastest, answer)
    if answer.fastest or answer.stated_load_cents is not None:
        yield from _stated(answer, per_month)


def _most(plan: Plan, reach: tuple[Reach, ...], names: Names, *, stated: bool) -> Iterator[Line]:
    figures = "; ".join(f"{names.value(one.path, _down(one.reached))}" for one in reach)
    share = f"  ({plan.load_factor:.3g} times the planned load)" if stated else ""
    yield from wrapped(f"#{plan.rank}  {figures}{share}", "", "    ", Style.STRONG)
    proven = "" if plan.proven else "; not proven to be the most"
    text = f"{money(plan.monthly_cents, plan.currency)}/mo  {winner(plan)}; grade {plan.grade}{proven}"
    yield from wrapped(text, "    ")
    yield from wrapped(sources(plan), "    ")


def _down(value: float) -> float:
    """A load rounded down: whole from 10 on, else to hundredths."""
    unit = 1 if value >= 10 else 100
    return math.floor(value * unit + 1e-9) / unit


def _fastest(fastest: Fastest, answer: BudgetAnswer) -> Iterator[Line]:
    yield Line(f"{_GOAL[fastest.metric]} ({metric_name(fastest.metric)}) for the planned load", Style.HEADING)
    plan = fastest.plan
    if plan is None:
        yield from wrapped("No deployment within the budget carries the planned load.", "    ")
    else:
        kept = [_latency(p, one) for p in plan.predicted for one in p.promises if one.metric is fastest.metric]
        yield from wrapped("; ".join(kept or [_unpromised(plan, fastest.metric)]), "    ", style=Style.STRONG)
        cost = f"{money(plan.monthly_cents, answer.currency)}/mo"
        yield from wrapped(f"{cost}  {winner(plan)}; grade {plan.grade}", "    ")
        yield from wrapped(sources(plan), "    ")
    yield BLANK


def _latency(of: Prediction, kept: KeptPromise) -> str:
    of_class = kept.length_class or of.length_class
    name = f"{promise_of(kept.metric, kept.percentile, of_class)} {latency(kept.estimate_s)}"
    band = f"[{two_digits(kept.low_s * 1e3)}-{two_digits(kept.high_s * 1e3)} ms]"
    return f"{name} {band}" + (f" of {limit(kept.limit_s)} promised" if kept.limit_s is not None else "")


def _unpromised(plan: Plan, metric: Metric) -> str:
    values = [p.ttft_ms.p95 if metric is Metric.TTFT else p.tpot_ms.p95 for p in plan.predicted]
    return f"{metric_name(metric)} p95 {latency(max(values) / 1e3)}"


def _stated(answer: BudgetAnswer, per_month: str) -> Iterator[Line]:
    yield Line("The planned load", Style.HEADING)
    cents = answer.stated_load_cents
    if cents is None:
        yield from wrapped("No deployment keeps every promise at the planned load, whatever it costs.")
    elif cents <= answer.budget_cents:
        left = answer.budget_cents - cents
        share = percent(left / answer.budget_cents)
        spare = f"{money(left, answer.currency)} ({share}) is left"
        yield from wrapped(f"costs {money(cents, answer.currency)} a month at least: {spare}.")
    else:
        gap = money(cents - answer.budget_cents, answer.currency)
        yield from wrapped(f"costs {money(cents, answer.currency)} a month at least: {gap} more than {per_month}.")
    yield BLANK


def _json(answer: BudgetAnswer) -> str:
    cents = answer.stated_load_cents
    return dump(
        {
            "budget": {"monthly": Money(answer.budget_cents), "currency": answer.currency},
            "replayed": answer.replayed,
            "most_load": document(answer.most),
            "reach": [
                {one.path: {"stated": one.stated, "reached": one.reached} for one in reach} for reach in answer.reach
            ],
            "fastest": {
                f"{one.metric}": None if one.plan is None else plan_document(one.plan) for one in answer.fastest
            },
            "stated_load_monthly_cost": None if cents is None else Money(cents),
        }
    )
