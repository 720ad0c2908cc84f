"""A closed population: its root against published figures, its two limits, what it never passes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.demand import Lengths, Load, Metric, Promise, Slo
from optimizer.performance.accuracy import band_source, grade_of
from optimizer.performance.behaviour import behaviours, promised_seconds
from optimizer.performance.operating_points import operating_points
from optimizer.performance.parameters import Parameters
from optimizer.performance.population import root
from optimizer.performance.types import OperatingPoint, PointKind, ReplicaSpec

SMALL = "meta-llama/Llama-3.1-8B-Instruct"
CHAT = Lengths(800.0, 500.0, 4096)
PROMISED = Slo((Promise(Metric.TTFT, 95.0, 2.0, "ttft"), Promise(Metric.TPOT, 95.0, 0.05, "tpot")))
CARDS = (("l40s_48", "fp8"), ("h100_sxm_80", "bf16"), ("a10_24", "int4"), ("mi300x_192", "fp8"))


@pytest.mark.parametrize(
    ("users", "think", "ttft", "output", "alone", "each", "replicas", "rate", "inflight", "p99"),
    [
        (600, 15, 0.4, 500, 0.047, 0.0, 1, 15.42, 369, 396),
        (600, 15, 0.4, 500, 0.020, 0.00045, 10, 18.34, 325, 353),
        (600, 60, 0.4, 500, 0.020, 0.00045, 10, 8.25, 105, 127),
        (50, 5, 0.3, 200, 0.020, 0.0005, 2, 4.71, 26.5, 35),
    ],
)
def test_the_root_of_a_linear_response(users, think, ttft, output, alone, each, replicas, rate, inflight, p99) -> None:
    """Worked by hand and simulated, with exponential lengths and fixed ones, within 2 %."""

    def response(n):
        return ttft + output * (alone + each * n / replicas)

    n = float(root(lambda n: n * (think + response(n)) / response(n), np.array(float(users)), np.array(float(users))))
    share = response(n) / (think + response(n))
    assert n / response(n) == pytest.approx(rate, rel=0.02)
    assert n == pytest.approx(inflight, rel=0.02)
    assert min(users, n + 2.33 * (users * share * (1 - share)) ** 0.5) == pytest.approx(p99, rel=0.02)


@pytest.fixture(scope="module")
def specs(make) -> list[ReplicaSpec]:
    return [make(gpu, SMALL, quant) for gpu, quant in CARDS]


class Ask:
    """Replicas and parameters behind a short name: hypothesis prints every argument of a failing example."""

    def __init__(self, specs: list[ReplicaSpec], params: Parameters) -> None:
        self.specs, self.params = specs, params

    def __repr__(self) -> str:
        return "ask"

    def of(self, users: float, think: float, lengths: Lengths = CHAT):
        asked = [users] * len(self.specs)
        return behaviours(self.specs, lengths, self.params, users=asked, think_s=think)

    def carried(self, load: Load, slo: Slo = PROMISED, lengths: Lengths = CHAT):
        return operating_points(self.specs, lengths, slo, load, 0.9, self.params)


@pytest.fixture(scope="module")
def ask(specs, params) -> Ask:
    return Ask(specs, params)


def test_people_who_never_think_are_a_number_held_in_flight(ask: Ask) -> None:
    held = behaviours(ask.specs, CHAT, ask.params, inflights=[20.0] * len(ask.specs))
    for one, other in zip(ask.of(20.0, 1e-9), held, strict=True):
        assert one.inflight == pytest.approx(20.0) == pytest.approx(other.inflight)
        assert one.tpot.p95 == pytest.approx(other.tpot.p95, rel=0.02)
        assert one.ttft.p95 == pytest.approx(other.ttft.p95, rel=0.02)


def test_people_who_think_for_long_arrive_like_poisson(ask: Ask) -> None:
    random = behaviours(ask.specs, CHAT, ask.params, rates=[0.5] * len(ask.specs))
    for one, other in zip(ask.of(0.5 * 1e6, 1e6), random, strict=True):
        assert one.requests_per_second == pytest.approx(0.5, rel=1e-3)
        assert one.tpot.p95 == pytest.approx(other.tpot.p95, rel=1e-3)
        assert one.ttft.p95 == pytest.approx(other.ttft.p95, rel=1e-3)


@settings(max_examples=40, deadline=None)
@given(users=st.floats(1, 3000), think=st.floats(0.1, 3000), output=st.floats(2, 1500), spread=st.booleans())
def test_never_more_in_flight_than_people_nor_faster_than_they_think(ask, users, think, output, spread) -> None:
    lengths = Lengths(800.0, output, 8192, output_p95=2.5 * output if spread else None)
    for found in ask.of(users, think, lengths):
        if found.stable:
            response = found.e2e.mean
            assert found.inflight <= users * (1 + 1e-9)
            assert found.requests_per_second <= users / think * (1 + 1e-9)
            assert found.requests_per_second * (think + response) == pytest.approx(users, rel=1e-6)
            assert found.inflight <= (found.inflight_p99 or 0.0) * (1 + 1e-9) <= users * (1 + 1e-6)


@settings(max_examples=10, deadline=None)
@given(
    think=st.floats(0.01, 300), longer=st.floats(1.0, 5.0), ttft=st.floats(0.2, 5), tpot=st.floats(0.015, 0.2),
    spread=st.booleans(),
)  # fmt: skip
def test_longer_thought_is_never_a_heavier_load(ask, think, longer, ttft, tpot, spread) -> None:
    """And never heavier than everybody in flight for ever."""
    lengths = Lengths(800.0, 500.0, 8192, output_p95=1200.0 if spread else None)
    slo = Slo((Promise(Metric.TTFT, 95.0, ttft, "ttft"), Promise(Metric.TPOT, 95.0, tpot, "tpot")))
    short, long = (
        ask.carried(Load(0.0, 0.0, "x", users=100.0, think_s=seconds), slo, lengths)
        for seconds in (think, think * longer)
    )
    held = ask.carried(Load(0.0, 100.0, "x"), slo, lengths)
    rows = ([_all(points) for points in load] for load in (short, long, held))
    for one, other, always in zip(*rows, strict=True):
        if one:
            assert other
            assert other.users >= one.users * (1 - 2e-3)
        if always and always.inflight >= 1:
            assert one
            assert one.users >= int(always.inflight) * (1 - 2e-3)


def _all(points: tuple[OperatingPoint, ...]) -> OperatingPoint | None:
    return next((point for point in points if point.kind is PointKind.ALL), None)


@settings(max_examples=10, deadline=None)
@given(think=st.floats(0.1, 300), more=st.floats(0.5, 1.5))
def test_a_point_is_the_largest_number_of_people_that_keeps_every_promise(ask, think, more) -> None:
    points = ask.carried(Load(0.0, 0.0, "x", users=100.0, think_s=think))
    for spec, of_spec in zip(ask.specs, points, strict=True):
        users = of_spec[0].users
        (found,) = behaviours([spec], CHAT, ask.params, users=[users * more], think_s=think)
        grade, source = grade_of(spec, ask.params)[0], band_source(spec, ask.params)
        kept = found.stable and all(
            promised_seconds(found, promise, grade, 0.9, source) <= promise.limit_s * (1 + 1e-6)
            for promise in PROMISED.promises
        )
        if more <= 1.0:
            assert kept
        elif more > 1.01:
            assert not kept


def test_without_a_promise_the_response_may_take_twice_that_of_a_lone_request(ask: Ask) -> None:
    points = ask.carried(Load(0.0, 0.0, "x", users=100.0, think_s=5.0), Slo())
    for spec, of_spec in zip(ask.specs, points, strict=True):
        alone = behaviours([spec], CHAT, ask.params, inflights=[1e-6])[0].e2e.mean
        full = behaviours([spec], CHAT, ask.params, users=[of_spec[0].users], think_s=5.0)[0]
        assert full.e2e.mean <= 2.0 * alone * (1 + 1e-6)
        assert full.e2e.mean >= 1.9 * alone or (full.inflight_p99 or 0.0) > 0.99 * spec.max_num_seqs * 0.9


@pytest.mark.parametrize("promise", [Promise(Metric.TTFT, 50.0, 0.5, "x"), Promise(Metric.E2E, 95.0, 30.0, "x")])
def test_the_mean_response_is_within_the_limits_of_the_promises(ask: Ask, promise: Promise) -> None:
    """A slow plan lowers its own load, so what is promised decides: X >= N / (Z + R at the limits)."""
    points = ask.carried(Load(0.0, 0.0, "x", users=100.0, think_s=5.0), Slo((promise,)))
    for spec, of_spec in zip(ask.specs, points, strict=True):
        alone = behaviours([spec], CHAT, ask.params, inflights=[1e-6])[0]
        point = _all(of_spec)
        if point is None:  # the margin alone breaks the promise of a lone request
            assert promised_seconds(
                alone, promise, grade_of(spec, ask.params)[0], 0.9, band_source(spec, ask.params)
            ) > (promise.limit_s)
            continue
        full = behaviours([spec], CHAT, ask.params, users=[point.users], think_s=5.0)[0]
        by_parts = promise.limit_s + 499 * 2 * alone.tpot.mean
        assert full.e2e.mean <= (30.0 if promise.metric is Metric.E2E else by_parts) * (1 + 1e-6)


def test_slots_hold_the_number_in_flight_that_is_exceeded_once_in_a_hundred(make, params) -> None:
    spec = make("h100_sxm_80", SMALL, "bf16", seqs=16)
    loose = Slo((Promise(Metric.TTFT, 95.0, 50.0, "x"), Promise(Metric.TPOT, 95.0, 5.0, "x")))
    load = Load(0.0, 0.0, "x", users=100.0, think_s=10.0)
    ((point, *_),) = operating_points([spec], CHAT, loose, load, 0.5, params)
    (full,) = behaviours([spec], CHAT, params, users=[point.users], think_s=10.0)
    assert full.inflight_p99 == pytest.approx(16.0, rel=0.01)
    assert full.inflight < 13.0
