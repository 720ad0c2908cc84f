"""What a change brings or costs, in the unit of the problem's objective, with the money beside it."""

from __future__ import annotations

from optimizer.negotiate.goal import Goal
from optimizer.negotiate.moves import Next
from optimizer.plan.types import Plan
from optimizer.report.negotiate_words import signed, sources, winner
from optimizer.report.words import count, exact, money, percentile_name, plural

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
