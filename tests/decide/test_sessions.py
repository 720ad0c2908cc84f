"""Problems that state ``sessions``: what is bought, what is said, and the same problem in other words."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from optimizer.decide import read_inputs, solve_problem
from optimizer.performance.accuracy import band_source, grade_of
from optimizer.performance.behaviour import behaviours, promised_seconds
from optimizer.performance.types import PointKind
from optimizer.plan.types import Optimal, Outcome
from optimizer.report import render
from optimizer.report.prefixes import prefix_lines
from optimizer.whatif.case import open_case

Solved = Callable[..., Outcome]
ONE_CARD = ("hardware.gpus=[h200_sxm_141]", "engine.tensor_parallel=[4]", "ranking.top=1")

SAME = """
workloads:
  - name: assistant
    model: meta-llama/Llama-3.1-70B-Instruct
    traffic: {requests_per_second: 11}
    tokens: %s
    slo: {ttft_ms: {p50: 900}, tpot_ms: {p95: 60}}
engine: {router: prefix_affinity, weight_quant: [fp8], kv_cache: [auto], pipeline_parallel: [1]}
hardware: {gpus: [h200_sxm_141]}
ranking: {top: 1}
"""
AS_PREFIX = (
    "{input: 6000, output: 250, context_max: 16384, shared_prefix: 0.75, requests_per_prefix: 6, prefix_gap_s: 30}"
)
AS_SESSIONS = """{context_max: 16384}
    sessions: {turns: 6, first_input: 5997, new_input: 1, output: 250, output_kept: no, carry: 0.9, gap: 30}"""


def best(outcome: Outcome):
    assert isinstance(outcome, Optimal)
    return outcome.plans[0]


def test_the_same_sessions_in_other_words_get_the_same_answer(tmp_path: Path) -> None:
    plans = []
    for name, tokens in (("prefix", AS_PREFIX), ("sessions", AS_SESSIONS)):
        path = tmp_path / f"{name}.yaml"
        path.write_text(SAME % tokens)
        plans.append(best(solve_problem(path)))
    one, other = plans
    assert one.monthly_cents == other.monthly_cents
    assert one.groups[0].replicas == other.groups[0].replicas
    assert one.simulated[0].prefix_hit_rate == pytest.approx(other.simulated[0].prefix_hit_rate, abs=0.03)


def test_more_users_never_cost_less(solved: Solved) -> None:
    users = "workloads.agents.traffic.users.active"
    costs = [
        best(solved("coding_agents", *ONE_CARD, f"{users}={count}", simulate=False)).monthly_cents
        for count in (15, 60, 240)
    ]
    assert costs == sorted(costs) and costs[0] < costs[-1]


def test_people_who_think_longer_find_less_and_ask_less(solved: Solved) -> None:
    gap = "workloads.agents.sessions.gap={p50: 9, p90: %d}"
    plans = [best(solved("coding_agents", *ONE_CARD, gap % p90, simulate=False)) for p90 in (20, 2_000)]
    assert plans[0].predicted[0].requests_per_second > plans[1].predicted[0].requests_per_second


def test_the_example_says_what_its_sessions_mean_and_what_is_found(solved: Solved) -> None:
    outcome = solved("coding_agents")
    plan = best(outcome)
    (told,) = plan.predicted
    found = plan.simulated[0].prefix_hit_rate
    assert told.prefix is not None and found is not None
    assert found == pytest.approx(told.prefix.found, abs=0.05)
    assert 0.85 < found < told.prefix.could < 0.97
    assert told.concurrency < 120 and told.requests_per_second < 120 / 193
    full = " ".join(render(outcome, "text").split())
    assert "of the input was sent before and could be found" in full
    assert any("evicted before its next turn" in line for line in prefix_lines(outcome, plan))
    (load,) = json.loads(render(outcome, "json"))["load"]
    assert load["users"] == 120 and load["sessions"]["turns"] == pytest.approx(23.9, abs=0.1)
    assert load["sessions"]["reachable_hit_rate"] == pytest.approx(told.prefix.could, abs=1e-3)


CONVERSATIONS = """
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {users: {active: %d}, peak_factor: 1}
    tokens: {context_max: 32768}
    sessions:
      turns: %d
      shared_prefix: {tokens: %d, groups: %d}
      first_input: %d
      new_input: %d
      output: 300
      gap: {%s}
    slo: {ttft_ms: {p95: 3000}, tpot_ms: {p95: 60}}
engine: {router: prefix_affinity, kv_cache: [auto]}
hardware: {gpus: [%s]}
ranking: {top: 1}
"""


@pytest.mark.cards("l40s_48", "h100_sxm_80")
@pytest.mark.parametrize(
    ("stated", "simulate"),
    [
        ((500, 20, 4000, 30, 6000, 60, "p50: 40, p90: 156.188", "l40s_48"), True),
        ((1500, 3, 4000, 5, 6000, 400, "p50: 200, p90: 900", "l40s_48, h100_sxm_80"), False),
        ((1500, 20, 9000, 5, 2000, 1500, "p50: 200, p90: 900", "l40s_48, h100_sxm_80"), False),
    ],
    ids=["prompts that no longer fill every step", "two numbers in flight", "near the most it carries"],
)
def test_what_is_found_bends_with_the_load_and_the_check_agrees(
    tmp_path: Path, stated: tuple[object, ...], simulate: bool
) -> None:
    """The time between requests is not linear in what is found, and a load may be met at several numbers in flight:
    the check found otherwise and stopped the run."""
    path = tmp_path / "talk.yaml"
    path.write_text(CONVERSATIONS % stated)
    assert solve_problem(path, simulate=simulate).plans


@pytest.mark.cards("l40s_48", "h100_sxm_80")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_replica_keeps_its_promises_at_all_that_it_is_said_to_carry(tmp_path: Path, seed: int) -> None:
    """Of random conversations: at the number of people of an operating point and at fewer."""
    draw = random.Random(seed)
    lengths = (draw.choice([3, 8, 20, 40]), draw.choice([500, 4000, 9000]), draw.choice([1, 5, 30, 200]))
    told = (
        draw.choice([500, 2000, 6000]),
        draw.choice([60, 400, 1500]),
        draw.choice(["p50: 40, p90: 156", "p50: 5, p90: 20"]),
    )
    path = tmp_path / "talk.yaml"
    path.write_text(CONVERSATIONS % (draw.choice([60, 1500]), *lengths, *told, "l40s_48"))
    case = open_case(read_inputs(path))
    (part,), params = case.inputs.parts, case.inputs.params
    most = {
        one.spec: point for one in case.candidates.candidates for point in one.points if point.kind is PointKind.ALL
    }
    assert len(most) > 20
    for share in (1.0, 0.985, 0.9, 0.8):
        users = [share * point.users for point in most.values()]
        seen = behaviours(list(most), part.lengths, params, users=users, think_s=part.load.think_s)
        for spec, behaviour in zip(most, seen, strict=True):
            assert behaviour.stable, (spec.gpu.id, spec.split, share)
            grade, source = grade_of(spec, params)[0], band_source(spec, params)
            for promise in part.slo.promises:
                reached = promised_seconds(behaviour, promise, grade, 0.9, source)
                assert reached <= promise.limit_s * (1 + 1e-6), (spec.gpu.id, spec.split, share, promise.path)
