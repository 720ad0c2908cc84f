"""Forward behaviour at a stated load: what ``verify`` recomputes every promise with. The median estimate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from optimizer.demand import Lengths, Metric, Promise
from optimizer.performance.accuracy import error_factor
from optimizer.performance.bisection import FINE_GRID, bisected, first_bracket
from optimizer.performance.lengths import LengthMoments, moments_of
from optimizer.performance.parameters import Parameters
from optimizer.performance.population import most_in_flight, people_flow, people_of, root
from optimizer.performance.queueing import Flow, admission, flow_at, saturation
from optimizer.performance.replicas import replicas_of
from optimizer.performance.step_load import TINY, Array, Replicas
from optimizer.performance.types import STORED, Behaviour, Grade, Percentiles, ReplicaSpec, normal_score

INVERSION_STEPS = 48
"""Bisection steps from a load to the number being decoded: exact to the last bits."""

_EXCESS = 1.0 + 1e-9
_NEVER = Percentiles(*([float("inf")] * 5))


def behaviours(
    specs: Sequence[ReplicaSpec],
    lengths: Lengths,
    params: Parameters,
    *,
    rates: Sequence[float] | None = None,
    inflights: Sequence[float] | None = None,
    users: Sequence[float] | None = None,
    think_s: float = 0.0,
) -> list[Behaviour]:
    """One replica of each specification at a load: Poisson arrivals at ``rates``, ``inflights`` held in flight, or a
    closed population of ``users`` who think for ``think_s`` seconds between answer and question.

    A load beyond saturation, or a replica whose weights or longest request do not fit, comes back unstable. Attention
    ranks carry alike: each gets its part of the load, of requests held the fullest one whole requests.
    """
    if [rates, inflights, users].count(None) != 2:
        raise ValueError("state one of rates, inflights and users")
    if not specs:
        return []
    moments = moments_of(lengths)
    replicas = replicas_of(specs, lengths, params)
    limit = saturation(replicas, moments)
    if users is not None:
        asked = np.array(users, dtype=np.float64) / replicas.ranks
        flow = flow_of_people(replicas, moments, limit, asked, think_s)
        most = most_in_flight(flow, think_s)
        stable = replicas.fits & (people_of(flow, think_s) * _EXCESS >= asked) & (most <= limit.inflight * _EXCESS)
        always, room = _always_in_flight(replicas, moments, limit, asked)
        rows = zip(_rows(flow, limit, stable, moments), _rows(always, limit, room, moments), most.tolist(), strict=True)
        found = [
            replace(_no_worse(row, other), inflight_p99=peak, kv_tokens_used=peak * moments.resident)
            for row, other, peak in rows
        ]
        return _of_replicas(found, specs)
    closed = inflights is not None
    load = np.array(inflights if inflights is not None else rates, dtype=np.float64)
    load = held_by_rank(load, replicas.ranks) if closed else load / replicas.ranks
    flow = flow_under(replicas, moments, limit, load, closed=closed)
    stable = replicas.fits & (load <= _EXCESS * (limit.inflight if closed else limit.rate * (1.0 - TINY)))
    return _of_replicas(_rows(flow, limit, stable, moments), specs)


def held_by_rank(inflight: Array, ranks: Array) -> Array:
    """Requests in flight on the fullest of a replica's attention ranks: whole ones, where there is one for each."""
    shares = inflight / ranks
    return np.where((ranks > 1.0) & (shares > 1.0), np.ceil(shares * (1.0 - 1e-12)), shares)


def _of_replicas(rows: Sequence[Behaviour], specs: Sequence[ReplicaSpec]) -> list[Behaviour]:
    """Of one attention rank each, as of all ranks of a replica."""
    return [
        row if spec.attention_dp == 1 else _of_ranks(row, spec.attention_dp)
        for row, spec in zip(rows, specs, strict=True)
    ]


def _of_ranks(row: Behaviour, ranks: int) -> Behaviour:
    """What so many ranks like it do together; the cache is that of one."""
    return replace(
        row,
        inflight=row.inflight * ranks,
        requests_per_second=row.requests_per_second * ranks,
        output_tokens_per_second=row.output_tokens_per_second * ranks,
        inflight_p99=None if row.inflight_p99 is None else row.inflight_p99 * ranks,
        classes=tuple((name, _of_ranks(seen, ranks)) for name, seen in row.classes),
    )


def _always_in_flight(r: Replicas, m: LengthMoments, limit: Flow, users: Array) -> tuple[Flow, npt.NDArray[np.bool_]]:
    """The same people if they never thought, and whether there is a slot for each."""
    room = r.fits & (users <= limit.inflight * _EXCESS)
    return flow_under(r, m, limit, users, closed=True), room


