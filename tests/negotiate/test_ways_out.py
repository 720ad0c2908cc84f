"""Ways out of random infeasible problems: each helps when applied, none is beaten, and one is always offered."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from optimizer.decide import read_inputs, solve_problem
from optimizer.errors import ProblemError
from optimizer.fleet.types import Edit
from optimizer.plan.types import Infeasible, Relaxation
from optimizer.problem import stated_promises
from optimizer.report import render
from optimizer.whatif.case import Case, Within, open_case
from optimizer.whatif.choices import as_set, stated_choices
from optimizer.whatif.ways_out import ways_out

ROOT = Path(__file__).resolve().parents[2]
PROBLEMS = int(os.environ.get("OPTIMIZER_INFEASIBLE_PROBLEMS", "2"))
"""200 in the long run: OPTIMIZER_INFEASIBLE_PROBLEMS=200 pytest tests/negotiate/test_ways_out.py"""

BASE = """
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {concurrency: 40, requests_per_second: 4}
    tokens: {input: 1024, output: 256, context_max: 8192}
    slo: {ttft_ms: 2000, tpot_ms: 60}
payment: {tiers: [on_demand]}
"""
CONFIDENT = """
workloads:
  - name: chat
    model: Qwen/Qwen3-8B
    traffic: {requests_per_second: 5}
    tokens: {input: 3000, output: 300, context_max: 8192}
    slo: {ttft_ms: {p95: 2000}, tpot_ms: {p95: 50}}
