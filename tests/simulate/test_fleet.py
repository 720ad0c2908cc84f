"""The fleet simulation: conservation, queueing theory where it is exact, pooling, outages, the same bytes."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.demand import Lengths
from optimizer.performance.step import StepCoefficients
from optimizer.simulate.draws import Stream, lengths_for, poisson, stream
from optimizer.simulate.fleet import Outage, Served, hold, serve
from optimizer.simulate.replica import Settings
from optimizer.vocabulary import Router

Floats = npt.NDArray[np.float64]


def coefficients(**fields: float) -> StepCoefficients:
    values = dict.fromkeys(StepCoefficients._fields, 0.0)
    ones = dict.fromkeys(("stages", "gemm_sharpness", "kv_sharpness", "link_sharpness", "miss"), 1.0)
    return StepCoefficients(**{**values, **ones, "window": 1e30, "chunk": 8192.0, **fields})


C = coefficients(dense_read=10e-3, dense_token=50e-6, kv_token=20e-9)
"""Something like a small model on one card."""

PER_PROMPT_TOKEN = coefficients(step_prompt_token=1e-3)
"""A step takes a millisecond per prompt token and nothing else: a replica is a plain server of prompts."""

ONE_BY_ONE = Settings(max_seqs=1, token_budget=10**6, kv_tokens=1e9, frontend_s=0.0, service_s=0.0)
ROOMY = Settings(max_seqs=64, token_budget=2048, kv_tokens=1e6, frontend_s=0.02, service_s=0.001)


def requests(arrive: Floats, prompt: Floats | float, output: Floats | float = 1.0) -> Stream:
    ones = np.ones(arrive.size)
    return Stream(arrive, ones * prompt, ones * output, 0.0 * ones)


def waits(served: Served) -> Floats:
    return served.ttft - served.prompt * 1e-3


def test_one_server_waits_like_m_d_1() -> None:
    service, load, count = 0.1, 0.6, 200_000
    arrive = poisson(load / service, count)
    served = serve(PER_PROMPT_TOKEN, ONE_BY_ONE, requests(arrive, 100.0), 1, Router.ROUND_ROBIN)
    expected = load * service / (2.0 * (1.0 - load))  # Pollaczek-Khinchine
    assert waits(served)[1000:].mean() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("servers", "load"), [(5, 0.8)])
def test_shortest_queue_of_single_slots_is_near_but_not_below_m_m_c(servers: int, load: float) -> None:
    served = _exponential(servers, load, 60_000, Router.SHORTEST_QUEUE)
    pooled = _erlang_c_wait(servers, load, 0.1)
    assert waits(served)[2000:].mean() >= 0.98 * pooled


@pytest.mark.parametrize(("servers", "load"), [(2, 0.7), (5, 0.8)])
def test_slots_of_one_replica_wait_like_m_m_c(servers: int, load: float) -> None:
    """A decode step takes 1 ms however many share it, outputs are geometric, prompts cost nothing: c servers."""
    count, mean, step = 200_000, 200.0, 1e-3
    flat = coefficients(step_fixed=step)
    slots = Settings(max_seqs=servers, token_budget=10**6, kv_tokens=1e9, frontend_s=0.0, service_s=0.0)
    output = np.random.default_rng(7).geometric(1.0 / mean, count).astype(float)
    arrive = poisson(load * servers / (mean * step), count)
    served = serve(flat, slots, requests(arrive, 1.0, output), 1, Router.ROUND_ROBIN)
    wait = (served.ttft - step)[5000:].mean()  # until admission; the first token comes a step later
    expected = _erlang_c_wait(servers, load, mean * step)
    assert wait == pytest.approx(expected, rel=0.02)


def test_pooling_never_waits_longer_than_separate_queues() -> None:
    """Common random numbers: one replica with all slots against replicas with a slot each, by batch means."""
    count, servers, load = 60_000, 4, 0.8
    prompt = np.random.default_rng(3).exponential(100.0, count)
    arrive = poisson(load * servers / 0.1, count)
    separate = serve(PER_PROMPT_TOKEN, ONE_BY_ONE, requests(arrive, prompt), servers, Router.ROUND_ROBIN)
    joined = serve(PER_PROMPT_TOKEN, ONE_BY_ONE, requests(arrive, prompt), servers, Router.SHORTEST_QUEUE)
    fewest = serve(PER_PROMPT_TOKEN, ONE_BY_ONE, requests(arrive, prompt), servers, Router.LEAST_OUTSTANDING)
    for pooled in (joined, fewest):
        difference = [part.mean() for part in np.array_split((waits(pooled) - waits(separate))[1000:], 20)]
        assert np.mean(difference) + 2.1 * np.std(difference, ddof=1) / math.sqrt(20) < 0.0


def test_more_replicas_at_the_same_load_each_never_wait_longer() -> None:
    lengths = Lengths(400, 60, 4096, input_p95=1500, output_p95=200)
    means = []
    for replicas in (1, 2, 4, 8):
        served = serve(
            C, ROOMY, stream(poisson(8.0 * replicas, 3000 * replicas), lengths), replicas, Router.ROUND_ROBIN
        )
        means.append(served.ttft[200:].mean())
    assert means == sorted(means, reverse=True)


def test_round_robin_taken_at_once_equals_arrival_by_arrival() -> None:
    """An outage after the last request makes the loop look at every arrival; round robin does not care."""
    given = stream(poisson(10.0, 2000), Lengths(600, 120, 4096, input_p95=2000, output_p95=300))
    never = Outage(given.arrive[-1] + 1e6, given.arrive[-1] + 2e6, 0, 1)
    at_once, one_by_one = (serve(C, ROOMY, given, 3, Router.ROUND_ROBIN, outage) for outage in (None, never))
    for metric in ("ttft", "tpot", "e2e"):
        a, b = getattr(at_once, metric), getattr(one_by_one, metric)
        assert np.percentile(a, (50, 95)) == pytest.approx(np.percentile(b, (50, 95)), rel=0.01)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 120),
    replicas=st.integers(1, 5),
    rate=st.floats(0.1, 200.0),
    slots=st.integers(1, 40),
    budget=st.integers(64, 4096),
    blocks=st.integers(1200, 20_000),
    router=st.sampled_from(Router),
    mixed=st.booleans(),
    reserve=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 9),
    dies=st.one_of(st.none(), st.floats(0.0, 5.0)),
)
def test_every_request_is_served_once_and_the_cache_never_overflows(
    count: int, replicas: int, rate: float, slots: int, budget: int, blocks: int, router: Router, mixed: bool,
    reserve: float, seed: int, dies: float | None,
) -> None:  # fmt: skip
    given_ = stream(poisson(rate, count, seed), Lengths(300, 40, 1100, input_p95=800, output_p95=120), seed)
    limits = Settings(slots, budget, float(blocks), 0.01, 0.001, mixed, reserve)
    outage = None if dies is None else Outage(dies, dies + 3.0, 0, max(replicas // 2, 1))
    served = serve(C, limits, given_, replicas, router, outage)
    assert (served.made == served.output).all()
    assert (served.output == given_.output).all() and (served.prompt == given_.prompt).all()
    assert served.most_kv_tokens <= blocks
    assert (served.ready >= served.arrive + 0.011 - 1e-9).all()
    assert (served.ttft > 0).all() and (served.tpot >= 0).all() and (served.e2e >= served.ttft - 1e-9).all()
    assert 0 <= served.resent <= count
    assert dies is not None or served.resent == 0


@pytest.mark.parametrize("router", Router)
def test_the_same_question_gives_the_same_bytes(router: Router) -> None:
    lengths = Lengths(600, 120, 4096, input_p95=2000, output_p95=300, shared_prefix=0.3)
    runs = [serve(C, ROOMY, stream(poisson(9.0, 1500), lengths), 3, router) for _ in range(2)]
    for name in ("ttft", "tpot", "e2e", "ready"):
        assert getattr(runs[0], name).tobytes() == getattr(runs[1], name).tobytes()


def test_a_longer_run_continues_a_shorter_one() -> None:
    lengths = Lengths(600, 120, 4096, input_p95=2000, output_p95=300)
    short, long = (stream(poisson(5.0, count), lengths) for count in (100, 200))
    for name in ("arrive", "prompt", "output"):
        assert (getattr(short, name) == getattr(long, name)[:100]).all()


def test_lengths_have_the_stated_mean_and_percentile_and_keep_the_context() -> None:
    prompt, output = lengths_for(Lengths(1000, 300, 100_000, input_p95=3000), 200_000)
    assert prompt.mean() == pytest.approx(1000, rel=0.02)
    assert np.percentile(prompt, 95) == pytest.approx(3000, rel=0.02)
    assert (output == 300).all()
    prompt, output = lengths_for(Lengths(1000, 300, 2000, input_p95=3000, output_p95=900), 50_000)
    assert (prompt + output).max() <= 2000
    assert min(prompt.min(), output.min()) >= 1


def test_held_in_flight_never_more_and_hardly_less() -> None:
    lengths = Lengths(500, 100, 4096)
    arrive = np.zeros(600)
    arrive[:12] = np.arange(12) * 0.1
    served = hold(C, ROOMY, stream(arrive, lengths), 12)
    ends = served.arrive + served.e2e
    inside = [((served.arrive <= t) & (ends > t)).sum() for t in np.linspace(5.0, np.sort(ends)[-60], 200)]
    assert max(inside) <= 12
    assert np.mean(inside) > 11.8


def test_an_outage_delays_and_the_survivors_take_over() -> None:
    given_ = stream(poisson(20.0, 2000), Lengths(500, 100, 4096))
    calm = serve(C, ROOMY, given_, 3, Router.LEAST_OUTSTANDING)
    hit = serve(C, ROOMY, given_, 3, Router.LEAST_OUTSTANDING, Outage(20.0, 40.0, 0, 1))
    alone = serve(C, ROOMY, given_, 1, Router.LEAST_OUTSTANDING, Outage(20.0, 40.0, 0, 1))
    assert hit.resent > 0
    assert hit.ttft.max() > calm.ttft.max()
    before = given_.arrive < 15.0
    assert (hit.ttft[before] == calm.ttft[before]).all()
    down = (given_.arrive > 20.0) & (given_.arrive < 40.0)
    assert (given_.arrive + alone.ttft)[down].min() > 40.0  # nobody is there to answer


def _exponential(servers: int, load: float, count: int, router: Router) -> Served:
    prompt = np.random.default_rng(5).exponential(100.0, count)
    arrive = poisson(load * servers / 0.1, count)
    return serve(PER_PROMPT_TOKEN, ONE_BY_ONE, requests(arrive, prompt), servers, router)


def _erlang_c_wait(servers: int, load: float, service: float) -> float:
    """Mean wait of M/M/c."""
    offered = servers * load
    blocked = 1.0
    for k in range(1, servers + 1):  # Erlang B recursion
        blocked = offered * blocked / (k + offered * blocked)
    waiting = blocked / (1.0 - load * (1.0 - blocked))
    return waiting * service / (servers * (1.0 - load))
