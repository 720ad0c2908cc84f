"""The step time: hand calculation, physical limits, one source for numpy and numba."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.catalog import default_root, load_catalog
from optimizer.catalog.types import Catalog
from optimizer.performance import load_parameters
from optimizer.performance.parameter_files import read_parameter_rows
from optimizer.performance.parameters import Parameters
from optimizer.performance.rates import expert_fact, saturated, scopes_of, work_of
from optimizer.performance.replicas import coefficients
from optimizer.performance.step import StepCoefficients, step_seconds
from optimizer.performance.types import ReplicaSpec

CATALOG = load_catalog()
PARAMS = load_parameters(default_root())


def spec(gpu: str, model: str, quant: str, tp: int = 1, **other: object) -> ReplicaSpec:
    card, engine = CATALOG.gpus[gpu], CATALOG.engines["vllm"]
    base = ReplicaSpec(card, CATALOG.models[model], engine, quant, "auto", tp, 1, card.link, 0.92, 256, 8192, 8192)
    return replace(base, **other)  # type: ignore[arg-type]


LLAMA_8B, LLAMA_70B, DEEPSEEK = (
    "meta-llama/Llama-3.1-8B-Instruct",
    "meta-llama/Llama-3.1-70B-Instruct",
    "deepseek-ai/DeepSeek-R1",
)


def neutral(**fields: float) -> StepCoefficients:
    values = dict.fromkeys(StepCoefficients._fields, 0.0)
    ones = dict.fromkeys(("stages", "gemm_sharpness", "kv_sharpness", "link_sharpness", "miss"), 1.0)
    return StepCoefficients(**{**values, **ones, "window": 1e30, "chunk": 8192.0, **fields})


def test_weights_and_arithmetic_add_up_at_sharpness_one_and_take_the_larger_when_sharp() -> None:
    c = neutral(dense_read=4e-3, dense_token=1e-3)
    assert step_seconds(c, 3.0, 0.0, 0.0, 0.0) == pytest.approx(4e-3 + 3e-3)
    sharp = c._replace(gemm_sharpness=50.0)
    assert step_seconds(sharp, 3.0, 0.0, 0.0, 0.0) == pytest.approx(4e-3, rel=1e-3)


def test_experts_hit_by_random_routing() -> None:
    c = neutral(expert_read=8e-3, miss=1 - 2 / 8)
    assert step_seconds(c, 1.0, 0.0, 0.0, 0.0) == pytest.approx(8e-3 * 2 / 8)
    assert step_seconds(c, 4.0, 0.0, 0.0, 0.0) == pytest.approx(8e-3 * (1 - 0.75**4))


def test_sliding_window_stops_growing() -> None:
    c = neutral(kv_window_token=1e-6, window=128.0)
    short, long = (float(step_seconds(c, 2.0, 2.0 * length, 0.0, 0.0)) for length in (128.0, 4096.0))
    assert short == pytest.approx(long) == pytest.approx(2 * 128 * 1e-6, rel=1e-4)


def test_prompt_attention_counts_pairs() -> None:
    c = neutral(pair=1e-9)
    assert step_seconds(c, 0.0, 0.0, 1000.0, 500.0) == pytest.approx(1000 * 500 * 1e-9)


def test_llama_8b_reads_its_weights_without_the_embedding() -> None:
    model = CATALOG.models[LLAMA_8B]
    work = work_of(spec("h100_sxm_80", LLAMA_8B, "bf16"))
    assert work.dense_bytes + work.head_bytes == pytest.approx(2 * (model.total_params - model.embed_params))
    assert work.kv_bytes == 131072  # 2 x 32 layers x 8 heads x 128 x 2 bytes


def test_latent_cache_is_whole_on_every_rank() -> None:
    assert work_of(spec("h200_sxm_141", DEEPSEEK, "fp8", tp=8)).kv_bytes == 70272


@pytest.mark.parametrize("gpu", sorted(CATALOG.gpus))
def test_no_card_reads_faster_than_its_memory_nor_computes_beyond_its_peak(gpu: str) -> None:
    for quant in ("bf16", "fp8", "int4"):
        one = spec(gpu, LLAMA_8B, quant)
        c = coefficients([one], PARAMS).row(0)
        work = work_of(one)
        slowest = (work.dense_bytes + work.head_bytes) / (one.gpu.bandwidth_gb_s * 1e9)
        assert float(step_seconds(c, 1.0, 1.0, 0.0, 0.0)) > slowest
        peak = max(one.gpu.bf16_tflops or 0, one.gpu.fp8_tflops or 0, one.gpu.fp4_tflops or 0) * 1e12
        assert float(step_seconds(c, 0.0, 0.0, 8192.0, 4096.0)) * peak > work.dense_flops * 8192 or not peak


def test_every_parameter_lies_within_its_bounds() -> None:
    rows = read_parameter_rows(default_root() / "performance" / "parameters.csv")
    assert len(rows) > 100
    assert all(row.unit and row.source for row in rows)
    assert len({(row.name, row.scope) for row in rows}) == len(rows)


@given(st.floats(0.01, 50.0))
def test_efficiency_never_passes_one(value: float) -> None:
    assert saturated(value) <= min(value, 1.0)
    assert saturated(0.7) == pytest.approx(0.7, rel=2e-3)


SPECS = [
    spec("h100_sxm_80", LLAMA_8B, "bf16"), spec("h200_sxm_141", LLAMA_70B, "fp8", tp=4),
    spec("b200_sxm_180", DEEPSEEK, "nvfp4", tp=8), spec("l40s_48", LLAMA_70B, "fp8", tp=8),
    spec("h200_sxm_141", "openai/gpt-oss-120b", "mxfp4", tp=2), spec("mi300x_192", LLAMA_70B, "bf16", tp=2),
]  # fmt: skip


@given(st.integers(0, len(SPECS) - 1), st.floats(1, 500), st.floats(1, 8000), st.floats(0, 8000), st.floats(1.01, 3.0))
def test_more_work_never_takes_less_time(which: int, batch: float, length: float, prompt: float, more: float) -> None:
    c = coefficients([SPECS[which]], PARAMS).row(0)
    base = float(step_seconds(c, batch, batch * length, prompt, prompt / 2))
    assert float(step_seconds(c, batch * more, batch * more * length, prompt, prompt / 2)) >= base
    assert float(step_seconds(c, batch, batch * length * more, prompt, prompt / 2)) >= base * (1 - 1e-12)
    assert float(step_seconds(c, batch, batch * length, prompt * more + 1, prompt * more / 2)) >= base


def test_arrays_and_compiled_floats_agree() -> None:
    import numba

    compiled = numba.njit(error_model="numpy")(step_seconds)
    c = coefficients(SPECS, PARAMS)
    together = step_seconds(c, 32.0, 32 * 900.0, 512.0, 256.0)
    single = [compiled(c.row(i), 32.0, 32 * 900.0, 512.0, 256.0) for i in range(len(SPECS))]
    np.testing.assert_allclose(together, single, rtol=1e-12)


def test_unstated_engine_versions_are_the_newest() -> None:
    params: Parameters = PARAMS
    assert params.generation("vllm", "") == "v1"
    assert params.generation("vllm", "0.6.3.post2") == "v0"
    assert params.generation("trtllm", "0.9") == "2023"
    assert params.generation("unheard-of", "1.0") == ""


def test_a_card_without_kernel_facts_takes_its_architectures() -> None:
    catalog: Catalog = CATALOG
    for gpu in catalog.gpus.values():
        kernels, own = PARAMS.kernels_of(gpu.id, gpu.arch)
        assert own == (kernels.gpu == gpu.id)
    assert PARAMS.kernels_of("a800_sxm_80", "ampere")[0].gpu == "a100_sxm_80"


def test_each_engine_runs_its_own_expert_kernels() -> None:
    """Block-scaled fp8 experts: what was measured of an engine goes before what engines have in common."""
    assert work_of(spec("b200_sxm_180", DEEPSEEK, "fp8", tp=8)).expert_format == "fp8_block"
    assert work_of(spec("b200_sxm_180", "mistralai/Mixtral-8x7B-Instruct-v0.1", "fp8")).expert_format == "fp8"
    assert work_of(spec("b200_sxm_180", LLAMA_70B, "fp8")).dense_format == "fp8"
    kernels, _ = PARAMS.kernels_of("b200_sxm_180", "blackwell")
    assert expert_fact(kernels, "sglang", "fp8_block") == kernels.moe["sglang", "fp8_block"]
    assert expert_fact(kernels, "sglang", "fp8") == kernels.moe["sglang", "fp8_block"]
    assert expert_fact(kernels, "tgi", "fp8_block") == kernels.moe["", "fp8"]
    assert kernels.moe["sglang", "fp8_block"].mfu < kernels.moe["trtllm", "fp8_block"].mfu


def test_tokens_sent_to_experts_cost_memory_traffic_on_every_rank() -> None:
    """Hidden size x 2 bytes x passes x experts per token x layers, at the card's bandwidth; hand calculation."""
    case = spec("h200_sxm_141", "mistralai/Mixtral-8x7B-Instruct-v0.1", "bf16", tp=8)
    more = replace(PARAMS, values={**PARAMS.values, ("dispatch_passes", ""): PARAMS.values["dispatch_passes", ""] + 10})
    before, after = (float(coefficients([case], params).row(0).token_elementwise) for params in (PARAMS, more))
    slow = PARAMS.product("slowdown", *scopes_of(case, "bf16", PARAMS))
    assert after - before == pytest.approx(slow * 10 * 2 * 4096 * 2 * 32 / 4800e9, rel=1e-6)


def test_fused_all_reduces_belong_to_a_release() -> None:
    """TensorRT-LLM's newest generation joins the norm to the all-reduce; older ones do not."""
    engine = CATALOG.engines["trtllm"]
    cases = [spec("h200_sxm_141", LLAMA_70B, "fp8", tp=4, engine=engine, engine_version=v) for v in ("", "0.14")]
    new, old = (coefficients([case], PARAMS).row(0).link_latency for case in cases)
    assert new < old


def test_no_tuned_four_bit_kernel_is_taken_for_granted_on_amd() -> None:
    fields = [
        coefficients([spec("mi300x_192", LLAMA_70B, quant)], PARAMS).row(0).dense_read for quant in ("fp8", "int4")
    ]
    assert fields[1] > 0.9 * fields[0]
