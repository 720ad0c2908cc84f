"""What is stored is read, what is computed decides the rate: properties over every card and model of the catalog."""

from __future__ import annotations

import numpy as np
import pytest

from optimizer.catalog import default_root, load_catalog
from optimizer.catalog.types import Gpu, Model
from optimizer.performance import load_parameters
from optimizer.performance.architecture import is_latent, is_sparse
from optimizer.performance.formats import WEIGHT_ONLY, kernel_format
from optimizer.performance.memory import kv_need_of, stored_parts, weight_parts
from optimizer.performance.rates import BOUND_TOKENS, SPARSE_ATTENTION_TOKENS, work_of
from optimizer.performance.replicas import coefficients
from optimizer.performance.step import StepCoefficients, step_seconds
from optimizer.performance.types import ReplicaSpec

CATALOG = load_catalog()
PARAMS = load_parameters(default_root())
DENSE = ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-405B-Instruct", "Qwen/Qwen3.5-27B")
MIXTURES = ("Qwen/Qwen3-30B-A3B", "openai/gpt-oss-120b", "deepseek-ai/DeepSeek-V3")
NARROW = ("fp8", "int8", "int4", "nvfp4", "mxfp4")
ENGINES = ("vllm", "sglang", "trtllm", "generic")


def spec(gpu: Gpu, model: Model, quant: str, engine: str = "vllm", *, tp: int = 1, kv: str = "auto") -> ReplicaSpec:
    return ReplicaSpec(
        gpu=gpu, model=model, engine=CATALOG.engines[engine], weight_quant=quant, kv_cache=kv, tensor_parallel=tp,
        pipeline_parallel=1, link=gpu.link, gpu_memory_utilization=0.9, max_num_seqs=256, max_num_batched_tokens=8192,
        max_model_len=8192,
    )  # fmt: skip


def pairs(models: tuple[str, ...]) -> list[tuple[str, StepCoefficients, StepCoefficients, Model]]:
    """Coefficients of every card, model and engine: in a format that the card computes at 16 bit, and in 16 bit."""
    cells = [
        (gpu, CATALOG.models[model], quant, engine)
        for gpu in CATALOG.gpus.values()
        if gpu.bf16_tflops
        for model in models
        for quant in NARROW
        if kernel_format(gpu, quant) in WEIGHT_ONLY
        for engine in ENGINES
    ]
    narrow = coefficients([spec(*cell) for cell in cells], PARAMS)
    wide = coefficients([spec(gpu, model, "bf16", engine) for gpu, model, _, engine in cells], PARAMS)
    return [
        (f"{gpu.id} {model.id} {quant} {engine}", narrow.row(i), wide.row(i), model)
        for i, (gpu, model, quant, engine) in enumerate(cells)
    ]


def prompt_step(c: StepCoefficients, tokens: float) -> float:
    """Without the host's floor under prompt steps of hybrid models: it says nothing of how weights multiply."""
    bare = c._replace(floor_captured=0.0, floor_eager=0.0)
    return float(step_seconds(bare, 0.0, 0.0, tokens, tokens / 2))


def test_a_prompt_bound_by_arithmetic_is_never_faster_than_at_16_bit() -> None:
    for name, narrow, wide, _ in pairs(DENSE):
        for tokens in (1024, 1500, 2048, 4096, 8192, 32768):
            assert prompt_step(narrow, tokens) >= prompt_step(wide, tokens) * (1 - 1e-9), (name, tokens)


def test_nor_is_a_mixture_with_as_many_tokens_on_every_expert() -> None:
    for name, narrow, wide, model in pairs(MIXTURES):
        for times in (1, 2, 8):
            tokens = times * BOUND_TOKENS * model.num_experts / model.experts_per_token
            assert prompt_step(narrow, tokens) >= prompt_step(wide, tokens) * (1 - 1e-9), (name, tokens)


def test_below_that_a_dense_model_gains_what_it_does_not_read_and_no_more() -> None:
    """Nothing where it reads no less: an mxfp4 checkpoint of a dense model is 16 bit, counted by the formula."""
    for name, narrow, wide, _ in pairs(DENSE):
        saved = max(wide.dense_read - narrow.dense_read, 0.0)
        for tokens in (1, 16, 64, 128, 256, 512):
            assert prompt_step(wide, tokens) - prompt_step(narrow, tokens) <= saved + 1e-9, (name, tokens)


