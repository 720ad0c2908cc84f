"""Behaviour under load: limits that must hold whatever the parameters, and the event simulation on a few cases."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.demand import KvSizing, Lengths
from optimizer.performance.behaviour import behaviours
from optimizer.performance.lengths import moments_of, sigma_of
from optimizer.performance.memory import memory_table
from optimizer.performance.queueing import saturation
from optimizer.performance.replicas import replicas_of
from optimizer.performance.step import step_seconds
from optimizer.performance.types import Percentiles, ReplicaSpec, gamma_quantile, interpolate, normal_score
from optimizer.simulate.replica import Arrivals, Pattern, Settings, simulate

LLAMA, SMALL = "meta-llama/Llama-3.1-70B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"
CHAT = Lengths(1024, 300, 8192)


@pytest.fixture(scope="session")
def dense(make) -> ReplicaSpec:
    return make("h100_sxm_80", LLAMA, "fp8", tp=2)


@pytest.fixture(scope="session")
def known(params):
    """The parameters behind a function: hypothesis prints every argument of a failing example."""
    return lambda: params


shapes = st.builds(
    lambda i, o, spread: Lengths(
        i, o, 16384, input_p95=2.5 * i if spread else None, output_p95=2.5 * o if spread else None
    ),
    st.floats(16, 6000),
    st.floats(2, 3000),
    st.booleans(),
)
which = st.sampled_from(
    (
        ("h100_sxm_80", LLAMA, "fp8", 2),
        ("a10_24", SMALL, "int4", 2),
        ("h200_sxm_141", "deepseek-ai/DeepSeek-V3", "fp8", 8),
        ("h100_sxm_80", "openai/gpt-oss-120b", "mxfp4", 2),
    )
)


@settings(max_examples=40, deadline=None)
@given(shapes, which, st.booleans(), st.lists(st.floats(0.01, 0.99), min_size=2, max_size=8, unique=True))
def test_more_load_never_lowers_a_mean_latency(make, known, lengths, one, closed, shares) -> None:
    gpu, model, quant, tp = one
    spec, params = make(gpu, model, quant, tp=tp), known()
    limit = saturation(replicas_of([spec], lengths, params), moments_of(lengths))
    top = float(limit.inflight[0] if closed else limit.rate[0])
    loads = [share * top for share in sorted(shares)]
    kwargs: dict[str, Any] = {"inflights": loads} if closed else {"rates": loads}
    rows = behaviours([spec] * len(loads), lengths, params, **kwargs)
    for metric in ("tpot", "e2e", "ttft"):
        means = [getattr(row, metric).mean for row in rows]
        for lower, higher in pairwise(means):
            assert higher >= lower * (1 - 0.02), metric
    for row in rows:
        assert row.stable
        for latency in (row.ttft, row.tpot, row.e2e):
            assert 0 < latency.p50 <= latency.p90 <= latency.p95 <= latency.p99
            assert all(math.isfinite(value) for value in (latency.mean, latency.p99))


def test_a_request_alone_takes_its_own_steps(dense, params) -> None:
    """One in flight: TPOT is the decode step of a batch of one, TTFT the front end plus its own prefill step."""
    row = behaviours([dense], CHAT, params, inflights=[1.0])[0]
    c = replicas_of([dense], CHAT, params).c
    seen = moments_of(CHAT).resident_seen
    assert row.tpot.mean == pytest.approx(float(step_seconds(c, 1.0, seen, 0.0, 0.0)[0]), rel=0.01)
    own = float(step_seconds(c, 1.0, seen, 1024.0, 512.0)[0])
    assert row.ttft.mean == pytest.approx(0.035 + own, rel=0.15)
    assert row.e2e.mean == pytest.approx(row.ttft.mean + 299 * row.tpot.mean)


def test_littles_law(dense, params) -> None:
    ways: list[dict[str, Any]] = [{"rates": [3.0]}, {"inflights": [40.0]}]
    for kwargs in ways:
        row = behaviours([dense], CHAT, params, **kwargs)[0]
        assert row.inflight == pytest.approx(row.requests_per_second * row.e2e.mean, rel=1e-6)
        assert row.output_tokens_per_second == pytest.approx(row.requests_per_second * 300)


def test_the_stated_load_is_met_exactly(dense, params) -> None:
    assert behaviours([dense], CHAT, params, rates=[3.0])[0].requests_per_second == pytest.approx(3.0)
    assert behaviours([dense], CHAT, params, inflights=[40.0])[0].inflight == pytest.approx(40.0)


def test_overload_and_misfits_are_unstable(make, dense, params) -> None:
    limit = saturation(replicas_of([dense], CHAT, params), moments_of(CHAT))
    over = behaviours([dense], CHAT, params, rates=[1.01 * float(limit.rate[0])])[0]
    assert not over.stable
    assert math.isinf(over.ttft.p95)
    assert not behaviours([dense], CHAT, params, inflights=[1.01 * float(limit.inflight[0])])[0].stable
    assert not behaviours([make("h100_sxm_80", LLAMA)], CHAT, params, rates=[0.001])[0].stable


def test_slots_are_bounded_by_scheduler_and_cache(make, params) -> None:
    few = replicas_of([make("h100_sxm_80", LLAMA, "fp8", tp=2, seqs=7)], CHAT, params)
    assert few.slots[0] == 7
    spec = make("h100_sxm_80", LLAMA, "fp8", tp=2, seqs=4096)
    table, moments = memory_table([spec]), moments_of(CHAT)
    by_hand = 0.9 * table.kv_budget[0] / (moments.resident * 327_680 / 2)
    assert replicas_of([spec], CHAT, params).slots[0] == pytest.approx(by_hand)
    worst = replicas_of([spec], Lengths(1024, 300, 8192, kv_sizing=KvSizing.WORST_CASE), params)
    assert worst.slots[0] == pytest.approx(by_hand * moments.resident / 8192)


def test_the_prefix_cache_saves_prefill_not_memory(dense, params) -> None:
    cached = Lengths(1024, 300, 8192, shared_prefix=0.8)
    assert replicas_of([dense], cached, params).slots == replicas_of([dense], CHAT, params).slots
    plain, quick = (behaviours([dense], lengths, params, rates=[3.0])[0] for lengths in (CHAT, cached))
    assert quick.ttft.mean < plain.ttft.mean
    assert quick.tpot.mean < plain.tpot.mean


def test_one_of_rates_inflights_and_users(dense, params) -> None:
    with pytest.raises(ValueError, match="one of"):
        behaviours([dense], CHAT, params)
    with pytest.raises(ValueError, match="one of"):
        behaviours([dense], CHAT, params, rates=[1.0], users=[2.0], think_s=1.0)


def test_moments_of_constant_and_lognormal_lengths() -> None:
    constant = moments_of(CHAT)
    assert (constant.input, constant.prompt_scv, constant.steps) == (1024, 0.0, 299)
    assert constant.resident == 1024 + 150
    spread = moments_of(Lengths(1024, 300, 100_000, input_p95=3000, output_p95=900))
    sigma = sigma_of(1024, 3000)
    assert spread.input == pytest.approx(1024, rel=1e-3)
    assert spread.prompt_scv == pytest.approx(math.exp(sigma**2) - 1, rel=0.15)
    assert spread.resident > 1024 + 150  # long outputs stay longer and hold more
    draws = np.random.default_rng(1).lognormal(math.log(1024) - sigma**2 / 2, sigma, 200_000)
    assert np.percentile(draws, 95) == pytest.approx(3000, rel=0.02)


def test_clipping_keeps_requests_inside_the_context() -> None:
    clipped = moments_of(Lengths(4000, 500, 4096, input_p95=9000, output_p95=1000))
    assert clipped.input + clipped.output < 4096
    assert clipped.resident < 4096


def test_gamma_quantiles() -> None:
    """Chi-square with 10 degrees of freedom: mean 10, variance 20, 95th percentile 18.307 (tables)."""
    assert gamma_quantile(10.0, 20.0, normal_score(95)) == pytest.approx(18.307, rel=0.002)
    assert gamma_quantile(10.0, 0.0, 2.0) == 10.0


def test_percentiles_interpolate_between_the_stored() -> None:
    stored = Percentiles(1.1, 1.0, 2.0, 3.0, 5.0)
    assert [stored.at(p) for p in (50, 90, 95, 99)] == [1.0, 2.0, 3.0, 5.0]
    values = [interpolate(stored, p) for p in (10, 50, 75, 90, 92, 95, 97, 99, 99.9)]
    assert values == sorted(values)
    assert 5.0 < values[-1] < 20.0
    never = Percentiles(*[math.inf] * 5)
    assert math.isinf(never.at(97))


@pytest.mark.parametrize("arrivals", [Arrivals.POISSON, Arrivals.STEADY])
@pytest.mark.parametrize(
    "lengths", [CHAT, Lengths(1024, 300, 8192, input_p95=3000, output_p95=800), Lengths(8000, 1000, 16384)]
)
def test_the_event_simulation_agrees(dense, params, arrivals, lengths) -> None:
    """At 40 % of saturation: TPOT within 10 %, TTFT within 25 % (benchmarks/closed_form.py has the whole grid)."""
    moments = moments_of(lengths)
    replica = replicas_of([dense], lengths, params)
    limit = saturation(replica, moments)
    rate, held = 0.4 * float(limit.rate[0]), round(0.4 * float(limit.inflight[0]))
    closed = arrivals is Arrivals.STEADY
    row = behaviours([dense], lengths, params, **({"inflights": [held]} if closed else {"rates": [rate]}))[0]
    cache = replica.slots[0] * moments.resident / 0.9
    limits = Settings(
        dense.max_num_seqs, dense.max_num_batched_tokens, cache, replica.frontend_s[0], replica.service_s[0]
    )
    pattern = Pattern(
        arrivals, 1200, lengths.input_mean, lengths.output_mean, concurrency=held, rate=rate,
        input_sigma=sigma_of(lengths.input_mean, lengths.input_p95),
        output_sigma=sigma_of(lengths.output_mean, lengths.output_p95),
        context_max=lengths.context_max, spread_s=row.e2e.mean,
    )  # fmt: skip
    trace = simulate(replica.c.row(0), limits, pattern)
    middle = slice(360, 1080)
    assert row.tpot.mean == pytest.approx(trace.tpot[middle].mean(), rel=0.1)
    assert row.ttft.mean == pytest.approx(trace.ttft[middle].mean(), rel=0.25)
    assert row.tpot.p95 == pytest.approx(np.percentile(trace.tpot[middle], 95), rel=0.2)
