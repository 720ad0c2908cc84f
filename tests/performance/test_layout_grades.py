"""Attention ranks and dealt experts are graded by what was measured of them: on the card, under the engine."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from optimizer.catalog import default_root
from optimizer.catalog.types import Catalog
from optimizer.performance.accuracy import grade_of, grades_of
from optimizer.performance.expert_ranks import Layout, layout_of
from optimizer.performance.parameters import MeasuredCell, Parameters
from optimizer.performance.types import Grade, ReplicaSpec

MIXTURE, DENSE = "Qwen/Qwen3-30B-A3B", "meta-llama/Llama-3.1-70B-Instruct"
DEGREES = {  # GPUs of a rank, attention ranks, groups of experts
    Layout.TENSOR: (4, 1, 1),
    Layout.EXPERTS: (4, 1, 4),
    Layout.RANKS: (1, 4, 4),
    Layout.WIDE_RANKS: (1, 512, 512),
}


def shaped(spec: ReplicaSpec, layout: Layout) -> ReplicaSpec:
    tp, ranks, experts = DEGREES[layout]
    return replace(spec, tensor_parallel=tp, attention_dp=ranks, expert_parallel=experts)


def measured() -> set[tuple[str, str, str]]:
    """Card, engine and layout of the packaged table, read without the model."""
    path = default_root() / "performance" / "coverage.csv"
    with path.open(newline="", encoding="utf-8") as stream:
        return {(row["gpu"], row["engine"], row["layout"]) for row in csv.DictReader(stream) if int(row["rows"]) > 0}


@pytest.mark.parametrize(
    ("model", "layouts_with_a"),
    [
        (MIXTURE, {Layout.TENSOR, Layout.EXPERTS, Layout.RANKS}),
        ("openai/gpt-oss-120b", {Layout.TENSOR, Layout.EXPERTS, Layout.RANKS}),
        ("deepseek-ai/DeepSeek-V3", set()),  # models of its kind usually run with techniques that are not modelled
    ],
)
def test_grade_a_is_never_given_to_a_layout_that_nobody_measured(
    make, catalog: Catalog, params: Parameters, model: str, layouts_with_a: set[Layout]
) -> None:
    """Every card, engine, format and layout; what is asked more of never has the better grade."""
    known, given = measured(), set()
    for card in catalog.gpus.values():
        for engine in ("vllm", "sglang", "trtllm"):
            for quant in ("bf16", "fp8", "nvfp4", "mxfp4"):
                plain = make(card.id, model, quant, engine=engine)
                specs = {layout: shaped(plain, layout) for layout in Layout}
                grades = dict(zip(Layout, grades_of(list(specs.values()), params), strict=True))
                for layout, spec in specs.items():
                    assert layout_of(spec) is layout
                    grade, reasons = grade_of(spec, params)
                    assert grade is grades[layout]
                    tells = any(reason.startswith("not measured under load:") for reason in reasons)
                    cell = (card.sibling or card.id, engine, layout.value)
                    assert tells == (layout is not Layout.TENSOR and cell not in known)
                    assert grade is not Grade.A or cell in known or layout is Layout.TENSOR
                    assert grade >= grade_of(plain, params)[0]  # C is the largest letter
                    given |= {layout} if grade is Grade.A else set()
    assert given == layouts_with_a


def with_cells(params: Parameters, *cells: tuple[str, str, str, str, str]) -> Parameters:
    return replace(params, coverage=frozenset(MeasuredCell(*cell) for cell in cells))


MODEL, CARD = ("Qwen MoE", "fp8"), "h100_sxm_80"


def test_a_measured_layout_costs_nothing_a_near_one_a_step_and_a_far_one_two(make, params: Parameters) -> None:
    spec = shaped(make(CARD, MIXTURE, "fp8"), Layout.RANKS)
    plain = (CARD, *MODEL, "sglang", "tensor")

    def graded(*cells: tuple[str, str, str, str, str]) -> tuple[Grade, tuple[str, ...]]:
        return grade_of(spec, with_cells(params, plain, *cells))

    assert graded((CARD, *MODEL, "vllm", "ranks")) == (Grade.A, ())
    asked = "not measured under load: attention ranks (DP) under vllm on h100_sxm_80"
    for near, told in (
        ((CARD, *MODEL, "trtllm", "ranks"), "attention ranks (DP) under trtllm on h100_sxm_80"),
        (("b200_sxm_180", *MODEL, "vllm", "ranks"), "attention ranks (DP) under vllm on b200_sxm_180"),
        ((CARD, *MODEL, "vllm", "experts"), "dealt experts (EP) under vllm on h100_sxm_80"),
    ):
        assert graded(near) == (Grade.B, (f"{asked}, nearest: {told}: one grade down",))
    assert graded() == (Grade.C, (f"{asked}, nor anything close: two grades down",))


def test_the_named_layout_is_the_same_one_where_there_is_one(make, params: Parameters) -> None:
    spec = shaped(make(CARD, MIXTURE, "fp8"), Layout.RANKS)
    near = [(CARD, *MODEL, "vllm", "tensor"), ("a10_24", *MODEL, "vllm", "ranks")]
    assert "nearest: attention ranks (DP) under vllm on a10_24" in grade_of(spec, with_cells(params, *near))[1][0]


def test_steps_add_up_and_tensor_parallelism_asks_for_no_layout(make, params: Parameters) -> None:
    known = with_cells(params, (CARD, *MODEL, "sglang", "ranks"))
    assert grade_of(shaped(make(CARD, MIXTURE, "fp8"), Layout.TENSOR), known) == (Grade.A, ())
    assert grade_of(shaped(make(CARD, MIXTURE, "fp8"), Layout.RANKS), known)[0] is Grade.B
    sibling = grade_of(shaped(make("h800_sxm_80", MIXTURE, "fp8"), Layout.RANKS), known)
    assert sibling[0] is Grade.C and len(sibling[1]) == 2
    assert grade_of(shaped(make(CARD, MIXTURE, "int4"), Layout.RANKS), known)[0] is Grade.C


def test_what_was_measured_as_a_pool_counts_for_pools_alone(make, params: Parameters) -> None:
    cell = MeasuredCell(CARD, *MODEL, "vllm", "ranks")
    known = replace(with_cells(params, (CARD, *MODEL, "vllm", "tensor")), pool_coverage=frozenset({cell}))
    spec = shaped(make(CARD, MIXTURE, "fp8"), Layout.RANKS)
    assert (grade_of(spec, known)[0], grade_of(spec, known.of_pools)[0]) == (Grade.B, Grade.A)
