"""Mixtures on several ranks: hand-checked figures, published kernel times, and laws that hold for every card."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from optimizer.catalog import default_root, load_catalog
from optimizer.demand import Lengths
from optimizer.performance import load_parameters, memory_bill
from optimizer.performance.degrees import degree_refusals
from optimizer.performance.expert_ranks import distinct_ranks, rank_work
from optimizer.performance.memory import memory_table
from optimizer.performance.replicas import coefficients
from optimizer.performance.step import step_seconds
from optimizer.performance.types import ReplicaSpec
from optimizer.vocabulary import Link

CATALOG = load_catalog()
PARAMS = load_parameters(default_root())
DEEPSEEK = CATALOG.models["deepseek-ai/DeepSeek-V3"]


def spec(t: int = 1, d: int = 1, e: int = 1, gpu: str = "h800_sxm_80", engine: str = "sglang") -> ReplicaSpec:
    card = CATALOG.gpus[gpu]
    return ReplicaSpec(
        gpu=card, model=DEEPSEEK, engine=CATALOG.engines[engine], weight_quant="fp8", kv_cache="auto",
        tensor_parallel=t, pipeline_parallel=1, link=card.link, gpu_memory_utilization=0.9, max_num_seqs=256,
        max_num_batched_tokens=8192, max_model_len=4096, attention_dp=d, expert_parallel=e,
    )  # fmt: skip


def test_a_token_goes_to_the_ranks_its_experts_lie_in() -> None:
    assert distinct_ranks(8, 8) == pytest.approx(5.25 * 7 / 8, rel=0.001)


@pytest.mark.parametrize(("tokens", "hot"), [(2, 0.148), (16, 0.575), (4096, 1.0)])
def test_the_fullest_group_touches_more_experts_than_the_mean(tokens: float, hot: float) -> None:
    work = rank_work(spec(8, 1, 8), PARAMS)
    hit = 1 - (1 - 8 / 256) ** tokens
    assert min(1.0, hit + work.hot_spread * np.sqrt(hit * (1 - hit))) == pytest.approx(hot, abs=0.002)


@pytest.mark.parametrize(("ranks", "published_us"), [(16, 313), (32, 428), (64, 487), (128, 561)])
def test_exchange_takes_as_long_as_published_kernels(ranks: int, published_us: float) -> None:
    """DeepEP docs/legacy.md, low-latency dispatch + combine: 128 tokens, hidden 7,168, 8 experts a token, H800."""
    work, layers = rank_work(spec(1, ranks, ranks), PARAMS), 58
    seconds = (work.exchange_fixed + 128 * work.exchange_token) / layers
    assert 1e6 * seconds == pytest.approx(published_us, rel=0.15)


@pytest.mark.parametrize(
    ("t", "d", "e", "gigabytes"), [(8, 1, 1, 84.4), (1, 8, 8, 101.0), (1, 16, 16, 60.0), (1, 32, 32, 39.5)]
)
def test_weights_of_a_gpu_are_its_experts_and_its_ranks_share_of_the_rest(
    t: int, d: int, e: int, gigabytes: float
) -> None:
    table = memory_table([spec(t, d, e)])
    assert float(table.weights[0]) / 1e9 == pytest.approx(gigabytes, rel=0.01)
    assert float(table.kv.per_token[0]) == 70_272


def test_groups_that_do_not_divide_the_experts_hold_copies() -> None:
    """256 experts on 72 GPUs: four each, 32 of them redundant."""
    even, uneven = (float(memory_table([spec(1, n, n)]).weights[0]) for n in (64, 72))
    assert uneven == pytest.approx(even, rel=1e-9)


def test_one_rank_whose_experts_are_cut_pays_nothing() -> None:
    work = rank_work(spec(8), PARAMS)
    assert not any(getattr(work, name) for name in work.__dataclass_fields__)
    c = coefficients([spec(8)], PARAMS).row(0)
    bare = c._replace(captured=0.0)
    assert step_seconds(c, 7.0, 7000.0, 300.0, 150.0) == step_seconds(bare, 7.0, 7000.0, 300.0, 150.0)


SHAPES = [spec(8), spec(8, 1, 8), spec(1, 8, 8), spec(4, 2, 8), spec(1, 16, 16), spec(1, 72, 72), spec(16)]


@pytest.mark.parametrize("shape", [*SHAPES, *(replace(s, engine=CATALOG.engines["vllm"]) for s in SHAPES)])
def test_more_work_never_shortens_a_step(shape: ReplicaSpec) -> None:
    c = coefficients([shape], PARAMS).row(0)
    batches = [float(step_seconds(c, b, b * 2000.0, 0.0, 0.0)) for b in (1.0, 2.0, 5.0, 16.0, 64.0, 256.0, 1024.0)]
    prompts = [float(step_seconds(c, 8.0, 8e3, p, p / 2)) for p in (0.0, 1.0, 100.0, 512.0, 513.0, 2048.0, 8192.0)]
    assert batches == sorted(batches) and prompts == sorted(prompts)


def test_slower_links_and_later_ranks_never_shorten_a_step() -> None:
    def seconds(**changed: Any) -> float:
        return float(step_seconds(coefficients([replace(spec(1, 8, 8), **changed)], PARAMS).row(0), 64, 64e3, 0, 0))

    slow = replace(CATALOG.gpus["h800_sxm_80"], link_gb_s=100)
    assert seconds(gpu=slow) > seconds()
    later = replace(PARAMS, values={**PARAMS.values, ("exchange_sync_us", ""): 20.0})
    assert float(step_seconds(coefficients([spec(1, 8, 8)], later).row(0), 64, 64e3, 0, 0)) > seconds()


def test_overlap_hides_part_of_the_shorter() -> None:
    plain = spec(1, 72, 72, "h100_sxm_80")
    alone, both = (coefficients([s], PARAMS).row(0) for s in (plain, replace(plain, overlap=True)))
    whole, hidden = (float(step_seconds(c, 256.0, 256 * 2e3, 0.0, 0.0)) for c in (alone, both))
    assert 0.5 * whole < hidden < whole


def test_a_tensor_group_across_nodes_pays_for_the_fabric() -> None:
    one, two = (coefficients([spec(t, gpu="h100_sxm_80")], PARAMS).row(0) for t in (8, 16))
    assert two.layer_fixed - one.layer_fixed > 0.9 * 2 * 61 * 35e-6


def test_buffers_of_the_exchange_are_kept_free_beyond_a_node() -> None:
    lengths = Lengths(1024, 256, 4096)
    near, far = (memory_bill(spec(1, n, n), lengths) for n in (8, 16))
    assert far.overhead - near.overhead == pytest.approx(1.5 * 2**30)


@pytest.mark.parametrize(
    ("t", "d", "e", "engine", "refused"),
    [
        (8, 1, 1, "vllm", ""), (8, 1, 8, "vllm", ""), (8, 1, 4, "vllm", "expert_parallel"), (2, 4, 8, "vllm", ""),
        (2, 4, 2, "vllm", "expert_parallel"), (8, 1, 2, "sglang", ""), (2, 4, 4, "sglang", ""), (1, 8, 8, "trtllm", ""),
        (8, 1, 2, "trtllm", ""), (2, 4, 8, "trtllm", "attention_dp"), (8, 1, 8, "tgi", "expert_parallel"),
        (8, 1, 1, "tgi", ""), (1, 8, 1, "tgi", "attention_dp"),
        (8, 1, 3, "sglang", "expert_parallel"), (1, 16, 16, "sglang", ""),
    ],
)  # fmt: skip
def test_engines_accept_their_own_degrees_only(t: int, d: int, e: int, engine: str, refused: str) -> None:
    assert {column for column, _ in degree_refusals(spec(t, d, e, "h200_sxm_141", engine))} == ({refused} - {""})


def test_ranks_leave_the_node_only_over_a_fabric() -> None:
    pcie = replace(spec(1, 16, 16), link=Link.PCIE)
    assert [column for column, _ in degree_refusals(pcie)] == ["attention_dp"]
    assert not [*degree_refusals(spec(1, 64, 64, "gb200_186"))]


def test_overlap_needs_an_all_to_all_engine() -> None:
    assert not [*degree_refusals(replace(spec(1, 16, 16), overlap=True))]
    for wrong in (replace(spec(8), overlap=True), replace(spec(1, 8, 8, "h200_sxm_141", "trtllm"), overlap=True)):
        assert [column for column, _ in degree_refusals(wrong)] == ["overlap"]


def test_a_rank_that_deals_its_experts_sorts_the_copies_of_its_own_experts_alone() -> None:
    """Eight GPUs of one rank: experts cut, every GPU sorts all copies of a token; dealt to eight groups, an eighth."""
    cut, dealt, ranks = (
        float(coefficients([one], PARAMS).row(0).token_elementwise) for one in (spec(8), spec(8, 1, 8), spec(1, 8, 8))
    )
    passes = PARAMS.first("elementwise_whole_passes"), PARAMS.first("elementwise_passes")
    sent = 58 / 61 * PARAMS.first("dispatch_passes") * 8
    assert dealt / cut == pytest.approx((passes[0] + passes[1] / 8 + sent / 8) / (passes[0] + passes[1] / 8 + sent))
    assert ranks / cut == pytest.approx((sum(passes) + sent) / (passes[0] + passes[1] / 8 + sent))


def test_a_lone_rank_has_the_experts_of_all_for_its_prompt() -> None:
    alone, together = (coefficients([spec(1, 8, 8)], PARAMS, lone=lone).row(0) for lone in (True, False))
    assert alone.expert_token == pytest.approx(together.expert_token / 8)
    assert alone.dense_token == together.dense_token
    assert alone.miss == pytest.approx(together.miss ** (1 / 8))
    short, long = (float(step_seconds(c, 0.0, 0.0, 4096.0, 2048.0)) for c in (alone, together))
    assert short < long
    one = coefficients([spec(8)], PARAMS, lone=True).row(0)
    assert one == coefficients([spec(8)], PARAMS).row(0)


def test_tokens_that_arrive_sorted_run_grouped_products() -> None:
    """SGLang behind attention DP calls DeepGEMM's grouped kernels (0.62 of H800's peak), not the fused layer (0.27)."""
    sorted_first, fused = (coefficients([spec(1, d, d)], PARAMS).row(0) for d in (8, 1))
    assert fused.expert_token / sorted_first.expert_token > 1.5
    trt, cut = spec(1, 8, 8, engine="trtllm"), spec(8, 1, 1)
    for one in (trt, cut):
        assert coefficients([one], PARAMS).row(0).expert_token > sorted_first.expert_token / 8


def test_only_a_stated_release_is_of_a_generation_that_is_not_assumed() -> None:
    names = [PARAMS.generation("trtllm", version) for version in ("", "1.1.0", "1.2.0rc6", "1.3.0")]
    assert names == ["current", "current", "overlapped", "overlapped"]
    plain = spec(8, gpu="b200_sxm_180", engine="trtllm")
    before, after = (
        float(coefficients([replace(plain, engine_version=version)], PARAMS).row(0).layer_fixed)
        for version in ("1.1", "1.3")
    )
    assert after == pytest.approx(0.6 * before)
    dense = replace(plain, model=CATALOG.models["Qwen/Qwen3-32B"], weight_quant="bf16")
    old, new = (coefficients([replace(dense, engine_version=version)], PARAMS).row(0) for version in ("1.1", "1.3"))
    assert old == new


def test_an_8_bit_cache_is_multiplied_at_8_bit_on_blackwell_alone() -> None:
    for gpu, share in (("b200_sxm_180", 0.55), ("h200_sxm_141", 0.95)):
        wide = replace(spec(1, 8, 8, gpu=gpu), attention_dp=8)
        narrow = replace(wide, kv_cache="fp8")
        seconds = [float(coefficients([one], PARAMS).row(0).kv_token) for one in (narrow, wide)]
        assert seconds[0] / seconds[1] == pytest.approx(share, abs=0.1)
