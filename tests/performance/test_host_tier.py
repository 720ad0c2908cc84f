"""KV cache in the memory of hosts: how much, how fast, and what it does to a replica in closed form."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from optimizer.catalog.types import Catalog
from optimizer.demand import Gap, Lengths
from optimizer.performance import behaviours
from optimizer.performance.host_tier import host_gib_of_a_card, host_tokens, link_gb_s, tier_refusal
from optimizer.performance.parameters import Parameters
from optimizer.performance.types import ReplicaSpec
from tests.performance.conftest import SpecMaker

LONG = Lengths(6000.0, 250.0, 16_384, shared_prefix=0.75, requests_per_prefix=6, prefix_gap=Gap(mean_s=60.0))
LLAMA = "meta-llama/Llama-3.1-70B-Instruct"


@pytest.fixture(scope="module")
def spec(make: SpecMaker) -> ReplicaSpec:
    return replace(make("h200_sxm_141", LLAMA, "fp8", tp=2), max_model_len=16_384)


@pytest.mark.parametrize(
    ("node", "gib"), [(2000.0, 160.0), (1920.0, 160.0), (1500.0, 128.0), (96.0, 1.0), (95.0, 0.0), (0.0, 0.0)]
)
def test_three_quarters_less_what_else_runs_in_quarters_of_a_power_of_two(node: float, gib: float) -> None:
    assert host_gib_of_a_card(node, 8) == gib
    assert 8 * gib <= max(0.75 * node - 64.0, 0.0)


def test_bandwidth_is_within_a_quarter_of_what_was_measured(catalog: Catalog) -> None:
    """50 GB/s in a copy alone on an H100 (vLLM blog, 2026-01-08), 26 ms a GB on servers of eight H200 (llm-d blog,
    2026-07-22)."""
    assert link_gb_s(catalog.gpus["h100_sxm_80"]) == pytest.approx(50.0, rel=0.25)
    assert 1000.0 / link_gb_s(catalog.gpus["h200_sxm_141"]) == pytest.approx(26.0, rel=0.25)
    assert link_gb_s(catalog.gpus["gh200_96"]) > 2.0 * link_gb_s(catalog.gpus["h100_sxm_80"])


def test_where_there_is_none(spec: ReplicaSpec, make: SpecMaker) -> None:
    assert not tier_refusal(spec)
    assert "behind attention ranks" in tier_refusal(replace(spec, attention_dp=2))
    assert "several nodes" in tier_refusal(replace(spec, crosses_nodes=True))
    assert "before 0.19" in tier_refusal(replace(spec, engine_version="0.18.1"))
    assert not tier_refusal(replace(spec, engine_version="0.19.0"))
    assert "no option" in tier_refusal(make("h200_sxm_141", LLAMA, "fp8", tp=2, engine="trtllm"))
    assert "whole context" in tier_refusal(make("h200_sxm_141", "openai/gpt-oss-120b", "mxfp4"))


def test_a_token_lies_on_all_cards(spec: ReplicaSpec) -> None:
    """70B: 160 KiB a token on each of two cards; 360 GiB are 180 on each."""
    assert host_tokens(replace(spec, host_kv_gib=360.0), 160 * 1024.0) == pytest.approx(180 * 2**30 / (160 * 1024))


def test_a_tier_finds_more_and_makes_hits_wait(spec: ReplicaSpec, params: Parameters) -> None:
    """More memory never finds less; what is brought in costs the transfer, never the reading of the prompt again."""
    sizes = (0.0, 100.0, 200.0, 400.0, 800.0)
    specs = [replace(spec, host_kv_gib=size) for size in sizes]
    seen = behaviours(specs, LONG, params, rates=[1.4] * len(specs))
    found = [one.prefix_hit_rate for one in seen]
    assert all(more >= less - 1e-9 for less, more in pairwise(found))
    assert found[-1] > found[0] + 0.05
    assert seen[0].host_hit_rate == 0.0 < seen[-1].host_hit_rate < found[-1]
    assert seen[-1].ttft.p95 < seen[0].ttft.p95
    (idle,) = behaviours([specs[-1]], replace(LONG, prefix_gap=Gap(mean_s=0.5)), params, rates=[1.4])
    assert idle.host_hit_rate < 0.01  # all that comes back at once is still on the cards


def test_a_tier_smaller_than_the_cards_own_memory_changes_nothing(spec: ReplicaSpec, params: Parameters) -> None:
    """Engines write through: the host then holds a part of what the cards hold."""
    alone, small = behaviours([spec, replace(spec, host_kv_gib=20.0)], LONG, params, rates=[1.0, 1.0])
    assert small.host_hit_rate == 0.0
    assert small.ttft == alone.ttft
    assert small.prefix_hit_rate == alone.prefix_hit_rate
