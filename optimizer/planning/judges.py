"""What plans that cost the same are compared by: whether they keep their promises, how well, and what each kind costs.

As replayed, where plans are replayed; else as the closed form estimates.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.fleet.cost_floors import NEVER, CostFloors
from optimizer.fleet.funnel import configuration_allowed, kept_points
from optimizer.fleet.starting_plans import keeps_limits
from optimizer.planning.inputs import loads_of
from optimizer.planning.known import Kind
from optimizer.planning.least_replicas import kind_of
from optimizer.planning.predict import GroupLoad, expect
from optimizer.planning.replicas_replayed import Trial
from optimizer.planning.sought import Sought
from optimizer.units import SHARE_UNITS, ceil_guarded

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.fleet.candidate_set import CandidateSet
    from optimizer.fleet.types import FleetSolution, GroupChoice
    from optimizer.planning.inputs import Inputs
    from optimizer.planning.least_replicas import LeastReplicas
    from optimizer.planning.pool_ties import PoolTies
    from optimizer.planning.replicas_replayed import Replayer
    from optimizer.pricing import NodeOption

_DIGITS = 6
"""Significant digits of a latency that is compared: more say nothing, and differ from one processor to the next."""


@dataclass(frozen=True, slots=True)
class SeenByUsers:
    """What the users of a plan see."""

    of_limits: dict[tuple[int, str, str], float]  # share of its limit that each promised percentile reaches
    stay_s: float  # mean end-to-end time of the slowest group; 0 for offline work


def trials_of(inputs: Inputs, solution: FleetSolution) -> list[Trial]:
    """The trials of a plan, one per group at its share."""
    factor = solution.load_factor if inputs.problem.objective == "maximize_load" else 1.0
    return [
        Trial(one.candidate.workload, one.candidate.spec, one.replicas, factor * one.share / SHARE_UNITS)
        for one in solution.groups
    ]


def trials_of_what_is_left(inputs: Inputs, solution: FleetSolution) -> list[tuple[int, Trial]]:
    """Of each group that loses replicas with what the plan survives, its place in the plan and the trial of those that
    are left, which carry all its share; none where nothing is left of it."""
    trials = enumerate(zip(solution.groups, trials_of(inputs, solution), strict=True))
    return [(at, replace(trial, replicas=one.left)) for at, (one, trial) in trials if one.lost and one.left]


class Judge:
    """Judges plans by the closed form, by replays on top of it, or, with ``least``, by replays alone."""

    def __init__(
        self,
        inputs: Inputs,
        candidates: CandidateSet,
        options: Sequence[NodeOption],
        replayer: Replayer | None = None,
        least: LeastReplicas | None = None,
        pools: PoolTies | None = None,
    ) -> None:
        self._inputs, self._candidates, self._options = inputs, candidates, options
        self._rules, self._loads = candidates.rules, loads_of(inputs.problem)
        self._replayer, self._least, self._pools = replayer, least, pools
        self._sought = Sought(candidates.rules, self._loads)
        self._by_key = {one.key: one for one in candidates.candidates}
        self._kept: dict[tuple[object, ...], tuple[int, ...]] = {}
        self._seen: dict[object, SeenByUsers] = {}
        self._floors: CostFloors | None = None
        self._kinds: dict[Kind, list[Candidate]] = {}

    def capable(self, group: GroupChoice) -> GroupChoice:
        """The group at the point at which it carries most; as replayed the load itself where that is more. Where a
        latency is sought, at its quickest point that carries the load."""
        known, load = self._by_key[group.candidate.key], self._loads[group.candidate.workload]
        if self._least is not None:
            from optimizer.planning.cheapest import with_capability

            return with_capability(group, known, load, self._candidates)
        kept = self._points(known)
        if not kept:
            return group
        able = replace(group, candidate=known, point=kept[0], kept=kept)
        return self._sought.at_best_point(able)

    def fewest(self, candidate: Candidate, share: int, value: int) -> int | None:
        """The fewest replicas that may carry a share of the load and reach a value of the objective, and so have to be
        left; None: no number does."""
        if self._least is not None:
            known = self._least.of(candidate)
            return None if known is None else known.replicas
        load, part = self._loads[candidate.workload], share / SHARE_UNITS * self._sought.times(value)
        counts = []
        for index in self._sought.reaching(candidate, self._points(candidate), value):
            pairs = zip(load.floors, candidate.points[index].carries, strict=True)
            needed = [ceil_guarded(asked * part / able) if able > 0 else NEVER for asked, able in pairs if asked]
            counts.append(max([1, load.min_replicas, *needed]))
        least = min(counts, default=NEVER)
        return None if least >= NEVER else least

    def keeps(self, solution: FleetSolution) -> bool:
        """Whether a plan keeps every promise. Pools are listed as replayed."""
        if solution.has_pools:
            return solution.pooled is not None and solution.pooled.kept
        for group in solution.groups:
            fewest = self.fewest(group.candidate, group.share, solution.objective)
            if fewest is None or group.left < fewest:
                return False
        if self._least is None and solution.load_factor < 1.0 and self._rules.objective != "maximize_load":
            return False
        if self._replayer is None:
            return True
        left = [trial for _, trial in trials_of_what_is_left(self._inputs, solution)]
        return all(self._replay_keeps(trial) for trial in (*left, *trials_of(self._inputs, solution)))

    def _replay_keeps(self, trial: Trial) -> bool:
        replayer = self._replayer
        assert replayer is not None
        return replayer.expected(trial) is not False and replayer.replay(trial).kept

    def seen(self, solution: FleetSolution) -> SeenByUsers:
        """What its users see."""
        about = tuple((one.candidate.key, one.replicas, one.share, one.running) for one in solution.groups)
        if about not in self._seen:
            told = self._as_estimated(solution) if self._replayer is None else self._as_replayed(solution)
            self._seen[about] = told
        return self._seen[about]

    def _as_replayed(self, solution: FleetSolution) -> SeenByUsers:
        assert self._replayer is not None
        if solution.pooled is not None:
            replays = [(solution.groups[0].candidate.workload, solution.pooled)]
        else:
            replays = [(trial.workload, self._replayer.replay(trial)) for trial in trials_of(self._inputs, solution)]
        rows = [
            ((place, one.path, one.length_class), one.simulated_s / one.limit_s)
            for place, replay in replays
            for one in replay.promises
        ]
        return _seen(rows, [replay.e2e_s.mean for _, replay in replays])

    def _as_estimated(self, solution: FleetSolution) -> SeenByUsers:
        factor = solution.load_factor if self._rules.objective == "maximize_load" else 1.0
        told = [one.prediction for one in expect(self._inputs, [GroupLoad(one, factor) for one in solution.groups])]
        rows = [
            ((group.candidate.workload, one.path, one.length_class), one.estimate_s / one.limit_s)
            for group, prediction in zip(solution.groups, told, strict=True)
            for one in prediction.promises
            if one.limit_s is not None
        ]
        return _seen(rows, [one.e2e_s.mean for one in told])

    def is_beaten_by_pools(self, solution: FleetSolution) -> bool:
        """Whether other pools on the nodes of a plan with pools beat it."""
        return self._pools is not None and self._pools.is_beaten(solution)

    def has_for_less(self, solution: FleetSolution) -> bool:
        """Whether the one configuration of a plan keeps its promises for less money too (fewer GPUs, where those are
        what counts), or reaches more where a load or a latency is sought: then what it costs is not what the plan
        costs."""
        (group,) = solution.groups
        for other in self._of_kind(group.candidate):
            if self._reaches_more(other, group.share, solution.objective):
                return True
            count = self._largest_for_less(other, solution)
            fewest = self.fewest(other, group.share, solution.objective)
            if fewest is None or count < fewest:
                continue
            if self._least is None:
                return True
            known = self._least.of(other)
            assert known is not None
            if known.exact or self._least.keeps(known, count):
                return True
            self._least.missed(known, count)
        return False

    def _reaches_more(self, candidate: Candidate, share: int, value: int) -> bool:
        """Whether nodes that may be bought hold what the next better value takes."""
        better = self._sought.next_better(value)
        fewest = None if better is None else self.fewest(candidate, share, better)
        if fewest is None:
            return False
        nodes = self._costs.nodes_for(candidate, fewest)
        return nodes is not None and keeps_limits(nodes, self._rules)

    def _largest_for_less(self, candidate: Candidate, solution: FleetSolution) -> int:
        """The most replicas that cost less than a plan; 0: none."""
        low, high = 0, 1
        while self._less(candidate, high, solution):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._less(candidate, middle, solution) else (low, middle)
        return low

    def _less(self, candidate: Candidate, count: int, solution: FleetSolution) -> bool:
        cents = self._costs.cents_with(candidate, count)
        if self._rules.objective == "minimize_gpus":
            nodes = candidate.nodes_for(count) + self._rules.reserve(candidate)
            return cents < NEVER and (nodes * candidate.node_type.gpus_per_node, cents) < (
                solution.gpus,
                solution.monthly_cents,
            )
        return cents < min(solution.monthly_cents, NEVER)

    def _of_kind(self, candidate: Candidate) -> Sequence[Candidate]:
        if not self._kinds:
            kinds = defaultdict(list)
            for one in self._candidates.candidates:
                if configuration_allowed(one, self._rules):
                    kinds[kind_of(one)].append(one)
            self._kinds = dict(kinds)
        return self._kinds.get(kind_of(candidate), ())

    @property
    def _costs(self) -> CostFloors:
        if self._floors is None:
            self._floors = CostFloors(replace(self._candidates, candidates=()), self._options, alone=True)
        return self._floors

    def _points(self, candidate: Candidate) -> tuple[int, ...]:
        if candidate.key not in self._kept:
            self._kept[candidate.key] = kept_points(candidate, self._rules)
        return self._kept[candidate.key]


def _seen(rows: Sequence[tuple[tuple[int, str, str], float]], stays: Sequence[float]) -> SeenByUsers:
    """The slowest group counts where several serve a workload."""
    worst: dict[tuple[int, str, str], float] = {}
    for about, share in rows:
        worst[about] = max(_rounded(share), worst.get(about, 0.0))
    known = [stay for stay in stays if math.isfinite(stay)]
    return SeenByUsers(worst, _rounded(max(known, default=0.0)))


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
