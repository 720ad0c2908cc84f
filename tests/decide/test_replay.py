"""The second opinion: what misses when replayed leaves the ranking, the solver is asked again, and it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.commands import cli
from optimizer.decide import read_inputs, solve_problem
from optimizer.plan.types import Infeasible, Optimal, Outcome, Plan, Replay
from optimizer.planning import replay as room
from optimizer.planning import replicas_replayed as trial_room
from optimizer.planning.assemble import spec_of
from optimizer.planning.replicas_replayed import Replayer, Trial
from optimizer.report import render

PROBLEMS = Path(__file__).parents[2] / "problems"
FRONT_PAGE = PROBLEMS / "chatbot_100users.yaml"


@cache
def front_page() -> Outcome:
    return solve_problem(FRONT_PAGE)


def _missing(replay: Replay) -> Replay:
    """The same replay with its first promise missed by a tenth."""
    first, *rest = replay.promises
    late = replace(first, simulated_s=1.1 * first.limit_s, with_margin_s=1.1 * first.limit_s)
    return replace(replay, promises=(late, *rest))


class _Strict(Replayer):
    """Refuses the winner of the closed form at its number of replicas, and nothing else."""

    refused: tuple[str, str, int, int]

    def replay(self, trial: Trial) -> Replay:
        spec = trial.spec
        found = super().replay(trial)
        mine = (spec.gpu.id, spec.weight_quant, spec.tensor_parallel, trial.replicas)
        return _missing(found) if mine == self.refused else found


class _Refusing(Replayer):
    """Refuses everything."""

    def replay(self, trial: Trial) -> Replay:
        return _missing(super().replay(trial))


@pytest.mark.parametrize("name", ["chatbot_100users.yaml", "chat_and_rag.yaml", "one_user_70b_20tps.yaml"])
def test_every_printed_plan_keeps_every_promise_as_replayed(name: str) -> None:
    outcome = solve_problem(PROBLEMS / name)
    assert outcome.plans
    for plan in outcome.plans:
        assert [one.workload for one in plan.simulated] == [group.workload for group in plan.groups]
        for one in plan.simulated:
            assert one.kept and one.promises and one.requests >= 1000
            for promise in one.promises:
                assert promise.low_s <= promise.simulated_s <= promise.high_s
                assert promise.with_margin_s >= promise.simulated_s > 0
    assert outcome.proof.replay_rejected == len(outcome.rejected)
    for rejection in outcome.rejected:
        assert rejection.missed and all(promise.with_margin_s > promise.limit_s for promise in rejection.missed)
        assert rejection.replicas_needed is None or rejection.replicas_needed > rejection.group.replicas


def test_a_refused_winner_is_no_plan_where_replays_decide_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    first = front_page().plans[0]
    group = first.groups[0]

    class Strict(_Strict):
        refused = (group.gpu, group.weight_quant, group.tensor_parallel, group.replicas)

    monkeypatch.setattr(room, "Replayer", Strict)
    outcome = solve_problem(FRONT_PAGE, sets=["ranking.top=2"])
    assert isinstance(outcome, Optimal)
    assert not any(_has(plan, *Strict.refused) for plan in outcome.plans)
    assert outcome.plans[0].monthly_cents > first.monthly_cents
    assert outcome.rejected == ()  # the closed form was not asked


def test_a_refused_winner_is_demoted_with_both_numbers_and_its_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    first = solve_problem(FRONT_PAGE, simulate=False).plans[0]
    group = first.groups[0]

    class Strict(_Strict):
        refused = (group.gpu, group.weight_quant, group.tensor_parallel, group.replicas)

    monkeypatch.setattr(room, "Replayer", Strict)
    # the closed form proposes, as under other objectives
    monkeypatch.setattr(room, "is_two_sided", lambda *_: False)
    outcome = solve_problem(FRONT_PAGE)
    assert isinstance(outcome, Optimal)
    found = [one for one in outcome.rejected if (one.round, one.rank) == (1, 1)]
    assert found[0].replicas_needed == group.replicas + 1
    assert found[0].monthly_cents == first.monthly_cents
    assert not any(
        _has(plan, group.gpu, group.weight_quant, group.tensor_parallel, group.replicas) for plan in outcome.plans
    )
    text = " ".join(render(outcome, "text").split())
    assert "rejected by replay" in text and f"holds with {group.replicas + 1} replicas" in text
    written = json.loads(render(outcome, "json"))
    assert written["proof"]["replay_rejected"] == len(written["rejected"]) >= 1
    missed = written["rejected"][0]["missed"][0]
    assert missed["with_margin"] > missed["limit"] > 0 and not missed["kept"]


def test_where_nothing_survives_the_limits_that_would_do_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "Replayer", _Refusing)
    monkeypatch.setattr(room, "ROUNDS", 100)
    cards = ["hardware.gpus=[h100_sxm_80]", "engine.weight_quant=[fp8]", "engine.kv_cache=auto"]
    outcome = solve_problem(FRONT_PAGE, sets=cards)
    assert isinstance(outcome, Infeasible)
    assert outcome.proof.replay_rejected == len(outcome.rejected) > 0
    way = outcome.relaxations[0]
    assert (way.change, way.before, way.after) == ("workloads.chat.slo.ttft_ms.p95", 1000.0, 1100.0)
    assert "Rejected by replay" in " ".join(render(outcome, "text").split())


def test_rounds_are_bounded_and_what_still_misses_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "Replayer", _Refusing)
    monkeypatch.setattr(room, "ROUNDS", 1)
    cards = ["hardware.gpus=[h100_sxm_80]", "engine.weight_quant=[fp8]", "engine.kv_cache=auto"]
    outcome = solve_problem(FRONT_PAGE, sets=["ranking.top=2", *cards])
    assert outcome.plans == ()
    assert any("when replayed and were left out" in warning for warning in outcome.warnings)


def test_the_most_load_is_lowered_to_what_the_replay_carries() -> None:
    sets = ["objective=maximize_load", "budget.monthly=30000", "ranking.top=2"]
    plain, replayed = (solve_problem(FRONT_PAGE, sets=sets, simulate=s) for s in (False, True))
    assert replayed.plans[0].load_factor <= plain.plans[0].load_factor
    assert all(one.kept for plan in replayed.plans for one in plan.simulated)


def test_kinds_that_share_a_workload_are_replayed_each_at_its_share() -> None:
    path = PROBLEMS / "mixed_kinds.yaml"
    plan = solve_problem(path, sets=["ranking.top=1"]).plans[0]
    assert [one.workload for one in plan.simulated] == [group.workload for group in plan.groups]
    assert [one.workload for one in plan.simulated].count("chat") == 2
    inputs = read_inputs(path)
    for group, seen in zip(plan.groups, plan.simulated, strict=True):
        number = [workload.name for workload in inputs.problem.workloads].index(group.workload)
        trial = Trial(number, spec_of(inputs, group), group.replicas, group.share / 2520)
        assert trial.rate(inputs) == pytest.approx({"chat": 150, "routing": 10}[group.workload] * group.share / 2520)
        alone = Replayer(inputs).replay(trial)
        assert alone.promises == seen.promises and seen.kept
    text = " ".join(render(solve_problem(path, sets=["ranking.top=1"]), "text").split())
    assert "replayed: TTFT p95" in text


def test_a_router_that_spreads_sessions_needs_more_hardware() -> None:
    """engine.router, tokens.requests_per_prefix and tokens.prefix_gap_s at work."""
    path, first = PROBLEMS / "sessions_and_router.yaml", "ranking.top=1"
    spread, kept = (solve_problem(path, sets=[first, *more]) for more in ([], ["engine.router=prefix_affinity"]))
    assert spread.plans[0].monthly_cents > kept.plans[0].monthly_cents
    assert {one.router for one in kept.plans[0].simulated} == {"prefix_affinity"}
    found = [sum(one.prefix_hit_rate or 0.0 for one in answer.plans[0].simulated) for answer in (spread, kept)]
    assert found[0] < found[1] <= 0.75 + 0.03
    document = json.loads(render(kept, "json"))["plans"][0]["predicted"][0]
    assert document["prefix_hit_rate"] == {"hbm": pytest.approx(found[1], rel=1e-4), "host": None, "remote": None}


def test_predicted_and_simulated_stand_side_by_side_and_only_when_replayed() -> None:
    written = json.loads(render(front_page(), "json"))["plans"][0]
    promise = written["simulated"][0]["promises"][0]
    assert {"predicted", "simulated", "interval", "limit", "kept"} <= promise.keys()
    assert "replayed: TTFT p95" in " ".join(render(front_page(), "text").split())
    plain = solve_problem(FRONT_PAGE, simulate=False)
    assert "simulated" not in json.loads(render(plain, "json"))["plans"][0]
    assert "replayed" not in " ".join(render(plain, "text").split())


def test_the_same_bytes_every_time() -> None:
    assert render(solve_problem(FRONT_PAGE), "json") == render(front_page(), "json")


def test_a_run_that_compiles_first_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nobody watches: a log says why this run was slower."""
    cheap = ["--set", "hardware.gpus=[h100_sxm_80]", "--set", "ranking.top=1", "--format", "json"]
    for compiled in (True, False):
        monkeypatch.setattr(trial_room, "is_compiled", lambda _, answer=compiled: answer)
        result = CliRunner().invoke(cli, [str(FRONT_PAGE), *cheap])
        assert result.exit_code == 0
        assert ("compiling the simulation" in result.stderr) is not compiled
        assert json.loads(result.stdout)["status"] == "optimal"


def test_no_simulate_never_imports_the_compiler() -> None:
    code = (
        "import sys; from optimizer.commands import cli\n"
        f"try: cli([{str(FRONT_PAGE)!r}, '--no-simulate'])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "assert not {'numba', 'scipy', 'optimizer.simulate.loop'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def _has(plan: Plan, gpu: str, quant: str, tp: int, replicas: int) -> bool:
    return any(
        (g.gpu, g.weight_quant, g.tensor_parallel, g.replicas) == (gpu, quant, tp, replicas) for g in plan.groups
    )
