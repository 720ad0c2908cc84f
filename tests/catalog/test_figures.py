"""The figures of the packaged catalogs: plausible bands, known values, internal consistency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from optimizer.catalog import load_catalog
from optimizer.catalog.types import Attention, Gpu, Model
from optimizer.vocabulary import Link

CATALOG = load_catalog()
GPUS = list(CATALOG.gpus.values())
MODELS = list(CATALOG.models.values())


def test_row_counts() -> None:
    assert (len(GPUS), len(MODELS), len(CATALOG.offers), len(CATALOG.engines)) == (72, 129, 950, 14)


GPU_BANDS: dict[str, tuple[float, float, Callable[[Gpu], float | None]]] = {
    "marketed GB": (16, 288, lambda g: g.memory_gb),
    "reported / marketed": (0.93, 1.0, lambda g: g.memory_mib / 1024 / g.memory_gb),
    "GB/s": (200, 8000, lambda g: g.bandwidth_gb_s),
    "bf16": (17, 2520, lambda g: g.bf16_tflops),
    "fp8": (190, 5040, lambda g: g.fp8_tflops),
    "int8": (34, 5040, lambda g: g.int8_tops),
    "fp4": (1180, 15000, lambda g: g.fp4_tflops),
    "fp8 / bf16": (0.99, 2.03, lambda g: g.fp8_tflops and g.bf16_tflops and g.fp8_tflops / g.bf16_tflops),
    "link GB/s": (0, 1800, lambda g: g.link_gb_s),
    "link domain": (1, 384, lambda g: g.link_domain_gpus),
    "PCIe generation": (3, 6, lambda g: g.pcie_gen),
    "PCIe lanes": (4, 16, lambda g: g.pcie_lanes),
    "TDP W": (60, 1400, lambda g: g.tdp_w),
    "overhead W": (60, 580, lambda g: g.node_overhead_w),
    "release": (2017, 2026, lambda g: g.release_year),
    "compute capability": (7.0, 12.0, lambda g: g.compute_capability),
    "ridge, flops per byte": (30, 460, lambda g: g.bf16_tflops and 1e3 * g.bf16_tflops / g.bandwidth_gb_s),
}


@pytest.mark.parametrize("name", GPU_BANDS)
def test_gpu_figures_are_plausible(name: str) -> None:
    low, high, value_of = GPU_BANDS[name]
    values = [(gpu.id, value_of(gpu)) for gpu in GPUS]
    assert [(gpu, value) for gpu, value in values if value is not None and not low <= value <= high] == []


@pytest.mark.parametrize(
    ("gpu", "tflops"),
    [
        ("h100_sxm_80", 989.4),
        ("h200_sxm_141", 989.4),
        ("h20_96", 148.0),
        ("a100_sxm_80", 312.0),
        ("a800_sxm_80", 312.0),
        ("b200_sxm_180", 2250.0),
        ("l20_48", 119.5),
        ("l40s_48", 362.05),
        ("rtx_4090_24", 165.2),
        ("rtx_3090_24", 71.2),
        ("mi300x_192", 1307.4),
        ("v100_sxm_16", 125.0),
    ],
)
def test_dense_peaks_not_the_sparse_ones_of_the_guides(gpu: str, tflops: float) -> None:
    assert CATALOG.gpus[gpu].bf16_tflops == tflops


@pytest.mark.parametrize(
    ("gpu", "link", "speed"),
    [
        ("a800_sxm_80", Link.NVSWITCH, 400),
        ("h800_sxm_80", Link.NVSWITCH, 400),
        ("h100_sxm_80", Link.NVSWITCH, 900),
        ("a100_sxm_80", Link.NVSWITCH, 600),
        ("h100_pcie_80", Link.NVLINK_PAIR, 600),
        ("rtx_3090_24", Link.NVLINK_PAIR, 112.5),
        ("mi300x_192", Link.XGMI, 896),
        ("ascend_910b2_64", Link.HCCS, 392),
        ("rtx_4090_24", Link.PCIE, 0),
        ("l20_48", Link.PCIE, 0),
        ("ascend_910b4_32", Link.PCIE, 0),
    ],
)
def test_links(gpu: str, link: Link, speed: float) -> None:
    assert (CATALOG.gpus[gpu].link, CATALOG.gpus[gpu].link_gb_s) == (link, speed)


def test_links_domains_and_speeds_agree() -> None:
    for gpu in GPUS:
        if gpu.link is Link.PCIE:
            assert (gpu.link_gb_s, gpu.link_domain_gpus) == (0, 1), gpu.id
        elif gpu.link is Link.NVLINK_PAIR:
            assert gpu.link_gb_s > 0 and gpu.link_domain_gpus == 2, gpu.id
        else:
            assert gpu.link_gb_s > 0 and gpu.link_domain_gpus >= 4, gpu.id


@pytest.mark.parametrize(
    ("gpu", "capability"),
    [
        ("v100_sxm_16", 7.0), ("t4_16", 7.5), ("a100_sxm_80", 8.0), ("a800_40_active", 8.0), ("a30_24", 8.0),
        ("a10_24", 8.6), ("a16_16x4", 8.6), ("rtx_3090_24", 8.6), ("l40s_48", 8.9), ("rtx_4090_24", 8.9),
        ("h20_96", 9.0), ("gh200_96", 9.0), ("b200_sxm_180", 10.0), ("b300_sxm_288", 10.3), ("gb300_288", 10.3),
        ("rtx_pro_6000_server_96", 12.0), ("mi300x_192", None),
    ],
)  # fmt: skip
def test_compute_capability(gpu: str, capability: float | None) -> None:
    assert CATALOG.gpus[gpu].compute_capability == capability


def test_every_nvidia_card_has_a_compute_capability_that_fits_its_formats() -> None:
    for gpu in GPUS:
        assert (gpu.compute_capability is not None) == (gpu.vendor == "nvidia"), gpu.id
        if gpu.compute_capability is not None:
            assert gpu.supports_fp8 == (gpu.compute_capability >= 8.9), gpu.id
            assert gpu.supports_bf16 == (gpu.compute_capability >= 8.0), gpu.id
            assert gpu.supports_fp4 == (gpu.compute_capability >= 10.0), gpu.id
        assert gpu.supports_fp8 == (gpu.fp8_tflops is not None), gpu.id


def test_fallback_memory_by_hand() -> None:
    fallback = {gpu.id: gpu.memory_mib for gpu in GPUS if gpu.memory_is_fallback}
    assert len(fallback) == 27  # 12 without the figure of a driver, 15 more without that of CUDA
    assert fallback["gh200_144"] == int(144 * 1024 * (275040 / 1024 / 288))  # the B300's share of its marketed size
    assert fallback["mi325x_256"] == int(256 * 1024 * (196592 / 1024 / 192))  # the MI300X's
    assert fallback["b60_24"] == 23028  # what the A10 reports of its 24 GB, the lowest share of all cards


def test_node_overhead_follows_the_class() -> None:
    overhead = {gpu: CATALOG.gpus[gpu].node_overhead_w for gpu in CATALOG.gpus}
    assert overhead["h100_sxm_80"] == overhead["h20_96"] == overhead["b200_sxm_180"] == overhead["mi300x_192"] == 580
    assert overhead["a100_sxm_80"] == overhead["v100_sxm_16"] == overhead["ascend_910b2_64"] == 410
    assert (overhead["l4_24"], overhead["l40s_48"], overhead["rtx_4090_24"]) == (74, 359, 410)


def test_siblings_are_measured_cards_of_the_same_vendor() -> None:
    siblings = {gpu.id: gpu.sibling for gpu in GPUS if gpu.sibling}
    assert siblings["a800_sxm_80"] == "a100_sxm_80"
    assert siblings["h800_sxm_80"] == "h100_sxm_80"
    assert siblings["h20_96"] == siblings["h20_141"] == "h200_sxm_141"
    assert siblings["l20_48"] == "l40s_48"
    for gpu, sibling in siblings.items():
        assert CATALOG.gpus[sibling].vendor == CATALOG.gpus[gpu].vendor


def test_low_confidence_cards() -> None:
    low = {gpu.id for gpu in GPUS if gpu.confidence == "low"}
    assert low == {"b100_192", "rtx_5090_d_32", "mi308x_192", "ascend_910b1_64"}


def test_geforce_cards_are_not_licensed_for_data_centres() -> None:
    assert {gpu.id for gpu in GPUS if not gpu.datacenter_licensed} == {
        "rtx_3090_24", "rtx_3090ti_24", "rtx_4090_24", "rtx_4090_48mod", "rtx_4090d_24", "rtx_5090_32", "rtx_5090_d_32",
    }  # fmt: skip


MODEL_BANDS: dict[str, tuple[float, float, Callable[[Model], float]]] = {
    "total": (0.4e9, 2.8e12, lambda m: m.total_params),
    "active / total": (0.02, 1.0, lambda m: m.active_params / m.total_params),
    "embedding": (0.09e9, 3.8e9, lambda m: m.embed_params),
    "layers": (16, 162, lambda m: m.num_layers),
    "hidden": (896, 16384, lambda m: m.hidden_size),
    "heads": (4, 232, lambda m: m.num_attention_heads),
    "head dim": (64, 512, lambda m: m.head_dim),
    "vocabulary": (32000, 262208, lambda m: m.vocab_size),
    "context": (2048, 10485760, lambda m: m.context_limit),
    "KV bytes per token": (5000, 4.1e6, lambda m: m.kv_bytes_full_16bit + m.kv_bytes_sliding_16bit),
    "experts": (0, 896, lambda m: m.num_experts),
    "experts per token": (0, 22, lambda m: m.experts_per_token),
    "linear state": (0, 4.5e8, lambda m: m.linear_state_bytes),
}


@pytest.mark.parametrize("name", MODEL_BANDS)
def test_model_figures_are_plausible(name: str) -> None:
    low, high, value_of = MODEL_BANDS[name]
    values = [(model.id, value_of(model)) for model in MODELS]
    assert [(model, value) for model, value in values if not low <= value <= high] == []


def test_model_rows_are_consistent() -> None:
    for model in MODELS:
        assert model.active_params <= model.total_params, model.id
        assert model.tied_embeddings == (model.head_params == 0), model.id
        assert model.embed_params == pytest.approx(model.vocab_size * model.hidden_size, rel=0.002), model.id
        assert (model.routed_expert_params > 0) == model.is_moe == (model.experts_per_token > 0), model.id
        assert model.legal_tp[0] == 1 and list(model.legal_tp) == sorted(set(model.legal_tp)), model.id
        assert all(model.num_attention_heads % size == 0 for size in model.legal_tp), model.id
        assert set(model.fp8_block_legal_tp) <= set(model.legal_tp), model.id
        assert (model.kv_lora_rank > 0) >= (model.attention is Attention.MLA), model.id
        assert (model.sliding_layers > 0) == (model.sliding_window > 0), model.id
        assert (model.linear_layers > 0) == (model.linear_state_bytes > 0), model.id


SHARED_KV = {"gemma-4-26B-A4B-it", "gemma-4-31B-it", "MiMo-V2-Flash", "DeepSeek-V4-Flash", "DeepSeek-V4-Pro"}
"""Models whose full and sliding layers have different KV shapes, or compress them: their notes say how."""


def test_kv_bytes_follow_from_the_dimensions() -> None:
    for model in MODELS:
        if model.id.split("/")[1] in SHARED_KV:
            continue
        layer = 2 * model.num_kv_heads * model.head_dim * 2
        if model.kv_lora_rank:
            layer = (model.kv_lora_rank + model.rope_head_dim) * 2
        assert model.kv_bytes_full_16bit == model.full_attention_layers * layer, model.id
        assert model.kv_bytes_sliding_16bit == model.sliding_layers * layer, model.id


def test_hand_calculations() -> None:
    llama = CATALOG.models["meta-llama/Llama-3.1-70B-Instruct"]
    assert llama.kv_bytes_full_16bit == 2 * 80 * 8 * 128 * 2 == 327_680
    assert llama.total_params * 2 / 1e9 == pytest.approx(141.1, abs=0.05)
    assert 8192 * llama.kv_bytes_full_16bit / 1e9 == pytest.approx(2.68, abs=0.005)
    assert CATALOG.models["deepseek-ai/DeepSeek-V3"].kv_bytes_full_16bit == (512 + 64) * 61 * 2 == 70_272
    assert CATALOG.models["meta-llama/Meta-Llama-3-70B"].context_limit == 8192
    h100 = CATALOG.gpus["h100_sxm_80"]
    assert llama.total_params * 2 > h100.memory_mib * 2**20
    assert CATALOG.models["Qwen/Qwen-72B"].total_params > CATALOG.gpus["rtx_4090_24"].memory_mib * 2**20


def test_engines_and_their_vendor_gates() -> None:
    vendors = {gpu.vendor for gpu in GPUS}
    for engine in CATALOG.engines.values():
        assert set(engine.vendors) <= vendors
        assert "bf16" in engine.weight_quants and "auto" in engine.kv_caches
        assert 0.8 <= engine.gpu_memory_utilization <= 0.95
    assert CATALOG.engines["vllm"].gpu_memory_utilization == 0.92
    assert CATALOG.engines["trtllm"].vendors == ("nvidia",)
    assert CATALOG.engines["mindie"].vendors == CATALOG.engines["vllm-ascend"].vendors == ("huawei",)
    assert CATALOG.engines["atom"].vendors == ("amd",)
    assert set(CATALOG.engines["generic"].vendors) == vendors


def test_engine_defaults_depend_on_the_card() -> None:
    vllm, gpus = CATALOG.engines["vllm"], CATALOG.gpus
    assert (vllm.max_num_seqs_on(gpus["h100_sxm_80"]), vllm.max_num_batched_tokens_on(gpus["h100_sxm_80"])) == (
        1024,
        8192,
    )
    assert (vllm.max_num_seqs_on(gpus["a100_sxm_80"]), vllm.max_num_batched_tokens_on(gpus["a100_sxm_80"])) == (
        256,
        2048,
    )
    assert vllm.max_num_seqs_on(gpus["l40s_48"]) == 256
    assert CATALOG.engines["trtllm"].max_num_seqs_on(gpus["h100_sxm_80"]) == 2048


def test_recovery_defaults() -> None:
    assert {(fact.format, fact.min_params_b): fact.recovery for fact in CATALOG.quant_facts} == {
        ("fp8", 0): 0.995, ("int8", 0): 0.985, ("int4", 0): 0.965, ("int4", 30): 0.98, ("nvfp4", 0): 0.98,
        ("mxfp4", 0): 0.94, ("kv_fp8", 0): 0.99,
    }  # fmt: skip


def test_checkpoints_join_and_every_model_has_its_native_one() -> None:
    for (name, quant), found in CATALOG.checkpoints.items():
        assert name in CATALOG.models
        assert all(item.source and item.weight_quant == quant for item in found)
    for model in MODELS:
        native = "bf16" if model.native_dtype == "fp16" else model.native_dtype
        assert (model.id, native) in CATALOG.checkpoints
    awq = CATALOG.checkpoints[("Qwen/Qwen2.5-32B-Instruct", "int4")]
    assert [(item.checkpoint, item.size_gb) for item in awq] == [("Qwen/Qwen2.5-32B-Instruct-AWQ", 19.33)]
    assert ("meta-llama/Llama-3.1-8B-Instruct", "int8") in CATALOG.checkpoints
    (published,) = CATALOG.checkpoints[("Qwen/Qwen3-32B", "nvfp4")]
    assert (published.checkpoint, published.method) == ("nvidia/Qwen3-32B-NVFP4", "modelopt")
    recipe = next(item for item in CATALOG.checkpoints[("Qwen/Qwen3-32B", "fp8")] if item.engines)
    assert (recipe.checkpoint, recipe.min_version) == ("Qwen/Qwen3-32B-FP8", "vllm 0.8.5")
    assert ("Qwen/Qwen2.5-72B-Instruct", "nvfp4") not in CATALOG.checkpoints


def test_market_flags_cover_every_card_in_both_markets() -> None:
    flags = {(flag.gpu, flag.market): flag for flag in CATALOG.markets}
    assert set(flags) == {(gpu.id, market) for gpu in GPUS for market in ("cn", "us")}
    assert (flags["h100_sxm_80", "cn"].obtainable, flags["h100_sxm_80", "cn"].since) == ("restricted", "2022-10")
    assert (flags["a800_sxm_80", "cn"].obtainable, flags["a800_sxm_80", "cn"].since) == ("restricted", "2023-10")
    assert (flags["h200_sxm_141", "cn"].obtainable, flags["h200_sxm_141", "cn"].since) == ("yes", "2025-12")
    assert (flags["h20_96", "cn"].obtainable, flags["h20_96", "cn"].since) == ("restricted", "2025-04")
    assert flags["l20_48", "cn"].obtainable == flags["ascend_910b2_64", "cn"].obtainable == "yes"
    assert flags["h100_sxm_80", "us"].obtainable == "yes"
    assert flags["l20_48", "us"].obtainable == flags["a10_24", "cn"].obtainable == "unknown"


def test_every_row_says_where_it_is_from() -> None:
    everything: list[Any] = [
        *GPUS,
        *MODELS,
        *CATALOG.engines.values(),
        *CATALOG.fx.values(),
        *CATALOG.quant_facts,
        *CATALOG.markets,
    ]
    assert all(item.source for item in everything)
    assert Counter(rate.source.split(":")[0] for rate in CATALOG.fx.values()) == {"assumption": 2}
