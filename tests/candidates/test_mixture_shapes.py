"""Which shapes of a mixture's replica are enumerated, what each holds, and what legality, keys and links forbid."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest

from optimizer.candidates.types import Candidate
from optimizer.catalog import default_root, load_catalog
from optimizer.catalog.types import Catalog
from optimizer.demand import Lengths, Load, Metric, Promise, Slo
from optimizer.errors import ProblemError
from optimizer.fleet.candidate_set import CandidateSet, enumerate_candidates
from optimizer.fleet.funnel import configuration_allowed
from optimizer.performance import Parameters, behaviours, load_parameters
from optimizer.performance.compatibility import tp_refusal
from optimizer.performance.degrees import Shape, exchange_refusal, shapes_of
from optimizer.performance.fluid import fluid_points, fluid_seconds
from optimizer.performance.operating_points import operating_points
from optimizer.performance.types import ReplicaSpec
from optimizer.planning.inputs import known_ids
from optimizer.pricing import node_options
from optimizer.problem import load_problem
from optimizer.vocabulary import Link

V3 = "deepseek-ai/DeepSeek-V3"
TEXT = """
workloads:
  - name: chat
    model: MODEL
    traffic: {requests_per_second: 20}
    tokens: {input: 1000, output: 300, context_max: 8192}
    slo: {ttft_ms: 3000, tpot_ms: 80}
hardware: {gpus: [h200_sxm_141, b200_sxm_180, l40s_48]}
"""


@lru_cache(maxsize=1)
def parts() -> tuple[Catalog, Parameters]:
    return load_catalog(), load_parameters(default_root())


def enumerated(folder: Path, *sets: str, model: str = V3) -> CandidateSet:
    catalog, params = parts()
    path = folder / "problem.yaml"
    path.write_text(TEXT.replace("MODEL", model))
    problem = load_problem(path, sets=sets, known=known_ids(catalog))
    return enumerate_candidates(problem, catalog, node_options(problem, catalog), params)


def shape(candidate: Candidate) -> Shape:
    spec = candidate.spec
    return Shape(spec.tensor_parallel, spec.pipeline_parallel, spec.attention_dp, spec.expert_parallel)


def spec_of(sizes: Shape, card: str = "h200_sxm_141", model: str = V3, engine: str = "vllm") -> ReplicaSpec:
    catalog, _ = parts()
    gpu = catalog.gpus[card]
    return ReplicaSpec(
        gpu=gpu, model=catalog.models[model], engine=catalog.engines[engine], weight_quant="fp8", kv_cache="auto",
        tensor_parallel=sizes.tensor_parallel, pipeline_parallel=sizes.pipeline_parallel, link=gpu.link,
        gpu_memory_utilization=0.92, max_num_seqs=512, max_num_batched_tokens=8192, max_model_len=8192,
        attention_dp=sizes.attention_dp, expert_parallel=sizes.expert_parallel,
    )  # fmt: skip


TP, TEP, DEP = Shape(8, 1), Shape(8, 1, 1, 8), Shape(1, 1, 8, 8)
LENGTHS = Lengths(1000, 300, 8192)


def test_a_mixture_has_dealt_experts_and_attention_ranks_a_dense_model_has_neither(tmp_path: Path) -> None:
    found = {shape(one) for one in enumerated(tmp_path).candidates}
    assert {TP, TEP, DEP, Shape(2, 1, 4, 8), Shape(4, 1, 1, 4)} <= found
    assert all(one.expert_parallel == one.gpus for one in found if one.expert_parallel > 1)
    dense = enumerated(tmp_path, model="meta-llama/Llama-3.1-70B-Instruct").candidates
    assert {(shape(one).attention_dp, shape(one).expert_parallel) for one in dense} == {(1, 1)}


def test_the_funnel_counts_them_all(tmp_path: Path) -> None:
    found = enumerated(tmp_path)
    (memory,) = [step for step in found.funnel if step.rule == "memory"]
    assert memory.remaining == len(found.candidates)
    assert "attention ranks have a domain of switched links" in [step.rule for step in found.funnel]


@pytest.mark.parametrize(("engine", "kept"), [("vllm", True), ("sglang", True), ("trtllm", False), ("tgi", False)])
def test_ranks_of_several_gpus_by_engine(engine: str, kept: bool) -> None:
    catalog, _ = parts()
    shapes = shapes_of(catalog.models[V3], catalog.engines[engine], (1, 2, 4, 8), (1,))
    assert (Shape(2, 1, 4, 8) in shapes) is kept
    assert (DEP in shapes) is (engine != "tgi")


def test_experts_are_dealt_evenly() -> None:
    """64 experts lie on 64 GPUs at most; GLM-4.5's 160 on 32, not on 64."""
    catalog, _ = parts()
    for model, most in (("zai-org/GLM-4.5", 32), (V3, 64), ("mistralai/Mixtral-8x7B-Instruct-v0.1", 8)):
        shapes = shapes_of(catalog.models[model], catalog.engines["vllm"], (1, 2, 4, 8), (1,))
        assert max(one.expert_parallel for one in shapes) == most