def _no_worse(row: Behaviour, always: Behaviour) -> Behaviour:
    """Percentiles of people who think, none above those of people who never do (infinite without slots for them)."""

    def least(one: Percentiles, other: Percentiles) -> Percentiles:
        ends = (min(getattr(one, name), getattr(other, name)) for name in ("p50", "p90", "p95", "p99"))
        return Percentiles(one.mean, *ends)

    if not row.stable:
        return row
    classes = zip(row.classes, always.classes, strict=True)
    return replace(
        row,
        ttft=least(row.ttft, always.ttft),
        tpot=least(row.tpot, always.tpot),
        e2e=least(row.e2e, always.e2e),
        classes=tuple((name, _no_worse(one, other)) for (name, one), (_, other) in classes),
    )


def flow_of_people(r: Replicas, m: LengthMoments, limit: Flow, users: Array, think_s: float) -> Flow:
    """The flow that so many people make; the saturated one where they would make more."""

    def people(decoding: Array) -> Array:
        return people_of(people_flow(r, m, decoding, think_s), think_s)

    bracket = _where_first(r, limit.decoding, lambda decoding: np.asarray(people(decoding) >= users))
    return people_flow(r, m, root(people, users, limit.decoding, bracket), think_s)


def flow_under(r: Replicas, m: LengthMoments, limit: Flow, load: Array, *, closed: bool) -> Flow:
    """The flow whose rate (or number in flight, ``closed``) equals ``load``; beyond saturation the saturated one."""

    def enough(decoding: Array) -> npt.NDArray[np.bool_]:
        flow = flow_at(r, m, decoding, closed=closed)
        return np.asarray((flow.inflight if closed else flow.rate) >= load)

    high = bisected(*_where_first(r, limit.decoding, enough), INVERSION_STEPS, enough)[1]
    flow = flow_at(r, m, high, closed=closed)
    return flow if closed else admission(flow, r, m, limit)


def _where_first(r: Replicas, most: Array, enough: Callable[[Array], npt.NDArray[np.bool_]]) -> tuple[Array, Array]:
    """The bracket of the least number being decoded that is ``enough``, up to ``most``.

    Where hits are earned by memory a replica may carry less with more in flight, so a load may be met at several
    numbers: a replica that fills up comes to the least of them first, up to which operating points are searched too.
    """
    if r.prefixes is None:
        return np.zeros_like(most), most
    low, high = first_bracket(enough(np.array(FINE_GRID)[:, None] * most), FINE_GRID)
    return low * most, high * most


def promised_seconds(
    behaviour: Behaviour, promise: Promise, grade: Grade, confidence: float, engine: str = ""
) -> float:
    """The promised percentile of a behaviour with the model-error margin at ``confidence``: compare with the limit."""
    seen = behaviour.seen_by(promise.length_class)
    values = {Metric.TTFT: seen.ttft, Metric.TPOT: seen.tpot, Metric.E2E: seen.e2e}[promise.metric]
    return values.at(promise.percentile) * error_factor(promise.metric, grade, confidence, engine)


def _rows(flow: Flow, limit: Flow, stable: npt.NDArray[np.bool_], m: LengthMoments) -> list[Behaviour]:
    columns = {metric: _percentile_columns(flow, metric) for metric in Metric}
    of_classes = [(name, _rows(seen, limit, stable, dict(m.classes)[name])) for name, seen in flow.classes]
    result = []
    for i, good in enumerate(stable.tolist()):
        ttft, tpot, e2e = (Percentiles(*columns[metric][i]) if good else _NEVER for metric in Metric)
        rate = float(flow.rate[i])
        result.append(
            Behaviour(
                ttft,
                tpot,
                e2e,
                inflight=float(flow.inflight[i]),
                requests_per_second=rate,
                output_tokens_per_second=rate * m.output,
                utilization=rate / float(limit.rate[i]),
                kv_tokens_used=float(flow.inflight[i]) * m.resident,
                stable=good,
                prefix_hit_rate=float(flow.found[i]),
                host_hit_rate=float(flow.brought[i]),
                classes=tuple((name, rows[i]) for name, rows in of_classes),
            )
        )
    return result


def _percentile_columns(flow: Flow, metric: Metric) -> list[list[float]]:
    means = {Metric.TTFT: flow.ttft, Metric.TPOT: flow.tpot, Metric.E2E: flow.e2e}[metric]
    columns = [means, *(flow.quantile(metric, normal_score(p)) for p in STORED)]
    rows: list[list[float]] = np.stack(columns, axis=-1).tolist()
    return rows
