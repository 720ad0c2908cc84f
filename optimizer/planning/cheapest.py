"""The cheapest plans as replayed: what is bounded from below is proposed, what is proposed is replayed.

Every kind of replica enters with the fewest replicas it could take at best (``least_replicas``). Before the solver is
asked, kinds whose bound could beat the best known of their rank are replayed at the largest number that would still be
cheaper: most miss, which raises their bound beyond interest; of the others the fewest are found. The solver then
chooses over these bounds; whatever it proposes that was not replayed is, and it is asked again, until every plan of the
ranking is replayed and nothing cheaper is left unbounded.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.fleet.cost_floors import NEVER, CostFloors
from optimizer.fleet.funnel import configuration_allowed
from optimizer.fleet.instance import load_factor, slot_facts
from optimizer.fleet.lower_bounds import THOUSANDTHS, UsableOptions
from optimizer.performance.types import OperatingPoint, PointKind
from optimizer.planning.inputs import loads_of
from optimizer.planning.known import Least
from optimizer.planning.least_replicas import AGAIN, LeastReplicas
from optimizer.planning.replicas_replayed import Trial
from optimizer.problem import pools_wanted
from optimizer.progress import Clock
from optimizer.units import SHARE_UNITS, ceil_guarded

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.demand import Load
    from optimizer.fleet.candidate_set import CandidateSet
    from optimizer.fleet.types import FleetResult, FleetSolution, GroupChoice, SolveSettings
    from optimizer.performance.operating_points import Memo
    from optimizer.planning.inputs import Inputs
    from optimizer.planning.mixes import MixSearch
    from optimizer.planning.pool_ties import PoolTies
    from optimizer.planning.replicas_replayed import Replayer
    from optimizer.pricing import NodeOption

TWO_SIDED = ("minimize_cost", "minimize_gpus")
"""Objectives under which fewer replicas are what is sought."""

ROUNDS = 200
"""The solver is asked at most so often."""

LAST_S = 5.0
"""Seconds beyond its time that the solver gets to rank what was replayed until then."""


def is_two_sided(candidates: CandidateSet, options: Sequence[NodeOption]) -> bool:
    """Whether the replay decides how many replicas a workload takes, both ways.

    Not where the load itself or a latency is what is sought, under a day profile, where a replay at one size says
    nothing of other periods, and in mixes of many candidates, of offline work, or of which something may be gone:
    there the closed form proposes and the replay can only refuse.
    """
    from optimizer.planning.mixes import replays_decide

    rules = candidates.rules
    if rules.objective not in TWO_SIDED or rules.periods:
        return False
    return not rules.mixed or replays_decide(candidates, options)


@dataclass(frozen=True)
class Cheapest:
    """The ranking as replayed, and what it rests on."""

    result: FleetResult
    candidates: CandidateSet  # with the fewest replicas that each takes, as far as that is known
    complete: bool  # every plan is replayed, and nothing cheaper is left unbounded
    replayed: int  # kinds of replica that were replayed
    bounded: int  # kinds that their bound alone set aside
    least: LeastReplicas | None  # what is known of every kind; in mixes a number says nothing without a share
    pools: PoolTies | None = None  # what else may stand on the nodes of plans with pools


def cheapest(
    inputs: Inputs,
    candidates: CandidateSet,
    options: Sequence[NodeOption],
    replayer: Replayer,
    settings: SolveSettings,
    clock: Clock,
    memo: Memo | None = None,
    least: LeastReplicas | None = None,
) -> Cheapest:
    """The ranking over what replays show. The candidates come with the operating points of the closed form; ``least``
    is what was found out about them before."""
    from optimizer.fleet import solve_fleet

    rules = candidates.rules
    at_most = settings.at_most if rules.objective == "minimize_cost" else None
    types = UsableOptions(option for option in options if not rules.forbidden_by(option)).within(at_most, rules)
    racing = [c for c in candidates.candidates if c.node_type.key in types and configuration_allowed(c, rules)]
    least = least or LeastReplicas(inputs, racing, rules, replayer, memo)
    race = _Race(candidates, racing, options, least, clock, at_most)
    race.run()
    complete, enough = False, race.enough()
    if enough is None or (at_most is not None and at_most < enough):
        enough = at_most
    for _ in range(ROUNDS):
        kept = race.up_to(enough)
        wanted = replace(candidates, candidates=least.standing(kept))
        asked = replace(settings, clock=settings.clock.part(AGAIN))
        result = solve_fleet(inputs.problem, wanted, options, loads_of(inputs.problem), asked)
        if clock.over or result.status == "unknown":
            break
        if enough is not None and enough != at_most and not _is_full(result, rules.top, enough):
            enough = at_most
            continue
        result = replace(result, screened=result.screened + len(racing) - len(kept))
        if not _learnt(result, least, race, clock) and not _contradicted(result, least):
            complete = not clock.over
            break
    replayed, kinds = least.replayed, least.every
    pools: PoolTies | None = None
    if complete and pools_wanted(inputs.problem):
        from optimizer.planning.pooled import with_pools

        found = with_pools(inputs, wanted, result, racing, options, replayer.memory, settings, clock)
        result, wanted, complete = found.result, found.candidates, found.complete
        replayed, kinds, pools = replayed + found.replayed, kinds + found.pairs, found.ties
    reported = replace(result, solutions=tuple(_reported(inputs, one, candidates) for one in result.solutions))
    return Cheapest(reported, wanted, complete, replayed, kinds - replayed, least, pools)


def known_by_now(
    inputs: Inputs,
    candidates: CandidateSet,
    options: Sequence[NodeOption],
    replayer: Replayer,
    found: Cheapest,
) -> FleetResult | None:
    """Where the time was up: the best plans of what replays have shown to keep every promise; None where that makes
    none. Others may be cheaper, so nothing of it is proven."""
    from optimizer.fleet import SolveSettings, solve_fleet
    from optimizer.fleet.types import FleetStatus

    least = found.least
    if least is None:
        return None
    sure = [one for one in candidates.candidates if (known := least.of(one)) is not None and known.exact]
    wanted = replace(candidates, candidates=least.standing(sure))
    settings = SolveSettings(clock=Clock.of(LAST_S))
    result = solve_fleet(inputs.problem, wanted, options, loads_of(inputs.problem), settings)
    kept = [one for one in result.solutions if all(_is_kept(group, replayer) for group in one.groups)]
    if not kept:
        return None
    told = tuple(
        replace(_reported(inputs, one, candidates), rank=rank, proven=False, bound=0)
        for rank, one in enumerate(kept, start=1)
    )
    return replace(result, status=FleetStatus.FEASIBLE, solutions=told, warnings=(*result.warnings, CUT_SHORT))


CUT_SHORT = "the time was up before all that could be cheaper was replayed; --time-limit gives it more"


def _is_kept(group: GroupChoice, replayer: Replayer) -> bool:
    """Whether the replicas of a group, and what is left of them where something may be gone, keep every promise."""
    mine = group.candidate
    return all(
        replayer.replay(Trial(mine.workload, mine.spec, count, group.share / SHARE_UNITS)).kept
        for count in dict.fromkeys((group.left, group.replicas))
    )


def cheapest_mixes(
    inputs: Inputs, candidates: CandidateSet, mixes: MixSearch, settings: SolveSettings, clock: Clock
) -> Cheapest:
    """The same where several kinds of replica may share a workload."""
    result, wanted, complete = mixes.best(candidates, settings, clock)
    reported = replace(result, solutions=tuple(_reported(inputs, one, candidates) for one in result.solutions))
    replayed = len(mixes.replayed)
    return Cheapest(reported, wanted, complete, replayed, mixes.kinds - replayed, None)


def _is_full(result: FleetResult, top: int, enough: int) -> bool:
    """Whether the ranking is as long as asked for at no more than that: nothing dearer has a place in it."""
    found = result.solutions
    return result.status == "proven" and len(found) == top and all(one.monthly_cents <= enough for one in found)


def _learnt(result: FleetResult, least: LeastReplicas, race: _Race, clock: Clock) -> bool:
    """Replay what plans propose that is not known to be enough; whether anything came out that changes a bound."""
    news = False
    for solution in result.solutions:
        for group in solution.groups:
            known = least.of(group.candidate)
            if clock.over or known is None or (known.exact and group.left >= known.replicas):
                continue
            if group.left < known.replicas:
                continue  # raised by another plan of this ranking; the next one shows the number
            if not least.keeps(known, group.left):
                least.missed(known, group.left)
                if not race.is_beaten(group.candidate):
                    least.find(known, lambda: clock.over)
                news = True
            else:
                before = known.replicas
                least.settle(known, group.left)
                news = news or known.replicas != before or known.replicas != group.left
    return news or any(
        known is None or group.left < known.replicas
        for solution in result.solutions
        for group in solution.groups
        for known in (least.of(group.candidate),)
    )


def _contradicted(result: FleetResult, least: LeastReplicas) -> bool:
    """Replay every plan itself, and what is left of it where something may be gone, whatever follows from replays of
    others; whether one misses after all."""
    found = False
    for group in (group for solution in result.solutions for group in solution.groups):
        known = least.of(group.candidate)
        for count in dict.fromkeys((group.left, group.replicas)):
            if known is not None and not least.really_keeps(known, count):
                least.missed(known, count)
                found = True
    return found


class _Race:
    """Finds, rank by rank, how few replicas the best of each kind of plan takes, with as few replays as that needs.

    Only which replays are run follows from it, never the answer.
    """

    def __init__(
        self,
        candidates: CandidateSet,
        racing: Sequence[Candidate],
        options: Sequence[NodeOption],
        least: LeastReplicas,
        clock: Clock,
        at_most: int | None,
    ) -> None:
        self._rules, self._least, self._clock, self._at_most = candidates.rules, least, clock, at_most
        self._racing = racing
        alone = len(self._rules.workloads) == 1
        bounded = replace(candidates, candidates=() if alone else tuple(racing))
        self._floors = CostFloors(bounded, options, alone=alone, needed=least.needed)
        self._reached: list[int] = []
        self._of_key: dict[object, int] = {}
        self._kept = [NEVER] * len(self._rules.workloads)  # of each part, what nodes of its own cost at most
        self._known: dict[tuple[int, int], int] = {}

    def run(self) -> None:
        """Every workload and class by itself."""
        for workload in range(len(self._rules.workloads)):
            groups: dict[object, list[Candidate]] = defaultdict(list)
            for candidate in self._racing:
                if candidate.workload == workload:
                    groups[slot_facts(candidate, self._rules)].append(candidate)
            of_key, top = list(groups.values()), self._rules.top
            self._reached = []
            ranked = sorted(((*self._closed(group), number) for number, group in enumerate(of_key)), key=_by_score)
            self._foresee([(score, favourite, of_key[number]) for score, favourite, number in ranked[:top]])
            for _, _, number in ranked:
                limit = sorted(self._reached)[top - 1] if len(self._reached) >= top else NEVER
                self._reached.append(self._best(of_key[number], limit))
                self._of_key[slot_facts(of_key[number][0], self._rules), workload] = self._reached[-1]

    def _foresee(self, best: Sequence[tuple[int, Candidate | None, Sequence[Candidate]]]) -> None:
        """Predict at once what is likely to be replayed one by one: the favourites of the closed form of the best
        groups, and what could be better by its bound."""
        likely: list[tuple[Candidate, int]] = []
        for score, favourite, group in best:
            known = None if favourite is None else self._least.of(favourite)
            if favourite is None or known is None or known.closed_form is None:
                continue
            likely.append((favourite, max(known.closed_form, known.replicas)))
            for one in group:
                if self._score(one, None) < score and (at_best := self._least.of(one)) is not None:
                    likely.append((one, self._largest_below(one, at_best.replicas, score)))
        self._least.predict(likely)

    def is_beaten(self, candidate: Candidate) -> bool:
        """Whether a candidate comes to more than what is known to be reached under its key, however few it takes."""
        reached = self._of_key.get((slot_facts(candidate, self._rules), candidate.workload), NEVER)
        return self._score(candidate, None) > reached

    def enough(self) -> int | None:
        """What the last plan of the ranking is thought to cost, where that can be told without the solver."""
        top, reached = self._rules.top, sorted(self._reached)
        if self._rules.objective != "minimize_cost":
            return None
        if len(self._rules.workloads) > 1:
            return self._apart() if top == 1 else None
        return reached[top - 1] if len(reached) >= top and reached[top - 1] < NEVER else None

    def _apart(self) -> int | None:
        """What a plan costs that serves every workload on nodes of its own, whole or class by class."""
        ways = self._rules.ways_to_serve()
        total = sum(min(sum(self._kept[part] for part in parts) for parts in of_one) for of_one in ways)
        return total + self._rules.fixed_cents if total < NEVER else None

    def _keeps(self, candidate: Candidate, replicas: int) -> None:
        """So many replicas keep every promise: note what they cost on nodes of their own."""
        if not self._rules.is_flagged(candidate):
            cents, part = self._floors.own_cents(candidate, replicas), candidate.workload
            self._kept[part] = min(self._kept[part], cents)

    def up_to(self, enough: int | None) -> list[Candidate]:
        """The candidates that may cost no more than that; None: all of them."""
        racing = self._racing
        return list(racing) if enough is None else [one for one in racing if self._score(one, None) <= enough]

    def _closed(self, group: Sequence[Candidate]) -> tuple[int, Candidate | None]:
        """The best of a group as the closed form has it, and its score."""
        best: tuple[int, Candidate | None] = (NEVER, None)
        for one in group:
            least = self._least.of(one)
            if least is not None and least.closed_form is not None:
                score = self._score(one, max(least.closed_form, least.replicas))
                if score < best[0]:
                    best = (score, one)
        return best

    def _score(self, candidate: Candidate, replicas: int | None) -> int:
        """What a plan with so many of a replica comes to at least, by default with the fewest: cents or GPUs."""
        least = self._least.of(candidate)
        if least is None:
            return NEVER
        count = replicas or least.replicas
        about = (id(candidate), count)
        if about not in self._known:
            self._known[about] = self._scored(candidate, count)
        return self._known[about]

    def _scored(self, candidate: Candidate, count: int) -> int:
        cents = self._floors.cents_with(candidate, count)
        if self._rules.objective == "minimize_gpus" and cents < NEVER:
            return candidate.nodes_for(count) * candidate.node_type.gpus_per_node
        return cents

    def _best(self, group: Sequence[Candidate], limit: int) -> int:
        """The score of the best of a group as replayed; the limit where none is below that."""
        upper = min(limit, self._affordable())
        score, favourite = self._closed(group)
        known = None if favourite is None else self._least.of(favourite)
        if known is not None and known.closed_form is not None and score < upper and not self._clock.over:
            count = max(known.closed_form, known.replicas)
            if favourite is not None and self._least.keeps(known, count):
                upper = score
                self._keeps(favourite, count)
            else:
                self._least.missed(known, count)
        bounds = [self._score(one, None) for one in group]
        if min(bounds) >= upper:
            return upper
        heap = [(bound, one.key, number) for number, (bound, one) in enumerate(zip(bounds, group, strict=True))]
        heapq.heapify(heap)
        while heap and not self._clock.over:
            bound, key, number = heapq.heappop(heap)
            least, now = self._least.of(group[number]), self._score(group[number], None)
            if now > bound:
                heapq.heappush(heap, (now, key, number))
            elif now >= upper or least is None:
                break
            elif least.exact:
                self._keeps(group[number], least.replicas)
                return now
            else:
                self._try(group[number], least, upper)
                now = self._score(group[number], None)
                upper = min(upper, now) if least.exact else upper  # the others have to be better than that
                heapq.heappush(heap, (now, key, number))
        return upper

    def _affordable(self) -> int:
        if self._rules.objective != "minimize_cost":
            return NEVER
        limits = (self._rules.limits.budget_cents, self._at_most)
        return min([NEVER, *(cents + 1 for cents in limits if cents is not None)])

    def _try(self, candidate: Candidate, least: Least, upper: int) -> None:
        """Replay at the largest number that is still better than what is known."""
        if upper >= NEVER:
            self._least.find(least, lambda: self._clock.over)
            return
        count = self._largest_below(candidate, least.replicas, upper)
        if self._least.keeps(least, count):
            self._least.settle(least, count)
        else:
            self._least.missed(least, count)

    def _largest_below(self, candidate: Candidate, replicas: int, upper: int) -> int:
        low, high = replicas, 2 * replicas + 1
        while self._score(candidate, high) < upper:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._score(candidate, middle) < upper else (low, middle)
        return low


def _by_score(ranked: tuple[int, Candidate | None, int]) -> tuple[int, int]:
    score, _, number = ranked
    return score, number


def _reported(inputs: Inputs, solution: FleetSolution, candidates: CandidateSet) -> FleetSolution:
    """The plan with what its replicas carry: by the closed form where that is more than the load, else the load that
    the replay keeps."""
    if solution.has_pools:
        return solution
    loads = loads_of(inputs.problem)
    by_key = {candidate.key: candidate for candidate in candidates.candidates}
    groups = tuple(
        with_capability(group, by_key[group.candidate.key], loads[group.candidate.workload], candidates)
        for group in solution.groups
    )
    return replace(solution, groups=groups, load_factor=load_factor(groups, loads) / THOUSANDTHS)


def with_capability(group: GroupChoice, known: Candidate, load: Load, candidates: CandidateSet) -> GroupChoice:
    """A group of replicas of a candidate at the point that they are reported with."""
    from optimizer.fleet.funnel import kept_points

    kept = kept_points(known, candidates.rules)
    if kept:
        closed = replace(group, candidate=known, point=kept[0], kept=kept)
        point = closed.roomiest(load)
        if closed.factor(point, load) >= 1.0:
            return replace(closed, point=known.points.index(point))
    shown = max(known.points, key=lambda point: point.requests_per_second)
    at_load = _at_load(shown, group.left / (group.share / SHARE_UNITS), load)
    return replace(group, candidate=replace(known, points=(at_load,)), point=0, kept=(0,))


def _at_load(point: OperatingPoint, replicas: float, load: Load) -> OperatingPoint:
    """A point at the part of the load that one of so many replicas gets, were all of it theirs. A side that no load
    asks for follows the others in proportion."""
    rate, held, users = load.floors
    parts = (rate / replicas, float(ceil_guarded(held / replicas)), users / replicas)
    sides = list(zip(point.carries, parts, load.floors, strict=True))
    share = min([1.0, *(part / value for value, part, floor in sides if floor > 0 and value > 0)])
    at = [part if floor > 0 else value * share for value, part, floor in sides]
    return OperatingPoint(PointKind.ALL, at[0], at[1], tuple(0.0 for _ in point.latencies_s), at[2])
