"""A printed grade A of attention ranks or dealt experts is refused where nobody measured them on card and engine."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from optimizer.performance.parameters import MeasuredCell
from optimizer.performance.types import Grade
from optimizer.verify.printed import _layouts

CARD = "h100_sxm_80"


@pytest.mark.parametrize(
    ("ranks", "experts", "kind"), [(4, 4, "ranks"), (16, 16, "wide_ranks"), (1, 4, "experts"), (1, 1, "")]
)
@pytest.mark.parametrize("measured_card", [CARD, "b200_sxm_180"])
@pytest.mark.parametrize("printed", list(Grade))
def test_grade_a_needs_rows_of_the_layout(
    world, ranks: int, experts: int, kind: str, measured_card: str, printed: Grade
) -> None:
    spec: Any = SimpleNamespace(
        gpu=world.catalog.gpus[CARD], engine=world.catalog.engines["vllm"], attention_dp=ranks,
        expert_parallel=experts, crosses_nodes=ranks > 8,
    )  # fmt: skip
    layouts = ("ranks", "wide_ranks", "experts", "tensor") if kind != "wide_ranks" else ("wide_ranks",)
    cells = [MeasuredCell(measured_card, "Qwen MoE", "fp8", "vllm", one) for one in layouts]
    case: Any = SimpleNamespace(params=replace(world.params, coverage=frozenset(cells)))
    entry: Any = SimpleNamespace(group=SimpleNamespace(spec=spec))
    prediction: Any = SimpleNamespace(grade=printed, workload="chat")
    found = list(_layouts(case, prediction, [entry]))
    refused = printed is Grade.A and kind and measured_card != CARD
    assert bool(found) == bool(refused)
    assert all(one.rule == "grades" and kind in one.message for one in found)