engine: {name: sglang}
hardware: {gpus: [l40s_48]}
ranking: {top: 1, distinct_by: [gpu]}
"""
CARDS = {"h100_sxm_80", "l40s_48", "a10g_24"}
HARSH: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("workloads.chat.slo.ttft_ms", (30, 60, 90, 200, 500)),
    ("workloads.chat.slo.tpot_ms", (2, 4, 6, 10)),
    ("workloads.chat.slo.tokens_per_second_per_user", (120, 300)),
    ("workloads.chat.slo.e2e_s", (0.8, 1.5)),
    ("workloads.chat.quality.min_recovery", (0.999, 1.0)),
    ("workloads.chat.traffic.concurrency", (400, 1500)),
    ("budget.monthly", (200, 600, 1500)),
    ("hardware.limits", ("{max_gpus: 1}", "{max_nodes: 1}", "{max_power_kw: 0.5}", "{max_gpus: 2, max_power_kw: 1}")),
    ("hardware.nvlink", ("required", "forbidden")),
    ("hardware.regions", ("[eu-west-9]", "[us-east-1]")),
    ("hardware.providers", ("[aws]", "[lambda]", "{exclude: [aws, azure, gcp]}")),
    ("engine.weight_quant", ("[int8]", "[nvfp4]", "[bf16]")),
    ("engine.tensor_parallel", ("[1]", "[8]")),
    ("engine.kv_cache", ("fp8",)),
    ("margins.confidence", (0.95, 0.99)),
    ("margins.spare_nodes", (1, 3)),
    ("margins.load_headroom", (0.5, 4)),
    ("payment.tiers", ("[spot]", "[reserved_3y]", "[purchase]")),
    ("hardware.quota", ("[{provider: aws, max_gpus: 1}]",)),
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """An easy problem on three cards."""
    path = tmp_path_factory.mktemp("ways") / "problem.yaml"
    path.write_text(BASE)
    part = Within(candidate=lambda one: one.node_type.gpu.id in CARDS, option=lambda _: True)
    return open_case(read_inputs(path)).confined(part)


def infeasible(base: Case, seed: int) -> Case:
    """A random infeasible problem: rules are added until nothing keeps them all."""
    draw = random.Random(seed)
    while True:
        sets: list[str] = []
        for path, values in draw.sample(HARSH, draw.randint(2, 6)):
            sets.append(f"{path}={draw.choice(values)}")
            try:
                case = base.edited(sets)
            except ProblemError:
                sets.pop()
                continue
            if not case.solve().solutions:
                return case


def applied(case: Case, edits: Sequence[Edit]) -> int | None:
    """Cents of the best plan under edits; None: none, or no sound problem."""
    try:
        solutions = case.edited([as_set(edit) for edit in edits]).solve().solutions
    except ProblemError:
        return None
    return solutions[0].monthly_cents if solutions else None


def edits_of(way: Relaxation) -> list[Edit]:
    """What a way out changes."""
    return [Edit(way.change, way.before, way.after), *(Edit(*one) for one in way.also)]


def values(stated: float, loosens_up: bool) -> list[float]:
    """Looser values to try by brute force."""
    factors = (1.1, 1.5, 2.5, 6, 25, 1000)
    return [stated * factor if loosens_up else stated / factor for factor in factors]


@pytest.mark.parametrize("seed", range(PROBLEMS))
def test_ways_out_of_random_problems(base: Case, seed: int) -> None:
    case = infeasible(base, seed)
    ways = ways_out(case, lambda _: None)
    outside = ("hardware.regions", "hardware.providers", "hardware.market", "hardware.require", "hardware.datacenter")
    for way in ways:
        assert not any(edit.path.startswith(outside) for edit in edits_of(way)), way
        assert applied(case, edits_of(way)) == way.monthly_cents, way
    single = [way for way in ways if not way.also]
    promises = stated_promises(case.inputs.problem)
    for promise in promises:
        offered = [way for way in single if way.change == promise.path]
        tried = {}
        for value in values(promise.value, promise.loosens_up):
            whole = isinstance(promise.value, int)
            after = round(value) if whole else value
            tried[after] = applied(case, [Edit(promise.path, promise.value, after)])
        helps = {value: cents for value, cents in tried.items() if cents is not None}
        if not helps:
            continue
        if not offered:  # a hundred times as dear as the cheapest way
            assert any(path == promise.path for way in ways for path, *_ in way.left_out), (promise.path, helps)
            continue
        sign = 1 if promise.loosens_up else -1
        told = [way.after for way in offered] + [
            after for way in ways for path, after, _ in way.left_out if path == promise.path
        ]
        least = min(sign * float(str(after)) for after in told)
        step = 1.0 + abs(least) * 1e-9
        assert all(sign * value >= least - step for value in helps), (promise.path, least, helps)
        if promise.path != "budget.monthly":
            assert min(way.monthly_cents for way in offered) <= min(helps.values()), (promise.path, helps)
    if not ways:
        everything = [Edit(one.path, one.stated, one.open) for one in stated_choices(case.inputs.problem)]
        everything += [Edit(one.path, one.value, values(one.value, one.loosens_up)[-1]) for one in promises]
        assert applied(case, everything) is None


def test_nothing_in_the_catalog_is_said() -> None:
    """An engine for cards that have no price that may be ranked."""
    outcome = solve_problem(ROOT / "problems" / "one_user_70b_20tps.yaml", sets=["engine.name=vllm-ascend"])
    assert isinstance(outcome, Infeasible)
    assert not outcome.relaxations
    assert "Nothing in the catalog could do it" in " ".join(render(outcome, "text").split())


def test_a_joint_change_is_priced_and_printed() -> None:
    outcome = solve_problem(ROOT / "problems" / "infeasible_budget.yaml")
    assert any(way.also for way in outcome.relaxations)
    text = " ".join(render(outcome, "text").split())
    assert "budget.monthly" in text
    assert "and workloads.chat.slo.ttft_ms.p95" in text


def test_of_two_steps_of_a_number_at_the_same_money_the_smaller_is_told(tmp_path: Path) -> None:
    """By the closed form the larger one is cheaper, as replayed it is not."""
    path = tmp_path / "problem.yaml"
    path.write_text(CONFIDENT)
    outcome = solve_problem(path)
    told: dict[str, list[tuple[float, int]]] = {}
    for way in outcome.relaxations:
        if not way.also and isinstance(way.before, float) and isinstance(way.after, float):
            told.setdefault(way.change, []).append((abs(way.after - way.before), way.monthly_cents))
    assert "margins.confidence" in told
    for steps in told.values():
        costs = [cents for _, cents in sorted(steps)]
        assert costs == sorted(set(costs), reverse=True), told