def test_what_is_computed_natively_still_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """fp8 on Hopper, nvfp4 on Blackwell: twice and four times the peak of 16 bit, prompts faster than in 16 bit."""
    for gpu, quant in (("h100_sxm_80", "fp8"), ("l40s_48", "fp8"), ("b200_sxm_180", "nvfp4"), ("mi300x_192", "fp8")):
        card, model = CATALOG.gpus[gpu], CATALOG.models[DENSE[0]]
        assert kernel_format(card, quant) not in WEIGHT_ONLY
        narrow, wide = (coefficients([spec(card, model, q)], PARAMS).row(0) for q in (quant, "bf16"))
        assert prompt_step(narrow, 4096) < prompt_step(wide, 4096)


def test_no_factor_fitted_on_native_arithmetic_reaches_a_weight_only_kernel() -> None:
    """Halving every factor of native fp8 and nvfp4 changes nothing where they are not computed."""
    native = {
        key: value * 0.5
        for key, value in PARAMS.values.items()
        if key[1].split(":")[-1].split("/")[-1] in ("fp8", "fp8_block", "nvfp4", "mxfp4_a8")
    }
    assert len(native) > 10
    changed = type(PARAMS)(**{**PARAMS.__dict__, "values": {**PARAMS.values, **native}})
    for gpu, quant in (("a100_sxm_80", "fp8"), ("t4_16", "fp8"), ("h100_sxm_80", "nvfp4"), ("h100_sxm_80", "mxfp4")):
        asked = [spec(CATALOG.gpus[gpu], CATALOG.models[model], quant) for model in (DENSE[0], MIXTURES[0])]
        before, after = coefficients(asked, PARAMS), coefficients(asked, changed)
        assert all(np.all(a == b) for a, b in zip(before, after, strict=True)), (gpu, quant)


@pytest.mark.parametrize("kv", ["auto", "fp8"])
def test_a_rank_reads_of_a_token_what_it_stores_of_it(kv: str) -> None:
    gpu = CATALOG.gpus["h200_sxm_141"]
    for model in CATALOG.models.values():
        for tp in model.legal_tp:
            asked = spec(gpu, model, "bf16", tp=tp, kv=kv)
            per_token, per_window_token, window, per_sequence = kv_need_of(asked)
            work, length = work_of(asked), float(SPARSE_ATTENTION_TOKENS)
            stored = per_token * length + per_window_token * min(length, window) + per_sequence
            states = model.linear_state_bytes / tp  # read and written: twice what is stored
            read = work.kv_bytes * length + work.kv_window_bytes * min(length, work.window) + work.state_bytes - states
            assert read == pytest.approx(stored), (model.id, tp)
            if is_latent(model) and not is_sparse(model):  # the latent is whole on every rank
                assert work.kv_bytes == pytest.approx(model.kv_bytes_full_16bit * (0.5 if kv == "fp8" else 1.0))


def test_a_step_reads_the_weights_that_memory_stores() -> None:
    gpu = CATALOG.gpus["b200_sxm_180"]
    for model in CATALOG.models.values():
        for quant in ("bf16", "fp8", "int8", "int4", "nvfp4", *(("mxfp4",) if model.is_moe else ())):
            for tp in (model.legal_tp[0], model.legal_tp[-1]):
                stored, work = weight_parts(model, quant), work_of(spec(gpu, model, quant, tp=tp))
                assert work.dense_bytes == pytest.approx(stored.rest / tp + stored.everywhere), (model.id, quant)
                assert work.expert_bytes * tp == pytest.approx(stored.experts), (model.id, quant)
                assert (work.dense_format == "bf16") == (stored.rest_is_wide or quant == "bf16"), (model.id, quant)


def test_a_four_bit_mixture_published_with_a_wide_dense_part_is_read_wide() -> None:
    gpu = CATALOG.gpus["b200_sxm_180"]
    wide, narrow = CATALOG.models["moonshotai/Kimi-K2.5"], CATALOG.models["Qwen/Qwen3-30B-A3B"]
    assert work_of(spec(gpu, wide, "int4", tp=8)).dense_format == "bf16"
    assert work_of(spec(gpu, narrow, "int4")).dense_format == "int4"
    counted = sum(part.bytes for part in stored_parts(wide, "int4"))
    assert weight_parts(wide, "int4").total == pytest.approx(counted)
    assert counted == pytest.approx(dict(wide.published_bytes)["int4"], rel=1e-3), "as published, to four digits"
