"""A parameter that one source alone speaks for keeps near its prior: what one table says may be its kernel, its clock,
its mistake. Those that do not are listed, with what asks for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from optimizer.calibrate.engine_steps import step_cases
from optimizer.calibrate.forward import settings_of
from optimizer.calibrate.rows import RowCase
from optimizer.calibrate.scores import packaged_cases, weighing
from optimizer.catalog import default_root, load_catalog
from optimizer.performance import load_parameters
from optimizer.performance.parameter_files import read_parameter_rows
from optimizer.performance.parameters import Parameter
from optimizer.performance.replicas import coefficients

ROOT = default_root()
CATALOG = load_catalog()
PARAMS = load_parameters(ROOT)

NEAR = 1.0
"""Prior deviations (logarithm) that one source may move a parameter by."""

ALONE = {
    ("slowdown", "vendor:huawei"): "gpustack_perflab: Ascend kernels are those of another vendor's card in the model",
    ("slowdown", "engine:mindie"): "gpustack_perflab: the same rows, MindIE beside vLLM on one card",
    ("slowdown", "vendor:intel"): "argonne-llm-inference-bench: Gaudi kernels are those of another vendor's card",
    ("slowdown", "engine:optimum-habana"): "argonne-llm-inference-bench: the only engine on that card",
    ("allreduce_bandwidth_factor", "link:pcie/geforce"): "iog_llm_bench: no peer to peer, copies through the host",
    ("moe_overhead_factor", "format:int8"): "gpt-fast-readme: batch 1, compiled kernels without a fused expert layer",
    ("gemm_mfu_factor", "format:fp8_a16"): "gpustack_perflab: Marlin turns fp8 weights to 16 bit on A100",
    ("layer_us", "arch:cdna4"): "inferencex_api: launches on ROCm, as on CDNA3 where two more sources say so",
}  # fmt: skip
"""Parameters of one source that are further out than ``NEAR``, each with the source and why it is believed."""


def free() -> list[Parameter]:
    return [p for p in read_parameter_rows(ROOT / "performance" / "parameters.csv") if p.prior_log_sd > 0]


def deviations(parameter: Parameter) -> float:
    """How far a parameter lies from its prior, in deviations of the prior."""
    return abs(math.log(parameter.value / parameter.prior)) / parameter.prior_log_sd


def measured() -> list[RowCase]:
    """One case of every source, setup and layout that counts in the fit, and every engine step."""
    weight = weighing(ROOT)
    found: dict[object, RowCase] = {}
    for case in (*packaged_cases(ROOT, CATALOG, PARAMS), *step_cases(ROOT, CATALOG)):
        spec, row = case.spec, case.row
        shape = (spec.tensor_parallel, spec.pipeline_parallel, spec.attention_dp, spec.expert_parallel, spec.link)
        setup = (spec.gpu.id, spec.model.id, spec.weight_quant, spec.kv_cache, spec.engine.profile, row.engine_version)
        if weight(row) > 0:
            found.setdefault((row.source, setup, shape), case)
    return list(found.values())


def speakers(parameter: Parameter, cases: Sequence[RowCase]) -> set[str]:
    """The sources that have a row whose prediction the parameter changes."""
    moved = replace(PARAMS, values={**PARAMS.values, (parameter.name, parameter.scope): parameter.value * 1.04})
    specs = [case.spec for case in cases]
    now, then = (np.array(coefficients(specs, params)).T for params in (PARAMS, moved))
    steps = (now != then).any(axis=1).tolist()
    hosts = [settings_of(spec, 1.0, PARAMS, True) != settings_of(spec, 1.0, moved, True) for spec in specs]
    return {case.row.source for case, step, host in zip(cases, steps, hosts, strict=True) if step or host}


@pytest.fixture(scope="module")
def cases() -> list[RowCase]:
    return measured()


def test_what_one_source_says_keeps_near_its_prior_or_says_why(cases: list[RowCase]) -> None:
    far = {(p.name, p.scope) for p in free() if deviations(p) > NEAR and len(speakers(p, cases)) <= 1}
    assert far == set(ALONE)


def test_the_source_that_a_reason_names_is_the_one_that_speaks(cases: list[RowCase]) -> None:
    for parameter in free():
        if reason := ALONE.get((parameter.name, parameter.scope)):
            assert speakers(parameter, cases) == {reason.partition(":")[0]}


def test_a_card_of_one_source_is_found_and_a_shared_parameter_is_not(cases: list[RowCase]) -> None:
    known = {(p.name, p.scope): p for p in free()}
    assert speakers(known["slowdown", "gpu:h100_pcie_80"], cases) == {"iog_llm_bench"}
    assert len(speakers(known["gemm_mfu_factor", "format:int4"], cases)) > 1
