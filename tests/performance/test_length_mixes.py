"""A mix of length classes: moments by hand, what each class sees of it, and the event simulation."""

from __future__ import annotations

import math
from typing import Any

import pytest

from optimizer.calibrate.forward import settings_of
from optimizer.demand import KvSizing, Lengths, LengthShare, Load, Metric, Promise, Slo
from optimizer.performance.accuracy import grade_of
from optimizer.performance.behaviour import behaviours, promised_seconds
from optimizer.performance.lengths import moments_of
from optimizer.performance.memory import memory_table
from optimizer.performance.operating_points import operating_points
from optimizer.performance.replicas import coefficients
from optimizer.performance.types import ReplicaSpec
from optimizer.simulate.estimate import Wanted
from optimizer.simulate.replay import Replica, poisson_requests, replay_arrivals

SMALL = "meta-llama/Llama-3.1-8B-Instruct"
SHORT, LONG = Lengths(200, 101, 8192), Lengths(4000, 401, 8192)


def mix(share: float, short: Lengths = SHORT, long: Lengths = LONG, **changes: object) -> Lengths:
    means = (
        share * short.input_mean + (1 - share) * long.input_mean,
        share * short.output_mean + (1 - share) * long.output_mean,
    )
    classes = (LengthShare("short", share, short), LengthShare("long", 1 - share, long))
    return Lengths(*means, 8192, classes=classes, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def one(make) -> ReplicaSpec:
    return make("h100_sxm_80", SMALL, "bf16")


def test_moments_by_hand() -> None:
    """Three short ones to a long one: 100 and 400 decode steps, 200 and 4,000 prompt tokens."""
    m = moments_of(mix(0.75))
    assert (m.input, m.output, m.steps) == (1150, 176, 175)
    assert m.prompt_scv == pytest.approx((0.75 * 200**2 + 0.25 * 4000**2) / 1150**2 - 1)
    assert m.steps_scv == pytest.approx((0.75 * 100**2 + 0.25 * 400**2) / 175**2 - 1)
    assert m.inverse_steps == pytest.approx(0.75 / 100 + 0.25 / 400)
    assert m.context == pytest.approx((0.75 * 200 * 100 + 0.25 * 4000 * 2000) / 1150)  # half of the own prompt
    resident = (75 * (200 + 50.5) + 100 * (4000 + 200.5)) / 175  # by the time in decoding
    assert m.resident_seen == m.resident == pytest.approx(resident)
    assert sum(m.prompt_weights) == pytest.approx(1.0)


def test_worst_case_sizing_plans_every_request_at_the_longest_context() -> None:
    assert moments_of(mix(0.75, kv_sizing=KvSizing.WORST_CASE)).resident == 8192


def test_two_classes_alike_are_no_classes(one, params) -> None:
    chat = Lengths(1000, 300, 8192, 2500, 700)
    alike, plain = mix(0.3, chat, chat), chat
    ways: list[dict[str, Any]] = [{"rates": [4.0]}, {"inflights": [40.0]}]
    for how in ways:
        (mixed,), (single,) = (behaviours([one], lengths, params, **how) for lengths in (alike, plain))
        for seen in (mixed, mixed.seen_by("short"), mixed.seen_by("long")):
            for metric in Metric:
                for percentile in (50, 95, 99):
                    expected = getattr(single, metric).at(percentile)
                    assert getattr(seen, metric).at(percentile) == pytest.approx(expected, rel=1e-6)


def test_what_the_classes_see_averages_to_what_all_see(one, params) -> None:
    for rate in (0.5, 4.0, 8.0):
        (behaviour,) = behaviours([one], mix(0.75), params, rates=[rate])
        short, long = behaviour.seen_by("short"), behaviour.seen_by("long")
        assert behaviour.seen_by("nobody") is behaviour
        assert 0.75 * short.ttft.mean + 0.25 * long.ttft.mean == pytest.approx(behaviour.ttft.mean, rel=0.03)
        assert short.ttft.p95 < behaviour.ttft.p95 < 1.001 * long.ttft.p95
        assert short.tpot.mean == long.tpot.mean == behaviour.tpot.mean
        assert short.tpot.p95 > long.tpot.p95  # fewer steps average less out
        assert short.e2e.mean < behaviour.e2e.mean < long.e2e.mean


def test_against_the_event_simulation_class_by_class(one, params) -> None:
    """At 40 % of saturation: TTFT within a quarter and TPOT within a tenth, at the median and at p95."""
    lengths = mix(0.75)
    moments, table = moments_of(lengths), memory_table([one])
    tokens = float(table.kv_budget[0] / table.kv.sequence(moments.resident_seen)[0]) * moments.resident_seen
    ways = (settings_of(one, tokens, params, way) for way in (True, False))
    replica = Replica(coefficients([one], params).row(0), *ways)
    (idle,) = behaviours([one], lengths, params, rates=[0.01])
    rate = 0.4 * idle.requests_per_second / idle.utilization
    (closed,) = behaviours([one], lengths, params, rates=[rate])
    wanted = [
        Wanted(metric, percentile, length_class=number, share=share)
        for number, share in ((0, 0.75), (1, 0.25))
        for metric in (Metric.TTFT, Metric.TPOT)
        for percentile in (50.0, 95.0)
    ]
    seen = replay_arrivals(replica, 1, rate, poisson_requests(lengths), lengths, closed.e2e.mean, wanted)
    for one_wanted, estimate in zip(wanted, seen.estimates, strict=True):
        of_class = closed.seen_by(("short", "long")[one_wanted.length_class or 0])
        ratio = getattr(of_class, one_wanted.metric).at(one_wanted.percentile) / estimate.value
        slow = one_wanted.metric is Metric.TTFT
        if slow and one_wanted.percentile == 50 and one_wanted.length_class == 0:
            assert ratio > 0.9  # most short ones meet no long one; a gamma law puts its median higher
        else:
            assert abs(math.log(ratio)) < (0.25 if slow else 0.1), (one_wanted, ratio)


@pytest.mark.parametrize("length_class", ["short", "long"])
def test_a_promise_to_one_class_limits_the_mix(one, params, length_class) -> None:
    """The point lies inside the promise to the class, and a little more load outside it."""
    lengths, load = mix(0.75), Load(1.0, 0.0, "x")
    (alone,) = behaviours([one], lengths, params, rates=[0.01])
    known = (grade_of(one, params)[0], 0.9, one.engine.profile)
    base = Promise(Metric.TTFT, 95, 1.0, "p", length_class)
    promise = Promise(Metric.TTFT, 95, 1.5 * promised_seconds(alone, base, *known), "p", length_class)
    (points,) = operating_points([one], lengths, Slo((promise,)), load, 0.9, params)
    (free,) = operating_points([one], lengths, Slo(()), load, 0.9, params)
    assert points[0].requests_per_second < free[0].requests_per_second
    rate = points[0].requests_per_second
    at, beyond = (behaviours([one], lengths, params, rates=[r])[0] for r in (rate, 1.03 * rate))
    assert points[0].latencies_s[0] == pytest.approx(promised_seconds(at, promise, *known), rel=1e-3)
    assert promised_seconds(at, promise, *known) <= promise.limit_s < promised_seconds(beyond, promise, *known)
