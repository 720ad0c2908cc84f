"""What is known of the cost of an answer bounds the search for it, and never changes it."""

from __future__ import annotations

import pytest

from optimizer.candidates.types import Candidate
from optimizer.fleet import SolveSettings
from optimizer.planning import cheapest
from optimizer.planning.inputs import read_inputs
from optimizer.whatif.case import Case, open_case

TWO = """
name: two workloads
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 30}
    tokens: {input: {mean: 900, p95: 2500}, output: 250, context_max: 8192}
    slo: {ttft_ms: {p95: 800}, tpot_ms: {p95: 30}}
  - name: extract
    model: Qwen/Qwen3-8B
    traffic: {concurrency: 20}
    tokens: {input: 3000, output: 100, context_max: 8192}
    slo: {ttft_ms: {p95: 1500}}
hardware: {gpus: [l40s_48, a100_sxm_80, h100_sxm_80]}
engine: {tensor_parallel: [1, 2], pipeline_parallel: [1], kv_cache: [auto]}
"""


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    path = tmp_path_factory.mktemp("two") / "two.yaml"
    path.write_text(TWO)
    return open_case(read_inputs(path), simulate=True)


def test_a_bound_from_nodes_of_ones_own_leaves_the_answer_as_it_is(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    before = cheapest._Race.up_to

    def up_to(race: cheapest._Race, enough: int | None) -> list[Candidate]:
        kept = before(race, enough)
        looked.append(len(kept))
        return kept

    monkeypatch.setattr(cheapest._Race, "up_to", up_to)
    bounded = case.solve()
    monkeypatch.setattr(cheapest._Race, "enough", lambda _: None)
    unbounded = case.solve()
    assert bounded.solutions == unbounded.solutions
    assert looked[0] < looked[-1] / 2, "the bound leaves few configurations"


def test_nothing_dearer_than_asked_for_is_wanted(case: Case) -> None:
    best = case.solve()
    cents = best.solutions[0].monthly_cents
    assert case.solve(settings=SolveSettings(at_most=cents)).solutions == best.solutions
    refused = case.solve(settings=SolveSettings(at_most=cents - 1))
    assert not any(one.monthly_cents < cents for one in refused.solutions)


def test_a_budget_below_the_bound_is_no_answer_at_all(case: Case) -> None:
    cents = case.solve().solutions[0].monthly_cents
    exactly = case.edited([f"budget.monthly={cents / 100}"])
    assert exactly.solve().solutions[0].monthly_cents == cents
    assert case.edited([f"budget.monthly={cents / 100 - 1}"]).solve().status == "infeasible"
