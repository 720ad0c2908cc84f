"""The fewest replicas that keep every promise in the replay, kind by kind: bounded first, replayed where it matters.

Of each kind of replica a lower bound is known on how many a workload takes: at first that of the fluid limit or of the
closed form, whichever is less; a replay that misses with R replicas raises it to the next number, one that keeps
everything at the bound makes it exact. Replays are as monotone as loads are: fewer replicas never keep what more miss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.fleet.funnel import kept_points
from optimizer.fleet.lower_bounds import replicas_needed
from optimizer.performance.types import OperatingPoint, PointKind
from optimizer.planning.known import Kind, KnownLeast, Least
from optimizer.planning.replicas_replayed import Trial
from optimizer.problem import Part, parts_of
from optimizer.simulate.sessions import at_ranks
from optimizer.units import ceil_guarded
from optimizer.vocabulary import Router

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.demand import Load
    from optimizer.fleet.requirements import UserRules
    from optimizer.performance.operating_points import Memo
    from optimizer.performance.types import ReplicaSpec
    from optimizer.planning.inputs import Inputs
    from optimizer.planning.replicas_replayed import Replayer

AGAIN = 0.5
"""Share of the time that is left which the solver may take each time it is asked; replays need the rest."""

GALLOPS = 8
"""So often the number of replicas is doubled where nothing bounds it from above."""

MANY = 256
"""Times the bound: replicas that are as good as idle. A kind that misses even then is left out."""

MANY_DEALT = 16
"""The same where each turn of a session goes to any engine: the more there are, the less each finds of what was read
before, so that 256 times as many are no better than these."""


def kind_of(candidate: Candidate) -> Kind:
    """What tells kinds of replicas apart, whatever nodes they sit in."""
    return Trial(candidate.workload, candidate.spec, 1, 1.0).key[:-2]


class LeastReplicas:
    """The fewest replicas of every kind, as far as they are known; raised and made exact by replays."""

    def __init__(
        self,
        inputs: Inputs,
        candidates: Sequence[Candidate],
        rules: UserRules,
        replayer: Replayer,
        memo: Memo | None = None,
    ) -> None:
        self._inputs, self._replayer = inputs, replayer
        parts = inputs.parts
        self._loads = [part.load for part in parts]
        self._promises = [len(part.slo.promises) for part in parts]
        self._named: dict[int, tuple[Candidate, Kind]] = {}
        self._shares: dict[tuple[int, int], OperatingPoint] = {}
        self._needed: dict[tuple[int, int], int | None] = {}
        self.kinds: dict[Kind, Least] = {}
        self.every = 0  # kinds, those of which no number will do too
        self._asked: set[int] = set()
        self._fill(candidates, rules, memo)

    @property
    def replayed(self) -> int:
        """Kinds that were asked about, whether a replay was run for it or told by another."""
        return len(self._asked)

    def _fill(self, candidates: Sequence[Candidate], rules: UserRules, memo: Memo | None) -> None:
        """Every kind with what this question knows of it, at first with its bounds."""
        for workload, part in enumerate(parts_of(self._inputs.problem)):
            first = {self._kind(one): one for one in candidates if one.workload == workload}
            known = self._replayer.fewest_known(workload)
            new = {kind: one for kind, one in first.items() if kind not in known or known[kind][0] is not one.points}
            known |= self._bounded(workload, part, new, rules, memo)
            for kind in first:
                least = known[kind][1]
                if least is not None:
                    self.every += 1
                    if not least.hopeless:
                        self.kinds[kind] = least

    def _bounded(
        self, workload: int, part: Part, new: Mapping[Kind, Candidate], rules: UserRules, memo: Memo | None
    ) -> dict[Kind, KnownLeast]:
        """New kinds with their bounds: the fewest that the closed form or a fluid asks for."""
        fluid = carried_at_best(self._inputs, part, [one.spec for one in new.values()], memo)
        asked, found = self._replayer.asked_by_closed_form(workload), dict[Kind, KnownLeast]()
        for (kind, one), at_best in zip(new.items(), fluid, strict=True):
            if kind not in asked or asked[kind][0] is not one.points:
                asked[kind] = (one.points, *_closed_form(one, at_best, part.load, rules))
            _, closed, best = asked[kind]
            counts = [count for count in (closed, best) if count is not None]
            found[kind] = (one.points, Least(one.spec, workload, min(counts), closed) if counts else None)
        return found

    def candidate(self, candidate: Candidate, replicas: int | None = None) -> Candidate | None:
        """The candidate as one that takes at least so many replicas, by default the bound; None: no number will do."""
        least = self.of(candidate)
        if least is None:
            return None
        return replace(candidate, points=(self._share(candidate.workload, replicas or least.replicas),))

    def _share(self, workload: int, replicas: int) -> OperatingPoint:
        """The load that one of so many replicas gets."""
        known = self._shares.get((workload, replicas))
        if known is None:
            rate, held, users = self._loads[workload].floors
            share = (rate / replicas, float(ceil_guarded(held / replicas)))
            promises = (0.0,) * self._promises[workload]
            known = OperatingPoint(PointKind.ALL, *share, promises, users / replicas)
            self._shares[workload, replicas] = known
        return known

    def needed(self, candidate: Candidate) -> int | None:
        """The replicas that it takes at least, in the units of the model; None: no number will do."""
        least = self.of(candidate)
        if least is None:
            return None
        about = (candidate.workload, least.replicas)
        if about not in self._needed:
            self._needed[about] = replicas_needed(self._share(*about), self._loads[candidate.workload])
        return self._needed[about]

    def predict(self, likely: Iterable[tuple[Candidate, int]]) -> None:
        """Ask the closed form at once about so many replicas of each, as far as nothing is known of them."""
        trials = [Trial(candidate.workload, candidate.spec, replicas, 1.0) for candidate, replicas in likely]
        self._replayer.predict([trial for trial in trials if self._replayer.expected(trial) is None])

    def keeps(self, least: Least, replicas: int) -> bool:
        """Whether so many keep every promise in the replay."""
        trial = Trial(least.workload, least.spec, replicas, 1.0)
        known = self._replayer.expected(trial)
        self._asked.add(id(least))
        return self._replayer.replay(trial).kept if known is None else known

    def really_keeps(self, least: Least, replicas: int) -> bool:
        """The same from the replay itself, never from what others say of it."""
        self._asked.add(id(least))
        return self._replayer.replay(Trial(least.workload, least.spec, replicas, 1.0)).kept

    def missed(self, least: Least, replicas: int) -> None:
        """So many missed a promise: it takes more."""
        if replicas >= least.replicas:
            least.replicas, least.exact = self.above(least, replicas), False

    def above(self, least: Least, replicas: int) -> int:
        """The next number of replicas at which the load of one differs."""
        rate, held, users = self._loads[least.workload].floors
        if rate or users or not held:
            return replicas + 1
        ranks = least.spec.attention_dp
        fullest = ceil_guarded(held / replicas / ranks)
        return replicas + 1 if fullest <= 1 else max(ceil_guarded(held / (fullest - 1) / ranks), replicas + 1)

    def settle(self, least: Least, kept: int) -> None:
        """``kept`` keep every promise: find the fewest that do."""
        low, high = least.replicas - 1, kept
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.keeps(least, middle) else (middle, high)
        least.replicas, least.exact = high, True

    def find(self, least: Least, over: Callable[[], bool], most: int | None = None) -> bool:
        """Find the fewest from the bound up, at most ``most``; False where none are enough or the time is up: a kind
        that no number of replicas helps is forgotten."""
        low = least.replicas
        lone = self._many(least) * low if most is None else most
        likely = least.closed_form or 0
        if low <= likely < lone and self.keeps(least, likely):
            self.settle(least, likely)
            return True
        many_last = most is None and self._is_dealt(least)  # every replica is replayed: so many take far longer
        asked_first = 2 if likely >= low else 0  # idle replicas take longest: where a few more may do, those come first
        step, high, sure = max(likely, low), lone, False
        for number in range(GALLOPS):
            if number == asked_first and not many_last:
                sure = self.keeps(least, lone)
                if not sure:
                    return self._never(least, lone, most)
            count = min(step, lone)
            if over() or count >= lone:
                break
            if self.keeps(least, count):
                high = count
                break
            self.missed(least, count)
            step = 2 * count
        if over():
            return False
        if high == lone and not sure and not self.keeps(least, lone):
            return self._never(least, lone, most)
        self.settle(least, high)
        return True

    def _never(self, least: Least, lone: int, most: int | None) -> bool:
        """Not even so many are enough."""
        if most is None:
            self.forget(least)
        else:
            self.missed(least, lone)
        return False

    def _many(self, least: Least) -> int:
        """Times the bound: so many that more would not help."""
        return MANY_DEALT if self._is_dealt(least) else MANY

    def _is_dealt(self, least: Least) -> bool:
        """Whether the turns of a session go to any engine."""
        lengths = self._inputs.parts[least.workload].lengths
        router, ranks = Router(self._inputs.problem.engine.router), least.spec.attention_dp
        return lengths.sessions is not None and at_ranks(router, ranks) is not Router.PREFIX_AFFINITY

    def forget(self, least: Least) -> None:
        """No number of them keeps every promise."""
        least.hopeless = True
        for kind in [kind for kind, one in self.kinds.items() if one is least]:
            del self.kinds[kind]

    def of(self, candidate: Candidate) -> Least | None:
        """What is known of the kind of a candidate; None: no number of them will do."""
        known = self._named.get(id(candidate))
        found = self.kinds.get(known[1] if known is not None and known[0] is candidate else self._kind(candidate))
        return None if found is None or found.hopeless else found

    def _kind(self, candidate: Candidate) -> Kind:
        """The kind of a candidate, worked out once for each; a plan's candidates are others of the same content."""
        known = self._named.get(id(candidate))
        if known is None or known[0] is not candidate:
            known = self._named[id(candidate)] = (candidate, kind_of(candidate))
        return known[1]

    def standing(self, candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
        """The candidates with what they take at least, without those of which no number will do."""
        found = (self.candidate(candidate) for candidate in candidates)
        return tuple(candidate for candidate in found if candidate is not None)


def fewest_at_best(
    inputs: Inputs, candidates: Sequence[Candidate], rules: UserRules, memo: Memo | None
) -> Iterator[tuple[Candidate, int]]:
    """One candidate of each kind that may serve at all, and the fewest replicas that any replay may ask for."""
    for workload, part in enumerate(parts_of(inputs.problem)):
        first = list({kind_of(one): one for one in candidates if one.workload == workload}.values())
        fluid = carried_at_best(inputs, part, [one.spec for one in first], memo)
        for one, at_best in zip(first, fluid, strict=True):
            asked = [count for count in _closed_form(one, at_best, part.load, rules) if count is not None]
            if asked:
                yield one, min(asked)


def carried_at_best(
    inputs: Inputs, part: Part, specs: Sequence[ReplicaSpec], memo: Memo | None
) -> Sequence[OperatingPoint | None]:
    """The largest load of each in the fluid limit; None of any where work by the batch has none."""
    from optimizer.performance.fluid import fluid_points

    if not specs or part.load.is_batch:
        return [None] * len(specs)
    confidence = inputs.problem.margins.confidence
    return fluid_points(specs, part.lengths, part.slo, part.load, confidence, inputs.params, memo)


def _closed_form(
    candidate: Candidate, at_best: OperatingPoint | None, load: Load, rules: UserRules
) -> tuple[int | None, int | None]:
    """The fewest replicas that the closed form asks for, and that a fluid takes; None: no number will do."""
    asked = [_fewest(candidate.points[index], load) for index in kept_points(candidate, rules)]
    closed = min((count for count in asked if count is not None), default=None)
    return closed, None if at_best is None else _fewest(whole(at_best), load)


def _fewest(point: OperatingPoint, load: Load) -> int | None:
    """The fewest replicas that carry a load: where the units of the model are too coarse for so many, no more."""
    if replicas_needed(point, load) is None:
        return None
    pairs = zip(point.carries, load.floors, strict=True)
    return max(load.min_replicas, *(ceil_guarded(asked / capacity) for capacity, asked in pairs if asked > 0))


def whole(point: OperatingPoint) -> OperatingPoint:
    """The point with whole requests in flight, at least one."""
    return replace(point, inflight=max(float(int(point.inflight * (1.0 + 1e-9))), 1.0))
