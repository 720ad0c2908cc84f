"""Operating points: the largest load of each specification inside its promises, for many specifications in lockstep.

A plan keeps two promises, so a point has two loads: a Poisson rate and a number held in flight (design.md section 3,
"Load"). Both are found on the closed form's own parameter, the share u of the saturated batch: a scan over a geometric
grid takes the first violation (a capability is the largest load such that all smaller loads hold too), bisection then
closes in from below. A percentile holds when its prediction x error factor is within the limit.

Rates stay below 0.9 of saturation x the throughput error factor (batch work: 1.0), with or without a latency promise:
a promise can only take load away. A number in flight may fill every slot, since slots are a hard limit that already
keeps a tenth of the KV blocks free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optimizer.performance.bands import error_factor, throughput_factor
from optimizer.performance.flow import Array, Flow
from optimizer.performance.forward import flow_under
from optimizer.performance.grades import grades_of
from optimizer.performance.lengths import LengthMoments, moments_of
from optimizer.performance.load import flow_at
from optimizer.performance.memo import Memo, Prepared
from optimizer.performance.parameters import Parameters
from optimizer.performance.percentiles import STORED, between, bracket, normal_score
from optimizer.performance.replicas import Replicas, replica_fits, replicas_of
from optimizer.performance.saturation import admission, saturation
from optimizer.performance.types import OperatingPoint, PointKind, ReplicaSpec
from optimizer.units import ceil_guarded
from optimizer.workload import Lengths, Load, Metric, Promise, Slo

UTILIZATION = 0.9
"""Share of the saturation rate a replica may be asked to run at; batch work may run at all of it."""

GRID = (0.004, 0.01, 0.025, 0.06, 0.12, 0.2, 0.3, 0.42, 0.56, 0.7, 0.85, 1.0)
"""Shares of the saturated batch that are scanned for the first violation."""

REFINEMENTS = 11
"""Bisection steps inside the bracket: 2^-11 of it is given away, never overstated."""

SPLITS = (1, 2, 3, 4, 6, 8, 12, 16, 32)
"""Replicas that the stated load is split over on the ladder of lower loads that latency objectives choose from."""

_BELOW = 1.0 - 1e-9
Mask = npt.NDArray[np.bool_]
_KIND_METRIC = {PointKind.TTFT: Metric.TTFT, PointKind.TPOT: Metric.TPOT}


@dataclass(frozen=True, slots=True)
class _Question:
    """Everything constant over the search."""

    replicas: Replicas
    moments: LengthMoments
    limit: Flow
    promises: tuple[Promise, ...]
    factors: Array  # promise x specification
    rate_cap: Array
    found: dict[object, Array]  # largest shares that were asked for before
    asked: tuple[float, bool]  # what the factors and the cap follow from

    def at(self, share: Array, *, closed: bool) -> Flow:
        flow = flow_at(self.replicas, self.moments, share * self.limit.decoding, closed=closed)
        return flow if closed else admission(flow, self.replicas, self.moments, self.limit)

    def promised(self, flow: Flow, index: int) -> Array:
        """The promised percentile with its margin."""
        promise = self.promises[index]
        low, high, weight = bracket(promise.percentile)
        seen = flow.seen_by(promise.length_class)
        values = [seen.quantile(promise.metric, normal_score(STORED[i])) for i in (low, high)]
        return np.asarray(between(values[0], values[1], weight) * self.factors[index])

    def violated(self, flow: Flow, metric: Metric, *, closed: bool) -> npt.NDArray[np.bool_]:
        """Whether any promise on ``metric`` is broken, or the rate exceeds its cap."""
        bad = np.zeros(flow.rate.shape, dtype=bool) if closed else flow.rate > self.rate_cap
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
    alike: dict[tuple[object, ...], list[int]] = {}
    for index, spec in enumerate(specs):
        alike.setdefault(_content(spec), []).append(index)
    leaders = [specs[same[0]] for same in alike.values()]
    row = (memo or Memo()).row(tuple(alike), lengths, lambda: _prepared(leaders, lengths, params))
    result: list[tuple[OperatingPoint, ...]] = [()] * len(specs)
    if row is not None:
        for content, points in zip(row.columns, _solve(row, slo, load, confidence, ladder), strict=True):
            for index in alike[content]:
                result[index] = points
    return result


def _prepared(specs: Sequence[ReplicaSpec], lengths: Lengths, params: Parameters) -> Prepared | None:
    """None where not one of them can run."""
    able = [specs[index] for index in np.flatnonzero(replica_fits(specs, lengths, params)).tolist()]
    if not able:
        return None
    moments = moments_of(lengths)
    replicas = replicas_of(able, lengths, params)
    known = list(zip(grades_of(able, params), (spec.engine.profile for spec in able), strict=True))
    kinds = sorted(set(known))
    pick = np.array([kinds.index(kind) for kind in known], dtype=np.intp)
    columns = {_content(spec): number for number, spec in enumerate(able)}
    return Prepared(specs, columns, replicas, moments, saturation(replicas, moments), tuple(kinds), pick)


def _content(spec: ReplicaSpec) -> tuple[object, ...]:
    """What distinguishes two specifications; catalog rows by identity, which is cheaper than by content."""
    return (
        id(spec.gpu), id(spec.model), id(spec.engine), spec.weight_quant, spec.kv_cache, spec.tensor_parallel,
        spec.pipeline_parallel, spec.link, spec.gpu_memory_utilization, spec.max_num_seqs, spec.max_num_batched_tokens,
        spec.expert_parallel, spec.engine_version, spec.crosses_nodes, spec.known_host,
    )  # fmt: skip


def _solve(row: Prepared, slo: Slo, load: Load, confidence: float, ladder: bool) -> list[tuple[OperatingPoint, ...]]:
    question = _ask(row, slo, load, confidence)
    sides = (load.requests_per_second > 0, load.inflight > 0)
    metrics = tuple(dict.fromkeys(promise.metric for promise in slo.promises))
    open_shares = {metric: _largest(question, metric, closed=False) for metric in metrics} if sides[0] else {}
    closed_shares = {metric: _largest(question, metric, closed=True) for metric in metrics} if sides[1] else {}
    caps = (_capped_share(question) if sides[0] else None, np.ones(len(row.columns)) if sides[1] else None)
    result: list[list[OperatingPoint]] = [[] for _ in row.columns]
    for kind in PointKind:
        chosen = _metrics_of(kind, metrics)
        if chosen is None:
            continue
        shares = [
            None if cap is None else np.minimum.reduce([cap, *(found[metric] for metric in chosen)])
            for cap, found in zip(caps, (open_shares, closed_shares), strict=True)
        ]
        flows = _flows_at(question, shares)
        _emit(result, question, kind, flows, _runs(shares))
        if ladder and kind is PointKind.ALL:
            _emit_ladder(result, question, load, flows)
    return [tuple(points) for points in result]


def _ask(row: Prepared, slo: Slo, load: Load, confidence: float) -> _Question:
    top = 1.0 if load.is_batch else UTILIZATION
    factors = [
        np.array([error_factor(p.metric, g, confidence, e) for g, e in row.kinds])[row.pick] for p in slo.promises
    ]
    throughput = np.array([min(throughput_factor(grade, confidence, e), 1.0) for grade, e in row.kinds])[row.pick]
    rate_cap = top * throughput * row.limit.rate
    asked = (confidence, load.is_batch)
    return _Question(row.replicas, row.moments, row.limit, slo.promises, np.array(factors), rate_cap, row.found, asked)


def _metrics_of(kind: PointKind, metrics: tuple[Metric, ...]) -> tuple[Metric, ...] | None:
    """The metrics a kind of point must keep, None where that point would repeat another."""
    if kind is PointKind.ALL:
        return metrics
    if kind is PointKind.MEMORY:
        return () if metrics else None
    metric = _KIND_METRIC[kind]
    return (metric,) if metric in metrics and len(metrics) > 1 else None


def _largest(question: _Question, metric: Metric, *, closed: bool) -> Array:
    """The largest share of the saturated batch up to which every smaller load keeps the promises on ``metric``."""
    promised = tuple((p.percentile, p.limit_s, p.length_class) for p in question.promises if p.metric is metric)
    key = (metric, promised, question.asked, closed)
    if key not in question.found:
        question.found[key] = _searched(question, metric, closed=closed)
    return question.found[key]


def _searched(question: _Question, metric: Metric, *, closed: bool) -> Array:
    """A scan for the first violation, then bisection."""
    grid = np.array(GRID)
    flow = question.at(grid[:, None] * np.ones_like(question.limit.rate), closed=closed)
    bad = question.violated(flow, metric, closed=closed)
    first = np.where(bad.any(axis=0), bad.argmax(axis=0), len(grid))
    padded = np.concatenate([[0.0], grid, [grid[-1]]])
    low, high = padded[first], padded[np.minimum(first + 1, len(grid))]
    for _ in range(REFINEMENTS):
        middle = 0.5 * (low + high)
        bad = question.violated(question.at(middle, closed=closed), metric, closed=closed)
        low, high = np.where(bad, low, middle), np.where(bad, middle, high)
    return low


def _capped_share(question: _Question) -> Array:
    """The share at which the rate reaches its cap."""
    key = ("cap", question.asked)
    if key not in question.found:
        question.found[key] = _searched_cap(question)
    return question.found[key]


def _searched_cap(question: _Question) -> Array:
    low, high = np.zeros_like(question.rate_cap), np.ones_like(question.rate_cap)
    for _ in range(2 * REFINEMENTS):
        middle = 0.5 * (low + high)
        flow = flow_at(question.replicas, question.moments, middle * question.limit.decoding, closed=False)
        held = flow.rate <= question.rate_cap
        low, high = np.where(held, middle, low), np.where(held, high, middle)
    return low


def _flows_at(question: _Question, shares: Sequence[Array | None]) -> list[Flow | None]:
    """Flows under Poisson arrivals and in flight at the given shares; None where the load does not ask for one."""
    sides = zip(shares, (False, True), strict=True)
    return [None if share is None else question.at(share, closed=closed) for share, closed in sides]


def _runs(shares: Sequence[Array | None]) -> Mask:
    return np.asarray(np.minimum.reduce([share for share in shares if share is not None]) > 0.0)


def _emit_ladder(
    result: list[list[OperatingPoint]], question: _Question, load: Load, full: Sequence[Flow | None]
) -> None:
    """Points at the stated load split evenly over more and more replicas, where one carries its part."""
    r, m, limit = question.replicas, question.moments, question.limit
    for replicas in SPLITS:
        parts = (load.requests_per_second / replicas, float(ceil_guarded(load.inflight / replicas)))
        flows: list[Flow | None] = []
        runs = np.ones(len(result), dtype=bool)
        for part, most, closed in zip(parts, full, (False, True), strict=True):
            if most is None:
                flows.append(None)
                continue
            runs &= part <= (most.inflight if closed else most.rate) * _BELOW
            flows.append(flow_under(r, m, limit, np.full(len(result), part), closed=closed))
        _emit(result, question, PointKind.ALL, flows, runs)


def _emit(
    result: list[list[OperatingPoint]], question: _Question, kind: PointKind, flows: Sequence[Flow | None], runs: Mask
) -> None:
    """Append the point of ``kind`` with these flows (open, closed) where it ``runs``, unless that load is there."""
    given = [flow for flow in flows if flow is not None]
    rate_flow, inflight_flow = flows[0] or given[0], flows[1] or given[0]
    latencies = [
        np.maximum.reduce([question.promised(flow, index) for flow in given]) for index in range(len(question.promises))
    ]
    rates, inflights = (rate_flow.rate * _BELOW).tolist(), (inflight_flow.inflight * _BELOW).tolist()
    rows = np.array(latencies).reshape(len(latencies), -1).T.tolist() if latencies else [[]] * len(rates)
    for i, good in enumerate(runs.tolist()):
        if good and not any(p.requests_per_second == rates[i] and p.inflight == inflights[i] for p in result[i]):
            result[i].append(OperatingPoint(kind, rates[i], inflights[i], tuple(rows[i])))
