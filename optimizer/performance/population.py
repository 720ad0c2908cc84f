"""A closed population on one replica: N people who each think for Z seconds between an answer and the next question.

With R the mean time from a question to the end of its answer, X = N / (Z + R) questions arrive per second and n = X R
are in flight, hence the one root of n = N R(n) / (Z + R(n)) (Lavenberg and Reiser 1980 give the queueing theory; here R
comes from the closed form of ``load``). Everything stays explicit in the number being decoded, as there: of a flow, N
is rate x (Z + R). Each person is in flight with probability p = R / (Z + R), so the number in flight is binomial: mean
N p and variance N p (1 - p). Decoding at p = 0 is that of Poisson arrivals, at p = 1 that of a steady number held in
flight; in between its mean (a question finds n - p others) and its variance are joined with the weight p, which is
exact for the number in flight. Questions that come after a thought fall into any moment of a step, however many are in
flight, so a first token waits as under Poisson arrivals.

The normal spread of a binomial number reaches beyond N, where nobody is. So no percentile is worse than with all N in
flight for ever (``load``, closed): a thought is never a heavier load than none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from optimizer.demand import Metric, Slo
from optimizer.performance.bisection import bisected
from optimizer.performance.lengths import LengthMoments
from optimizer.performance.queueing import Flow, flow_at
from optimizer.performance.step_load import TINY, Array, Replicas

SCORE_P99 = 2.33
"""Standard normal quantile of 99 %: slots and KV cache hold the number in flight that is exceeded 1 % of the time."""

SLOWEST = 2.0
"""A part of the response time that no promise bounds may be this many times that of a lone request."""

ROOT_STEPS = 50
"""Bisection steps to the root: exact to the last bits."""


def people_flow(r: Replicas, m: LengthMoments, decoding: Array, think_s: float) -> Flow:
    """Behaviour with a mean of ``decoding`` requests being decoded, of people who think for ``think_s`` seconds.

    Nobody waits for a slot: those are sized for the 99th percentile of the number in flight.
    """
    random = flow_at(r, m, decoding, closed=False)
    steady = flow_at(r, m, decoding, closed=True)
    share = _share_in_flight(random.e2e, random.ttft + m.steps * steady.tpot, think_s)
    flow = _joined(random, steady, share, m)
    return replace(flow, inflight=flow.rate * flow.e2e)


def _share_in_flight(random: Array, steady: Array, think_s: float) -> Array:
    """p = R / (Z + R) where R = (1 - p) x ``random`` + p x ``steady``: the positive root of a quadratic equation."""
    linear = think_s + 2.0 * random - steady
    return np.asarray(2.0 * random / (linear + np.sqrt(linear**2 + 4.0 * (steady - random) * random)))


def _joined(random: Flow, steady: Flow, p: Array, m: LengthMoments) -> Flow:
    def joined(name: str) -> Array:
        return np.asarray((1.0 - p) * getattr(random, name) + p * getattr(steady, name))

    tpot, of_classes = joined("tpot"), dict(m.classes)
    classes = zip(random.classes, steady.classes, strict=True)
    return replace(
        random,
        rate=joined("rate"),
        tpot=tpot,
        tpot_var=joined("tpot_var"),
        tpot_floor=joined("tpot_floor"),
        e2e=random.ttft + m.steps * tpot,
        e2e_var=joined("e2e_var"),
        found=joined("found"),
        classes=tuple((name, _joined(one, other, p, of_classes[name])) for (name, one), (_, other) in classes),
    )


def people_of(flow: Flow, think_s: float) -> Array:
    """How many people make this flow: X (Z + R)."""
    return np.asarray(flow.rate * (think_s + flow.e2e))


def most_in_flight(flow: Flow, think_s: float) -> Array:
    """The number in flight that is exceeded 1 % of the time: n + 2.33 standard deviations, never more than people."""
    thinking = think_s / (think_s + flow.e2e)
    spread = SCORE_P99 * np.sqrt(np.maximum(flow.inflight * thinking, 0.0))
    return np.asarray(np.minimum(flow.inflight + spread, people_of(flow, think_s)))


def root(
    people: Callable[[Array], Array], wanted: Array, most: Array, bracket: tuple[Array, Array] | None = None
) -> Array:
    """Where on a coordinate from 0 to ``most``, or inside a ``bracket``, so many people stand; ``people`` rises there.
    ``most`` where it has fewer.

    On the number in flight n itself ``people(n) = n (Z + R(n)) / R(n)``, and the root is that of n = N R / (Z + R).
    """
    low, high = bracket or (np.zeros_like(wanted), most + np.zeros_like(wanted))
    return bisected(low, high, ROOT_STEPS, lambda middle: np.asarray(people(middle) >= wanted))[1]


def slowest_response(
    slo: Slo, shares: Sequence[tuple[str, float]], r: Replicas, m: LengthMoments, limit: Flow
) -> Array:
    """Seconds that the mean response may take: R at the limits of the promises.

    TTFT limit + steps x TPOT limit, or the E2E limit where that is less; a part that nothing is promised about may take
    twice as long as for a lone request. ``shares``: the length classes of a mix and their shares of the requests.
    """
    alone = flow_at(r, m, limit.decoding * TINY, closed=True)
    total = np.zeros_like(limit.rate)
    for name, share in shares or [("", 1.0)]:
        seen, moments = alone.seen_by(name), dict(m.classes).get(name, m)
        ttft, tpot, e2e = (slo.limit_of(metric, name) for metric in Metric)
        first = SLOWEST * seen.ttft if ttft is None else np.full_like(total, ttft)
        each = SLOWEST * seen.tpot if tpot is None else np.full_like(total, tpot)
        by_parts = first + moments.steps * each
        if e2e is None:
            total += share * by_parts
        elif ttft is not None and tpot is not None:
            total += share * np.minimum(by_parts, e2e)
        else:
            total += share * e2e
    return total
