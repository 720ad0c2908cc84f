"""What the objective asks of a plan: what it reaches, and what replicas have to do to reach as much.

Under ``maximize_load`` the value is the factor of the load in thousandths, under a latency objective microseconds of
the slowest workload; under the others plans of one bill compete, and any that keeps its promises reaches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.fleet.instance import is_latency_objective, latency_us, load_factor, objective_indices
from optimizer.fleet.lower_bounds import THOUSANDTHS

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.demand import Load
    from optimizer.fleet.requirements import UserRules
    from optimizer.fleet.types import FleetSolution, GroupChoice


@dataclass(frozen=True)
class Sought:
    """The objective of a problem, and the load of each of its parts."""

    rules: UserRules
    loads: Sequence[Load]

    @property
    def load(self) -> bool:
        """Whether the most load is sought."""
        return self.rules.objective == "maximize_load"

    @property
    def latency(self) -> bool:
        """Whether the least latency is sought."""
        return is_latency_objective(self.rules)

    def times(self, value: int) -> float:
        """How many times the planned load is carried where the objective is at a value."""
        return value / THOUSANDTHS if self.load else 1.0

    def next_better(self, value: int) -> int | None:
        """The next better value; None under objectives that count what is bought."""
        return value + 1 if self.load else value - 1 if self.latency else None

    def reaching(self, candidate: Candidate, points: Sequence[int], value: int) -> Sequence[int]:
        """Those of the operating points at which a candidate reaches a value."""
        if not self.latency:
            return points
        return [index for index in points if self._seconds_us(candidate, index) <= value]

    def at_best_point(self, group: GroupChoice) -> GroupChoice:
        """The group at that of its kept points at which it carries most; where a latency is sought at the quickest of
        those that carry the load."""
        load, points = self.loads[group.candidate.workload], group.candidate.points
        able = [index for index in group.kept if group.factor(points[index], load) >= 1.0] if self.latency else []
        if able:
            return replace(group, point=min(able, key=lambda index: self._seconds_us(group.candidate, index)))
        return replace(group, point=points.index(group.roomiest(load)))

    def reached(self, solution: FleetSolution) -> bool:
        """Whether the groups of a plan reach the value that it states."""
        if self.latency:
            return all(self._seconds_us(one.candidate, one.point) <= solution.objective for one in solution.groups)
        return not self.load or load_factor(solution.groups, self.loads) >= solution.objective

    def _seconds_us(self, candidate: Candidate, point: int) -> int:
        minimised = objective_indices(candidate.workload, self.rules)
        return max((latency_us(candidate.points[point], index) for index in minimised), default=0)
