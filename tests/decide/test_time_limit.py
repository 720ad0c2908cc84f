"""One limit over the whole command: what was found by then, marked as not proven, and no more."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from ortools.sat.python import cp_model

from optimizer.decide import read_inputs, solve_problem
from optimizer.decide.solve import decide, single_kinds
from optimizer.errors import OutOfTimeError
from optimizer.fleet import solve_fleet
from optimizer.fleet.types import FleetStatus
from optimizer.plan.types import Feasible, Infeasible, Optimal, Unknown
from optimizer.planning import replay as replay_room
from optimizer.planning.cheapest import _Race
from optimizer.planning.inputs import loads_of
from optimizer.planning.known import Least
from optimizer.planning.least_replicas import LeastReplicas
from optimizer.planning.replay import survivors
from optimizer.planning.replicas_replayed import Replayer
from optimizer.progress import Clock
from optimizer.verify import verify_plans
from optimizer.whatif.case import open_case

PROBLEMS = Path(__file__).resolve().parents[2] / "problems"
FRONT_PAGE = PROBLEMS / "chatbot_100users.yaml"


@dataclass(frozen=True)
class Countdown(Clock):
    """A clock that is over once it was asked so often: no machine decides how far a search comes."""

    asked: list[int] = field(default_factory=lambda: [0])
    times: int = 0

    @property
    def over(self) -> bool:
        self.asked[0] += 1
        return self.asked[0] > self.times

    def part(self, share: float) -> Clock:
        return Clock()


def test_no_time_leaves_no_plan_and_says_why() -> None:
    outcome = solve_problem(FRONT_PAGE, simulate=False, time_limit=1e-6)
    assert isinstance(outcome, Unknown)
    assert any("time limit" in warning for warning in outcome.warnings)
    assert not outcome.plans


def test_enough_time_changes_nothing() -> None:
    sets = ["ranking.top=2"]
    without = solve_problem(FRONT_PAGE, sets=sets, simulate=False)
    limited = solve_problem(FRONT_PAGE, sets=sets, simulate=False, time_limit=300.0)
    assert isinstance(limited, Optimal)
    assert limited == without


def test_ways_out_end_with_the_time() -> None:
    start = time.monotonic()
    outcome = solve_problem(PROBLEMS / "infeasible_budget.yaml", simulate=False, time_limit=1.0)
    assert time.monotonic() - start < 20
    assert isinstance(outcome, (Infeasible, Unknown))


@pytest.mark.parametrize("times", [1, 3])
def test_replays_end_with_the_time_and_what_was_not_replayed_is_left_out(times: int) -> None:
    inputs = read_inputs(FRONT_PAGE, sets=["ranking.top=5"])
    case = open_case(inputs)
    result = solve_fleet(inputs.problem, case.candidates, case.options, loads_of(inputs.problem))
    left = survivors(inputs, case.candidates, case.options, result, lambda _: None, Countdown(times=times))
    assert 1 <= len(left.plans) <= max(1, times) < len(result.solutions)
    assert left.result.status == "feasible"
    assert not any(solution.proven for solution in left.result.solutions)
    assert any("had not been replayed" in warning for warning in left.result.warnings)
    assert all(plan.simulated and all(one.kept for one in plan.simulated) for plan in left.plans)


def test_everything_replayed_in_time_stays_proven() -> None:
    inputs = read_inputs(FRONT_PAGE, sets=["ranking.top=2", "objective=minimize_tpot"])
    case = open_case(inputs)
    result = solve_fleet(inputs.problem, case.candidates, case.options, loads_of(inputs.problem))
    never = Countdown(times=1000)
    free = survivors(inputs, case.candidates, case.options, result, lambda _: None, never)
    asked = Countdown(times=never.asked[0] - 1)  # over after the last replay, and only then
    left = survivors(inputs, case.candidates, case.options, result, lambda _: None, asked)
    assert left.result == free.result
    assert left.result.status is FleetStatus.PROVEN


def test_kinds_of_gpu_alone_are_asked_inside_the_time() -> None:
    inputs = read_inputs(PROBLEMS / "length_classes.yaml")
    case = open_case(inputs)
    plans = decide(inputs, simulate=False).plans
    ask = (inputs, case.candidates, case.options, plans, lambda _: None)
    assert single_kinds(*ask, replays=None)
    with pytest.raises(OutOfTimeError):
        single_kinds(*ask, replays=None, clock=Clock.of(0.0))
    with pytest.raises(OutOfTimeError):  # not the first, not the second: no kind is left out without a word
        single_kinds(*ask, replays=None, clock=Countdown(times=2))


def test_a_thousand_times_the_nodes_is_confirmed_as_quickly() -> None:
    def seconds(rate: int) -> float:
        inputs = read_inputs(FRONT_PAGE, sets=[f"workloads.0.traffic={{requests_per_second: {rate}}}", "ranking.top=1"])
        plans = decide(inputs, simulate=False).plans
        assert plans

        def once() -> float:
            begun = time.perf_counter()
            assert verify_plans(inputs.problem, inputs.catalog, inputs.params, plans) == ((),)
            return time.perf_counter() - begun

        return min(once() for _ in range(3))

    assert seconds(400_000) < 10 * seconds(400)


def test_the_saved_model_proves_the_answer_and_not_a_plan_that_the_replay_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = read_inputs(FRONT_PAGE, sets=["ranking.top=1"])
    first = decide(inputs, simulate=False).plans[0]

    class Strict(Replayer):
        """Refuses the winner of the closed form at its number of replicas."""

        def replay(self, trial):
            found = super().replay(trial)
            if (trial.spec.gpu.id, trial.replicas) != (first.groups[0].gpu, first.groups[0].replicas):
                return found
            one, *rest = found.promises
            return replace(found, promises=(replace(one, with_margin_s=1.1 * one.limit_s), *rest))

    monkeypatch.setattr(replay_room, "Replayer", Strict)
    saved: list[str] = []
    outcome = decide(inputs, on_model=saved.append)
    assert outcome.plans[0].monthly_cents > first.monthly_cents
    model = cp_model.CpModel()
    assert model.proto.parse_text_format(saved[0])
    solver = cp_model.CpSolver()
    assert solver.solve(model) == cp_model.OPTIMAL
    assert solver.objective_value == outcome.plans[0].monthly_cents


ONE_CARD = (
    "hardware.gpus=[h100_sxm_80]", "engine.weight_quant=[fp8]", "engine.kv_cache=[auto]",
    "engine.tensor_parallel=[2, 4]", "engine.pipeline_parallel=[1]", "ranking.top=1",
)  # fmt: skip


@pytest.mark.cold
def test_what_replays_take_leaves_the_solver_its_part_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of the time here, and only half of what is left is the solver's."""
    later, run, now = [0.0], _Race.run, time.monotonic

    def slowly(self: _Race) -> None:
        run(self)
        later[0] = 200.0

    monkeypatch.setattr(_Race, "run", slowly)
    monkeypatch.setattr("optimizer.progress.time.monotonic", lambda: now() + later[0])
    assert isinstance(solve_problem(FRONT_PAGE, sets=ONE_CARD, time_limit=300.0), Optimal)


@pytest.mark.cold
def test_where_the_time_is_up_what_was_replayed_and_holds_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    later, settle, now = [0.0], LeastReplicas.settle, time.monotonic

    def slowly(self: LeastReplicas, least: Least, kept: int) -> None:
        settle(self, least, kept)
        later[0] = 1000.0

    monkeypatch.setattr(LeastReplicas, "settle", slowly)
    monkeypatch.setattr("optimizer.progress.time.monotonic", lambda: now() + later[0])
    outcome = solve_problem(FRONT_PAGE, sets=ONE_CARD, time_limit=300.0)
    assert isinstance(outcome, Feasible) and not outcome.plans[0].proven
    assert all(replay.kept for replay in outcome.plans[0].simulated)
    assert any("time was up before all that could be cheaper" in warning for warning in outcome.warnings)
