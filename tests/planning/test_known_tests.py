"""What a test before signing would show is simulated once for a replica at its load, however often plans have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from optimizer.planning import experiment
from optimizer.planning.inputs import read_inputs
from optimizer.whatif.case import Winner, open_case

PROBLEM = """
name: a few cards
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {concurrency: 40}
    tokens: {input: 800, output: 200, context_max: 4096}
    slo: {ttft_ms: 2000, tpot_ms: 60, percentile: 95}
hardware: {gpus: [l4_24, a100_sxm_80]}
"""


def test_a_test_is_simulated_once_whatever_is_paid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Any] = []
    simulated = experiment._simulated

    def counted(*given: Any) -> Any:
        runs.append(given)
        return simulated(*given)

    monkeypatch.setattr(experiment, "_simulated", counted)
    file = tmp_path / "problem.yaml"
    file.write_text(PROBLEM, encoding="utf-8")
    case = open_case(read_inputs(file), simulate=True)
    result = case.solve()
    (plan,) = case.plans(result)
    assert len(runs) == len(plan.groups) == len(plan.experiments)
    assert case.plans(result) == (plan,)
    dearer = case.edited(["payment.hours_per_month=700"])
    (other,) = dearer.plans(dearer.solve())
    assert (other.groups, other.experiments) == (plan.groups, plan.experiments)
    assert other.monthly_cents != plan.monthly_cents
    assert len(runs) == len(plan.groups)
    assert Winner(case, result).plan().experiments == ()  # type: ignore[union-attr]
    busier = case.edited(["workloads.chat.traffic.concurrency=50"])
    busier.plans(busier.solve())
    assert len(runs) > len(plan.groups)
