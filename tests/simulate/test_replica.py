"""The event simulation of one replica, against what can be worked out by hand."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.performance.step import StepCoefficients, step_seconds
from optimizer.simulate.replica import Arrivals, Pattern, ReplicaTrace, Settings, draw_lengths, simulate


def coefficients(**fields: float) -> StepCoefficients:
    values = dict.fromkeys(StepCoefficients._fields, 0.0)
    ones = dict.fromkeys(("stages", "gemm_sharpness", "kv_sharpness", "link_sharpness", "miss"), 1.0)
    base = {"window": 1e30, "chunk": 8192.0, "dense_read": 10e-3, "dense_token": 50e-6, "kv_token": 20e-9}
    return StepCoefficients(**{**values, **ones, **base, **fields})


C = coefficients()
ROOMY = Settings(max_seqs=256, token_budget=8192, kv_tokens=1e6, frontend_s=0.02, service_s=0.001)


def run(pattern: Pattern, settings: Settings = ROOMY, c: StepCoefficients = C) -> ReplicaTrace:
    return simulate(c, settings, pattern)


def test_one_request_alone() -> None:
    trace = run(Pattern(Arrivals.BURST, 1, 1000, 101))
    prefill = step_seconds(C, 0.0, 0.0, 1000.0, 500.0)
    assert trace.ttft[0] == pytest.approx(0.021 + prefill)
    middle = step_seconds(C, 1.0, 1000.0 + 51, 0.0, 0.0)
    assert trace.tpot[0] == pytest.approx(middle, rel=1e-4)
    assert trace.output_tokens_per_second == pytest.approx(101 / trace.e2e[0])


def test_a_long_prompt_is_worked_off_in_chunks() -> None:
    trace = run(Pattern(Arrivals.BURST, 1, 20000, 2))
    chunks = [(8192, 4096), (8192, 8192 + 4096), (3616, 16384 + 1808)]
    prefill = sum(step_seconds(C, 0.0, 0.0, float(n), float(at)) for n, at in chunks)
    assert trace.ttft[0] == pytest.approx(0.021 + prefill)


def test_decoding_shares_steps_with_prompts_only_where_the_engine_mixes() -> None:
    pattern = Pattern(Arrivals.BURST, 40, 2000, 100, concurrency=8)
    mixed = run(pattern)
    first = simulate(C, Settings(256, 8192, 1e6, 0.02, 0.001, mixed=False), pattern)
    assert first.tpot.mean() > mixed.tpot.mean()


def test_a_full_cache_holds_requests_back_and_all_still_finish() -> None:
    pattern = Pattern(Arrivals.BURST, 40, 1000, 400, concurrency=20)
    tight = simulate(C, Settings(256, 8192, 6000, 0.02, 0.001), pattern)
    reserved = simulate(C, Settings(256, 8192, 6000, 0.02, 0.001, reserve=1.0), pattern)
    for trace in (tight, reserved):
        assert np.isfinite(trace.e2e).all()
        assert (trace.e2e > 0).all()
        assert trace.ttft.mean() > 3 * run(pattern).ttft.mean()
        assert trace.output.sum() == 40 * 400


def test_polling_the_queue_seldom_delays_first_tokens() -> None:
    pattern = Pattern(Arrivals.BURST, 80, 500, 200, concurrency=8, length_low=0.8)
    lazy = simulate(C, Settings(256, 8192, 1e6, 0.02, 0.001, poll_steps=30), pattern)
    assert lazy.ttft.mean() > 1.5 * run(pattern).ttft.mean()


def test_the_front_end_is_a_queue() -> None:
    settings = Settings(256, 100000, 1e6, 0.0, 0.5)
    trace = simulate(C, settings, Pattern(Arrivals.BURST, 4, 100, 2, concurrency=4))
    assert trace.ttft[3] > 2.0


def test_light_poisson_load_sees_little_waiting_and_carries_the_rate() -> None:
    trace = run(Pattern(Arrivals.POISSON, 400, 500, 50, rate=1.0))
    alone = run(Pattern(Arrivals.BURST, 1, 500, 50))
    assert trace.ttft.mean() < 1.6 * alone.ttft[0]
    assert trace.output_tokens_per_second == pytest.approx(50.0, rel=0.15)


def test_same_question_same_answer() -> None:
    pattern = Pattern(Arrivals.POISSON, 200, 700, 120, rate=4.0, input_sigma=0.5, output_sigma=0.5)
    assert (run(pattern).ttft == run(pattern).ttft).all()


@given(st.floats(1, 4000), st.floats(1, 4000), st.floats(0.5, 1.0), st.integers(1, 300))
def test_drawn_lengths_keep_their_bounds(inputs: float, outputs: float, low: float, count: int) -> None:
    pattern = Pattern(Arrivals.BURST, count, inputs, outputs, length_low=low, context_max=5000)
    prompt, output = draw_lengths(pattern, count)
    assert (prompt >= 1).all()
    assert (output >= 1).all()
    assert (prompt + output <= 5000).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 64), st.integers(1, 3000), st.integers(2, 300), st.floats(3400, 20000), st.booleans())
def test_every_request_ends_in_order_of_its_stages(
    slots: int, inputs: int, outputs: int, kv: float, mixed: bool
) -> None:
    limits = Settings(32, 2048, kv, 0.01, 0.001, mixed=mixed)
    trace = simulate(C, limits, Pattern(Arrivals.BURST, 2 * slots, inputs, outputs, concurrency=slots))
    assert (trace.ttft > 0).all()
    assert (trace.tpot > 0).all()
    assert (trace.e2e >= trace.ttft * (1 - 1e-12)).all()


def test_the_time_of_a_run_grows_with_its_requests(grows_with) -> None:
    few, many = (Pattern(Arrivals.BURST, n, 1024, 1024, concurrency=32, length_low=0.8) for n in (640, 6400))
    grows_with(lambda: run(few), lambda: run(many), 10)


def test_without_numba_the_same_source_gives_the_same_numbers() -> None:
    pattern = "Pattern(Arrivals.BURST, 12, 300, 40, concurrency=4, length_low=0.8)"
    fields = ", ".join(f"{name}={value!r}" for name, value in C._asdict().items())
    script = (
        "import sys; sys.modules['numba'] = None\n"
        "from optimizer.performance.step import StepCoefficients\n"
        "from optimizer.simulate.replica import *\n"
        f"c = StepCoefficients({fields})\n"
        f"print(repr(float(simulate(c, Settings(256, 8192, 1e6, 0.02, 0.001), {pattern}).ttft.sum())))\n"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    compiled = run(Pattern(Arrivals.BURST, 12, 300, 40, concurrency=4, length_low=0.8)).ttft.sum()
    assert float(shown) == pytest.approx(float(compiled), rel=1e-9)


def test_the_room_is_cheap_to_import() -> None:
    script = "import sys, optimizer.simulate.replica; assert 'numba' not in sys.modules and 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