def test_tokens_are_exchanged_inside_one_switched_domain() -> None:
    gpus = parts()[0].gpus
    assert not exchange_refusal(gpus["h200_sxm_141"], Link.NVSWITCH, 8, DEP)
    assert exchange_refusal(gpus["h200_sxm_141"], Link.NVSWITCH, 8, Shape(1, 1, 16, 16))
    assert exchange_refusal(gpus["h200_sxm_141"], Link.UNVERIFIED, 8, DEP)
    assert exchange_refusal(gpus["l40s_48"], Link.PCIE, 8, DEP)
    assert not exchange_refusal(gpus["l40s_48"], Link.PCIE, 8, TEP)
    assert not exchange_refusal(gpus["gb200_186"], Link.NVSWITCH, 72, Shape(1, 1, 64, 64))
    assert exchange_refusal(gpus["gb200_186"], Link.NVSWITCH, 4, DEP)


def test_dealt_experts_are_not_cut_through_their_scale_blocks() -> None:
    """Qwen3-235B in block-scaled fp8 at eight: 1,536 / 8 = 192 is no whole block; dealt experts are whole."""
    model = parts()[0].models["Qwen/Qwen3-235B-A22B"]
    assert tp_refusal(model, "fp8", 8)
    assert not tp_refusal(model, "fp8", 8, experts_dealt=True)
    assert tp_refusal(model, "fp8", 3, experts_dealt=True)
    assert tp_refusal(parts()[0].models[V3], "fp8", 32, experts_dealt=True)  # 18,432 / 32 of the dense layers


@pytest.mark.parametrize(
    ("edit", "allowed"),
    [
        ("engine.attention_dp=[8]", {DEP}),
        ("engine.attention_dp=[1]", {TP, TEP}),
        ("engine.expert_parallel=off", {TP}),
        ("engine.expert_parallel=required", {TEP, DEP}),
        ("engine.expert_parallel=any", {TP, TEP, DEP}),
    ],
)
def test_keys_choose_among_what_is_enumerated(tmp_path: Path, edit: str, allowed: set[Shape]) -> None:
    found = enumerated(tmp_path, edit)
    kept = {shape(one) for one in found.candidates if configuration_allowed(one, found.rules)}
    assert kept & {TP, TEP, DEP} == allowed


@pytest.mark.parametrize(
    ("model", "edits", "says"),
    [
        ("meta-llama/Llama-3.1-70B-Instruct", ["engine.attention_dp=[8]"], "has no routed experts"),
        ("meta-llama/Llama-3.1-70B-Instruct", ["engine.expert_parallel=required"], "has no routed experts"),
        (V3, ["engine.attention_dp=[3]"], "expected one of 1, 2, 4"),
        (V3, ["engine.attention_dp=[0]"], "expected one of 1, 2, 4"),
        (V3, ["engine.expert_parallel=never"], "expected one of any, node, off, required"),
        (V3, ["engine.attention_dp=[8]", "engine.name=tgi"], "tgi has no such option"),
        (V3, ["engine.attention_dp=[8]", "engine.expert_parallel=off"], "the experts are always dealt"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", ["engine.attention_dp=[16]"], "do not divide the 8 experts"),
    ],
)
def test_what_cannot_be_is_an_error_of_the_file(tmp_path: Path, model: str, edits: list[str], says: str) -> None:
    with pytest.raises(ProblemError) as raised:
        enumerated(tmp_path, *edits, model=model)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    "edit", ["engine.attention_dp=[1]", "engine.attention_dp=[1, 8]", "engine.expert_parallel=off"]
)
def test_what_asks_nothing_of_a_dense_model_is_none(tmp_path: Path, edit: str) -> None:
    if "8" in edit or "off" in edit:
        assert enumerated(tmp_path, edit, model="meta-llama/Llama-3.1-70B-Instruct").candidates
    assert enumerated(tmp_path, edit).candidates


