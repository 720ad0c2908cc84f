"""Exact LRU on the recorded streams that are shipped: the published hit rates, to five digits."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import pytest

from optimizer.handover.trace_problem import block_tokens_of, hits_of
from optimizer.problem.trace import Trace, read_trace
from optimizer.simulate.prefix_cache import HostWrites, PrefixRouter, PrefixTiers

DATA = Path(__file__).resolve().parents[2] / "data"
CHAT, AGENT, RAG = "chat_mooncake_conversation", "agent_claude_code", "rag_ragpulse"


@cache
def recorded(name: str) -> Trace:
    return read_trace(DATA / "traces" / f"{name}.csv")


def hit_rate(name: str, capacity: int, replicas: int, router: PrefixRouter) -> float:
    trace = recorded(name)
    return hits_of(trace, block_tokens_of(trace), PrefixTiers(capacity), replicas, router).rate


@pytest.mark.parametrize(
    ("name", "capacity", "replicas", "router", "rate"),
    [
        (CHAT, 4_000_000, 1, "round_robin", 0.17798),
        (CHAT, 1_000_000, 4, "sticky", 0.16620),
        (CHAT, 2_000_000, 4, "least_loaded", 0.10418),
        (CHAT, 2_000_000, 4, "prefix_aware", 0.25150),
        (AGENT, 2_000_000, 1, "round_robin", 0.59501),
        (AGENT, 1_000_000, 4, "prefix_aware", 0.83054),
        (RAG, 50_000, 1, "round_robin", 0.30994),
    ],
)
def test_a_replayed_trace_hits_what_was_counted(
    name: str, capacity: int, replicas: int, router: str, rate: float
) -> None:
    """docs/sessions.md, section 7, item 1."""
    assert hit_rate(name, capacity, replicas, PrefixRouter(router)) == pytest.approx(rate, abs=1e-5)


def test_the_same_memory_split_finds_less_and_dealt_round_least() -> None:
    """Item 3: 4 million tokens as 1 x 4, 4 x 1 and 8 x 0.5 million, on the sample of the agents."""
    truth = {}
    with (DATA / "prefix_retention.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["scope"] == "sample" and row["trace"] == AGENT:
                truth[int(row["capacity_tokens"]), int(row["replicas"]), row["router"]] = float(row["hit_rate"])
    splits = [
        (4_000_000, 1, "round_robin"), (1_000_000, 4, "sticky"), (500_000, 8, "sticky"), (1_000_000, 4, "round_robin"),
    ]  # fmt: skip
    found = [hit_rate(AGENT, capacity, replicas, PrefixRouter(router)) for capacity, replicas, router in splits]
    assert found == pytest.approx([truth[split] for split in splits], abs=1e-5)
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize(
    ("name", "cards", "host", "writes", "found"),
    [
        (AGENT, 1_000_000, 4_000_000, "evicted", (0.2688, 0.6261)),
        (AGENT, 1_000_000, 4_000_000, "through", (0.2688, 0.5897)),
        (CHAT, 2_000_000, 8_000_000, "evicted", (0.0894, 0.2001)),
        (CHAT, 2_000_000, 8_000_000, "through", (0.0894, 0.1739)),
    ],
)
def test_cards_and_host_find_what_was_counted(
    name: str, cards: int, host: int, writes: str, found: tuple[float, float]
) -> None:
    """Item 6: two tiers, one replica."""
    trace, tiers = recorded(name), PrefixTiers(cards, host, HostWrites(writes))
    hits = hits_of(trace, block_tokens_of(trace), tiers, 1, PrefixRouter.ROUND_ROBIN)
    assert (hits.rate - hits.host_rate, hits.host_rate) == pytest.approx(found, abs=6e-5)
