"""Operating points: the largest load of each specification inside its promises, for many specifications in lockstep.

A load has up to three floors, so a point has three loads: a Poisson rate, a number held in flight and the people of a
closed population (design.md section 3, "Load"). All are found on the closed form's own parameter, the share u of the
saturated batch: a scan over a geometric grid takes the first violation (a capability is the largest load such that all
smaller loads hold too), bisection then closes in from below. A percentile holds when its prediction x error factor is
within the limit.

Rates stay below 0.9 of saturation x the throughput error factor (batch work: 1.0), with or without a latency promise:
a promise can only take load away. A number in flight may fill every slot, since slots are a hard limit that already
keeps a tenth of the KV blocks free. People may fill the slots with the 99th percentile of their number in flight, and
their mean response may take what the limits of the promises add up to.

What stays as it is of a row of replicas while their promises move, kept from one question to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from optimizer.demand import Lengths, Load, Metric, Promise, Slo
from optimizer.performance.accuracy import band_source, error_factor, grades_of, throughput_factor
from optimizer.performance.behaviour import flow_of_people, flow_under, held_by_rank
from optimizer.performance.bisection import FINE_GRID, GRID, bisected, first_bracket
from optimizer.performance.lengths import LengthMoments, moments_of
from optimizer.performance.parameters import Parameters
from optimizer.performance.population import most_in_flight, people_flow, people_of, slowest_response
from optimizer.performance.queueing import Flow, admission, flow_at, saturation
from optimizer.performance.replicas import replica_fits, replicas_of
from optimizer.performance.step_load import Array, Replicas
from optimizer.performance.types import STORED, OperatingPoint, PointKind, ReplicaSpec, between, bracket, normal_score
from optimizer.units import ceil_guarded

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from optimizer.demand import Lengths
    from optimizer.performance.lengths import LengthMoments
    from optimizer.performance.queueing import Flow
    from optimizer.performance.step_load import Array, Replicas
    from optimizer.performance.types import Grade, ReplicaSpec


UTILIZATION = 0.9
"""Share of the saturation rate a replica may be asked to run at; batch work may run at all of it."""

REFINEMENTS = 11
"""Bisection steps inside the bracket: 2^-11 of it is given away, never overstated."""

SPLITS = (1, 2, 3, 4, 6, 8, 12, 16, 32)
"""Replicas that the planned load is split over on the ladder of lower loads that latency objectives choose from."""

_BELOW = 1.0 - 1e-9
_ABOVE = 1.0 + 1e-9


class Side(Enum):
    """The floors of a load, in the order of ``Load.floors``."""

    ARRIVALS = "arrivals"
    HELD = "held"
    PEOPLE = "people"


Mask = npt.NDArray[np.bool_]
_KIND_METRIC = {PointKind.TTFT: Metric.TTFT, PointKind.TPOT: Metric.TPOT}


@dataclass(frozen=True, slots=True)
class PointsAsked:
    """Everything constant over the search."""

    replicas: Replicas
    moments: LengthMoments
    limit: Flow
    promises: tuple[Promise, ...]
    factors: Array  # promise x specification
    rate_cap: Array
    found: dict[object, Array]  # largest shares that were asked for before
    row: Prepared  # keeps the flows at the shares of the grid
    asked: tuple[object, ...]  # what the factors, the cap and the slowest response follow from
    think_s: float
    slowest: Array  # seconds that the mean response to people may take

    def at(self, share: Array, side: Side) -> Flow:
        decoding = share * self.limit.decoding
        if side is Side.PEOPLE:
            return people_flow(self.replicas, self.moments, decoding, self.think_s)
        flow = flow_at(self.replicas, self.moments, decoding, closed=side is Side.HELD)
        return flow if side is Side.HELD else admission(flow, self.replicas, self.moments, self.limit)

    def scan(self, grid: Array, side: Side) -> Flow:
        """At each share of the grid, row by row: the same whatever is promised."""
        kind = (side, self.think_s if side is Side.PEOPLE else None)
        return self.row.scan(kind, lambda: self.at(grid[:, None] * np.ones_like(self.limit.rate), side))

    def under(self, loads: Array, side: Side) -> Flow:
        """At a load of one rank of each."""
        r, m = self.replicas, self.moments
        if side is Side.PEOPLE:
            return flow_of_people(r, m, self.limit, loads, self.think_s)
        return flow_under(r, m, self.limit, loads, closed=side is Side.HELD)

    def carried(self, flow: Flow, side: Side) -> Array:
        """The load that a flow is."""
        if side is Side.PEOPLE:
            return people_of(flow, self.think_s)
        return flow.inflight if side is Side.HELD else flow.rate

    def worst(self, flows: Mapping[Side, Flow]) -> list[Array]:
        """Each promised percentile with its margin, the worst of the loads; people see none above held in flight."""
        seen = dict(flows)
        people = seen.pop(Side.PEOPLE, None)
        found = [[self.promised(flow, index) for flow in seen.values()] for index in range(len(self.promises))]
        if people is not None:
            users = people_of(people, self.think_s)
            always = flow_under(self.replicas, self.moments, self.limit, users, closed=True)
            room = users <= self.limit.inflight * _ABOVE
            for index, values in enumerate(found):
                value = self.promised(people, index)
                values.append(np.where(room, np.minimum(value, self.promised(always, index)), value))
        return [np.maximum.reduce(values) for values in found]

    def breaks(self, flows: Mapping[Side, Flow]) -> Mask:
        """Whether some promise is broken."""
        limits = [promise.limit_s for promise in self.promises]
        rows = [value > limit for value, limit in zip(self.worst(flows), limits, strict=True)]
        return np.asarray(np.logical_or.reduce([np.zeros(self.limit.rate.shape, dtype=bool), *rows]))

    def promised(self, flow: Flow, index: int) -> Array:
        """The promised percentile with its margin."""
        promise = self.promises[index]
        low, high, weight = bracket(promise.percentile)
        seen = flow.seen_by(promise.length_class)
        values = [seen.quantile(promise.metric, normal_score(STORED[i])) for i in (low, high)]
        return np.asarray(between(values[0], values[1], weight) * self.factors[index])

    def beyond(self, flow: Flow, side: Side, *, bounded: bool = False) -> Mask:
        """Whether the load is too much whatever the percentiles: the rate above its cap; people who would fill more
        than the slots or, where their mean response is ``bounded``, wait longer than R at the limits."""
        if side is Side.HELD:
            return np.zeros(flow.rate.shape, dtype=bool)
        if side is Side.ARRIVALS:
            return np.asarray(flow.rate > self.rate_cap)
        crowded = most_in_flight(flow, self.think_s) > self.limit.inflight * _ABOVE
        return np.asarray(crowded | (flow.e2e > self.slowest * _BELOW)) if bounded else np.asarray(crowded)

    def cap(self, side: Side, *, bounded: bool) -> Array:
        """The share that a load may take whatever the percentiles."""
        return _cap(self, side, bounded)

    def violated(self, flow: Flow, metric: Metric, side: Side) -> Mask:
        """Whether any promise on ``metric`` is broken, or the load is too much whatever the promises."""
        bad = self.beyond(flow, side)
        for index, promise in enumerate(self.promises):
            if promise.metric is metric:
                bad |= self.promised(flow, index) > promise.limit_s * _BELOW
        return np.asarray(bad)


def operating_points(
    specs: Sequence[ReplicaSpec],
    lengths: Lengths,
    slo: Slo,
    load: Load,
    confidence: float,
    params: Parameters,
    ladder: bool = False,
    memo: Memo | None = None,
) -> list[tuple[OperatingPoint, ...]]:
    """Operating points of each specification; an empty tuple where it cannot run at all.

    ``memo`` keeps, for a caller that asks again about the same specifications under the same parameters, what does not
    depend on the promises.
    """
    alike, row = rows_of(specs, lengths, params, memo)
    result: list[tuple[OperatingPoint, ...]] = [()] * len(specs)
    if row is not None:
        for content, points in zip(row.columns, _solve(row, lengths, slo, load, confidence, ladder), strict=True):
            for index in alike[content]:
                result[index] = points
    return result


def rows_of(
    specs: Sequence[ReplicaSpec], lengths: Lengths, params: Parameters, memo: Memo | None
) -> tuple[dict[Content, list[int]], Prepared | None]:
    """The places of each distinct specification, and the row of those that can run; None: not one of them can."""
    alike: dict[Content, list[int]] = {}
    for index, spec in enumerate(specs):
        alike.setdefault(content_of_spec(spec), []).append(index)
    leaders = [specs[same[0]] for same in alike.values()]
    return alike, (memo or Memo()).row(tuple(alike), lengths, lambda: _prepared(leaders, lengths, params))


def _prepared(specs: Sequence[ReplicaSpec], lengths: Lengths, params: Parameters) -> Prepared | None:
    """None where not one of them can run."""
    able = [specs[index] for index in np.flatnonzero(replica_fits(specs, lengths, params)).tolist()]
    if not able:
        return None
    moments = moments_of(lengths)
    replicas = replicas_of(able, lengths, params)
    known = list(zip(grades_of(able, params, lengths), (band_source(spec, params) for spec in able), strict=True))
    kinds = sorted(set(known))
    pick = np.array([kinds.index(kind) for kind in known], dtype=np.intp)
    columns = {content_of_spec(spec): number for number, spec in enumerate(able)}
    return Prepared(specs, columns, replicas, moments, saturation(replicas, moments), tuple(kinds), pick)


def content_of_spec(spec: ReplicaSpec) -> tuple[object, ...]:
    """What distinguishes two specifications; catalog rows by identity, which is cheaper than by content."""
    return (
        id(spec.gpu), id(spec.model), id(spec.engine), spec.weight_quant, spec.kv_cache, spec.tensor_parallel,
        spec.pipeline_parallel, spec.link, spec.gpu_memory_utilization, spec.max_num_seqs, spec.max_num_batched_tokens,
        spec.attention_dp, spec.expert_parallel, spec.overlap, spec.engine_version, spec.crosses_nodes,
        spec.known_host, spec.speculation and spec.speculation.content, spec.host_kv_gib,
    )  # fmt: skip


def _solve(
    row: Prepared, lengths: Lengths, slo: Slo, load: Load, confidence: float, ladder: bool
) -> list[tuple[OperatingPoint, ...]]:
    question = question_of(row, lengths, slo, load, confidence)
    asked = [side for side, floor in zip(Side, load.floors, strict=True) if floor > 0]
    metrics = tuple(dict.fromkeys(promise.metric for promise in slo.promises))
    found = {side: {metric: _largest(question, metric, side) for metric in metrics} for side in asked}
    result: list[list[OperatingPoint]] = [[] for _ in row.columns]
    for kind in PointKind:
        chosen = _metrics_of(kind, metrics)
        if chosen is None:
            continue
        bounded = kind is PointKind.ALL  # the others leave promises aside, and R at the limits with them
        shares = {
            side: np.minimum.reduce([_cap(question, side, bounded), *(found[side][metric] for metric in chosen)])
            for side in asked
        }
        flows = {side: question.at(share, side) for side, share in shares.items()}
        if Side.PEOPLE in asked:
            shares[Side.PEOPLE], flows[Side.PEOPLE] = _people(question, chosen, shares, flows[Side.PEOPLE], bounded)
        runs = np.asarray(np.minimum.reduce(list(shares.values())) > 0.0)
        if Side.PEOPLE in asked and not bounded:
            runs &= question.breaks(flows)  # else nothing but R at the limits stands against it, and ALL is inside that
        _emit(result, question, kind, flows, runs)
        if ladder and kind is PointKind.ALL:
            _emit_ladder(result, question, load, flows)
    return [tuple(points) for points in result]


def _people(
    question: PointsAsked, metrics: tuple[Metric, ...], shares: Mapping[Side, Array], flow: Flow, bounded: bool
) -> tuple[Array, Flow]:
    """The largest share and flow of people: at least as many as may always be in flight, where R allows them."""
    always = np.minimum.reduce(
        [_cap(question, Side.HELD, bounded), *(_largest(question, m, Side.HELD) for m in metrics)]
    )
    held = question.at(always, Side.HELD).inflight
    more = flow_of_people(question.replicas, question.moments, question.limit, held, question.think_s)
    wins = (
        (always > 0) & (held > people_of(flow, question.think_s)) & ~question.beyond(more, Side.PEOPLE, bounded=bounded)
    )
    share = np.where(wins, more.decoding / question.limit.decoding, shares[Side.PEOPLE])
    return share, question.at(share, Side.PEOPLE)


def question_of(row: Prepared, lengths: Lengths, slo: Slo, load: Load, confidence: float) -> PointsAsked:
    top = 1.0 if load.is_batch else UTILIZATION
    factors = [
        np.array([error_factor(p.metric, g, confidence, e) for g, e in row.kinds])[row.pick] for p in slo.promises
    ]
    throughput = np.array([min(throughput_factor(grade, confidence, e), 1.0) for grade, e in row.kinds])[row.pick]
    rate_cap = top * throughput * row.limit.rate
    asked: tuple[object, ...] = (confidence, load.is_batch)
    slowest = np.full_like(rate_cap, np.inf)
    if load.users:
        shares = [(one.name, one.share) for one in lengths.classes]
        slowest = slowest_response(slo, shares, row.replicas, row.moments, row.limit)
        asked = (*asked, load.think_s, slo.promises)
    return PointsAsked(
        row.replicas, row.moments, row.limit, slo.promises, np.array(factors), rate_cap, row.found, row, asked,
        load.think_s, slowest,
    )  # fmt: skip


def _metrics_of(kind: PointKind, metrics: tuple[Metric, ...]) -> tuple[Metric, ...] | None:
    """The metrics a kind of point must keep, None where that point would repeat another."""
    if kind is PointKind.ALL:
        return metrics
    if kind is PointKind.MEMORY:
        return () if metrics else None
    metric = _KIND_METRIC[kind]
    return (metric,) if metric in metrics and len(metrics) > 1 else None


def _largest(question: PointsAsked, metric: Metric, side: Side) -> Array:
    """The largest share of the saturated batch up to which every smaller load keeps the promises on ``metric``."""
    promised = tuple((p.percentile, p.limit_s, p.length_class) for p in question.promises if p.metric is metric)
    key = (metric, promised, question.asked, side)
    if key not in question.found:
        question.found[key] = _searched(question, side, lambda flow: question.violated(flow, metric, side))
    return question.found[key]


def _searched(question: PointsAsked, side: Side, violated: Callable[[Flow], Mask]) -> Array:
    """A scan for the first violation, then bisection. Where hits are earned by memory more in flight may carry less:
    looked at closer, and up to where it first does, as a load is met at the least number that carries it."""
    earned = question.replicas.prefixes is not None
    grid = FINE_GRID if earned else GRID
    flow = question.scan(np.array(grid), side)
    bad = violated(flow)
    if earned:
        carried = question.carried(flow, side)
        bad |= carried < np.maximum.accumulate(carried, axis=0)
    low, high = first_bracket(bad, grid)
    found = bisected(low, high, REFINEMENTS, lambda middle: violated(question.at(middle, side)))[0]
    if earned:  # less is carried at the end of the bracket: what is found may lie behind the most
        falls = question.carried(question.at(high, side), side) < question.carried(question.at(found, side), side)
        found = np.where(falls, low, found)
    return found


def _cap(question: PointsAsked, side: Side, bounded: bool) -> Array:
    """The share that a load may take whatever the percentiles."""
    if side is Side.HELD:
        return np.ones_like(question.rate_cap)
    key = ("cap", question.asked, side, bounded)
    if key not in question.found:
        if side is Side.PEOPLE:
            question.found[key] = _searched(question, side, lambda flow: question.beyond(flow, side, bounded=bounded))
        else:
            question.found[key] = _searched_cap(question)
    return question.found[key]


def _searched_cap(question: PointsAsked) -> Array:

    def above(share: Array) -> Mask:
        flow = flow_at(question.replicas, question.moments, share * question.limit.decoding, closed=False)
        return np.logical_not(flow.rate <= question.rate_cap)

    return bisected(np.zeros_like(question.rate_cap), np.ones_like(question.rate_cap), 2 * REFINEMENTS, above)[0]


def _emit_ladder(
    result: list[list[OperatingPoint]], question: PointsAsked, load: Load, full: Mapping[Side, Flow]
) -> None:
    """Points at the planned load split evenly over more and more replicas, where one carries its part."""
    floors = dict(zip(Side, load.floors, strict=True))
    ranks = question.replicas.ranks
    for replicas in SPLITS:
        flows: dict[Side, Flow] = {}
        runs = np.ones(len(result), dtype=bool)
        for side, most in full.items():
            whole = side is Side.HELD
            asked = float(ceil_guarded(floors[side] / replicas)) if whole else floors[side] / replicas
            loads = np.full_like(ranks, asked)
            part = held_by_rank(loads, ranks) if whole else loads / ranks
            runs &= part <= question.carried(most, side) * _BELOW
            flows[side] = question.under(part, side)
        _emit(result, question, PointKind.ALL, flows, runs)


def _emit(
    result: list[list[OperatingPoint]], question: PointsAsked, kind: PointKind, flows: Mapping[Side, Flow], runs: Mask
) -> None:
    """Append the point of ``kind`` with these flows where it ``runs``, unless that load is there: of all ranks."""
    given, ranks = list(flows.values()), question.replicas.ranks
    latencies = question.worst(flows)
    rates, inflights = (
        (question.carried(flows.get(side, given[0]), side) * ranks * _BELOW).tolist()
        for side in (Side.ARRIVALS, Side.HELD)
    )
    people = [0.0] * len(rates)
    if Side.PEOPLE in flows:
        people = (question.carried(flows[Side.PEOPLE], Side.PEOPLE) * ranks * _BELOW).tolist()
    rows = np.array(latencies).reshape(len(latencies), -1).T.tolist() if latencies else [[]] * len(rates)
    for i, good in enumerate(runs.tolist()):
        point = OperatingPoint(kind, rates[i], inflights[i], tuple(rows[i]), people[i])
        if good and not any(known.carries == point.carries for known in result[i]):
            result[i].append(point)


Content = tuple[object, ...]
"""What tells two specifications apart."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Replicas as columns, alike ones once, with what no promise changes."""

    specs: Sequence[ReplicaSpec]  # held, so that identities of what they are made of stay theirs
    columns: dict[Content, int]  # of those that can run
    replicas: Replicas
    moments: LengthMoments
    limit: Flow  # at saturation
    kinds: tuple[tuple[Grade, str], ...]  # grade and whose errors its band is made of
    pick: npt.NDArray[np.intp]  # which kind each column is of
    found: dict[object, Array] = field(default_factory=dict)  # largest shares of the saturated batch, by question
    scanned: dict[object, Flow] = field(default_factory=dict)  # at the shares of the grid, by kind of load
    part_of: tuple[Prepared, npt.NDArray[np.intp]] | None = None  # the row that it was cut out of, and where
    at_best: dict[object, dict[Content, OperatingPoint | None]] = field(default_factory=dict)
    """What each carries as a fluid, by question; the same for all rows of a memo that are parts of one."""

    def part(self, contents: Sequence[Content]) -> Prepared | None:
        """Some of the columns; None: none of them."""
        import numpy as np

        kept = [content for content in contents if content in self.columns]
        if not kept:
            return None
        if len(kept) == len(self.columns):
            return self
        at = np.array([self.columns[content] for content in kept], dtype=np.intp)
        return Prepared(
            self.specs,
            {content: number for number, content in enumerate(kept)},
            self.replicas.part(at),
            self.moments,
            _flow(self.limit, at),
            self.kinds,
            self.pick[at],
            part_of=(self, at),
            at_best=self.at_best,
        )

    def scan(self, kind: object, flow: Callable[[], Flow]) -> Flow:
        """The flow at the shares of the grid under a kind of load: known, cut out of a wider one, or asked for."""
        if kind not in self.scanned:
            known = self.part_of and self.part_of[0].scanned.get(kind)
            self.scanned[kind] = _flow(known, self.part_of[1]) if self.part_of and known else flow()
        return self.scanned[kind]


