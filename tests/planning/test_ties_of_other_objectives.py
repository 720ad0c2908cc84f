"""Where the load or a latency is sought: of plans that reach as much for as much money the better one is listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.ties import twins
from optimizer.decide import answer, decide
from optimizer.plan.types import Plan
from optimizer.planning.inputs import Inputs, read_inputs

pytestmark = pytest.mark.cards("h100_sxm_80", "a100_sxm_40")

PROBLEMS = Path(__file__).parents[2] / "problems"

Make = Callable[..., Inputs]

NODE = """
name: one server
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 2}
    tokens: {input: 1024, output: 300, context_max: 8192}
    slo: {ttft_ms: {p95: 2000}, tpot_ms: {p95: 60}}
hardware: {gpus: [h100_sxm_80], providers: [mine]}
offers:
  - {id: eight, provider: mine, gpu: h100_sxm_80, gpus_per_node: 4, currency: USD, price_per_hour: 16, stock: 1}
engine: {weight_quant: [fp8], tensor_parallel: [1, 2, 4], pipeline_parallel: [1, 2]}
budget: {monthly: 20000}
ranking: {top: 4, distinct_by: [gpu, weight_quant]}
"""


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(*sets: str) -> Inputs:
        path = tmp_path / "node.yaml"
        path.write_text(NODE)
        return read_inputs(path, sets=sets)

    return made


def split(plan: Plan) -> tuple[int, int, int]:
    (group,) = plan.groups
    return group.tensor_parallel, group.pipeline_parallel, group.replicas


@pytest.mark.parametrize("simulate", [False, True])
def test_of_plans_of_one_load_on_a_machine_the_better_grade_is_listed(simulate: bool) -> None:
    sets = ["hardware.gpus=[a100_sxm_40]", "engine.weight_quant=[bf16]"]
    inputs = read_inputs(PROBLEMS / "table_70b_short_context.yaml", sets=sets)
    count, found = twins(inputs, simulate=simulate)
    assert count == 1
    assert not found
    (plan,) = decide(inputs, simulate=simulate).plans
    assert (split(plan), plan.grade, plan.load_factor) == ((4, 1, 1), "A", 19.0)


@pytest.mark.parametrize("objective", ["maximize_load", "minimize_ttft", "minimize_tpot"])
def test_no_plan_of_another_objective_has_a_better_twin(make: Make, objective: str) -> None:
    count, found = twins(make(f"objective={objective}"), simulate=False)
    assert count
    assert not found


def test_the_better_of_two_at_equal_money_comes_first_with_more_gpus_too(tmp_path: Path) -> None:
    quote = "  - {{id: {0}, provider: mine, gpu: {0}, gpus_per_node: {1}, currency: USD, price_per_hour: 4}}\n"
    offers = "offers:\n" + quote.format("h100_sxm_80", 4) + quote.format("a100_sxm_80", 2)
    text = NODE[: NODE.index("offers:")] + offers + "ranking: {top: 4, distinct_by: [gpu]}\n"
    path = tmp_path / "two.yaml"
    path.write_text(text.replace("[h100_sxm_80]", "[h100_sxm_80, a100_sxm_80]"))
    plans = decide(read_inputs(path), simulate=False).plans
    assert [(plan.monthly_cents, plan.gpus) for plan in plans] == [(292_000, 4), (292_000, 2)]


def test_the_quickest_is_listed_first_though_it_is_beaten_in_what_was_promised() -> None:
    """Where TTFT is minimised and TPOT promised, the split that answers soonest is not the one that writes fastest."""
    sets = ["engine.tensor_parallel=[1, 4]", "engine.pipeline_parallel=[1, 4]", "ranking.top=4"]
    inputs = read_inputs(PROBLEMS / "rag_72b_on_rtx4090.yaml", sets=sets)
    (quickest,) = answer(inputs.with_sets(["ranking.top=1"]), simulate=False).result.solutions
    reached = [one.objective for one in answer(inputs, simulate=False).result.solutions]
    assert len(reached) > 1
    assert reached == sorted(reached)
    assert reached[0] == quickest.objective
