"""What is enumerated, what is impossible, and what only a rule forbids."""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path

import pytest

from optimizer.candidates.enumerate import fits_nodes
from optimizer.catalog import default_root, load_catalog
from optimizer.catalog.types import Catalog
from optimizer.fleet.candidate_set import CandidateSet, enumerate_candidates
from optimizer.performance import Parameters, load_parameters
from optimizer.performance.degrees import Shape
from optimizer.performance.types import ReplicaSpec
from optimizer.pricing import NodeType, node_options
from optimizer.problem import load_problem
from optimizer.vocabulary import Link

TEXT = """
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-70B-Instruct
    traffic: {concurrency: 20}
    tokens: {input: 1024, output: 256, context_max: 8192}
    slo: {ttft_ms: 2000, tpot_ms: 60}
"""


@lru_cache(maxsize=1)
def parts() -> tuple[Catalog, Parameters]:
    return load_catalog(), load_parameters(default_root())


def enumerated(path: Path, *sets: str, shuffle: int | None = None) -> CandidateSet:
    catalog, params = parts()
    path.write_text(TEXT)
    problem = load_problem(path, sets=sets)
    options = list(node_options(problem, catalog))
    if shuffle is not None:
        random.Random(shuffle).shuffle(options)
    return enumerate_candidates(problem, catalog, options, params)


@pytest.fixture(name="file")
def problem_file(tmp_path: Path) -> Path:
    return tmp_path / "problem.yaml"


def test_no_single_80_gb_card_takes_70b_at_16_bit(file: Path) -> None:
    found = enumerated(file).candidates
    assert found
    for candidate in found:
        spec = candidate.spec
        if spec.weight_quant == "bf16" and spec.gpus == 1:
            assert spec.gpu.memory_gb > 80
        if spec.gpu.id == "a100_sxm_40" and spec.weight_quant == "int4":
            assert spec.gpus > 1


def test_what_the_user_forbids_is_enumerated_all_the_same(file: Path) -> None:
    narrow = enumerated(
        file, "engine.weight_quant=[fp8]", "engine.tensor_parallel=[1]", "hardware.gpus=[h100_sxm_80]",
        "engine.kv_cache=[auto]", "hardware.nvlink=required", "workloads.chat.quality.min_recovery=1.0",
    )  # fmt: skip
    assert [c.key for c in narrow.candidates] == [c.key for c in enumerated(file).candidates]
    assert narrow.feasible < enumerated(file).feasible


def test_sizes_that_only_the_user_names_are_added(file: Path) -> None:
    found = enumerated(file, "engine.pipeline_parallel=[1, 8]", "hardware.gpus=[l40s]").candidates
    assert any(candidate.spec.pipeline_parallel == 8 for candidate in found)


def test_funnel_only_narrows_and_ends_at_the_feasible(file: Path) -> None:
    found = enumerated(file, "budget.monthly=20000", "hardware.limits.max_gpus=8")
    remaining = [step.remaining for step in found.funnel]
    assert remaining == sorted(remaining, reverse=True)
    assert remaining[0] == found.enumerated
    assert remaining[-1] == found.feasible
    physical = [step for step in found.funnel if step.rule in ("enumerated", "memory")]
    assert physical[-1].remaining == len(found.candidates)
    rules = [step.rule for step in found.funnel]
    assert rules.index("hardware.gpus") < rules.index("workloads.chat.slo.ttft_ms") < rules.index("budget.monthly")
    assert all(step.cheapest_removed_cents is None for step in found.funnel[:6])


def test_the_margin_alone_is_counted_apart(file: Path) -> None:
    cautious = enumerated(file, "workloads.chat.slo.ttft_ms=600", "margins.confidence=0.95")
    plain = enumerated(file, "workloads.chat.slo.ttft_ms=600", "margins.confidence=0.5")
    assert "margins.confidence" in [step.rule for step in cautious.funnel]
    assert "margins.confidence" not in [step.rule for step in plain.funnel]
    assert "benchmark of meta-llama/Llama-3.1-70B-Instruct" in cautious.note
    assert not plain.note
    assert cautious.feasible < plain.feasible


def test_order_of_options_changes_nothing(file: Path) -> None:
    first = enumerated(file)
    for seed in range(2):
        again = enumerated(file, shuffle=seed)
        assert [c.key for c in again.candidates] == [c.key for c in first.candidates]
        assert again.funnel == first.funnel


def test_replicas_fit_a_node_or_fill_nodes_over_a_stated_fabric() -> None:
    gpu = parts()[0].gpus["h100_sxm_80"]
    island, fabric = NodeType(gpu, 8, Link.NVSWITCH, 0.0), NodeType(gpu, 8, Link.NVSWITCH, 400.0)
    assert fits_nodes(island, Shape(8, 1))
    assert fits_nodes(island, Shape(2, 4))
    assert not fits_nodes(island, Shape(8, 2))
    assert fits_nodes(fabric, Shape(8, 2))
    assert not fits_nodes(fabric, Shape(16, 1))
    assert not fits_nodes(NodeType(gpu, 6, Link.NVSWITCH, 400.0), Shape(4, 4))


def test_an_engine_of_another_vendor_leaves_nothing_of_nvidia(file: Path) -> None:
    found = enumerated(file, "engine.name=mindie")
    assert {candidate.spec.gpu.vendor for candidate in found.candidates} <= {"huawei"}


def test_what_is_stated_and_does_not_start_is_no_candidate(file: Path) -> None:
    """vLLM takes no more sequences than tokens of a step, a hybrid no more than it has blocks for states, and no share
    of memory that leaves nothing to the driver: a plan with such a setting would be refused at its start."""

    def wide(spec: ReplicaSpec) -> bool:
        return spec.weight_quant == "bf16" and spec.kv_cache == "auto"

    def sizes(*sets: str) -> set[int]:
        found = enumerated(file, *sets).candidates
        return {one.spec.gpus for one in found if one.spec.gpu.id == "h100_sxm_80" and wide(one.spec)}

    tokens = "engine.max_num_batched_tokens=512"
    assert not sizes(tokens, "engine.max_num_seqs=513")
    assert sizes(tokens, "engine.max_num_seqs=512") == sizes(tokens) >= {2, 4}
    assert not sizes("engine.gpu_memory_utilization=0.995")
    hybrid = ("workloads.chat.model=Qwen/Qwen3.6-27B", "engine.version=0.25.1")
    assert sizes(*hybrid) - sizes(*hybrid, "engine.max_num_seqs=1024") == {1}
