"""Sessions whose contexts grow, served by exact LRU caches: against blocks counted one by one, the closed form, the
same sessions stated as a shared prefix, and their limits."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest

from optimizer.demand import Gap, Lengths, SessionLengths, Spread, mean_gap
from optimizer.performance.session_retention import growing_curve
from optimizer.performance.step import StepCoefficients
from optimizer.session_turns import means_of
from optimizer.simulate.fleet import Served
from optimizer.simulate.replica import Settings
from optimizer.simulate.sessions import SessionPlan, arriving, attend, of_people
from optimizer.vocabulary import Router

BLOCK = 16
LONGEST = 16_384
VALUES = {**dict.fromkeys(StepCoefficients._fields, 0.0), "window": 1e30, "chunk": 8192.0}
ONES = dict.fromkeys(("stages", "gemm_sharpness", "kv_sharpness", "link_sharpness", "miss"), 1.0)
C = StepCoefficients(**{**VALUES, **ONES, "dense_read": 10e-3, "dense_token": 20e-6, "kv_token": 5e-9})
CHAT = SessionLengths(
    turns=Spread(8),
    first=Spread(1_000, 90.0, 2_000),
    fresh=Spread(300, 50.0, 200),
    output=Spread(80, 90.0, 150),
    gaps=(Gap(p50_s=9, p90_s=71, share=0.8), Gap(p50_s=40, p90_s=200, share=0.2)),
    shared=512,
    carry=0.97,
)


def lengths(sessions: SessionLengths = CHAT) -> Lengths:
    means = means_of(sessions, LONGEST)
    return Lengths(means.input, means.output, LONGEST, shared_prefix=means.reachable, sessions=sessions)


CONTEXT = lengths().input_mean + lengths().output_mean


def settings(kv_tokens: float) -> Settings:
    return Settings(max_seqs=256, token_budget=4_096, kv_tokens=kv_tokens, frontend_s=0.02, service_s=0.001)


def run(
    contexts: float,
    sessions: SessionLengths = CHAT,
    router: Router = Router.PREFIX_AFFINITY,
    count: int = 8_000,
    *,
    warm: bool = False,
) -> Served:
    plan = arriving(lengths(sessions), 4.0, count, 2.0, 2)
    return attend(C, settings(contexts * CONTEXT), plan, 2, router, warm=warm)


def hit_rate(served: Served, skip: int = 2_500) -> float:
    return float(served.found[skip:].sum() / served.prompt[skip:].sum())


def counted(served: Served, plan: SessionPlan, kv_tokens: float, *, warm: bool) -> list[float]:
    """One replica, from what happened to each request: blocks in an ordered dictionary, pinned while they run. Requests
    of before have negative numbers."""
    assert plan.grown is not None
    shared = [("shared", position) for position in range(int(plan.grown.shared) // BLOCK)]
    reach = dict(zip(zip(plan.grown.sent, plan.grown.answered, strict=True), plan.grown.reach, strict=True))
    session, before = sessions_of(served, plan), dict[int, int]()
    idle: OrderedDict[object, int] = OrderedDict()  # least recent first
    running: dict[int, float] = {}
    found = [0.0] * served.prompt.size
    grown, earlier = plan.grown, dict[int, float]()
    first = {round(float(when), 9): number for number, when in enumerate(plan.first)}
    asks = {first[round(t, 9)]: i for i, t in enumerate(served.arrive.tolist()) if round(t, 9) in first}
    for n, place in enumerate(grown.held.place if warm else ()):
        own = int((grown.sent[place] + grown.answered[place] - grown.shared) // BLOCK)
        idle.update({(-1 - n, position): BLOCK for position in reversed(range(own))})
        earlier[-1 - n] = float(grown.reach[place])
        if grown.held.lives[n] and grown.held.session[n] in asks:
            before[session[asks[grown.held.session[n]]]] = -1 - n
    if warm:
        idle.update(dict.fromkeys(reversed(shared), BLOCK))
    while BLOCK * len(idle) > kv_tokens:
        idle.popitem(last=False)
    events = sorted([(t, 1, i) for i, t in enumerate(served.admit)] + [(t, 0, i) for i, t in enumerate(served.finish)])
    for now, starts, i in events:
        if starts:
            common = len(shared) if running else next((n for n, b in enumerate(shared) if b not in idle), len(shared))
            for block in shared:
                idle.pop(block, None)
            prior, head = before.pop(session[i], None), 0
            if prior is not None:
                left = reach[served.prompt[prior], served.output[prior]] if prior >= 0 else earlier[prior]
                limit = int(left // BLOCK)
                while head < limit and (prior, head) in idle:
                    del idle[prior, head]
                    head += 1
            found[i] = (common + head) * BLOCK
            running[i] = now
        else:
            del running[i]
            own = int((served.prompt[i] + served.output[i] - plan.grown.shared) // BLOCK)
            idle.update({(i, position): BLOCK for position in reversed(range(own))})
            if not running:
                idle.update(dict.fromkeys(reversed(shared), BLOCK))
            before[session[i]] = i
        used = 0.0
        for j in running:
            life = max(served.finish[j] - served.first[j], 1e-9)
            used += served.prompt[j] + served.output[j] * min(max((now - served.first[j]) / life, 0.0), 1.0)
        while used + BLOCK * len(idle) > kv_tokens and idle:
            idle.popitem(last=False)
    return found


def sessions_of(served: Served, plan: SessionPlan) -> list[int]:
    """Which session each request is of, told from when it came: a gap after an answer, or a start."""
    ends = np.argsort(served.finish, kind="stable")
    due = {round(float(served.finish[i] + plan.gaps[n]), 9): int(i) for n, i in enumerate(ends)}
    sessions: list[int] = []
    for number, arrival in enumerate(served.arrive.tolist()):
        prior = due.get(round(arrival, 9))
        sessions.append(number if prior is None else sessions[prior])
    return sessions


@pytest.mark.parametrize(("contexts", "warm"), [(4, False), (15, False), (15, True), (60, False), (60, True)])
def test_hits_are_those_of_blocks_counted_one_by_one(contexts: int, warm: bool) -> None:
    plan = arriving(lengths(), 1.0, 1_200, 2.0, 1)
    served = attend(C, settings(contexts * CONTEXT), plan, 1, Router.PREFIX_AFFINITY, warm=warm)
    blocks = counted(served, plan, contexts * CONTEXT, warm=warm)
    assert sum(blocks) == pytest.approx(float(served.found.sum()), rel=0.03)
    same = sum(abs(one - other) <= BLOCK for one, other in zip(blocks, served.found.tolist(), strict=True))
    assert same >= 0.95 * len(blocks)


@pytest.mark.parametrize("groups", [1, 30, 1_000])
@pytest.mark.parametrize("contexts", [40, 100, 400])
def test_it_agrees_with_the_closed_form_where_a_replica_holds_30_contexts(contexts: int, groups: int) -> None:
    sessions = replace(CHAT, groups=groups)
    served = run(contexts, sessions)
    inflight = 2.0 * float(served.e2e[2_000:].mean())
    free = contexts * CONTEXT - (inflight + 2.33 * inflight**0.5) * CONTEXT
    said = float(growing_curve(sessions, LONGEST).hit_rate(free, 2.0))
    assert hit_rate(served) == pytest.approx(said, abs=0.06)


def test_documents_asked_for_unlike_often_agree_with_the_closed_form() -> None:
    """Each session is about one of 400 documents, of which a tenth is asked for by 59 % of the sessions."""
    sessions = replace(CHAT, turns=Spread(2), shared=6_000, groups=400, top_share=0.59)
    context = lengths(sessions).input_mean + lengths(sessions).output_mean
    said = growing_curve(sessions, LONGEST).hit_rate(60 * CONTEXT, 2.0)
    found = hit_rate(run(60, sessions))
    assert 15 * context < 60 * CONTEXT and 0.2 < found < means_of(sessions, LONGEST).reachable - 0.1
    assert found == pytest.approx(float(said), abs=0.04)


@pytest.mark.parametrize("groups", [1, 30])
@pytest.mark.parametrize("contexts", [10, 100, 400])
def test_caches_begin_with_what_sessions_left_before(contexts: int, groups: int) -> None:
    """The first requests find what all later ones do, where empty caches would have them read everything again."""
    sessions = replace(CHAT, groups=groups)
    served, cold = (run(contexts, sessions, warm=warm) for warm in (True, False))

    def found(one: Served, part: slice) -> float:
        return float(one.found[part].sum() / one.prompt[part].sum())

    begin, later = slice(0, 500), slice(2_500, None)
    assert found(served, later) == pytest.approx(found(cold, later), abs=0.02)
    assert found(served, begin) == pytest.approx(found(served, later), abs=0.06)
    if contexts >= 100:
        assert found(cold, begin) < found(served, begin) - 0.1


def test_people_whose_contexts_all_fit_meet_no_pile_of_work_at_the_beginning() -> None:
    """600 callers ten seconds apart on one replica that reads what is new with ease, but not all of it at once."""
    call = SessionLengths(Spread(10), Spread(100), Spread(40), Spread(60), (Gap(p50_s=8, p90_s=20),), shared=1_000)
    plan = of_people(lengths(call), 600, 6_000, 1.0, 1)
    slower = C._replace(dense_token=40e-6)
    served, cold = (attend(slower, settings(3e6), plan, 1, Router.PREFIX_AFFINITY, warm=warm) for warm in (True, False))
    begin, later = slice(0, 1_000), slice(4_000, None)
    assert np.percentile(served.ttft[begin], 95) < 1.5 * np.percentile(served.ttft[later], 95)
    assert np.percentile(cold.ttft[begin], 95) > 3.0 * np.percentile(cold.ttft[later], 95)


def test_drawn_turns_are_as_long_as_the_laws_say() -> None:
    served = run(400)
    assert float(served.prompt.mean()) == pytest.approx(lengths().input_mean, rel=0.06)
    assert float(served.output.mean()) == pytest.approx(lengths().output_mean, rel=0.05)


def test_hits_rise_with_memory_and_fall_with_the_gap() -> None:
    by_memory = [hit_rate(run(contexts)) for contexts in (10, 40, 160, 640)]
    assert by_memory == sorted(by_memory)
    assert by_memory[-1] == pytest.approx(lengths().shared_prefix, abs=0.02)
    waits = [tuple(replace(gap, p50_s=gap.p50_s * k, p90_s=gap.p90_s * k) for gap in CHAT.gaps) for k in (0.2, 1, 5)]  # type: ignore[operator]
    by_gap = [hit_rate(run(60, replace(CHAT, gaps=gaps))) for gaps in waits]
    assert by_gap == sorted(by_gap, reverse=True) and by_gap[0] > by_gap[-1] + 0.2


@pytest.mark.parametrize("contexts", [30, 120])
def test_keeping_sessions_on_a_replica_is_never_worse(contexts: int) -> None:
    assert hit_rate(run(contexts)) > hit_rate(run(contexts, router=Router.ROUND_ROBIN))


@pytest.mark.parametrize("users", [60, 300])
def test_a_closed_population_sends_what_waits_and_answers_leave_time_for(users: int) -> None:
    """X = N / (Z + R), and never more of them in flight than there are."""
    sessions = replace(CHAT, gaps=(Gap(mean_s=20.0),))
    plan = of_people(lengths(sessions), users, 16_000, 2.0, 2)
    served = attend(C, settings(200 * CONTEXT), plan, 2, Router.PREFIX_AFFINITY)
    seen = served.arrive[3_000:]
    rate = (seen.size - 1) / float(seen.max() - seen.min())
    response = float(served.e2e[3_000:].mean())
    assert rate == pytest.approx(users / (mean_gap(sessions.gaps) + response), rel=0.02)
    events = sorted([(t, 1) for t in served.arrive] + [(t, -1) for t in served.finish])
    assert max(np.cumsum([step for _, step in events])) <= users


def test_sessions_that_say_the_same_as_a_shared_prefix_find_the_same() -> None:
    """Six turns of one length, of which the next reuses 0.9."""
    same = SessionLengths(
        Spread(6, 90.0, 6), Spread(2_000), Spread(1), Spread(100), (Gap(mean_s=20.0),), output_kept=False, carry=0.9
    )
    plain = Lengths(2_000, 100, LONGEST, shared_prefix=0.75, requests_per_prefix=6, prefix_gap=Gap(mean_s=20.0))
    for kv_tokens in (60_000.0, 120_000.0, 400_000.0):
        ways = []
        for one in (lengths(same), plain):
            plan = arriving(one, 4.0, 8_000, 2.0, 2)
            ways.append(hit_rate(attend(C, settings(kv_tokens), plan, 2, Router.PREFIX_AFFINITY)))
        assert ways[0] == pytest.approx(ways[1], abs=0.02)


def test_a_dead_node_loses_its_sessions_and_their_shared_prefix() -> None:
    from optimizer.simulate.fleet import Outage

    plan = arriving(lengths(), 4.0, 3_000, 2.0, 2)
    served = attend(C, settings(400 * CONTEXT), plan, 2, Router.PREFIX_AFFINITY, Outage(200.0, 260.0, 0, 1))
    assert (served.made == served.output).all()
    calm = attend(C, settings(400 * CONTEXT), plan, 2, Router.PREFIX_AFFINITY)
    assert served.found.sum() < calm.found.sum()
