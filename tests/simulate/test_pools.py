"""Two pools, hand-checked: rounds, hand-over, slots, and the laws that every run obeys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optimizer.simulate.pools import Between, DecodePool, PrefillPool, RoundTimes, simulate_pools
from optimizer.simulate.replica import Arrivals, Pattern

SIZES = np.array([1000.0, 8000.0])
ONE = PrefillPool(1, 1, 8000.0, RoundTimes(SIZES, np.array([0.1, 0.8]), np.array([0.1, 0.8])))
FOUR_RANKS = PrefillPool(1, 4, 1000.0, RoundTimes(SIZES, np.array([0.1, 0.8]), np.array([0.4, 3.2])))
QUICK = Between(0.0, 0.0, 0.0, 0.0)


def decode(slots: int, step: float = 0.01, workers: int = 1) -> DecodePool:
    return DecodePool(workers, slots, (step,) * (slots + 1), (0.0,) * (slots + 1))


def burst(count: int, held: int, output: float = 101) -> Pattern:
    return Pattern(Arrivals.BURST, count, 1000.0, output, concurrency=held)


def test_a_lone_request_is_its_prompt_the_way_over_and_a_step_for_every_token() -> None:
    way = Between(frontend_s=0.03, service_s=0.002, handoff_s=0.1, kv_s_per_token=1e-5)
    trace = simulate_pools(ONE, decode(4), way, burst(1, 1))
    assert trace.ttft[0] == pytest.approx(0.002 + 0.03 + 0.1 + 0.1 + 0.01 + 0.01)
    assert trace.tpot[0] == pytest.approx(0.01)
    assert trace.e2e[0] == pytest.approx(trace.ttft[0] + 100 * 0.01)
    assert trace.output_tokens_per_second == pytest.approx(101 / trace.e2e[0])


def test_prompts_of_one_rank_share_a_step_up_to_its_budget_and_queue_beyond_it() -> None:
    """Nine prompts of 1,000 tokens at once on a budget of 8,000: the first alone, for it found nobody, then eight."""
    trace = simulate_pools(ONE, decode(16), QUICK, burst(9, 9, output=2))
    assert sorted(set(np.round(trace.ttft, 6))) == [pytest.approx(0.11), pytest.approx(0.91)]
    assert int(np.sum(trace.ttft < 0.2)) == 1


def test_a_round_of_all_ranks_lasts_longer_than_that_of_one() -> None:
    """The first of five prompts has the experts of all four ranks to itself, the other four share a full round."""
    trace = simulate_pools(FOUR_RANKS, decode(16), QUICK, burst(5, 5, output=2))
    assert sorted(np.round(trace.ttft, 6)) == [pytest.approx(0.11), *[pytest.approx(0.51)] * 4]


def test_each_busy_rank_adds_alike() -> None:
    rounds = FOUR_RANKS.rounds
    found = [rounds.seconds(1000.0, busy, 4) for busy in (1, 2, 3, 4)]
    assert found == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert ONE.rounds.seconds(4500.0, 1, 1) == pytest.approx(0.45)


def test_beyond_the_slots_first_tokens_wait_as_littles_law_says() -> None:
    """Section 9 of the serving notes: 192 clients, 128 slots; TTFT = c / X - (out - 1) TPOT."""
    pattern = replace(burst(1920, 192, output=922), length_low=0.8)
    trace = simulate_pools(ONE, decode(32, workers=4), QUICK, pattern)
    tpot = float(trace.tpot.mean())
    speed = len(trace.ttft) / trace.duration
    assert float(trace.ttft.mean()) == pytest.approx(192 / speed - 921 * tpot, rel=0.1)
    assert speed <= 128 / (921 * tpot)


def test_requests_go_to_the_decode_worker_with_the_fewest() -> None:
    """A step as long as its requests are many: two workers of one each are twice as fast as one of two."""
    slow = DecodePool(2, 4, tuple(0.01 * max(n, 1) for n in range(5)), (0.0,) * 5)
    assert simulate_pools(ONE, slow, QUICK, burst(2, 2)).tpot == pytest.approx([0.01, 0.01])
    assert simulate_pools(ONE, replace(slow, workers=1), QUICK, burst(8, 2)).tpot.max() > 0.015


def test_several_tokens_a_step_take_fewer_steps() -> None:
    one = simulate_pools(ONE, decode(1), QUICK, burst(3, 1))
    two = simulate_pools(ONE, replace(decode(1), advance=2.0), QUICK, burst(3, 1))
    assert two.tpot == pytest.approx(one.tpot / 2, rel=1e-6)


def test_the_cache_that_a_request_holds_grows_and_is_given_back() -> None:
    """A step of 1 us per token held: 1,000 of the prompt and half of 100 on average."""
    growing = DecodePool(1, 1, (0.0, 0.0), (0.0, 1e-6))
    trace = simulate_pools(ONE, growing, QUICK, burst(3, 1))
    assert trace.tpot == pytest.approx([1e-6 * 1051] * 3, rel=0.01)


@pytest.mark.parametrize("arrivals", list(Arrivals))
def test_every_request_ends_and_the_same_question_has_the_same_answer(arrivals: Arrivals) -> None:
    pattern = replace(burst(60, 12), arrivals=arrivals, rate=4.0, spread_s=1.0, length_low=0.8)
    way = Between(0.03, 0.001, 0.05, 1e-6)
    first, second = (simulate_pools(FOUR_RANKS, decode(8), way, pattern) for _ in range(2))
    assert len(first.ttft) == 60
    assert np.isfinite(first.e2e).all()
    assert (first.ttft > 0.13).all()
    assert (first.e2e >= first.ttft).all()
    assert (first.ttft == second.ttft).all()


def test_a_client_with_a_rate_and_a_cap_lets_no_more_be_in_flight() -> None:
    pattern = Pattern(Arrivals.POISSON, 40, 1000.0, 101.0, rate=1000.0, cap=2)
    trace = simulate_pools(ONE, decode(8), QUICK, pattern)
    assert trace.duration >= 40 / 2 * 0.9
