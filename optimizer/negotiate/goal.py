"""What a problem's answer is judged by: its objective first, then money, each in the unit that a reader knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.negotiate.ask import Winner

if TYPE_CHECKING:
    from optimizer.decide.case import Case

_SCALE = {"minimize_cost": 100.0, "maximize_load": 1e3, "minimize_ttft": 1e3, "minimize_tpot": 1e3}
"""Solver's units in one of the reader's: money a month, times the planned load, milliseconds; GPUs are counted."""


@dataclass(frozen=True, slots=True)
class Goal:
    """The objective of a problem as its reader knows it."""

    objective: str
    percentile: float | None  # of the latency that is minimised; None: no latency, or several percentiles
    states_load: bool  # False: the file states no traffic, and one request in flight is the unit of load

    def reached(self, winner: Winner) -> float | None:
        """What an answer reaches: money a month, times the load, ms (error margin included) or GPUs; None: nothing."""
        if winner.solution is None:
            return None
        return winner.solution.objective / _SCALE.get(self.objective, 1.0)


def goal_of(case: Case) -> Goal:
    """The goal of a problem."""
    from optimizer.candidates.objectives import objective_promises
    from optimizer.problem import parts_of, rate_floors

    problem, rules = case.inputs.problem, case.candidates.rules
    percentiles = set()
    for part, asked in zip(parts_of(problem), rules.workloads, strict=True):
        slo, minimised = objective_promises(asked, rules.objective, part.workload.slo.percentile)
        percentiles |= {slo.promises[index].percentile for index in minimised}
    return Goal(
        objective=rules.objective,
        percentile=percentiles.pop() if len(percentiles) == 1 else None,
        states_load=any(w.traffic.concurrency or rate_floors(w) for w in problem.workloads),
    )


def score(winner: Winner) -> tuple[float, float]:
    """How good an answer is: the problem's objective, then money; less is better, none is infinity."""
    if winner.solution is None:
        return (float("inf"), float("inf"))
    value = winner.solution.objective
    return (-value if winner.result.objective == "maximize_load" else value, winner.solution.monthly_cents)
