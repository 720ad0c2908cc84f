"""Attention ranks over several nodes: which nodes, fabrics, cards and releases have them, and what each GPU holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.candidates.enumerate import WIDE, fits_nodes
from optimizer.demand import Lengths
from optimizer.fleet.candidate_set import enumerate_candidates
from optimizer.fleet.funnel import configuration_allowed
from optimizer.performance import behaviours
from optimizer.performance.degrees import Shape, fills_domains, wide_refusal
from optimizer.performance.expert_ranks import Layout, layout_of
from optimizer.performance.memory import kv_need_of, memory_table
from optimizer.performance.replicas import replicas_of
from optimizer.planning.inputs import known_ids
from optimizer.pricing import node_options
from optimizer.pricing.types import NodeType
from optimizer.problem import load_problem
from optimizer.vocabulary import Link
from tests.candidates.test_mixture_shapes import parts, spec_of

TEXT = """
workloads:
  - name: chat
    model: deepseek-ai/DeepSeek-V3
    traffic: {requests_per_second: 20}
    tokens: {input: 1000, output: 300, context_max: 8192}
    slo: {ttft_ms: 3000, tpot_ms: 80}
hardware: {providers: [supplier]}
offers:
  - {id: nodes, provider: supplier, gpu: CARD, gpus_per_node: 8, nvlink: yes, price_per_hour: 30FABRIC}
