"""Operating points: exact against the forward behaviour, monotone, fast."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.demand import Lengths, Load, Metric, Promise, Slo
from optimizer.performance.accuracy import band_source, error_factor, grade_of
from optimizer.performance.behaviour import behaviours, promised_seconds
from optimizer.performance.operating_points import operating_points
from optimizer.performance.parameters import Parameters
from optimizer.performance.types import OperatingPoint, PointKind, ReplicaSpec

LLAMA, SMALL = "meta-llama/Llama-3.1-70B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"
BOTH = Load(5.0, 50.0, "test")
REPLICAS: tuple[Any, ...] = (
    ("h100_sxm_80", LLAMA, "fp8", {"tp": 2}),
    ("a100_sxm_80", LLAMA, "int4", {"tp": 2}),
    ("h100_sxm_80", LLAMA, "bf16", {"tp": 2, "pp": 2}),
    ("l40s_48", SMALL, "fp8", {}),
    ("a10_24", SMALL, "int4", {"tp": 2}),
    ("h200_sxm_141", "deepseek-ai/DeepSeek-V3", "fp8", {"tp": 8}),
    ("h100_sxm_80", "openai/gpt-oss-120b", "mxfp4", {"tp": 2}),
    ("h100_sxm_80", SMALL, "bf16", {"engine": "sglang"}),
    ("h100_sxm_80", SMALL, "bf16", {"engine": "trtllm"}),
    ("h100_sxm_80", SMALL, "bf16", {"seqs": 1}),
)
shapes = st.builds(
    lambda i, o, spread, prefix: Lengths(
        i, o, 16384, input_p95=i * 3 if spread else None, output_p95=o * 2.5 if spread else None, shared_prefix=prefix
    ),
    st.floats(16, 4000),
    st.floats(2, 2000),
    st.booleans(),
    st.sampled_from([0.0, 0.5]),
)
slos = st.builds(
    lambda ttft, tpot, e2e, p: Slo(
        tuple(
            Promise(metric, p, limit, "x")
            for metric, limit in ((Metric.TTFT, ttft), (Metric.TPOT, tpot), (Metric.E2E, e2e))
            if limit
        )
    ),
    st.one_of(st.none(), st.floats(0.1, 5)),
    st.one_of(st.none(), st.floats(0.01, 0.3)),
    st.one_of(st.none(), st.floats(1, 60)),
    st.sampled_from([50.0, 90.0, 95.0, 97.0, 99.0]),
)


class World:
    """Replicas and parameters behind a short name: hypothesis prints every argument of a failing example."""

    def __init__(self, specs: list[ReplicaSpec], params: Parameters) -> None:
        self.specs, self.params = specs, params

    def __repr__(self) -> str:
        return "world"


@pytest.fixture(scope="session")
def world(make, params) -> World:
    return World([make(gpu, model, quant, **rest) for gpu, model, quant, rest in REPLICAS], params)


def _all(points: tuple[OperatingPoint, ...]) -> OperatingPoint | None:
    return next((point for point in points if point.kind is PointKind.ALL), None)


@settings(max_examples=40, deadline=None)
@given(shapes, slos, st.sampled_from([0.5, 0.9]), st.floats(0.02, 1.0))
def test_every_load_up_to_the_point_keeps_every_promise(world, lengths, slo, confidence, share) -> None:
    found = [
        (spec, point)
        for spec, points in zip(
            world.specs, operating_points(world.specs, lengths, slo, BOTH, confidence, world.params), strict=True
        )
        if (point := _all(points))
    ]
    specs = [spec for spec, _ in found]
    rates = [share * point.requests_per_second for _, point in found]
    inflights = [share * point.inflight for _, point in found]
    ways: list[dict[str, Any]] = [{"rates": rates}, {"inflights": inflights}]
    for kwargs in ways:
        for (spec, _), behaviour in zip(found, behaviours(specs, lengths, world.params, **kwargs), strict=True):
            assert behaviour.stable
            for promise in slo.promises:
                seconds = promised_seconds(
                    behaviour, promise, grade_of(spec, world.params)[0], confidence, band_source(spec, world.params)
                )
                assert seconds <= promise.limit_s * (1 + 1e-6), (spec.gpu.id, spec.model.id, promise, share)


@settings(max_examples=25, deadline=None)
@given(shapes, slos)
def test_point_latencies_are_the_forward_ones(world, lengths, slo) -> None:
    for spec, points in zip(
        world.specs, operating_points(world.specs, lengths, slo, BOTH, 0.9, world.params), strict=True
    ):
        for point in points:
            known = (grade_of(spec, world.params)[0], 0.9, band_source(spec, world.params))
            under = [
                behaviours([spec], lengths, world.params, rates=[point.requests_per_second])[0],
                behaviours([spec], lengths, world.params, inflights=[point.inflight])[0],
            ]
            for stated, promise in zip(point.latencies_s, slo.promises, strict=True):
                worse = max(promised_seconds(behaviour, promise, *known) for behaviour in under)
                assert stated == pytest.approx(worse, rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(shapes, slos, st.floats(1.0, 3.0))
def test_a_looser_promise_never_lowers_capacity(world, lengths, slo, factor) -> None:
    looser = Slo(tuple(Promise(p.metric, p.percentile, p.limit_s * factor, p.path) for p in slo.promises))
    tight = operating_points(world.specs, lengths, slo, BOTH, 0.9, world.params)
    loose = operating_points(world.specs, lengths, looser, BOTH, 0.9, world.params)
    for before, after in zip(map(_all, tight), map(_all, loose), strict=True):
        if before:
            assert after
            assert after.requests_per_second >= before.requests_per_second * (1 - 1e-9)
            assert after.inflight >= before.inflight * (1 - 1e-9)


@settings(max_examples=15, deadline=None)
@given(shapes, slos)
def test_more_confidence_never_raises_capacity(world, lengths, slo) -> None:
    bold, careful = (operating_points(world.specs, lengths, slo, BOTH, c, world.params) for c in (0.5, 0.95))
    for before, after in zip(map(_all, bold), map(_all, careful), strict=True):
        if after:
            assert before
            assert after.requests_per_second <= before.requests_per_second * (1 + 1e-9)
            assert after.inflight <= before.inflight * (1 + 1e-9)


def test_more_memory_never_lowers_capacity(make, params) -> None:
    slo = Slo((Promise(Metric.TPOT, 95, 0.2, "x"),))
    specs = [make("h100_sxm_80", LLAMA, "fp8", tp=2, utilization=u) for u in (0.7, 0.8, 0.9)]
    rows = operating_points(specs, Lengths(4000, 500, 16384), slo, BOTH, 0.9, params)
    points = [p for row in rows if (p := _all(row))]
    assert len(points) == len(specs)
    assert [p.inflight for p in points] == sorted(p.inflight for p in points)
    assert [p.requests_per_second for p in points] == sorted(p.requests_per_second for p in points)


def test_without_a_latency_promise_a_replica_runs_at_nine_tenths(make, params) -> None:
    spec, lengths = make("h100_sxm_80", SMALL), Lengths(1024, 300, 8192)
    (point,) = operating_points([spec], lengths, Slo(), BOTH, 0.5, params)[0]
    assert behaviours([spec], lengths, params, rates=[point.requests_per_second])[0].utilization == pytest.approx(
        0.9, rel=1e-4
    )
    batch = Load(5.0, 0.0, "test", hours_per_month=300)
    (point,) = operating_points([spec], lengths, Slo(), batch, 0.5, params)[0]
    assert behaviours([spec], lengths, params, rates=[point.requests_per_second])[0].utilization == pytest.approx(
        1.0,
        rel=1e-3,  # arrivals and requests held meet at saturation up to this
    )


def test_what_does_not_fit_has_no_points(make, params) -> None:
    specs = [
        make("h100_sxm_80", LLAMA),
        make("h100_sxm_80", LLAMA, "fp8", tp=2),
        make("rtx_4090_24", LLAMA, "int4", tp=2),
    ]
    points = operating_points(specs, Lengths(1024, 300, 16384), Slo(), BOTH, 0.9, params)
    assert [bool(p) for p in points] == [False, True, False]  # 16K of 16-bit KV does not fit two RTX 4090


def test_kinds_nest(make, params) -> None:
    slo = Slo((Promise(Metric.TTFT, 95, 0.6, "x"), Promise(Metric.TPOT, 95, 0.04, "x")))
    (points,) = operating_points(
        [make("h100_sxm_80", LLAMA, "fp8", tp=2)], Lengths(1024, 300, 8192), slo, BOTH, 0.9, params
    )
    everything = _all(points)
    assert everything
    for point in points:
        assert point.inflight >= everything.inflight
        assert point.requests_per_second >= everything.requests_per_second
        limits = {PointKind.ALL: (0.6, 0.04), PointKind.TTFT: (0.6,), PointKind.TPOT: (), PointKind.MEMORY: ()}
        for seconds, limit in zip(point.latencies_s, limits[point.kind], strict=False):
            assert seconds <= limit


def test_ladder_offers_lower_loads_with_lower_latencies(make, params) -> None:
    slo = Slo((Promise(Metric.TPOT, 95, 0.1, "x"),))
    (points,) = operating_points(
        [make("h100_sxm_80", LLAMA, "fp8", tp=2)], Lengths(1024, 300, 8192), slo, BOTH, 0.9, params, ladder=True
    )
    rungs = [point for point in points if point.kind is PointKind.ALL]
    assert len(rungs) > 6
    assert [r.inflight for r in rungs] == sorted((r.inflight for r in rungs), reverse=True)
    assert [r.latencies_s[0] for r in rungs] == sorted((r.latencies_s[0] for r in rungs), reverse=True)


def test_only_the_promised_loads_are_searched(make, params) -> None:
    slo = Slo((Promise(Metric.TPOT, 95, 0.05, "x"),))
    spec, lengths = make("h100_sxm_80", LLAMA, "fp8", tp=2), Lengths(1024, 300, 8192)
    held = _all(operating_points([spec], lengths, slo, Load(0.0, 10.0, "x"), 0.9, params)[0])
    both = _all(operating_points([spec], lengths, slo, BOTH, 0.9, params)[0])
    assert held and both
    assert held.inflight == pytest.approx(both.inflight)
    assert held.requests_per_second > 0


def test_many_specifications_take_less_than_each_by_itself(make, params, grows_with) -> None:
    slo = Slo(
        (Promise(Metric.TTFT, 50, 0.5, "a"), Promise(Metric.TTFT, 95, 1.0, "b"), Promise(Metric.TPOT, 95, 0.05, "c"))
    )
    specs = [
        make(gpu, model, quant, tp=tp, tokens=2048 + 64 * step)
        for gpu in ("h100_sxm_80", "h200_sxm_141", "a100_sxm_80", "b200_sxm_180")
        for model in (LLAMA, SMALL, "Qwen/Qwen3-32B")
        for quant in ("bf16", "fp8", "int4")
        for tp in (1, 2, 4, 8)
        for step in range(10)
    ]

    def asked(of: list[ReplicaSpec]) -> None:
        operating_points(of, Lengths(1024, 300, 8192), slo, BOTH, 0.9, params)

    grows_with(lambda: asked(specs[:15]), lambda: asked(specs), 25)  # a hundred times as many


def test_margin_is_the_quantile_of_the_error() -> None:
    from optimizer.performance.types import Grade

    assert error_factor(Metric.TPOT, Grade.A, 0.5) == 1.0
    for metric in Metric:
        widths = [error_factor(metric, grade, 0.9) for grade in Grade]
        assert widths == sorted(widths)


def test_ttft_never_falls_as_more_requests_arrive_for_one_slot(make, params) -> None:
    """The wait for the only slot is rare and long at low rates: most requests see none of it."""
    spec, lengths = make("h100_sxm_80", SMALL, "bf16", seqs=1), Lengths(16.0, 570.0, 16384)
    rates = [1e-5 * 1.5**step for step in range(25)]
    seen = [behaviour.ttft for behaviour in behaviours([spec] * len(rates), lengths, params, rates=rates)]
    for percentile in (50.0, 90.0, 95.0, 99.0):
        values = [ttft.at(percentile) for ttft in seen]
        assert all(low <= high * (1 + 1e-4) for low, high in pairwise(values)), (percentile, values)
    assert seen[-1].at(95.0) > 10 * seen[0].at(95.0)
