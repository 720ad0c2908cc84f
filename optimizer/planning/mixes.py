"""The cheapest mixes as replayed: which share of a workload so many replicas carry is bounded, and replayed if chosen.

At first each replica may carry what a fluid does (or the closed form, where that is more). What the solver chooses is
replayed, each group with its share; where a group misses, the largest share that so many replicas carry is found, and
the solver is told (``fleet.constraints_service.carried_as_replayed``). It is asked again until every group of every
plan keeps every promise at its share. Fewer replicas never carry more, and no share is easier than a smaller one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.fleet.funnel import configuration_allowed, kept_points
from optimizer.fleet.instance import CarriedShares
from optimizer.performance.types import OperatingPoint, PointKind
from optimizer.planning.inputs import loads_of
from optimizer.planning.least_replicas import AGAIN, carried_at_best, kind_of, whole
from optimizer.planning.replicas_replayed import Trial
from optimizer.problem import parts_of
from optimizer.units import SHARE_UNITS
from optimizer.vocabulary import Survive

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.fleet.candidate_set import CandidateSet
    from optimizer.fleet.types import FleetResult, FleetSolution, GroupChoice, SolveSettings
    from optimizer.performance.operating_points import Memo
    from optimizer.planning.inputs import Inputs
    from optimizer.planning.replicas_replayed import Replayer
    from optimizer.pricing import NodeOption
    from optimizer.progress import Clock

ROOM = 1.0 + 1e-4
"""Given to the most that a replica may carry, so that whole units of the solver, rounded down, still reach it."""

ROUNDS = 15
"""The solver is asked at most so often. Once or twice do as a rule; what is not settled by then is left to the closed
form."""

LEVELS = 48
"""Numbers of requests in flight that are tried one by one, below what replicas were given."""

MOST = 60
"""Candidates up to which replays decide: of many that hardly differ, each has to be told apart at every number."""


def replays_decide(candidates: CandidateSet, options: Sequence[NodeOption]) -> bool:
    """Whether replays decide the mixes of a problem both ways: those of few candidates, of which nothing may be gone
    and whose work is not offline."""
    rules = candidates.rules
    if rules.survive is not Survive.NONE or any(asked.load.is_batch for asked in rules.workloads):
        return False
    return len(_racing(candidates, options)) <= MOST


def _racing(candidates: CandidateSet, options: Sequence[NodeOption]) -> list[Candidate]:
    """Candidates that no rule keeps out."""
    rules = candidates.rules
    types = {option.node_type.key for option in options if not rules.forbidden_by(option)}
    return [c for c in candidates.candidates if c.node_type.key in types and configuration_allowed(c, rules)]


class MixSearch:
    """What numbers of replicas carry, as far as it is known; kept from one ranking to the next."""

    def __init__(
        self,
        inputs: Inputs,
        candidates: CandidateSet,
        options: Sequence[NodeOption],
        replayer: Replayer,
        memo: Memo | None,
    ) -> None:
        self._inputs, self._options, self._replayer = inputs, options, replayer
        self.standing = tuple(self._at_best(_racing(candidates, options), candidates, memo))
        self._known: dict[object, dict[int, int]] = defaultdict(dict)
        self.replayed: set[object] = set()

    @property
    def kinds(self) -> int:
        """Kinds of replica that may carry something."""
        return len({kind_of(one) for one in self.standing})

    def best(
        self, candidates: CandidateSet, settings: SolveSettings, clock: Clock
    ) -> tuple[FleetResult, CandidateSet, bool]:
        """The ranking, the candidates that it is over, and whether everything in it is replayed."""
        from optimizer.fleet import solve_fleet

        complete = False
        for _ in range(ROUNDS):
            wanted = replace(candidates, candidates=self.standing, carried=self._carried())
            asked = replace(settings, clock=settings.clock.part(AGAIN))
            result = solve_fleet(self._inputs.problem, wanted, self._options, loads_of(self._inputs.problem), asked)
            if clock.over or result.status == "unknown":
                break
            result = replace(result, solutions=tuple(self._shared_out(one) for one in result.solutions))
            missed = [group for solution in result.solutions for group in self._missed(solution)]
            for group in missed:
                self._find(group, clock)
            if not missed:
                complete = not clock.over
                break
        return result, wanted, complete

    def _at_best(self, racing: Sequence[Candidate], candidates: CandidateSet, memo: Memo | None) -> Iterator[Candidate]:
        """The candidates with what one replica carries at best; none that carry nothing."""
        for workload, part in enumerate(parts_of(self._inputs.problem)):
            mine = [one for one in racing if one.workload == workload]
            fluids = carried_at_best(self._inputs, part, [one.spec for one in mine], memo)
            for one, fluid in zip(mine, fluids, strict=True):
                points = [one.points[index] for index in kept_points(one, candidates.rules)]
                points += [] if fluid is None else [whole(fluid)]
                if points:
                    sides = (max(each) for each in zip(*(point.carries for point in points), strict=True))
                    rate, held, users = sides
                    promises = tuple(0.0 for _ in one.points[0].latencies_s)
                    most = OperatingPoint(PointKind.ALL, rate * ROOM, held, promises, users * ROOM)
                    yield replace(one, points=(most,))

    def _carried(self) -> tuple[CarriedShares, ...]:
        return tuple(CarriedShares(one.key, tuple(sorted(self._known[kind_of(one)].items()))) for one in self.standing)

    def _keeps(self, group: GroupChoice) -> bool:
        """Whether a group keeps every promise at its share, from its own replay."""
        self.replayed.add(kind_of(group.candidate))
        return self._kept(_trial(group, group.share))

    def _kept(self, trial: Trial) -> bool:
        return self._replayer.beyond_saturation(trial) is None and self._replayer.replay(trial).kept

    def _missed(self, solution: FleetSolution) -> list[GroupChoice]:
        """Groups that miss a promise at their share: those of which it is not known what they carry, if there are any,
        as another share of the rest may then be right."""
        missed = [group for group in solution.groups if not self._keeps(group)]
        new = [group for group in missed if group.replicas not in self._known[kind_of(group.candidate)]]
        return new or missed

    def _shared_out(self, solution: FleetSolution) -> FleetSolution:
        """The plan with shares that its groups keep, where those of the solver are not and all but one may have the
        largest that they carry: less may be slower (``_find``)."""
        most = [self._known[kind_of(one.candidate)].get(one.replicas) for one in solution.groups]
        for workload in {one.candidate.workload for one in solution.groups}:
            mine = [place for place, one in enumerate(solution.groups) if one.candidate.workload == workload]
            carried = {place: share for place in mine if (share := most[place]) is not None}
            spare = sum(carried.values()) - sum(solution.groups[place].share for place in mine)
            if len(carried) < len(mine) or spare < 0 or all(self._keeps(solution.groups[place]) for place in mine):
                continue
            for less in mine:
                shares = {**carried, less: carried[less] - spare}
                groups = tuple(replace(g, share=shares.get(place, g.share)) for place, g in enumerate(solution.groups))
                if shares[less] > 0 and all(self._keeps(groups[place]) for place in mine):
                    solution = replace(solution, groups=groups)
                    break
        return solution

    def _levels(self, group: GroupChoice, clock: Clock) -> Iterator[int]:
        """Smaller shares, each the largest at which the fullest replica holds a request less; none where arrivals or
        people load them too. Requests alike in length run in step, and then fewer in flight may be slower."""
        load = self._inputs.parts[group.candidate.workload].load
        rate, held, users = load.floors
        if rate or users or not held:
            return
        fullest = _trial(group, group.share).held(self._inputs)
        for fewer in range(fullest - 1, max(fullest - 1 - LEVELS, 0), -1):
            if clock.over:
                return
            yield min(int(fewer * group.replicas * SHARE_UNITS / held * (1.0 + 1e-12)), group.share - 1)

    def _find(self, group: GroupChoice, clock: Clock) -> None:
        """Note the largest share that so many replicas carry, less than what they were given.

        It is looked for from above, as replays of requests held in flight are not quite monotone: a smaller share may
        miss what a larger one keeps.
        """
        start = group.share
        for share in self._levels(group, clock):
            start = share
            if share <= 0 or self._kept(_trial(group, share)):
                self._known[kind_of(group.candidate)][group.replicas] = max(share, 0)
                return
        low, high, step = max(start - 1, 0), start, 1
        while low and not clock.over and not self._kept(_trial(group, low)):
            low, high, step = max(low - step, 0), low, 2 * step
        while high - low > 1 and not clock.over:
            middle = (low + high) // 2
            kept = self._kept(_trial(group, middle))
            low, high = (middle, high) if kept else (low, middle)
        kind = kind_of(group.candidate)
        if not low and not clock.over:  # not even with hardly anything to do
            self.standing = tuple(one for one in self.standing if kind_of(one) != kind)
        self._known[kind][group.replicas] = low


def _trial(group: GroupChoice, share: int) -> Trial:
    return Trial(group.candidate.workload, group.candidate.spec, group.replicas, share / SHARE_UNITS)
