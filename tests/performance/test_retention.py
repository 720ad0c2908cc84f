"""Retention in closed form: against exact LRU of recorded streams, against a second count, and how it moves."""

from __future__ import annotations

import random
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from benchmarks.retention import RECORDED, rows, table
from optimizer.demand import Gap, SessionLengths, Spread
from optimizer.performance.retention import SessionShape, gap_cells, normal_cdf, session_curve
from optimizer.performance.session_retention import growing_curve

CONTEXTS = 30
"""From so many mean contexts on the closed form is trusted."""


def ended(seconds: float) -> tuple[Gap, ...]:
    return (Gap(mean_s=seconds),)


def test_it_is_within_6_percent_of_exact_lru_where_a_replica_holds_30_contexts() -> None:
    found = [row for row in rows() if row.contexts >= CONTEXTS]
    assert len(found) > 250
    worst = max(found, key=lambda row: abs(row.said - row.truth))
    assert abs(worst.said - worst.truth) < 0.06, worst


def test_the_table_of_the_page_is_what_the_benchmark_prints() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "sessions.md").read_text(encoding="utf-8")
    assert "\n".join(table(list(rows()))) in page


def test_below_30_contexts_it_is_too_optimistic_and_not_trusted() -> None:
    few = [row for row in rows() if row.contexts < 10 and row.trace == "agent_claude_code"]
    assert max(row.said - row.truth for row in few) > 0.06


@pytest.mark.parametrize(("trace", "ceiling"), [("chat", 0.373), ("agent", 0.958), ("rag", 0.315)])
def test_the_ceilings_are_those_of_memory_without_end(trace: str, ceiling: float) -> None:
    shape = next(one.shape for name, one in RECORDED.items() if name.startswith(trace))
    assert session_curve(shape).ceiling == pytest.approx(ceiling, abs=0.015)


@pytest.mark.parametrize(("think_s", "hits"), [(15, 0.91), (30, 0.54), (60, 0.28), (120, 0.14)])
def test_six_turn_sessions_on_four_replicas(think_s: float, hits: float) -> None:
    """The worked case of docs/sessions.md, section 7: contexts of 6,250 tokens, 2.75 turns a second on a replica that
    holds 146 GiB of them (478,000 tokens), 10 s of answer and an exponential thought between two turns."""
    seconds, _ = gap_cells(ended(think_s))
    gaps = tuple(Gap(p50_s=10.0 + s, p90_s=10.0 + s, share=1 / seconds.size) for s in seconds.tolist())
    curve = session_curve(SessionShape(6, 6_250, 0, gaps))
    assert float(curve.hit_rate(478_000, 2.75)) / (5 / 6) == pytest.approx(hits, abs=0.09)


def test_whole_contexts_in_an_lru_by_hand_agree() -> None:
    """A second count that knows nothing of the formula: sessions in an ordered dictionary."""
    draw, turns, context, capacity, rate = random.Random(5), 5, 1_000, 60, 1.0
    shape = SessionShape(turns, context, 0, ended(40.0))
    events: list[tuple[float, int]] = []
    now = 0.0
    for session in range(8_000):
        now += draw.expovariate(rate / turns)
        at = now
        while True:
            events.append((at, session))
            if draw.random() > 1 - 1 / turns:
                break
            at += draw.expovariate(1 / 40.0)
    held: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for _, session in sorted(events):
        hits += session in held
        held[session] = None
        held.move_to_end(session)
        if len(held) > capacity:
            held.popitem(last=False)
    said = float(session_curve(shape).hit_rate(capacity * context, rate))
    assert said == pytest.approx(hits / len(events), abs=0.02)


SHAPE = SessionShape(6, 4_000, 700, (Gap(p50_s=20, p90_s=150),), shared=1_000, carry=0.98)


@pytest.mark.parametrize("replicas", [1, 4])
@pytest.mark.parametrize("sticky", [True, False])
def test_more_memory_never_hits_less_and_more_turns_never_more(replicas: int, sticky: bool) -> None:
    curve = session_curve(SHAPE, replicas, sticky=sticky)
    sizes = np.geomspace(100, 1e8, 60)
    assert (np.diff(curve.hit_rate(sizes, 0.5)) >= 0.0).all()
    assert (np.diff(curve.hit_rate(np.full(40, 200_000.0), np.geomspace(0.01, 100, 40))) <= 1e-9).all()
    assert float(curve.hit_rate(1e12, 0.5)) == pytest.approx(curve.ceiling, abs=1e-6)
    assert float(curve.hit_rate(0.0, 0.5)) == pytest.approx(0.0, abs=1e-6)


