"""Precision gates, legal degrees, accuracy recovery."""

from __future__ import annotations

import pytest

from optimizer.catalog.types import Catalog
from optimizer.performance.compatibility import (
    compute_precision,
    engine_refusal,
    kv_caches,
    legal_tp,
    native_quant,
    offload_refusal,
    pp_refusal,
    recovery,
    tp_refusal,
    weight_quant_gates,
    weight_quants,
)

DENSE, MOE, GPT_OSS = "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-30B-A3B", "openai/gpt-oss-120b"


@pytest.mark.parametrize(
    ("gpu", "allowed"),
    [
        ("v100_sxm_32", {"bf16"}),
        ("t4_16", {"bf16", "int8", "int4"}),
        ("a100_sxm_80", {"bf16", "fp8", "int8", "int4"}),
        ("rtx_4090_24", {"bf16", "fp8", "int8", "int4"}),
        ("h100_sxm_80", {"bf16", "fp8", "int8", "int4"}),
        ("b200_sxm_180", {"bf16", "fp8", "int4", "nvfp4"}),
        ("b300_sxm_288", {"bf16", "fp8", "int4", "nvfp4"}),
        ("mi300x_192", {"bf16", "fp8", "int4"}),
    ],
)
def test_formats_of_a_dense_model(catalog: Catalog, gpu: str, allowed: set[str]) -> None:
    assert set(weight_quants(catalog.gpus[gpu], catalog.models[DENSE], catalog.engines["vllm"])) == allowed


def test_mxfp4_needs_routed_experts(catalog: Catalog) -> None:
    card, engine = catalog.gpus["h100_sxm_80"], catalog.engines["vllm"]
    assert "mxfp4" in weight_quants(card, catalog.models[MOE], engine)
    assert set(weight_quants(card, catalog.models[GPT_OSS], engine)) == {"bf16", "mxfp4"}


def test_every_refusal_has_a_reason(catalog: Catalog) -> None:
    for gpu in catalog.gpus.values():
        for engine in catalog.engines.values():
            for gate in weight_quant_gates(gpu, catalog.models[DENSE], engine):
                assert gate.allowed or len(gate.reason) > 20


def test_engines_run_on_their_vendors(catalog: Catalog) -> None:
    assert "does not run on amd" in engine_refusal(catalog.gpus["mi300x_192"], catalog.engines["trtllm"])
    assert not weight_quants(catalog.gpus["mi300x_192"], catalog.models[DENSE], catalog.engines["trtllm"])


def test_fp8_cache_needs_ada(catalog: Catalog) -> None:
    engine = catalog.engines["vllm"]
    assert kv_caches(catalog.gpus["a100_sxm_80"], engine) == ("auto",)
    assert kv_caches(catalog.gpus["l40s_48"], engine) == ("auto", "fp8")


def test_fp8_on_ampere_saves_memory_only(catalog: Catalog) -> None:
    assert compute_precision(catalog.gpus["a100_sxm_80"], "fp8") == "bf16"
    assert compute_precision(catalog.gpus["h100_sxm_80"], "fp8") == "fp8"
    assert compute_precision(catalog.gpus["h100_sxm_80"], "int4") == "bf16"


def test_legal_degrees(catalog: Catalog) -> None:
    qwen = catalog.models["Qwen/Qwen3-235B-A22B"]
    assert max(legal_tp(qwen, "fp8")) == 4
    assert max(legal_tp(qwen, "bf16")) > 4
    assert "scale blocks" in tp_refusal(qwen, "fp8", 8)
    assert "does not divide" in tp_refusal(catalog.models[DENSE], "bf16", 3)
    assert not pp_refusal(catalog.models[DENSE], 4)
    assert "without a layer" in pp_refusal(catalog.models[DENSE], 64)


def test_recovery(catalog: Catalog) -> None:
    big, small = catalog.models["meta-llama/Llama-3.1-70B-Instruct"], catalog.models[DENSE]
    assert recovery(catalog, big, "bf16", "auto") == 1.0
    assert recovery(catalog, big, "int4", "auto") == pytest.approx(0.98)
    assert recovery(catalog, small, "int4", "auto") == pytest.approx(0.965)
    assert recovery(catalog, big, "fp8", "fp8") == pytest.approx(0.995 * 0.99)
    assert recovery(catalog, catalog.models[GPT_OSS], "mxfp4", "auto") == 1.0
    deepseek = catalog.models["deepseek-ai/DeepSeek-V3"]
    assert native_quant(deepseek) == "fp8"
    assert recovery(catalog, deepseek, "bf16", "auto") == recovery(catalog, deepseek, "fp8", "auto") == 1.0


def test_offload_is_refused_with_its_reason() -> None:
    assert "PCIe" in offload_refusal()


@pytest.mark.parametrize(
    ("engine", "version", "gpu", "quant", "runs"),
    [
        ("vllm", "", "t4_16", "fp8", False),
        ("vllm", "0.19.0", "t4_16", "fp8", False),
        ("vllm", "0.33.0", "t4_16", "fp8", True),
        ("sglang", "0.5.23", "t4_16", "fp8", False),
        ("vllm", "0.33.0", "v100_sxm_32", "fp8", False),
        ("vllm", "", "a100_sxm_80", "fp8", True),
        ("trtllm", "", "a100_sxm_80", "fp8", False),
        ("vllm", "", "b200_sxm_180", "int8", False),
        ("vllm", "", "rtx_5090_32", "int8", False),
        ("vllm", "", "mi300x_192", "int8", False),
        ("sglang", "", "mi300x_192", "int8", True),
        ("vllm", "", "mi300x_192", "nvfp4", False),
        ("vllm", "", "h100_sxm_80", "nvfp4", False),
        ("vllm-ascend", "", "ascend_910b2_64", "int8", True),
        ("vllm-ascend", "", "ascend_910b2_64", "fp8", False),
    ],
)
def test_the_table_knows_card_format_engine_and_version(
    catalog: Catalog, engine: str, version: str, gpu: str, quant: str, runs: bool
) -> None:
    found = weight_quants(catalog.gpus[gpu], catalog.models[DENSE], catalog.engines[engine], version)
    assert (quant in found) is runs


def test_every_cell_of_the_table_is_decided_by_a_row(catalog: Catalog) -> None:
    for engine in catalog.engines.values():
        for vendor in engine.vendors:
            for kind, formats in (("weights", engine.weight_quants), ("kv_cache", engine.kv_caches)):
                stated = {rule.format for rule in engine.format_rules if (rule.vendor, rule.kind) == (vendor, kind)}
                assert set(formats) <= stated, (engine.id, vendor, kind)


def test_a_row_that_refuses_says_why(catalog: Catalog) -> None:
    for rule in catalog.engines["vllm"].format_rules:
        conditional = rule.from_capability or rule.below_capability or rule.card_needs or rule.from_version
        assert rule.reason or (rule.allowed and not conditional), rule
        assert rule.source, rule