engine: {weight_quant: [fp8], kv_cache: [auto], pipeline_parallel: [1]}
"""
WIDE_16, WIDE_32, WIDE_64 = (Shape(1, 1, n, n) for n in (16, 32, 64))


def shapes(folder: Path, fabric: str, *sets: str, card: str = "h200_sxm_141") -> tuple[set[Shape], dict[str, int]]:
    """Shapes over several nodes of the quote, and what the funnel has left step by step."""
    catalog, params = parts()
    path = folder / "problem.yaml"
    path.write_text(TEXT.replace("FABRIC", fabric).replace("CARD", card))
    problem = load_problem(path, sets=sets, known=known_ids(catalog))
    mine = [option for option in node_options(problem, catalog) if option.offer.id == "nodes"]
    found = enumerate_candidates(problem, catalog, mine, params)
    wide = {
        Shape(one.spec.tensor_parallel, 1, one.spec.attention_dp, one.spec.expert_parallel)
        for one in found.candidates
        if one.ranks_over_nodes
    }
    return wide, {step.rule: step.remaining for step in found.funnel}


def test_two_four_and_eight_nodes_where_the_fabric_is_stated(tmp_path: Path) -> None:
    found, _ = shapes(tmp_path, ", network_gbps: 3200")
    assert {WIDE_16, WIDE_32, WIDE_64, Shape(2, 1, 8, 16), Shape(8, 1, 8, 64)} <= found
    assert {one.gpus for one in found} == {16, 32, 64}


@pytest.mark.parametrize("fabric", ["", ", network_gbps: 100", ", network_gbps: 3199.9"])
def test_none_where_less_or_nothing_is_stated_and_the_funnel_says_so(fabric: str, tmp_path: Path) -> None:
    found, left = shapes(tmp_path, fabric)
    assert not found
    assert left[WIDE] < left["fits a node or fills nodes"]


def test_the_boundary_is_400_of_each_gpu() -> None:
    gpu, engine = parts()[0].gpus["h200_sxm_141"], parts()[0].engines["vllm"]
    assert not wide_refusal(gpu, 8, 3200.0, engine, "")
    assert "states 399 Gb/s" in wide_refusal(gpu, 8, 3192.0, engine, "")
    assert "states no network" in wide_refusal(gpu, 8, 0.0, engine, "")


@pytest.mark.parametrize(
    ("engine", "version", "wide"),
    [
        ("vllm", "", True), ("vllm", "0.26.0", True), ("vllm", "0.25.9", False), ("vllm", "1.0.0", True),
        ("sglang", "0.5.12", True), ("sglang", "0.4.9", False), ("trtllm", "1.0.0", True), ("trtllm", "0.21", False),
        ("tgi", "", False),
    ],
)  # fmt: skip
def test_releases_with_kernels_for_both_phases(engine: str, version: str, wide: bool) -> None:
    catalog, _ = parts()
    assert bool(wide_refusal(catalog.gpus["h200_sxm_141"], 8, 3200.0, catalog.engines[engine], version)) is not wide


@pytest.mark.parametrize("card", ["mi300x_192", "rtx_4090_24"])
def test_cards_whose_kernels_were_not_timed(card: str) -> None:
    catalog, _ = parts()
    assert card in wide_refusal(catalog.gpus[card], 8, 3200.0, catalog.engines["vllm"], "")


def test_a_node_is_a_whole_domain_and_no_rank_leaves_it() -> None:
    gpus = parts()[0].gpus
    h200, rack = gpus["h200_sxm_141"], gpus["gb200_186"]
    assert fills_domains(h200, Link.NVSWITCH, 8, WIDE_16)
    assert not fills_domains(h200, Link.NVSWITCH, 4, WIDE_16)  # half a board
    assert not fills_domains(h200, Link.PCIE, 8, WIDE_16)
    assert not fills_domains(h200, Link.NVSWITCH, 8, Shape(1, 1, 24, 24))  # three nodes
    assert not fills_domains(h200, Link.NVSWITCH, 8, Shape(16, 1, 2, 32))  # a rank on two nodes
    assert not fills_domains(rack, Link.NVSWITCH, 4, WIDE_16)  # trays: whose rack they stand in is not stated
    assert fits_nodes(NodeType(h200, 8, Link.NVSWITCH, 0.0), WIDE_16)  # the fabric is a rule of its own
    assert fits_nodes(NodeType(rack, 72, Link.NVSWITCH, 0.0), WIDE_64)


@pytest.mark.parametrize(
    ("edit", "kept"),
    [
        ("engine.expert_parallel=node", False), ("engine.expert_parallel=off", False),
        ("engine.expert_parallel=required", True), ("engine.attention_dp=[16]", True),
        ("hardware.nvlink=required", False),
    ],
)  # fmt: skip
def test_keys_choose_among_them(edit: str, kept: bool, tmp_path: Path) -> None:
    catalog, params = parts()
    path = tmp_path / "problem.yaml"
    path.write_text(TEXT.replace("FABRIC", ", network_gbps: 3200").replace("CARD", "h200_sxm_141"))
    problem = load_problem(path, sets=[edit], known=known_ids(catalog))
    mine = [option for option in node_options(problem, catalog) if option.offer.id == "nodes"]
    found = enumerate_candidates(problem, catalog, mine, params)
    wide = [one for one in found.candidates if one.ranks_over_nodes]
    assert wide
    assert any(configuration_allowed(one, found.rules) for one in wide) is kept


def test_each_gpu_holds_its_share_of_the_experts_and_the_cache_of_its_own_requests() -> None:
    """DeepSeek-V3 in fp8: 656.4 GB of routed experts, the rest once per rank (moe_serving.md, section 9)."""
    specs = [spec_of(Shape(1, 1, n, n)) for n in (8, 16, 32, 64)]
    weights = memory_table(specs).weights
    assert [round(one / 1e9) for one in weights] == pytest.approx([101, 60, 39, 29], abs=1)
    assert len({kv_need_of(spec) for spec in specs}) == 1


def test_the_layout_is_graded_as_one_over_several_nodes() -> None:
    assert layout_of(spec_of(WIDE_16)) is Layout.WIDE_RANKS
    assert layout_of(spec_of(Shape(1, 1, 8, 8))) is Layout.RANKS


def test_more_nodes_carry_more_than_as_many_apart_where_memory_is_short() -> None:
    """Sixteen H200 as one replica hold more requests than two replicas of eight, and read fewer experts each."""
    alone, together = spec_of(Shape(1, 1, 8, 8)), spec_of(WIDE_16)
    lengths, params = Lengths(2000, 600, 8192), parts()[1]
    slots = replicas_of([alone, together], lengths, params).slots
    assert 16 * slots[1] > 2 * 8 * slots[0]
    few = behaviours([alone, together], lengths, params, inflights=[8.0, 16.0])
    assert few[1].tpot.mean < few[0].tpot.mean
