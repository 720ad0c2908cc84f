"""Rules about what users feel, recomputed forward: latency, saturation, KV cache, capacity, load factor.

Behaviour of every group of every plan at the loads it claims to carry, computed forward in two calls a workload.

A replica is asked three times: at the planned load, at the plan's capacity, and at its load factor times the planned
load; each under Poisson arrivals, with requests held in flight and with the people of a closed population, where the
problem states such a load.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from math import isclose, sqrt
from typing import TYPE_CHECKING

from optimizer.demand import Metric
from optimizer.performance import band_source, behaviours, error_factor, grade_of
from optimizer.performance.accuracy import throughput_factor
from optimizer.performance.types import Behaviour, Grade
from optimizer.units import SHARE_UNITS, ceil_guarded
from optimizer.verify.case import MAXIMIZE_LOAD, CheckedCase, GroupCase, Mismatch

if TYPE_CHECKING:
    from optimizer.demand import Lengths, Promise
    from optimizer.performance import Parameters


TOLERANCE = 1e-6
"""Relative: floating noise between two ways of computing the same load."""


def poisson(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """Promise (a): Poisson arrivals at rate*, split evenly over the replicas, keep every SLO with its margin."""
    for entry in served:
        yield from _kept("poisson", case, entry, entry.stated.poisson)


def inflight(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """Promise (b): inflight* requests held in flight, steady, keep every SLO with its margin."""
    for entry in served:
        yield from _kept("inflight", case, entry, entry.stated.held)


def population(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """N people who think for Z seconds: at the root n = N R / (Z + R) every SLO holds with its margin, and
    X >= N / (Z + R at the limits of the promises). The 99th percentile of the binomial number in flight finds a slot.

    A part of R that nothing is promised about may take twice as long as for a lone request.
    """
    for entry in served:
        people, alone, group = entry.stated.people, entry.alone, entry.group
        if people is None or alone is None:
            continue
        yield from _kept("population", case, entry, people)
        if not people.stable:
            continue
        think, users = group.load.think_s, group.load.users * group.share
        response = people.e2e.mean
        if not isclose(people.requests_per_second * (think + response), users, rel_tol=TOLERANCE):
            found = people.requests_per_second
            yield Mismatch("population", group.path, users / (think + response), found, "not N / (Z + R)")
        slowest = _response_at_limits(entry, alone)
        if response > slowest * (1 + TOLERANCE):
            least, found = users / (think + slowest), people.requests_per_second
            yield Mismatch("population", group.path, f"at least {least}", found, "requests per second of a replica")
        share = response / (think + response)
        of_rank = users / group.spec.attention_dp
        most = min(of_rank, of_rank * share + 2.33 * sqrt(of_rank * share * (1 - share)))
        if most > group.spec.max_num_seqs * (1 + TOLERANCE):
            yield Mismatch("population", group.path, f"at most {group.spec.max_num_seqs}", most, "in flight, p99")
    for prediction in case.plan.predicted if case.period is None else ():
        users = sum(e.group.load.users * e.group.group.share for e in served if e.group.name == prediction.workload)
        alone_stated = all(not any(e.group.load.floors[:2]) for e in served if e.group.name == prediction.workload)
        if users and alone_stated and prediction.concurrency > users / SHARE_UNITS * (1 + TOLERANCE):
            path = f"predicted[{prediction.workload}].concurrency"
            yield Mismatch("population", path, f"at most {users / SHARE_UNITS}", prediction.concurrency, "users")


def _response_at_limits(entry: GroupAtLoad, alone: Behaviour) -> float:
    """Seconds of the mean response where every promise is just kept; the mean over length classes."""
    lengths, promises = entry.group.lengths, entry.group.slo.promises
    total = 0.0
    for name, share in [(one.name, one.share) for one in lengths.classes] or [("", 1.0)]:
        seen = alone.seen_by(name)
        steps = (seen.e2e.mean - seen.ttft.mean) / seen.tpot.mean
        stated: dict[Metric, float] = {}
        for metric in Metric:
            mine = [p for p in promises if p.metric is metric and p.length_class in ("", name)]
            top = [p.limit_s for p in mine if p.percentile == max(one.percentile for one in mine)]
            stated |= {metric: min(top)} if top else {}
        parts = stated.get(Metric.TTFT, 2 * seen.ttft.mean) + steps * stated.get(Metric.TPOT, 2 * seen.tpot.mean)
        if Metric.E2E in stated:
            bounded = Metric.TTFT in stated and Metric.TPOT in stated
            parts = min(parts, stated[Metric.E2E]) if bounded else stated[Metric.E2E]
        total += share * parts
    return total


def saturation(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """Arrivals stay below 0.9 of the saturation rate (batch work: 1.0), with the margin of the asked confidence."""
    for entry in served:
        yield from _below_cap("saturation", case, entry, entry.stated)


def kv_cache(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """Requests being decoded hold less KV than planned (90 % of the blocks), under each load; of a closed population
    those that are in flight 1 % of the time."""
    del case
    for entry in served:
        planned = entry.group.bill.kv_tokens + 1  # whole tokens, rounded down in the bill
        for behaviour in entry.stated.each:
            if not behaviour.stable:
                continue
            waiting = 0.0
            if behaviour is entry.stated.poisson:
                waiting = behaviour.ttft.mean / behaviour.e2e.mean  # share of the time in flight; holds no KV yet
            tokens = behaviour.kv_tokens_used * (1 - waiting)
            if tokens > planned * (1 + TOLERANCE):
                yield Mismatch("kv cache", entry.group.path, f"at most {planned}", tokens, "tokens of KV per replica")


def capacity(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """The printed capacity covers the load, and at it every SLO still holds with its margin."""
    for entry in served:
        yield from _carried("capacity", case, entry, entry.at_capacity)
        load, name = entry.group.load, entry.group.name
        for prediction in case.plan.predicted:
            if prediction.workload != name:
                continue
            users = prediction.capacity.users
            if (users is None) == (load.users > 0):
                path = f"predicted[{name}].capacity.users"
                yield Mismatch("capacity", path, load.users or None, users, "people of a closed population")
                continue
            pairs = (
                ("requests_per_second", load.requests_per_second, prediction.capacity.requests_per_second),
                ("concurrency", load.inflight, prediction.capacity.concurrency),
                ("users", load.users, users or 0.0),
            )
            for key, needed, found in pairs:
                if found < needed * (1 - TOLERANCE):
                    path = f"predicted[{name}].capacity.{key}"
                    yield Mismatch("capacity", path, f"at least {needed}", found, "less than the load")
            tokens = prediction.capacity.requests_per_second * entry.group.lengths.output_mean
            if not isclose(prediction.capacity.output_tokens_per_second, tokens, rel_tol=TOLERANCE):
                path, found = f"predicted[{name}].capacity", prediction.capacity.output_tokens_per_second
                yield Mismatch("capacity", f"{path}.output_tokens_per_second", tokens, found, "rate x mean output")


def load_factor(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """The plan carries its load factor times the planned load: at least once the load, with every SLO kept.

    Under maximize_load every other rule already multiplies the planned load by the factor.
    """
    factor = case.plan.load_factor
    if case.problem.objective == MAXIMIZE_LOAD:
        if not factor > 0:
            yield Mismatch("load factor", "load_factor", "above 0", factor, "carries nothing")
        return
    if factor < 1:
        yield Mismatch("load factor", "load_factor", "at least 1", factor, "less than the load")
    for entry in served:
        yield from _carried("load factor", case, entry, entry.at_factor)


def _carried(rule: str, case: CheckedCase, entry: GroupAtLoad, carried: Carried) -> Iterator[Mismatch]:
    """Beyond the planned load latencies are those of the closed form; at it they are replayed where plans are."""
    if not (is_replayed(case) and carried.no_more_than(entry.stated)):
        for behaviour in carried.each:
            yield from _kept_in_closed_form(rule, case, entry, behaviour)
    yield from _below_cap(rule, case, entry, carried)


def is_replayed(case: CheckedCase) -> bool:
    """Whether latencies at the planned load are judged by the replays that the plan carries (``replays``)."""
    return bool(case.plan.simulated) and not case.plan.periods


def _kept(rule: str, case: CheckedCase, entry: GroupAtLoad, behaviour: Behaviour | None) -> Iterator[Mismatch]:
    """At the planned load: by the closed form, unless the plan carries replays, which ``replays`` checks."""
    if not is_replayed(case):
        yield from _kept_in_closed_form(rule, case, entry, behaviour)
    elif behaviour is not None and not behaviour.stable:
        yield Mismatch(rule, entry.group.path, "a stable replica", "saturated", "more than a replica can carry")


def _kept_in_closed_form(
    rule: str, case: CheckedCase, entry: GroupAtLoad, behaviour: Behaviour | None
) -> Iterator[Mismatch]:
    if behaviour is None:
        return
    group, confidence = entry.group, case.problem.margins.confidence
    if not behaviour.stable:
        yield Mismatch(rule, group.path, "a stable replica", "saturated", "the load exceeds what a replica can carry")
        return
    for promise in group.slo.promises:
        seconds = with_margin(behaviour, promise, entry, confidence)
        if seconds > promise.limit_s * (1 + TOLERANCE):
            yield Mismatch(rule, promise.path, f"at most {promise.limit_s} s", seconds, f"broken by {group.path}")


def _below_cap(rule: str, case: CheckedCase, entry: GroupAtLoad, carried: Carried) -> Iterator[Mismatch]:
    cap = rate_cap(entry, case.problem.margins.confidence)
    behaviour = carried.poisson
    if behaviour is not None and behaviour.utilization > cap * (1 + TOLERANCE):
        found = behaviour.utilization
        yield Mismatch(rule, entry.group.path, f"at most {cap:.6g}", found, "share of the saturation rate")


SATURATION = 0.9
"""Share of the saturation rate that arrivals may take; batch work may take all of it."""


_ROUNDED_UP = 1.0 + 1e-4

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

    def no_more_than(self, other: Carried) -> bool:
        """Whether each load is at most that of the other, rounded as load factors are."""
        loads = ((self.poisson, other.poisson), (self.held, other.held), (self.people, other.people))
        pairs = [(mine, its) for mine, its in loads if mine is not None and its is not None]
        return all(
            mine.requests_per_second <= its.requests_per_second * _ROUNDED_UP
            and mine.inflight <= its.inflight * _ROUNDED_UP
            for mine, its in pairs
            if mine.stable and its.stable
        )


@dataclass(frozen=True, slots=True)
class GroupAtLoad:
    """A group at the loads its plan claims to carry."""

    group: GroupCase
    grade: Grade
    engine: str  # whose errors the bands are made of: the engine's profile, or own measurements
    alone: Behaviour | None  # a lone request, where there is a closed population
    stated: Carried
    at_capacity: Carried
    at_factor: Carried


@dataclass(frozen=True, slots=True)
class _Ask:
    """One replica at one load: where the answer belongs, and the load."""

    index: int
    claim: Claim
    group: GroupCase
    value: float


def serve(cases: Sequence[CheckedCase], params: Parameters) -> list[tuple[GroupAtLoad, ...]]:
    """The groups of each plan at their loads."""
    groups = [(case, group) for case in cases for group in case.serving]
    answers = {floor: _answers(list(_asks(groups, floor)), params, floor) for floor in Floor}

    def carried(index: int, claim: Claim) -> Carried:
        return Carried(*(answers[floor].get((index, claim)) for floor in Floor))

    def alone(group: GroupCase) -> Behaviour | None:
        rows = behaviours([group.spec], group.lengths, params, inflights=[_ALONE]) if group.load.users else [None]
        return rows[0]

    rows = iter(
        GroupAtLoad(
            group,
            grade_of(group.spec, params, group.lengths)[0],
            band_source(group.spec, params),
            alone(group),
            *(carried(index, claim) for claim in Claim),
        )
        for index, (_, group) in enumerate(groups)
    )
    return [tuple(next(rows) for _ in case.serving) for case in cases]


def _asks(groups: Iterable[tuple[CheckedCase, GroupCase]], floor: Floor) -> Iterator[_Ask]:
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


def with_margin(behaviour: Behaviour, promise: Promise, entry: GroupAtLoad, confidence: float) -> float:
    """Seconds that the promised percentile stays below at the asked confidence."""
    return median(behaviour, promise) * error_factor(promise.metric, entry.grade, confidence, entry.engine)


def rate_cap(entry: GroupAtLoad, confidence: float) -> float:
    """Share of the predicted saturation rate that arrivals may take, the error of that prediction included."""
    share = 1.0 if entry.group.load.is_batch else SATURATION
    return share * min(throughput_factor(entry.grade, confidence, entry.engine), 1.0)
