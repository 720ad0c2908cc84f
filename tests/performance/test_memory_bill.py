"""Memory against hand calculations and measured checkpoint sizes."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from optimizer.catalog import default_root
from optimizer.catalog.types import Catalog
from optimizer.demand import KvSizing, Lengths
from optimizer.performance.memory import GIB, memory_bill, memory_bills, memory_table, weight_bytes
from optimizer.performance.memory_statement import statement

LLAMA = "meta-llama/Llama-3.1-70B-Instruct"
CHAT = Lengths(1024, 300, 8192)


def test_llama_70b_weights_by_format(catalog: Catalog) -> None:
    sizes = {quant: weight_bytes(catalog.models[LLAMA], quant) / 1e9 for quant in ("bf16", "fp8", "int4")}
    assert sizes["bf16"] == pytest.approx(141.1, abs=0.05)  # 70.55e9 x 2 bytes
    assert sizes["fp8"] == pytest.approx(4.20 + 68.45 * 8.03 / 8, abs=0.05)
    assert sizes["int4"] == pytest.approx(39.8, abs=0.05)


def test_llama_70b_kv_by_hand(make) -> None:
    table = memory_table([make("h200_sxm_141", LLAMA)])
    assert table.kv.sequence(1.0)[0] == 2 * 80 * 8 * 128 * 2 == 327_680
    assert table.kv.sequence(8192.0)[0] / 1e9 == pytest.approx(2.68, abs=0.005)


def test_latent_cache_is_whole_on_every_rank(make) -> None:
    for tp in (1, 8):
        table = memory_table([make("h200_sxm_141", "deepseek-ai/DeepSeek-V3", "fp8", tp=tp)])
        assert table.kv.sequence(1.0)[0] == (512 + 64) * 61 * 2 == 70_272


def test_kv_heads_repeat_once_every_rank_has_one(make) -> None:
    per_gpu = [
        memory_bill(make("h100_sxm_80", "meta-llama/Llama-3.1-8B-Instruct", tp=tp), CHAT).kv_bytes_per_token
        for tp in (1, 2, 8, 16)
    ]
    assert per_gpu == [131_072, 65_536, 16_384, 16_384]  # 8 KV heads


def test_sliding_layers_hold_only_their_window(make, catalog: Catalog) -> None:
    model = catalog.models["google/gemma-3-27b-it"]
    kv = memory_table([make("h100_sxm_80", model.id)]).kv
    expected = 32_000 * model.kv_bytes_full_16bit + 1024 * model.kv_bytes_sliding_16bit
    assert kv.sequence(32_000.0)[0] == pytest.approx(expected)


def test_linear_layers_cost_a_constant_per_sequence(make, catalog: Catalog) -> None:
    model = catalog.models["Qwen/Qwen3.5-122B-A10B"]
    kv = memory_table([make("h200_sxm_141", model.id, "fp8")]).kv
    assert kv.sequence(0.0)[0] == pytest.approx(model.linear_state_bytes)
    assert kv.sequence(1000.0)[0] - kv.sequence(0.0)[0] == pytest.approx(1000 * model.kv_bytes_full_16bit)


def test_fp8_cache_halves_keys_and_values(make) -> None:
    wide, narrow = (memory_bill(make("h100_sxm_80", LLAMA, tp=4, kv=kv), CHAT) for kv in ("auto", "fp8"))
    assert narrow.kv_bytes_per_token == wide.kv_bytes_per_token / 2


def test_pipeline_stage_holds_its_layers_and_one_end(make) -> None:
    bill = memory_bill(make("a100_sxm_80", LLAMA, pp=2), CHAT)
    by_hand = (70.55e9 - 2 * 1.0507e9) * 2 / 2 + 1.0507e9 * 2  # half of the body, embedding or head
    assert bill.weights == pytest.approx(by_hand, rel=1e-3)


@pytest.mark.parametrize(
    ("version", "sequences", "peak", "overhead"),
    [
        ("0.11.0", 1024, 9.7 * 1024 * 4 * 128256 / GIB, 0.13),  # measured 4.76 and 0.13
        ("0.11.0", 8, 1.82, 0.13),  # the step of 8,192 tokens is larger than the sampler
        ("0.25.1", 1024, 1.82, 0.13 + 0.14 + 51 * 0.008),  # graphs inside the budget, the sampler holds less
        ("", 1024, 1.82, 0.13 + 0.14 + 51 * 0.008),  # nothing stated: the newest
    ],
)
def test_what_vllm_takes_at_start(make, version: str, sequences: int, peak: float, overhead: float) -> None:
    spec = replace(make("h100_sxm_80", LLAMA, "fp8", seqs=sequences, tokens=8192), engine_version=version)
    bill = memory_bill(spec, CHAT)
    assert bill.activations / GIB == pytest.approx(peak, abs=0.02)
    assert bill.overhead / GIB == pytest.approx(overhead, abs=0.005)
    assert bill.usable / GIB == pytest.approx(spec.gpu_memory_utilization * 79.18, abs=0.01)


def test_the_sampler_is_whole_on_every_rank(make) -> None:
    one, two = (replace(make("h100_sxm_80", LLAMA, "fp8", tp=tp), engine_version="0.11.0") for tp in (1, 2))
    assert memory_bill(one, CHAT).activations == memory_bill(two, CHAT).activations
    assert memory_bill(two, CHAT).overhead / GIB == pytest.approx(0.55)


def test_the_fraction_of_sglang_holds_weights_and_kv_only(make) -> None:
    bill = memory_bill(make("h100_sxm_80", LLAMA, "fp8", engine="sglang", utilization=0.9), CHAT)
    assert (bill.weights + bill.kv_budget) / GIB == pytest.approx(0.9 * (79.18 - 0.6), abs=0.01)


def test_the_fraction_of_tensorrt_is_of_what_is_left(make) -> None:
    """A 70B in fp8 with an fp8 cache on one H100 holds 214 requests of 256 tokens (published), not 34."""
    bill = memory_bill(make("h100_sxm_80", LLAMA, "fp8", engine="trtllm", kv="fp8", utilization=0.9), CHAT)
    assert bill.kv_budget / (163_840 * 256) == pytest.approx(214, rel=0.05)


def test_mxfp4_experts_are_padded_in_memory(catalog: Catalog, make) -> None:
    bill = memory_bill(make("h100_sxm_80", "openai/gpt-oss-20b", "mxfp4"), CHAT)
    assert bill.weights / GIB == pytest.approx(13.47, rel=0.005)  # measured; 12.8 in the file


def test_graphs_beside_the_budget_must_fit_the_card(make) -> None:
    spec = replace(make("h100_sxm_80", LLAMA, "fp8", utilization=1.0), engine_version="0.19.0")
    assert memory_bill(spec, CHAT).usable / GIB == pytest.approx(79.18 - 0.14 - 51 * 0.008, abs=0.01)


def test_measured_checkpoints(catalog: Catalog) -> None:
    """Rows of shared/data/quantized_checkpoint_sizes.csv that the formula applies to (nothing left unquantized)."""
    measured = {
        ("Qwen/Qwen3-8B", "int4"): 6.10,
        ("Qwen/Qwen2.5-32B-Instruct", "int4"): 19.33,
        (LLAMA, "int8"): 72.7,
        ("openai/gpt-oss-120b", "mxfp4"): 65.25,
        ("openai/gpt-oss-20b", "mxfp4"): 13.76,
        ("MiniMaxAI/MiniMax-M2", "fp8"): 230.15,
    }
    for (model, quant), size in measured.items():
        assert weight_bytes(catalog.models[model], quant) / 1e9 == pytest.approx(size, rel=0.003), (model, quant)


@pytest.mark.parametrize(
    ("model", "quant", "size"),
    [
        ("Qwen/Qwen3.5-122B-A10B", "int4", 78.89),
        ("nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16", "nvfp4", 352.33),
    ],
)
def test_a_published_checkpoint_that_is_larger_counts(catalog: Catalog, model: str, quant: str, size: float) -> None:
    known = catalog.models[model]
    assert weight_bytes(known, quant) / 1e9 == pytest.approx(size, rel=1e-9)
    assert weight_bytes(replace(known, published_bytes=()), quant) / 1e9 < size
    assert weight_bytes(replace(known, published_bytes=((quant, 1e9),)), quant) / 1e9 < size


def test_layers_for_speculative_decoding_are_not_loaded(catalog: Catalog) -> None:
    """The file of DeepSeek-V3 has 688.59 GB: 671.0B parameters as loaded and one layer more for speculation."""
    assert weight_bytes(catalog.models["deepseek-ai/DeepSeek-V3"], "fp8") / 1e9 == pytest.approx(673.15, rel=1e-3)
    assert weight_bytes(catalog.models["moonshotai/Kimi-K2.5"], "int4") / 1e9 == pytest.approx(595.20, rel=0.005)


def test_planned_tokens_leave_a_tenth_free(make) -> None:
    bill = memory_bill(make("h100_sxm_80", LLAMA, tp=4), CHAT)
    assert bill.kv_tokens == pytest.approx(0.9 * bill.kv_budget / bill.kv_bytes_per_token, abs=1)


def test_bills_agree_one_by_one_and_together(make) -> None:
    specs = [make("h100_sxm_80", LLAMA, "fp8", tp=tp) for tp in (1, 2, 4)]
    assert memory_bills(specs, CHAT) == [memory_bill(spec, CHAT) for spec in specs]


def test_worst_case_sizing_counts_whole_contexts(make) -> None:
    sliding = make("h100_sxm_80", "google/gemma-3-27b-it")
    typical = memory_bill(sliding, CHAT).kv_tokens
    worst = memory_bill(sliding, Lengths(1024, 300, 8192, kv_sizing=KvSizing.WORST_CASE)).kv_tokens
    assert worst > typical  # long requests share the window's fixed part over more tokens


def test_more_memory_never_holds_less(make) -> None:
    held = [memory_bill(make("h100_sxm_80", LLAMA, "fp8", utilization=u), CHAT).kv_tokens for u in (0.8, 0.9, 0.95)]
    assert held == sorted(held)


def test_statement_adds_up(make) -> None:
    spec = make("h100_sxm_80", LLAMA, "int4", tp=2)
    told = statement(spec, 4096, 32)
    assert sum(part.size for part in told.parts) == pytest.approx(weight_bytes(spec.model, "int4"))
    assert told.kv_per_user == 4096 * 327_680
    assert told.kv_total / 1e9 == pytest.approx(42.9, abs=0.1)  # guides say 41.6 for 32 users at 4K
    assert told.fits
    assert told.smallest_tp == 2
    assert next(rule for rule in told.rules if "MB per token" in rule.name).says > 300 * told.kv_total


def test_every_model_of_the_catalog_has_a_bill(make, catalog: Catalog) -> None:
    with (default_root() / "models.csv").open(encoding="utf-8") as stream:
        assert len(list(csv.reader(stream))) > 100
    for model in catalog.models:
        bill = memory_bill(make("h200_sxm_141", model), Lengths(100, 100, 1000))
        assert bill.weights > 0
        assert bill.kv_bytes_per_token > 0
