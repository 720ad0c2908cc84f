"""The best plan under an edit, and how far along an axis that plan is thought to hold."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.negotiate.axes import Axis
from optimizer.problem.figures import Looser

if TYPE_CHECKING:
    from optimizer.decide.case import Case
    from optimizer.fleet.types import FleetResult, FleetSolution, SolveSettings
    from optimizer.plan.types import Plan
    from optimizer.problem import Figure

_FLOORS = {
    "requests_per_second": "requests_per_second",
    "output_tokens_per_second": "output_tokens_per_second",
    "active": "users",
    "requests_per_user_per_hour": "users",
    "think_time_s": "users",
    "requests": "batch",
}
"""Figures of the traffic that a rate is in proportion to (a think time: to one over it), with the floor they set."""


@dataclass(frozen=True)
class Winner:
    """What is best for one state of a problem; no solution where nothing keeps every promise."""

    case: Case
    result: FleetResult

    @property
    def solution(self) -> FleetSolution | None:
        """The best plan as the solver sees it."""
        return self.result.solutions[0] if self.result.solutions else None

    @property
    def cents(self) -> int | None:
        """Its cost a month."""
        return self.solution.monthly_cents if self.solution else None

    @property
    def identity(self) -> object:
        """Configuration and nodes: what is bought and how it is set up, whatever the number of replicas started."""
        if self.solution is None:
            return self.result.status
        groups = tuple(group.candidate.key for group in self.solution.groups)
        return (groups, tuple((choice.option.key, choice.count) for choice in self.solution.nodes))

    def sketch(self) -> Plan | None:
        """The plan in full, not confirmed: for a guess, never for a report."""
        from optimizer.decide.assemble import assemble

        plans = assemble(self.case.inputs, self.result.solutions, self.case.options)
        return plans[0] if plans else None

    def plan(self) -> Plan | None:
        """The plan in full, confirmed by the solver-free check."""
        plans = self.case.plans(self.result)
        return plans[0] if plans else None


def ask(case: Case, sets: Sequence[str] = (), settings: SolveSettings | None = None) -> Winner:
    """The best plan under edits. Raises ``ProblemError`` where they do not fit."""
    edited = case.edited(sets)
    return Winner(edited, edited.solve(settings=settings))


def guess_on(axis: Axis) -> Callable[[int, Winner], int | None]:
    """A guess of the last position at which the answer of another position still holds."""

    def guess(index: int, winner: Winner) -> int | None:
        edge = edge_of(winner, axis.figure, axis.values[index])
        if edge is None:
            return None
        if axis.figure.number.looser is Looser.DOWN:
            return bisect_right(axis.values, edge * (1 + 1e-9)) - 1
        return bisect_right(axis.values, -edge * (1 - 1e-9), key=lambda value: -value) - 1

    return guess


def edge_of(winner: Winner, figure: Figure, value: float) -> float | None:
    """The value of a load or latency field at which a plan stops keeping every promise; None where it is not known."""
    if winner.solution is None:
        return None
    if figure.is_promise:
        return _latency_edge(winner, figure)
    scale = _load_edge(winner, figure) if figure.section == "traffic" else None
    if scale is None:
        return None
    return value / scale if figure.loosens_up else value * scale


def _latency_edge(winner: Winner, figure: Figure) -> float | None:
    plan = winner.sketch()
    reached = [binding.value for binding in plan.binding if binding.promise == figure.path] if plan else []
    if not reached:
        return None
    return 1e3 / max(reached) if figure.is_speed else max(reached)


def _load_edge(winner: Winner, figure: Figure) -> float | None:
    """What the field alone may be multiplied by until the replicas are full."""
    from optimizer.problem import load_of, parts_of, population_of, rate_floors
    from optimizer.problem.profile import peak_of

    floor = _FLOORS.get(figure.key)
    if winner.solution is None or not (floor or figure.key == "concurrency"):
        return None
    problem = winner.case.inputs.problem
    workload = next(workload for workload in problem.workloads if workload.name == figure.workload)
    parts = [part.workload.name for part in parts_of(problem)]
    mine = [group for group in winner.solution.groups if parts[group.candidate.workload] == workload.name]
    if len(mine) > 1:
        return None
    group = mine[0]
    scale = workload.traffic.peak_factor * (1.0 + problem.margins.load_headroom) * peak_of(workload.traffic)
    factors = load_of(workload, problem).factors or (1.0,)
    running = zip(group.running or (group.replicas,), factors, strict=True)
    replicas = min(count / factor for count, factor in running if factor)
    if floor is not None:
        if figure.key in ("active", "think_time_s") and (people := population_of(workload)[0]):
            is_gap = figure.key == "think_time_s"
            return None if is_gap else group.operating_point.users * replicas / (people * scale)
        alone = rate_floors(workload)[floor] * scale
        return group.operating_point.requests_per_second * replicas / alone
    return group.operating_point.inflight * replicas / ((workload.traffic.concurrency or 1.0) * scale)


def nearest(values: Sequence[float], value: float) -> int:
    """Position of the first of ascending values that is not below a value."""
    return min(bisect_left(values, value), len(values) - 1)
