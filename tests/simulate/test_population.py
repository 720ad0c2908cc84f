"""A closed population replayed: N / (Z + R) to the letter, never more in flight than people, and its limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.performance.step import StepCoefficients
from optimizer.simulate.draws import Stream, first_questions, thinking
from optimizer.simulate.fleet import Outage, Served, Talk, converse, hold
from optimizer.simulate.replica import Settings
from optimizer.vocabulary import Router


def coefficients(**fields: float) -> StepCoefficients:
    values = dict.fromkeys(StepCoefficients._fields, 0.0)
    ones = dict.fromkeys(("stages", "gemm_sharpness", "kv_sharpness", "link_sharpness", "miss"), 1.0)
    return StepCoefficients(**{**values, **ones, "window": 1e30, "chunk": 8192.0, **fields})


C = coefficients(dense_read=10e-3, dense_token=50e-6, kv_token=20e-9)
ROOMY = Settings(max_seqs=512, token_budget=2048, kv_tokens=1e6, frontend_s=0.02, service_s=0.001)


def talk(users: int, think: float, count: int, replicas: int = 2, router: Router = Router.ROUND_ROBIN) -> Served:
    ones = np.ones(count)
    requests = Stream(np.zeros(count), 300.0 * ones, 100.0 * ones, 0.0 * ones)
    people = Talk(first_questions(users, think + 2.0), thinking(think, count))
    return converse(C, ROOMY, requests, people, replicas, router)


def most_in_flight(served: Served) -> int:
    moments = np.concatenate([served.arrive, served.finish])
    order = np.lexsort((np.repeat([1, -1], served.arrive.size), moments))  # an answer ends before the next question
    return int(np.cumsum(np.repeat([1, -1], served.arrive.size)[order]).max())


@pytest.mark.parametrize(("users", "think", "replicas"), [(60, 5.0, 2), (200, 30.0, 4), (40, 0.5, 2), (5, 2.0, 1)])
def test_people_ask_as_often_as_waiting_and_thinking_let_them(users: int, think: float, replicas: int) -> None:
    """X = N / (Z + R) within 2 %."""
    count = max(12_000, 40 * users)
    served = talk(users, think, count, replicas)
    middle = slice(count // 6, count - count // 6)
    rate = (middle.stop - middle.start) / (served.arrive[middle.stop] - served.arrive[middle.start])
    assert rate == pytest.approx(users / (think + served.e2e[middle].mean()), rel=0.02)


@settings(max_examples=15, deadline=None)
@given(users=st.integers(1, 80), think=st.floats(0.0, 20.0), replicas=st.integers(1, 4), router=st.sampled_from(Router))
def test_never_more_in_flight_than_people(users: int, think: float, replicas: int, router: Router) -> None:
    served = talk(users, think, 400, replicas, router)
    assert (np.diff(served.arrive) >= 0).all()
    assert (served.finish > served.arrive).all()
    assert (served.made == served.output).all()
    assert most_in_flight(served) <= users


def test_people_who_never_think_hold_their_number_in_flight() -> None:
    users, count = 20, 4000
    served = talk(users, 0.0, count, 1)
    ones, arrive = np.ones(count), np.zeros(count)
    arrive[:users] = first_questions(users, 2.0)
    held = hold(C, ROOMY, Stream(arrive, 300.0 * ones, 100.0 * ones, 0.0 * ones), users)
    assert served.e2e[500:3500].mean() == pytest.approx(held.e2e[500:3500].mean(), rel=0.02)


def test_more_people_wait_longer_and_the_same_people_the_same() -> None:
    few, many = talk(40, 5.0, 6000), talk(160, 5.0, 6000)
    assert few.e2e[1000:].mean() < many.e2e[1000:].mean()
    assert (talk(40, 5.0, 6000).finish == few.finish).all()


def test_people_wait_out_an_outage_and_none_is_lost() -> None:
    """Those who wait do not ask again, so the queue never holds more than the people there are."""
    ones, users, think = np.ones(3000), 60, 5.0
    requests = Stream(np.zeros(3000), 300.0 * ones, 100.0 * ones, 0.0 * ones)
    people = Talk(first_questions(users, think + 2.0), thinking(think, 3000))
    for replicas in (1, 2):
        gone = Outage(60.0, 120.0, 0, 1)
        served = converse(C, ROOMY, requests, people, replicas, Router.ROUND_ROBIN, gone)
        assert served.resent > 0
        assert (served.made == served.output).all()
        assert most_in_flight(served) <= users
        away = (served.finish > 61.0) & (served.finish < 119.0)
        assert away.any() == (replicas > 1)
        waited = served.e2e[(served.arrive > 61.0) & (served.arrive < 110.0)]
        calm = served.e2e[served.arrive < 50.0].mean()
        assert replicas == 1 or waited.mean() > calm