def _flow(flow: Flow, at: npt.NDArray[np.intp]) -> Flow:
    arrays = {f.name: getattr(flow, f.name)[..., at] for f in fields(flow) if f.name != "classes"}
    return replace(flow, classes=tuple((name, _flow(one, at)) for name, one in flow.classes), **arrays)


class Memo:
    """Rows of replicas that were asked about; one memo for each case that is asked again and again."""

    def __init__(self) -> None:
        self._wide: dict[Lengths, tuple[frozenset[Content], Prepared | None]] = {}
        self._rows: dict[tuple[Lengths, tuple[Content, ...]], Prepared | None] = {}

    def row(
        self, contents: Sequence[Content], lengths: Lengths, prepare: Callable[[], Prepared | None]
    ) -> Prepared | None:
        """The prepared row of these replicas: known, a part of a wider one, or made; None: none of them can run."""
        key = (lengths, tuple(contents))
        if key not in self._rows:
            known, wide = self._wide.get(lengths, (frozenset(), None))
            if known.issuperset(contents):
                self._rows[key] = None if wide is None else wide.part(contents)
            else:
                self._rows[key] = prepare()
                if len(contents) > len(known):
                    self._wide[lengths] = (frozenset(contents), self._rows[key])
        return self._rows[key]

    def __reduce__(self) -> tuple[type[Memo], tuple[()]]:
        """In another process identities mean nothing: it starts afresh there."""
        return (Memo, ())
