"""Which prices are as good as the same, and GPUs that no replica takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from optimizer.decide import solve_problem
from optimizer.planning.assemble import _with_ties


@dataclass(frozen=True)
class Priced:
    rank: int
    monthly_cents: int
    tie_with: int | None = None


@pytest.mark.parametrize(("cents", "tied"), [(10_000, 1), (10_299, 1), (10_300, None), (10_500, None)])
def test_three_percent_is_no_difference(cents: int, tied: int | None) -> None:
    plans = cast(Any, (Priced(1, 10_000), Priced(2, cents)))
    assert [plan.tie_with for plan in _with_ties(plans, "minimize_cost")] == [None, tied]
    assert [plan.tie_with for plan in _with_ties(plans, "minimize_ttft")] == [None, None]


PROBLEM = """
name: two nodes of two sellers, four of six cards in use
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 1, min_replicas: 2}
    tokens: {input: 500, output: 100, context_max: 2048}
    slo: {ttft_ms: 2000, tpot_ms: 100}
hardware: {gpus: [h100_sxm_80], providers: [acme, beta]}
engine: {tensor_parallel: [2], pipeline_parallel: [1]}
offers:
  - {id: one, provider: acme, gpu: h100_sxm_80, gpus_per_node: 3, currency: USD, price_per_hour: 4, stock: 1,
     quote_ref: A, valid_until: 2026-12-31}
  - {id: other, provider: beta, gpu: h100_sxm_80, gpus_per_node: 3, currency: USD, price_per_hour: 5, stock: 1,
     quote_ref: B, valid_until: 2026-12-31}
payment: {as_of: 2026-08-20}
ranking: {top: 1}
"""


def test_idle_cards_are_counted_over_all_nodes(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(PROBLEM)
    plan = solve_problem(file, simulate=False).plans[0]
    assert [node.offer_id for node in plan.nodes] == ["one", "other"]
    assert sum(group.replicas for group in plan.groups) == 2
    assert (plan.gpus, sum(node.idle_gpus for node in plan.nodes)) == (6, 2)