def test_a_replica_carries_what_its_ranks_do() -> None:
    """Load is dealt evenly: eight ranks at eight times the load see what one sees at its own."""
    params = parts()[1]
    dep = spec_of(DEP)
    (whole,) = behaviours([dep], LENGTHS, params, rates=[4.0])
    assert whole.requests_per_second == pytest.approx(4.0)
    (held,) = behaviours([dep], LENGTHS, params, inflights=[80.0])
    (one_more,) = behaviours([dep], LENGTHS, params, inflights=[81.0])
    (fuller,) = behaviours([dep], LENGTHS, params, inflights=[88.0])
    assert held.inflight == pytest.approx(80.0)
    assert one_more.tpot == fuller.tpot  # the fullest rank holds eleven
    assert one_more.tpot.mean > held.tpot.mean
    (people,) = behaviours([dep], LENGTHS, params, users=[400.0], think_s=20.0)
    assert people.requests_per_second * (20.0 + people.e2e.mean) == pytest.approx(400.0, rel=1e-6)


def test_points_are_of_all_ranks_and_within_the_fluid_bound() -> None:
    params = parts()[1]
    slo = Slo((Promise(Metric.TTFT, 95, 3.0, "t"), Promise(Metric.TPOT, 95, 0.1, "p")))
    load = Load(20.0, 200.0, "x")
    for sizes in (TP, TEP, DEP, Shape(2, 1, 4, 8)):
        spec = spec_of(sizes)
        (points,) = operating_points([spec], LENGTHS, slo, load, 0.5, params)
        (at_best,) = fluid_points([spec], LENGTHS, slo, load, 0.5, params)
        assert at_best is not None
        assert points[0].requests_per_second <= at_best.requests_per_second * (1 + 1e-6)
        assert points[0].inflight <= at_best.inflight + sizes.attention_dp
        (seen,) = behaviours([spec], LENGTHS, params, rates=[points[0].requests_per_second])
        assert seen.tpot.p95 <= 0.1 * (1 + 1e-6)
        least = fluid_seconds(spec, LENGTHS, slo.promises, points[0].requests_per_second, params)
        assert least[1] <= seen.tpot.p95


def test_latency_is_for_tensor_parallelism_load_for_attention_ranks() -> None:
    """A lone request is fastest with all eight GPUs at work on it; hundreds get more out of eight caches."""
    params = parts()[1]
    shapes = [spec_of(TP), spec_of(DEP)]
    alone = behaviours(shapes, LENGTHS, params, inflights=[1.0, 1.0])
    assert alone[0].tpot.mean < alone[1].tpot.mean
    loaded = behaviours(shapes, LENGTHS, params, inflights=[512.0, 512.0])
    assert loaded[1].stable
    assert not loaded[0].stable or loaded[1].tpot.mean < loaded[0].tpot.mean


@pytest.mark.parametrize("sizes", [TP, TEP, DEP, Shape(2, 1, 4, 8)])
def test_more_memory_is_never_worse(sizes: Shape) -> None:
    params = parts()[1]
    slo = Slo((Promise(Metric.TPOT, 95, 0.2, "p"),))
    spec = spec_of(sizes)
    carried = []
    for more in (0, 20_000, 60_000):
        gpu = replace(spec.gpu, memory_mib=spec.gpu.memory_mib + more, cuda_total_mib=spec.gpu.cuda_total_mib + more)
        (points,) = operating_points([replace(spec, gpu=gpu)], LENGTHS, slo, Load(9.0, 90.0, "x"), 0.5, params)
        carried.append(max(point.inflight for point in points))
    assert carried == sorted(carried)


def test_the_cache_of_a_rank_holds_its_own_requests_only() -> None:
    """KV room of attention ranks adds up; a latent cache under tensor parallelism is the same on every GPU."""
    params = parts()[1]
    load, slo = Load(0.0, 9.0, "x"), Slo(())
    held = [operating_points([spec_of(one)], LENGTHS, slo, load, 0.5, params)[0][0].inflight for one in (TP, DEP)]
    assert held[1] > 3 * held[0]