def test_longer_gaps_hit_less() -> None:
    found = [
        float(session_curve(SessionShape(6, 4_000, 700, ended(gap))).hit_rate(500_000, 1.0))
        for gap in (1, 5, 20, 60, 300)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1] + 0.5


@pytest.mark.parametrize("replicas", [2, 4, 8, 16])
@pytest.mark.parametrize("capacity", [1e4, 1e5, 1e6, 1e7, 1e9])
def test_sessions_that_stick_find_at_least_what_round_robin_finds(replicas: int, capacity: float) -> None:
    rate = 2.0 / replicas
    sticky, spread = (
        float(session_curve(SHAPE, replicas, sticky=way).hit_rate(capacity, rate)) for way in (True, False)
    )
    assert sticky >= spread - 1e-3


def test_one_turn_finds_what_all_share_and_nothing_else() -> None:
    curve = session_curve(SessionShape(1, 900, 0, ended(10), shared=100))
    assert curve.ceiling == pytest.approx(0.1)
    assert float(curve.hit_rate(50, 1.0)) == pytest.approx(0.05)


@pytest.mark.parametrize("carry", [0.0, 1.0])
def test_single_questions_find_the_prefix_of_their_group(carry: float) -> None:
    """With room for all of it, or for half of what is used within the time that a group takes to come again."""
    alike = SessionLengths(
        Spread(1), Spread(900), Spread(1), Spread(100), ended(10), shared=1_000, groups=40, carry=carry
    )
    curve = growing_curve(alike, 8_192)
    assert float(curve.hit_rate(1e9, 1.0)) == pytest.approx(curve.ceiling) == pytest.approx(1_000 / 1_900)
    assert 0.3 < float(curve.hit_rate(40_000 + 20_000, 1.0)) / curve.ceiling < 0.8


@pytest.mark.parametrize(
    ("top_share", "capacity"), [(None, 300_000), (0.59, 300_000), (0.59, 1_500_000), (0.9, 100_000)]
)
def test_documents_asked_for_unlike_often_agree_with_an_lru_by_hand(top_share: float | None, capacity: int) -> None:
    """Single questions of 500 tokens, answered in 100, each behind one of 400 documents of 4,000 tokens."""
    lengths = (Spread(1), Spread(500), Spread(1), Spread(100), ended(10))
    curve = growing_curve(SessionLengths(*lengths, shared=4_000, groups=400, top_share=top_share), 8_192)
    draw, cache, held, found = random.Random(5), OrderedDict[object, int](), 0, 0
    weights = [rank ** -exponent_of(400, top_share) for rank in range(1, 401)]
    asked = draw.choices(range(400), weights, k=12_000)
    for number, document in enumerate(asked):
        found += 4_000 if document in cache and number >= 6_000 else 0
        for name, tokens in ((f"question {number}", 600), (document, 4_000)):  # tails leave first
            held += tokens - cache.pop(name, 0)
            cache[name] = tokens
        while held > capacity:
            held -= cache.popitem(last=False)[1]
    assert float(curve.hit_rate(capacity, 1.0)) == pytest.approx(found / 6_000 / 4_500, abs=0.02)


def exponent_of(things: int, top_share: float | None) -> float:
    """Of a power law of the rank that gives the first tenth its share, by trying them all."""
    if top_share is None:
        return 0.0

    def share(exponent: float) -> float:
        weights = [rank**-exponent for rank in range(1, things + 1)]
        return sum(weights[: things // 10]) / sum(weights)

    return min((step / 200 for step in range(600)), key=lambda one: abs(share(one) - top_share))


def test_gaps_have_the_mean_and_the_percentiles_that_were_stated() -> None:
    seconds, weights = gap_cells((Gap(mean_s=30.0),))
    assert float((seconds * weights).sum()) == pytest.approx(30.0)
    seconds, weights = gap_cells((Gap(p50_s=9, p90_s=71),))
    middle = np.cumsum(weights) - weights / 2
    assert float(np.interp(0.5, middle, seconds)) == pytest.approx(9, rel=0.02)
    assert float(np.interp(0.9, middle, seconds)) == pytest.approx(71, rel=0.02)


def test_the_normal_law_is_that_of_the_tables() -> None:
    assert normal_cdf(np.array([-1.96, 0.0, 1.2816])) == pytest.approx([0.025, 0.5, 0.9], abs=1e-4)
