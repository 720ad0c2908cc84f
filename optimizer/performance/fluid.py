"""The fluid limit of a replica: what it carries if requests were a fluid, without queues and without variance.

An optimistic bound beside the closed form's estimate (``operating_points``): no number of replicas below the one that
follows from it keeps the promises in a replay. It never makes a plan feasible; it says which replays are worth running.

Why it is a bound. With a mean of n requests being decoded (over time, so over Little's law n = rate x decode steps x
TPOT):

* a decode step takes at least ``step(max(n, 1))``: a step's duration is convex in the batch (Jensen), and a request
  that is being decoded finds itself there;
* the prompts of the n - 1 others each insert at least the cheapest way to read a prompt beside decoding, over all sizes
  of chunks, so TPOT >= step + (n - 1) x insert / steps;
* TTFT is at least the front end and the own prompt read by an otherwise idle replica, every request's own: its
  percentile is at least that of the own prompts, and at most of the mean prompt is asked;
* of those in flight as many may be waiting for a first token as the promise on TTFT allows, which decode nothing;
* the 90th and higher percentiles of TPOT are at least its mean, which is what Little's law speaks of; of lower ones
  only the step of a lone request is asked, and of one that drafts only what no luck can beat: every draft accepted;
* a request of T further tokens takes at least T over the mean yield of a step on average (Wald: the drafts of its last
  step may go beyond its end).

Saturation (0.9 of it, batch work all of it) and slots are rules, not predictions, and hold here as they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from optimizer.demand import Metric
from optimizer.performance.bisection import bisected
from optimizer.performance.lengths import LengthMoments, moments_of
from optimizer.performance.operating_points import Mask, Memo, PointsAsked, Side, question_of, rows_of
from optimizer.performance.population import people_of
from optimizer.performance.replicas import replicas_of
from optimizer.performance.step import step_seconds
from optimizer.performance.types import OperatingPoint, PointKind, normal_score

if TYPE_CHECKING:
    from optimizer.demand import Lengths, Load, Promise, Slo
    from optimizer.performance.parameters import Parameters
    from optimizer.performance.step_load import Array, Replicas
    from optimizer.performance.types import ReplicaSpec

_BISECTIONS = 24
_ABOVE = 1.0 + 1e-9
_MEAN_FROM = 90.0
"""Percentiles of TPOT from here on are at least the mean."""


@dataclass(frozen=True, slots=True)
class FluidFlow:
    """Replicas at one number of requests being decoded each, as a fluid; seconds."""

    tpot: Array
    rate: Array  # requests per second, by Little's law
    alone: Array  # a token of a lone request; where it drafts, with every draft accepted

    def at_least(self, promise: Promise, r: Replicas, m: LengthMoments) -> Array:
        """What the promised percentile is at least."""
        mine = dict(m.classes).get(promise.length_class, m)
        score = normal_score(promise.percentile)
        tpot = self.tpot if promise.percentile >= _MEAN_FROM else self.alone
        if promise.metric is Metric.TPOT:
            return tpot
        ttft = first_token(r, mine, min(mine.prompt, _quantile(mine.prompt, mine.prompt_scv, score)))
        if promise.metric is Metric.TTFT:
            return ttft
        return np.asarray(ttft + min(mine.steps, _quantile(mine.steps, mine.steps_scv, score)) * self.alone)


def _quantile(mean: float, scv: float, score: float) -> float:
    """Of a lognormal length."""
    spread = float(np.log1p(scv))
    return mean * float(np.exp(score * np.sqrt(spread) - 0.5 * spread))


def first_token(r: Replicas, m: LengthMoments, prompt: float) -> Array:
    """Seconds to the first token of a prompt on an idle replica: front end and its own chunks."""
    chunk = np.minimum(r.budget, prompt)
    nothing = np.zeros_like(r.budget)
    step = step_seconds(r.c, nothing, nothing, chunk, nothing + m.context * prompt / m.prompt)
    return np.asarray(r.frontend_s + step * prompt / chunk)


def fluid_at(r: Replicas, m: LengthMoments, decoding: Array) -> FluidFlow:
    """With a mean of ``decoding`` requests being decoded."""
    n, m = np.asarray(decoding), r.in_steps(m)
    batch = np.maximum(n, 1.0)
    kv, nothing = batch * m.resident_seen, 0.0 * batch
    decode = step_seconds(r.c, batch, kv, nothing, nothing)
    beside = r.mixed * batch
    room = np.maximum(r.budget - beside * r.width, 1.0)
    least = np.minimum(room, min([m.prompt, *m.prompt_cells]))
    chunks = np.stack([least ** (1.0 - weight) * room**weight for weight in (0.0, 0.25, 0.5, 0.75, 1.0)])
    steps = step_seconds(r.c, beside, r.mixed * kv, chunks, m.context + nothing)
    insert = np.min(np.maximum(steps - r.mixed * decode, 0.0) * m.prompt / chunks, axis=0)
    tpot = decode + np.maximum(n - 1.0, 0.0) * insert / m.steps
    rate = n / (m.steps * tpot)
    if r.drafts is None:
        return FluidFlow(tpot, rate, r.alone_s)
    return FluidFlow(tpot / r.drafts.yielded, rate, r.alone_s / r.width)


def fluid_points(
    specs: Sequence[ReplicaSpec],
    lengths: Lengths,
    slo: Slo,
    load: Load,
    confidence: float,
    params: Parameters,
    memo: Memo | None = None,
) -> list[OperatingPoint | None]:
    """The largest load that each specification may carry at best, on all its attention ranks; None where it cannot run,
    or where not even a lone request could keep every promise. Latencies of these points say nothing and are 0."""
    alike, row = rows_of(specs, lengths, params, memo)
    result: list[OperatingPoint | None] = [None] * len(specs)
    if row is None:
        return result
    asked = (slo, confidence, load.is_batch, bool(load.users), load.think_s)
    known = row.at_best.setdefault(asked, {})
    new = row.part([content for content in row.columns if content not in known])
    if new is not None:
        question = question_of(new, lengths, slo, load, confidence)
        known.update(zip(new.columns, _carried(question, load, len(slo.promises)), strict=True))
    for content in row.columns:
        for index in alike[content]:
            result[index] = known[content]
    return result


def _carried(question: PointsAsked, load: Load, promises: int) -> list[OperatingPoint | None]:
    r, m = question.replicas, question.moments
    able = np.logical_not(_breaks(question, fluid_at(r, m, np.full_like(r.slots, 1e-6))))
    low, high = np.zeros_like(r.slots), r.slots.copy()
    low = np.where(_breaks(question, fluid_at(r, m, high)), low, high)
    low = bisected(low, high, _BISECTIONS, lambda middle: _breaks(question, fluid_at(r, m, middle)))[0]
    flow = fluid_at(r, m, np.maximum(low, 1e-6))
    rate = np.minimum(flow.rate, question.rate_cap)
    waiting = _longest_wait(question)
    held = np.minimum(np.maximum(low + flow.rate * waiting, 1.0), question.limit.inflight)
    people = np.zeros_like(rate)
    if load.users:
        most = question.at(question.cap(Side.PEOPLE, bounded=True), Side.PEOPLE)
        at_best = flow.rate * (load.think_s + waiting + m.steps * flow.tpot)
        people = np.maximum(np.minimum(at_best, people_of(most, load.think_s)), 1.0)
    held = np.where(r.ranks > 1.0, np.floor(held * _ABOVE), held)  # whole requests on each of several ranks
    columns = (able, rate * r.ranks, held * r.ranks, people * r.ranks)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        OperatingPoint(PointKind.ALL, rate_, held_, (0.0,) * promises, people_) if good else None
        for good, rate_, held_, people_ in rows
    ]


def _longest_wait(question: PointsAsked) -> Array:
    """Seconds that the mean TTFT may take: its limit over the model error; without one any."""
    longest = np.full_like(question.rate_cap, np.inf)
    for promise, factors in zip(question.promises, question.factors, strict=True):
        if promise.metric is Metric.TTFT and promise.percentile >= _MEAN_FROM and not promise.length_class:
            longest = np.minimum(longest, promise.limit_s / factors)
    return longest


def _breaks(question: PointsAsked, flow: FluidFlow) -> Mask:
    broken = np.zeros(flow.rate.shape, dtype=bool)
    for promise, factors in zip(question.promises, question.factors, strict=True):
        seconds = flow.at_least(promise, question.replicas, question.moments)
        broken |= seconds * factors > promise.limit_s * _ABOVE
    return broken


def fluid_seconds(
    spec: ReplicaSpec, lengths: Lengths, promises: Sequence[Promise], rate: float, params: Parameters
) -> list[float]:
    """What each promised percentile is at least on a replica that gets ``rate`` requests per second (0: a lone one);
    infinite where it cannot serve so many."""
    r, m = replicas_of([spec], lengths, params), moments_of(lengths)
    low, high = np.zeros(1), r.slots.copy()
    rate /= spec.attention_dp
    if rate > float(fluid_at(r, m, high).rate[0]) * _ABOVE:
        return [float("inf")] * len(promises)
    low, high = bisected(low, high, 2 * _BISECTIONS, lambda middle: np.asarray(fluid_at(r, m, middle).rate >= rate))
    flow = fluid_at(r, m, np.maximum(high if rate else low, 1e-6))
    return [float(flow.at_least(promise, r, m)[0]) for promise in promises]


def least_seconds(
    specs: Sequence[ReplicaSpec], lengths: Lengths, promises: Sequence[Promise], params: Parameters
) -> list[float]:
    """What each promised percentile is at least on any of the replicas, for a request that is alone on it: no load, no
    margin. Infinite where there is no replica."""
    if not specs:
        return [float("inf")] * len(promises)
    r, m = replicas_of(specs, lengths, params), moments_of(lengths)
    flow = fluid_at(r, m, np.full(len(specs), 1e-6))
    return [float(np.min(flow.at_least(promise, r, m))) for promise in promises]
