"""Sessions served by exact LRU caches: against a slow count by blocks, against the closed form, and their limits."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest

from optimizer.demand import Gap, Lengths
from optimizer.performance.retention import prefix_curve
from optimizer.performance.step import StepCoefficients
from optimizer.simulate.fleet import Outage, Served
from optimizer.simulate.replica import Settings
from optimizer.simulate.sessions import SessionPlan, arriving, attend, of_people
from optimizer.vocabulary import Router

BLOCK = 16


def coefficients(**fields: float) -> StepCoefficients:
    values = dict.fromkeys(StepCoefficients._fields, 0.0)
    ones = dict.fromkeys(("stages", "gemm_sharpness", "kv_sharpness", "link_sharpness", "miss"), 1.0)
    return StepCoefficients(**{**values, **ones, "window": 1e30, "chunk": 8192.0, **fields})


C = coefficients(dense_read=10e-3, dense_token=20e-6, kv_token=5e-9)
TURNS = 4
LENGTHS = Lengths(1_024, 64, 8_192, shared_prefix=0.6, requests_per_prefix=TURNS, prefix_gap=Gap(mean_s=20.0))


def settings(kv_tokens: float) -> Settings:
    return Settings(max_seqs=256, token_budget=4_096, kv_tokens=kv_tokens, frontend_s=0.02, service_s=0.001)


def run(
    kv_tokens: float, count: int = 3_000, replicas: int = 2, router: Router = Router.PREFIX_AFFINITY,
    lengths: Lengths = LENGTHS, rate: float = 4.0, outage: Outage | None = None,
) -> Served:  # fmt: skip
    plan = arriving(lengths, rate, count, 2.0, replicas)
    return attend(C, settings(kv_tokens), plan, replicas, router, outage)


def hit_rate(served: Served, skip: int = 600) -> float:
    return float(served.found[skip:].sum() / served.prompt[skip:].sum())


def counted_block_by_block(served: Served, plan: SessionPlan, kv_tokens: float, sessions: list[int]) -> list[float]:
    """One replica, from what happened to each request: blocks in an ordered dictionary, pinned while they run.

    Events in the order of the clock: admissions take blocks over and pin them, ends let them go from tail to head. Of
    a running answer room is taken as it grows.
    """
    idle: OrderedDict[tuple[int, int], int] = OrderedDict()  # (request, position) -> tokens, least recent first
    events = sorted([(t, 1, i) for i, t in enumerate(served.admit)] + [(t, 0, i) for i, t in enumerate(served.finish)])
    running: dict[int, float] = {}
    before: dict[int, int] = {}
    found = [0.0] * served.prompt.size
    for now, starts, i in events:
        if starts:
            prior = before.pop(sessions[i], None)
            head = 0
            if prior is not None:
                limit = int(plan.share * served.prompt[i]) // BLOCK
                while head < limit and (prior, head) in idle:
                    head += 1
                for position in range(head):
                    del idle[prior, position]
            found[i] = head * BLOCK
            running[i] = now
        else:
            del running[i]
            blocks = int((served.prompt[i] + served.output[i]) // BLOCK)
            for position in reversed(range(blocks)):
                idle[i, position] = BLOCK
            before[sessions[i]] = i
        used = 0.0
        for j in running:
            life = max(served.finish[j] - served.first[j], 1e-9)
            used += served.prompt[j] + served.output[j] * min(max((now - served.first[j]) / life, 0.0), 1.0)
        while used + BLOCK * len(idle) > kv_tokens and idle:
            idle.popitem(last=False)
    return found


@pytest.mark.parametrize("contexts", [8, 20, 40])
def test_hits_are_those_of_blocks_counted_one_by_one(contexts: int) -> None:
    kv_tokens = contexts * 1_088.0
    plan = arriving(LENGTHS, 1.5, 1_200, 2.0, 1)
    served = attend(C, settings(kv_tokens), plan, 1, Router.PREFIX_AFFINITY)
    sessions = sessions_of(served, plan)
    counted = counted_block_by_block(served, plan, kv_tokens, sessions)
    assert sum(counted) == pytest.approx(float(served.found.sum()), rel=0.03)
    same = sum(abs(one - other) < 1.0 for one, other in zip(counted, served.found.tolist(), strict=True))
    assert same >= 0.95 * len(counted)


def sessions_of(served: Served, plan: SessionPlan) -> list[int]:
    """Which session each request is of, told from when it came: a gap after an answer, or a start."""
    ends = np.argsort(served.finish, kind="stable")
    due = {round(float(served.finish[i] + plan.gaps[n]), 9): int(i) for n, i in enumerate(ends)}
    sessions: list[int] = []
    fresh = 0
    for arrival in served.arrive.tolist():
        prior = due.get(round(arrival, 9))
        if prior is None:
            fresh -= 1
        sessions.append(fresh if prior is None else sessions[prior])
    return sessions


def test_with_memory_to_spare_everything_that_could_be_is_found() -> None:
    assert hit_rate(run(1e9)) == pytest.approx(LENGTHS.shared_prefix, abs=0.02)


def test_without_room_beside_what_runs_nothing_is_found() -> None:
    assert hit_rate(run(1_200.0, count=800, rate=1.0), 100) < 0.1


@pytest.mark.parametrize("contexts", [40, 80, 160, 400])
def test_it_agrees_with_the_closed_form_where_a_replica_holds_30_contexts(contexts: int) -> None:
    served = run(contexts * 1_088.0, count=8_000)
    inflight = 2.0 * float(served.e2e[2_000:].mean())
    free = contexts * 1_088.0 - (inflight + 2.33 * inflight**0.5) * 1_056
    said = float(prefix_curve(LENGTHS, 1_024, 1_024**2, 64).hit_rate(free, 2.0))
    assert hit_rate(served, 2_000) == pytest.approx(said, abs=0.06)


def test_hits_rise_with_memory_and_fall_with_the_gap() -> None:
    by_memory = [hit_rate(run(contexts * 1_088.0)) for contexts in (10, 30, 90, 300)]
    assert by_memory == sorted(by_memory)
    by_gap = [
        hit_rate(run(60 * 1_088.0, lengths=replace(LENGTHS, prefix_gap=Gap(mean_s=gap)))) for gap in (2.0, 20.0, 200.0)
    ]
    assert by_gap == sorted(by_gap, reverse=True)
    assert by_gap[0] > by_gap[-1] + 0.3


@pytest.mark.parametrize("replicas", [2, 4])
def test_sessions_that_stick_find_more_than_those_dealt_round(replicas: int) -> None:
    sticky, dealt = (
        hit_rate(run(200 * 1_088.0, replicas=replicas, router=router))
        for router in (Router.PREFIX_AFFINITY, Router.ROUND_ROBIN)
    )
    assert sticky > dealt + 0.05


def test_what_round_robin_finds_with_memory_to_spare_follows_from_the_turns_before() -> None:
    """Of R replicas the j-th turn has met one of its j - 1 forerunners with chance 1 - (1 - 1/R)^(j - 1)."""
    served = run(1e9, count=12_000, replicas=4, router=Router.LEAST_OUTSTANDING)
    part = LENGTHS.shared_prefix * TURNS / (TURNS - 1)
    chance = sum(1.0 - 0.75**before for before in range(TURNS)) / TURNS
    assert hit_rate(served, 2_000) == pytest.approx(part * chance, abs=0.04)


def test_every_request_is_served_once_at_the_rate_asked_for() -> None:
    served = run(300 * 1_088.0, count=6_000)
    assert (served.made == served.output).all()
    assert (np.diff(served.arrive) >= 0.0).all()
    assert (served.found % BLOCK == 0.0).all()
    assert 4_000 / (served.arrive[5_000] - served.arrive[1_000]) == pytest.approx(4.0, rel=0.08)


def test_people_ask_one_question_at_a_time_and_in_sessions() -> None:
    plan = of_people(LENGTHS, 50, 4_000, 2.0, 2)
    served = attend(C, settings(1e9), plan, 2, Router.PREFIX_AFFINITY)
    moments = np.concatenate([served.arrive, served.finish])
    order = np.lexsort((np.repeat([1, -1], served.arrive.size), moments))
    assert int(np.cumsum(np.repeat([1, -1], served.arrive.size)[order]).max()) <= 50
    rate = 3_000 / (served.arrive[3_500] - served.arrive[500])
    assert rate == pytest.approx(50 / (20.0 + served.e2e.mean()), rel=0.05)
    assert hit_rate(served) == pytest.approx(LENGTHS.shared_prefix, abs=0.03)


def test_a_replica_that_dies_loses_its_cache_and_no_request() -> None:
    calm, broken = run(1e9, count=2_000), run(1e9, count=2_000, outage=Outage(200.0, 260.0, 0, 1))
    assert (broken.made == broken.output).all()
    right_after = [(one.arrive > 200.0) & (one.arrive < 220.0) for one in (calm, broken)]
    before, after = (
        one.found[at].sum() / one.prompt[at].sum() for one, at in zip((calm, broken), right_after, strict=True)
    )
    assert after < before - 0.1


def test_the_same_question_gets_the_same_answer() -> None:
    one, other = run(90 * 1_088.0, count=1_000), run(90 * 1_088.0, count=1_000)
    assert (one.finish == other.finish).all()
