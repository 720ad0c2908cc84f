"""Offline work replayed: the whole batch on saturated replicas within its hours."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from optimizer.decide import read_inputs, solve_problem
from optimizer.performance.accuracy import band_source, grade_of, throughput_factor
from optimizer.plan.types import Optimal, Outcome, Plan, ReplayedPromise
from optimizer.planning import replay as room
from optimizer.planning.assemble import spec_of
from optimizer.planning.replicas_replayed import Trial, replay_batch, replica_of
from optimizer.problem import lengths_of
from optimizer.report import render

PROBLEMS = Path(__file__).parents[2] / "problems"
NIGHT = PROBLEMS / "batch_documents_8b.yaml"
CARDS = ["hardware.gpus=[l40s_48]"]


@cache
def outcome(*sets: str) -> Outcome:
    return solve_problem(NIGHT, sets=[*CARDS, *sets])


def promise(plan: Plan) -> ReplayedPromise:
    (replay,) = plan.simulated
    (found,) = replay.promises
    return found


def test_every_printed_plan_finishes_in_time() -> None:
    found = outcome()
    assert isinstance(found, Optimal)
    for plan in found.plans:
        kept = promise(plan)
        assert kept.kept and kept.limit_s == 36_000 and kept.path.endswith("batch.within_hours")
        assert kept.low_s <= kept.simulated_s <= kept.high_s <= 1.1 * kept.simulated_s
        assert kept.simulated_s == pytest.approx(kept.predicted_s, rel=0.2)
    assert "the batch takes" in " ".join(render(found, "text").split()) and "hours of 10" in " ".join(
        render(found, "text").split()
    )
    written = json.loads(render(found, "json"))["plans"][0]["simulated"][0]
    assert written["ttft_ms"]["p95"] is None and written["promises"][0]["kept"]


def test_twice_the_batch_takes_twice_as_long_and_twice_the_replicas_half() -> None:
    inputs = read_inputs(NIGHT)
    spec = spec_of(inputs, outcome().plans[0].groups[0])
    replica = replica_of(inputs, spec, lengths_of(inputs.problem.workloads[0]))
    hours = {
        (replicas, factor): replay_batch(inputs, Trial(0, spec, replicas, factor), replica).promises[0].simulated_s
        for replicas, factor in ((2, 1.0), (2, 2.0), (4, 1.0), (4, 2.0))
    }
    assert hours[2, 2.0] == pytest.approx(2 * hours[2, 1.0], rel=0.01)
    assert hours[4, 1.0] == pytest.approx(hours[2, 1.0] / 2, rel=0.01)
    assert hours[4, 2.0] == pytest.approx(hours[2, 1.0], rel=1e-9)


def test_a_batch_a_little_longer_than_the_replay_carries_is_refused() -> None:
    """The boundary: so many hours as the replay takes with its margin are kept, a hundredth less is not."""
    inputs = read_inputs(NIGHT)
    spec = spec_of(inputs, outcome().plans[0].groups[0])
    replica = replica_of(inputs, spec, lengths_of(inputs.problem.workloads[0]))
    took = replay_batch(inputs, Trial(0, spec, 2, 1.0), replica).promises[0]
    grade, confidence = grade_of(spec, inputs.params)[0], inputs.problem.margins.confidence
    margin = throughput_factor(grade, confidence, band_source(spec, inputs.params))
    assert took.with_margin_s == pytest.approx(took.simulated_s / margin)
    fill = took.limit_s / took.with_margin_s
    assert replay_batch(inputs, Trial(0, spec, 2, 0.99 * fill), replica).kept
    assert not replay_batch(inputs, Trial(0, spec, 2, 1.01 * fill), replica).kept


def test_what_misses_leaves_the_ranking_with_its_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = ["hardware.gpus=[l40s_48]", "engine.weight_quant=[fp8]", "engine.kv_cache=auto"]
    two = solve_problem(NIGHT, sets=sets, simulate=False).plans[0]
    most = int(100_000 * two.load_factor)  # as many as the closed form lets two replicas do
    found = solve_problem(NIGHT, sets=[*sets, f"workloads.summaries.traffic.batch.requests={most}"])
    assert two.groups[0].replicas == 2
    assert found.plans[0].groups[0].replicas == 3
    # the closed form proposes, as under other objectives
    monkeypatch.setattr(room, "is_two_sided", lambda *_: False)
    found = solve_problem(NIGHT, sets=[*sets, f"workloads.summaries.traffic.batch.requests={most}"])
    assert found.rejected
    assert found.rejected[0].replicas_needed == found.rejected[0].group.replicas + 1
    assert "the batch" in " ".join(render(found, "text").split()) and "hours replayed" in " ".join(
        render(found, "text").split()
    )
    assert all(promise(plan).kept for plan in found.plans)
