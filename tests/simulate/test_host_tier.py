"""Two levels of exact LRU: what the host holds is found as if the cards held it, and costs the time of the transfer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.host_tier import MEASURED, ratios
from benchmarks.offload_anchors import GUIDE, LADDER, PUBLISHED, guided, times_faster
from optimizer.demand import Gap, Lengths
from optimizer.simulate.fleet import Served
from optimizer.simulate.sessions import arriving, attend
from optimizer.vocabulary import Router
from tests.simulate.test_growing_sessions import CHAT, CONTEXT, C, lengths, settings

ALIKE = Lengths(2_000, 100, 16_384, shared_prefix=0.6, requests_per_prefix=6, prefix_gap=Gap(p50_s=9, p90_s=71))
GROWING = lengths(replace(CHAT, groups=3))


def run(of: Lengths, cards: float, host: float = 0.0, load_s: float = 0.0, floor_s: float = 0.0) -> Served:
    """Sessions on two replicas whose cards and hosts hold so many contexts."""
    plan = arriving(of, 4.0, 6_000, 2.0, 2)
    tier = replace(settings(cards * CONTEXT), host_tokens=host * CONTEXT, load_s=load_s, load_floor_s=floor_s)
    return attend(C, tier, plan, 2, Router.PREFIX_AFFINITY, warm=True)


@pytest.mark.parametrize("of", [ALIKE, GROWING], ids=["alike", "growing"])
@pytest.mark.parametrize(("cards", "host"), [(40.0, 120.0), (25.0, 60.0)])
def test_cards_and_host_find_what_one_cache_of_the_larger_size_finds(of: Lengths, cards: float, host: float) -> None:
    """Transfers in no time: the same requests, to the token, at the same moments."""
    both, alone, large = run(of, cards, host), run(of, cards), run(of, host)
    assert both.brought is not None
    assert np.array_equal(both.found, large.found)
    assert np.array_equal(both.finish, large.finish)
    assert alone.found.sum() < 0.95 * both.found.sum()
    assert (both.brought <= both.found).all()
    assert both.brought.sum() / both.found.sum() == pytest.approx(1.0 - alone.found.sum() / large.found.sum(), abs=0.05)


def test_a_host_that_holds_less_than_the_cards_is_never_asked() -> None:
    small, alone = run(GROWING, 60.0, 30.0, 1e-6, 0.01), run(GROWING, 60.0)
    assert small.brought is not None and small.brought.sum() == 0.0
    assert np.array_equal(small.finish, alone.finish)


def test_a_load_takes_its_floor_and_its_tokens() -> None:
    """Those that bring something in begin later by the transfer; a slower link makes them wait for each other."""
    quick, slow = run(GROWING, 40.0, 120.0, 4e-6, 0.01), run(GROWING, 40.0, 120.0, 4e-5, 0.01)
    for served, load_s in ((quick, 4e-6), (slow, 4e-5)):
        assert served.brought is not None
        least = 0.01 + load_s * served.brought
        asked = served.brought > 0.0
        waited = served.ready - served.arrive
        assert (waited[asked] >= least[asked] - 1e-9).all()
        assert waited[~asked].max() < 0.2
    assert slow.ttft.mean() > quick.ttft.mean()
    assert quick.ttft.mean() < run(GROWING, 40.0).ttft.mean()  # reading the prompts again takes longer


def test_agents_on_two_cards_gain_what_was_published() -> None:
    """2.3 times the requests, TTFT 1/3.0 and its p95 1/2.1 with host memory (LMCache blog, 2026-05-12; benchmarks/
    host_tier.py says what is assumed)."""
    assert ratios(32, 4_000) == pytest.approx(MEASURED, rel=0.25)


def test_prompts_that_share_the_memory_of_hosts_gain_what_was_published() -> None:
    """The guide of llm-d: +21 % where the prompts do not fit the cards, nothing where they do."""
    for prompt, utilization, measured in GUIDE:
        found = guided(prompt, utilization, 450)
        for value, told in zip((found.throughput, found.ttft, found.e2e), measured, strict=True):
            assert told is None or value == pytest.approx(told, rel=0.1)


def test_a_prompt_is_brought_in_as_much_faster_as_was_published() -> None:
    times = [times_faster(tokens) for tokens in LADDER]
    assert times == sorted(times)
    assert (times[0], times[-1]) == pytest.approx(PUBLISHED, rel=0.25)
