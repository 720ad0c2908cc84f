"""Behaviour of every group of every plan at the loads it claims to carry, computed forward in two calls a workload.

A replica is asked three times: at the planned load, at the plan's capacity, and at its load factor times the planned
load; each under Poisson arrivals, with requests held in flight and with the people of a closed population, where the
problem states such a load.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from optimizer.performance import behaviours, error_factor, grade_of
from optimizer.performance.bands import throughput_factor
from optimizer.performance.types import Behaviour, Grade
from optimizer.units import ceil_guarded
from optimizer.verify.case import MAXIMIZE_LOAD, Case, GroupCase

if TYPE_CHECKING:
    from optimizer.performance import Parameters
    from optimizer.workload import Lengths, Promise

SATURATION = 0.9
"""Share of the saturation rate that arrivals may take; batch work may take all of it."""


_ALONE = 1e-6
"""Requests in flight of a replica that hardly ever has one."""


class Floor(Enum):
    """What a load may be stated as, in the order of ``Load.floors``."""

    ARRIVALS = "requests_per_second"
    HELD = "concurrency"
    PEOPLE = "users"


class Claim(Enum):
    """A load that a plan claims to carry."""

    STATED = "stated"
    CAPACITY = "capacity"
    FACTOR = "load factor"


@dataclass(frozen=True, slots=True)
class Carried:
    """One replica at one load of the whole workload; None where the problem states no such load."""

    poisson: Behaviour | None
    held: Behaviour | None
    people: Behaviour | None = None

    @property
    def each(self) -> tuple[Behaviour, ...]:
        """Those that are stated."""
        return tuple(behaviour for behaviour in (self.poisson, self.held, self.people) if behaviour is not None)


@dataclass(frozen=True, slots=True)
class Served:
    """A group at the loads its plan claims to carry."""

    group: GroupCase
    grade: Grade
    alone: Behaviour | None  # a lone request, where there is a closed population
    stated: Carried
    at_capacity: Carried
    at_factor: Carried

    @property
    def engine(self) -> str:
        """Profile of the engine: bands may differ between engines."""
        return self.group.spec.engine.profile


@dataclass(frozen=True, slots=True)
class _Ask:
    """One replica at one load: where the answer belongs, and the load."""

    index: int
    claim: Claim
    group: GroupCase
    value: float


def serve(cases: Sequence[Case], params: Parameters) -> list[tuple[Served, ...]]:
    """The groups of each plan at their loads."""
    groups = [(case, group) for case in cases for group in case.groups]
    answers = {floor: _answers(list(_asks(groups, floor)), params, floor) for floor in Floor}

    def carried(index: int, claim: Claim) -> Carried:
        return Carried(*(answers[floor].get((index, claim)) for floor in Floor))

    def alone(group: GroupCase) -> Behaviour | None:
        rows = behaviours([group.spec], group.lengths, params, inflights=[_ALONE]) if group.load.users else [None]
        return rows[0]

    rows = iter(
        Served(
            group,
            grade_of(group.spec, params)[0],
            alone(group),
            *(carried(index, claim) for claim in Claim),
        )
        for index, (_, group) in enumerate(groups)
    )
    return [tuple(next(rows) for _ in case.groups) for case in cases]


def _asks(groups: Iterable[tuple[Case, GroupCase]], floor: Floor) -> Iterator[_Ask]:
    """Loads of one replica; of N requests held by R replicas one of them holds ceil(N / R)."""
    for index, (case, group) in enumerate(groups):
        load = dict(zip(Floor, group.load.floors, strict=True))[floor]
        if not load:
            continue
        whole = ceil_guarded if floor is Floor.HELD else float
        yield _Ask(index, Claim.STATED, group, whole(load * group.share))
        if case.problem.objective != MAXIMIZE_LOAD:
            yield _Ask(index, Claim.FACTOR, group, whole(load * group.share * case.plan.load_factor))
        for prediction in case.plan.predicted if case.period is None else ():
            if prediction.workload == group.name:
                value = getattr(prediction.capacity, floor.value) or 0.0
                yield _Ask(index, Claim.CAPACITY, group, whole(value * group.share))


def _answers(asks: Sequence[_Ask], params: Parameters, floor: Floor) -> dict[tuple[int, Claim], Behaviour]:
    """One vectorised call per distribution of lengths and think time."""
    alike: dict[tuple[Lengths, float], list[_Ask]] = defaultdict(list)
    for ask in asks:
        alike[ask.group.lengths, ask.group.load.think_s].append(ask)
    answers: dict[tuple[int, Claim], Behaviour] = {}
    for (lengths, think_s), same in alike.items():
        specs, loads = [ask.group.spec for ask in same], [ask.value for ask in same]
        if floor is Floor.ARRIVALS:
            rows = behaviours(specs, lengths, params, rates=loads)
        elif floor is Floor.HELD:
            rows = behaviours(specs, lengths, params, inflights=loads)
        else:
            rows = behaviours(specs, lengths, params, users=loads, think_s=think_s)
        answers |= {(ask.index, ask.claim): row for ask, row in zip(same, rows, strict=True)}
    return answers


def median(behaviour: Behaviour, promise: Promise) -> float:
    """The promised percentile as predicted, without any margin."""
    value: float = getattr(behaviour.seen_by(promise.length_class), promise.metric).at(promise.percentile)
    return value


def with_margin(behaviour: Behaviour, promise: Promise, entry: Served, confidence: float) -> float:
    """Seconds that the promised percentile stays below at the asked confidence."""
    return median(behaviour, promise) * error_factor(promise.metric, entry.grade, confidence, entry.engine)


def rate_cap(entry: Served, confidence: float) -> float:
    """Share of the predicted saturation rate that arrivals may take, the error of that prediction included."""
    share = 1.0 if entry.group.load.is_batch else SATURATION
    return share * min(throughput_factor(entry.grade, confidence, entry.engine), 1.0)
