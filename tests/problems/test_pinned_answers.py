"""Answers worked out by hand that sizing guides get wrong: memory first, no solver needed."""

from __future__ import annotations

import pytest

from optimizer.catalog import load_catalog
from optimizer.catalog.types import Catalog
from optimizer.demand import Lengths
from optimizer.performance import memory_bill, offload_refusal, weight_bytes
from optimizer.performance.types import MemoryBill, ReplicaSpec

LLAMA_3_70B = "meta-llama/Meta-Llama-3-70B"
KV_BYTES_PER_TOKEN = 2 * 80 * 8 * 128 * 2  # K and V, layers, KV heads, head size, 16 bits


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def _bill(
    catalog: Catalog, gpu: str, model: str, quant: str, *, kv: str = "auto", tp: int = 1, context: int = 8192
) -> MemoryBill:
    engine, card = catalog.engines["vllm"], catalog.gpus[gpu]
    large = card.memory_mib >= engine.large_memory_from_mib and card.arch not in engine.large_excludes_archs
    spec = ReplicaSpec(
        gpu=card,
        model=catalog.models[model],
        engine=engine,
        weight_quant=quant,
        kv_cache=kv,
        tensor_parallel=tp,
        pipeline_parallel=1,
        link=card.link,
        gpu_memory_utilization=engine.gpu_memory_utilization,
        max_num_seqs=engine.large_max_num_seqs if large else engine.max_num_seqs,
        max_num_batched_tokens=engine.large_max_num_batched_tokens if large else engine.max_num_batched_tokens,
        max_model_len=context,
    )
    return memory_bill(spec, Lengths(input_mean=context - 512, output_mean=512, context_max=context))


def test_llama_70b_weighs_141_gb_at_16_bits(catalog: Catalog) -> None:
    assert weight_bytes(catalog.models[LLAMA_3_70B], "bf16") / 1e9 == pytest.approx(141.1, abs=0.1)


def test_llama_70b_keeps_a_third_of_a_megabyte_per_token_not_100(catalog: Catalog) -> None:
    bill = _bill(catalog, "h100_sxm_80", LLAMA_3_70B, "fp8")
    assert bill.kv_bytes_per_token == KV_BYTES_PER_TOKEN == 327_680


def test_int4_70b_does_not_fit_an_a100_40(catalog: Catalog) -> None:
    bill = _bill(catalog, "a100_sxm_40", LLAMA_3_70B, "int4")
    assert bill.weights / 1e9 == pytest.approx(39.8, abs=0.1)
    assert bill.usable / 1e9 == pytest.approx(39.0, abs=0.1)  # 0.92 of the 39.49 GiB that CUDA reports
    assert not bill.fits


def test_16_bit_70b_does_not_fit_one_a100_80(catalog: Catalog) -> None:
    assert not _bill(catalog, "a100_sxm_80", LLAMA_3_70B, "bf16").fits


def test_two_rtx_4090_hold_11_000_tokens_of_16_bit_kv_and_twice_that_in_fp8(catalog: Catalog) -> None:
    wide = _bill(catalog, "rtx_4090_24", LLAMA_3_70B, "int4", tp=2)
    narrow = _bill(catalog, "rtx_4090_24", LLAMA_3_70B, "int4", kv="fp8", tp=2)
    assert 2 * wide.kv_budget / 1e9 == pytest.approx(3.65, abs=0.1)  # 0.92 x 23.5 GiB, 256 sequences, 2,048 tokens
    assert wide.kv_budget < 12_288 * wide.kv_bytes_per_token
    assert narrow.kv_budget > 12_288 * narrow.kv_bytes_per_token


def test_fp8_70b_leaves_about_8_000_tokens_on_one_h100(catalog: Catalog) -> None:
    bill = _bill(catalog, "h100_sxm_80", LLAMA_3_70B, "fp8")
    assert bill.kv_budget / bill.kv_bytes_per_token == pytest.approx(8_000, rel=0.1)  # CUDA reports 79.18 GiB of 79.65


def test_int8_72b_does_not_fit_one_rtx_4090(catalog: Catalog) -> None:
    bill = _bill(catalog, "rtx_4090_24", "Qwen/Qwen-72B", "int8", context=2400)
    assert bill.weights / 1e9 == pytest.approx(75, abs=0.5)  # 73 if embedding and head were int8 too
    assert not bill.fits


def test_the_first_qwen_72b_keeps_2_6_mb_per_token(catalog: Catalog) -> None:
    bill = _bill(catalog, "a100_sxm_80", "Qwen/Qwen-72B", "int4", context=2400)
    assert bill.kv_bytes_per_token == 2 * 80 * 64 * 128 * 2 == 2_621_440


def test_llama_3_stops_at_8k_and_llama_3_1_goes_on(catalog: Catalog) -> None:
    assert catalog.models[LLAMA_3_70B].context_limit == 8192
    assert catalog.models["meta-llama/Llama-3.1-70B-Instruct"].context_limit == 131_072


def test_offload_is_refused_with_a_reason() -> None:
    assert "PCIe" in offload_refusal()


@pytest.mark.parametrize(("gpu", "dense"), [("h100_sxm_80", 989), ("l20_48", 119.5), ("rtx_4090_24", 165)])
def test_peaks_are_dense_tensor_core_figures(catalog: Catalog, gpu: str, dense: float) -> None:
    assert catalog.gpus[gpu].bf16_tflops == pytest.approx(dense, rel=0.005)


def test_a800_nvlink_is_400_gb_s_not_600(catalog: Catalog) -> None:
    assert catalog.gpus["a800_sxm_80"].link_gb_s == 400
