"""The report of ``optimize budget``: what the money buys.

What a change brings or costs, in the unit of the problem's objective, with the money beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from optimizer.demand import Metric
from optimizer.negotiate.budget import BudgetAnswer, Fastest, Reach
from optimizer.plan.types import KeptPromise, Plan, Prediction
from optimizer.report.json_plan import Money, dump, plan_document
from optimizer.report.json_report import document
from optimizer.report.layout import BLANK, Block, Line, Say, Style
from optimizer.report.negotiate_words import finished, heading, not_replayed, signed, sources, winner, wrapped
from optimizer.report.verdicts import ways_out
from optimizer.report.words import (
    Names,
    count,
    exact,
    latency,
    limit,
    metric_name,
    money,
    percent,
    percentile_name,
    plural,
    promise_of,
    two_digits,
)
from optimizer.whatif.case import Goal
from optimizer.whatif.moves import Next

_GOAL = {Metric.TTFT: "Quickest first token", Metric.TPOT: "Quickest stream of tokens"}


def render_budget(answer: BudgetAnswer, style: str, say: Say = str) -> str:
    """The answer as ``text`` or ``json``."""
    return _json(answer) if style == "json" else finished(_lines(answer), say)


def _lines(answer: BudgetAnswer) -> Iterator[Block]:
    names = Names(len(answer.most.loads) > 1, answer.currency)
    per_month = f"{money(answer.budget_cents, answer.currency)} a month"
    yield from heading(f"What {per_month} buys", answer.most.problem_name, answer.most.problem_path)
    yield from not_replayed(replayed=answer.replayed)
    if answer.pools_apart:
        yield from wrapped(
            "Prefill and decode pools (engine.disaggregation) are planned for the least cost alone: only the last"
            " figure, what the planned load costs, is with them."
        )
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


def _most(plan: Plan, reach: tuple[Reach, ...], names: Names, *, stated: bool) -> Iterator[Block]:
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


def _fastest(fastest: Fastest, answer: BudgetAnswer) -> Iterator[Block]:
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


def _stated(answer: BudgetAnswer, per_month: str) -> Iterator[Block]:
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


_LATENCY = {"minimize_ttft": "TTFT", "minimize_tpot": "TPOT"}
_TITLE = {
    "maximize_load": "What bounds the load",
    "minimize_ttft": "What the TTFT hangs on",
    "minimize_tpot": "What the TPOT hangs on",
}


class Gain:
    """How the answers of one report are compared with the best plan of the problem as it stands."""

    def __init__(self, goal: Goal, plan: Plan, reached: float, *, several: bool) -> None:
        self._goal, self._plan, self._reached, self._several = goal, plan, reached, several

    @property
    def title(self) -> str:
        """Heading of the promises and limits."""
        return _TITLE.get(self._goal.objective, "What buys the hardware")

    @property
    def is_latency(self) -> bool:
        """Whether a latency is minimised."""
        return self._goal.objective in _LATENCY

    @property
    def is_load(self) -> bool:
        """Whether the load is maximised."""
        return self._goal.objective == "maximize_load"

    def result(self) -> str:
        """What the best plan reaches of the objective, before its price; empty where the price is the objective."""
        if self.is_latency:
            return f"Lowest {self._latency()}, safety margin included: {_ms(self._reached)}"
        if self.is_load:
            return f"Most load: {self.load(self._reached)}"
        return f"Fewest GPUs: {plural(round(self._reached), 'GPU')}" if self._goal.objective == "minimize_gpus" else ""

    def hangs_on(self, names: list[str]) -> str:
        """Which promises, loosened alone, would bring a better answer."""
        subject, gain = self._subject()
        if not names:
            return self._nothing()
        if len(names) == 1:
            return f"{subject} hangs on {names[0]}: loosened far enough, {gain} (below)."
        return f"{subject} hangs on {', '.join(names)}: with any one of them loosened far enough, {gain} (below)."

    def _subject(self) -> tuple[str, str]:
        if self.is_latency:
            return f"The {self._latency()}", "a lower one is possible, or the same for less money"
        if self.is_load:
            return "The load", "more is possible, or as much for less money"
        if self._goal.objective == "minimize_gpus":
            return "The number of GPUs", "fewer are possible, or as many for less money"
        return "Money", "some is saved"

    def _nothing(self) -> str:
        if self.is_latency:
            return f"No single promise stands in the way of a lower {self._latency()}."
        if self.is_load:
            return "No single promise stands in the way of more load: the hardware that the file allows does."
        return "No single promise does: the plan is the smallest there is to buy that keeps them all."

    def load(self, times: float) -> str:
        """A multiple of the planned load; where the file states none, so many requests in flight."""
        if self._goal.states_load:
            return f"{exact(round(times, 3))} times the planned load"
        return f"{count(times)} requests in flight" + (" of every workload" if self._several else "")

    def change(self, step: Next) -> str:
        """What an answer is, against that of the problem as it stands."""
        plan = step.plan
        if plan is None or step.reached is None:
            return "no deployment keeps every promise"
        what = self.against(plan, step.reached)
        return f"{what} ({money(plan.monthly_cents, plan.currency)}/mo: {self._setup(plan)})"

    def against(self, plan: Plan, reached: float) -> str:
        """What a plan reaches of the objective, and the money, each against the best."""
        return ", ".join(part for part in (self._objective(reached), self._money(plan)) if part)

    def _objective(self, reached: float) -> str:
        now = self._reached
        if self.is_latency:
            if reached == now:
                return f"the same {self._latency()}"
            return f"{self._latency()} {_ms(reached, now)} instead of {_ms(now, reached)}"
        if self.is_load:
            return f"it carries {self.load(reached)}" if reached != now else f"it carries as much, {self.load(now)}"
        if self._goal.objective != "minimize_gpus":
            return ""
        if reached == now:
            return f"as many GPUs, {round(now):,}"
        return f"{round(reached):,} instead of {plural(round(now), 'GPU')}"

    def _money(self, plan: Plan) -> str:
        gap = plan.monthly_cents - self._plan.monthly_cents
        if gap:
            return f"{signed(gap, plan.currency)} a month"
        return "another setup at the same price" if self._goal.objective == "minimize_cost" else "at the same price"

    def _setup(self, plan: Plan) -> str:
        if winner(plan) != winner(self._plan):
            return winner(plan)
        if _bought(plan) == _bought(self._plan):
            return "the same setup"
        return "the same at the peak" if plan.periods else f"{winner(plan)}; {sources(plan)}"

    def _latency(self) -> str:
        at = self._goal.percentile
        return _LATENCY[self._goal.objective] + ("" if at is None else f" {percentile_name(at)}")


def _bought(plan: Plan) -> tuple[object, ...]:
    nodes = ((node.offer_id, node.tier, node.count) for node in plan.nodes)
    return (tuple(nodes), tuple(period.nodes for period in plan.periods))


def _ms(value: float, beside: float | None = None) -> str:
    """Milliseconds with as many digits as tell two values apart."""
    for digits in (1, 2, 3):
        if beside is None or round(value, digits) != round(beside, digits):
            return f"{exact(round(value, digits))} ms"
    return f"{exact(round(value, 3))} ms"
