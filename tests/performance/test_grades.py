"""Grades and the sentences that explain them."""

from __future__ import annotations

from dataclasses import replace

from optimizer.catalog.types import Catalog
from optimizer.performance.accuracy import grade_of, grades_of, is_upper_bound
from optimizer.performance.types import Grade
from optimizer.vocabulary import Link

LLAMA = "meta-llama/Llama-3.1-70B-Instruct"


def test_measured_triple_is_a(make, params) -> None:
    assert grade_of(make("h100_sxm_80", LLAMA, "fp8", tp=2), params) == (Grade.A, ())


def test_two_of_three_is_b_and_less_is_c(make, params) -> None:
    grade, reasons = grade_of(make("h100_sxm_80", LLAMA, "int4", tp=2), params)
    assert grade is Grade.B
    assert "measured under load" in reasons[0]
    grade, reasons = grade_of(make("a40_48", "microsoft/Phi-3-medium-128k-instruct", "int8"), params)
    assert grade is Grade.C
    assert "nothing close" in reasons[0]


def test_siblings_inherit_one_grade_down(make, params) -> None:
    grade, reasons = grade_of(make("h800_sxm_80", LLAMA, "fp8", tp=2), params)
    assert grade is Grade.B
    assert "sibling h100_sxm_80" in reasons[0]


def test_pipelines_and_wide_pcie_are_c(make, params) -> None:
    assert grade_of(make("h100_sxm_80", LLAMA, "fp8", pp=2), params)[0] is Grade.C
    grade, reasons = grade_of(make("h100_sxm_80", LLAMA, "fp8", tp=4, link=Link.PCIE), params)
    assert grade is Grade.C
    assert "PCIe" in reasons[-1]
    assert grade_of(make("h100_sxm_80", LLAMA, "fp8", tp=4, link=Link.UNVERIFIED), params)[0] is Grade.C


def test_estimated_memory_costs_a_grade(make, params) -> None:
    spec = make("h100_sxm_80", LLAMA, "fp8", tp=2)
    assert grade_of(replace(spec, gpu=replace(spec.gpu, memory_is_fallback=True)), params)[0] is Grade.B


def test_many_at_once_agree_with_one_by_one(make, params) -> None:
    specs = [
        make(gpu, LLAMA, quant, tp=4) for gpu in ("h100_sxm_80", "l40s_48", "a100_sxm_80") for quant in ("fp8", "int4")
    ]
    assert grades_of(specs, params) == [grade_of(spec, params)[0] for spec in specs]


def test_large_expert_models_are_upper_bounds(catalog: Catalog) -> None:
    assert is_upper_bound(catalog.models["deepseek-ai/DeepSeek-V3"])
    assert not is_upper_bound(catalog.models[LLAMA])
    assert not is_upper_bound(catalog.models["Qwen/Qwen3-30B-A3B"])
