"""A rack of 72 GPUs on one fabric is a node type like any other: by quote, as nobody lists a price for a whole one."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.decide import solve_problem
from optimizer.vocabulary import Link

PROBLEM = """
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {{concurrency: 4}}
    tokens: {{input: 512, output: 128, context_max: 2048}}
engine: {{weight_quant: [bf16], tensor_parallel: [{tp}], pipeline_parallel: [1]}}
hardware: {{gpus: [gb300_288], nvlink: required}}
offers: [{{id: rack, provider: nvidia, gpu: gb300_288, gpus_per_node: 72, currency: USD, price_per_hour: 500}}]
payment: {{price_evidence: [quote]}}
ranking: {{top: 1}}
"""


@pytest.mark.parametrize("tp", [1, 8])
def test_a_quote_for_a_rack_is_one_node_of_72_on_one_fabric(tp: int, tmp_path: Path) -> None:
    (tmp_path / "problem.yaml").write_text(PROBLEM.format(tp=tp), encoding="utf-8")
    (plan,) = solve_problem(tmp_path / "problem.yaml", simulate=False).plans
    (node,) = plan.nodes
    assert (node.gpus_per_node, node.count, node.link) == (72, 1, Link.NVSWITCH)
    assert plan.groups[0].tensor_parallel == tp
    assert plan.monthly_cents == 500 * 730 * 100
    assert any("Arm host" in note for note in plan.notes)
