"""Two commands never name two winners: each gets its best plan from one line, replayed unless told not to."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.decide import Answer, answer, read_inputs
from optimizer.negotiate import explain as explain_room
from optimizer.negotiate import page_curves as picture_room
from optimizer.negotiate import targets as targets_room
from optimizer.negotiate.budget import budget
from optimizer.negotiate.frontier import frontier
from optimizer.negotiate.page_curves import picture_of
from optimizer.negotiate.why_not import why_not
from optimizer.plan.types import Plan, Stress
from optimizer.problem import figures_of
from optimizer.report.negotiate_explain import render_explanation
from optimizer.report.negotiate_targets import render_targets
from optimizer.whatif.case import Winner, ask, open_case

PROBLEMS = Path(__file__).resolve().parents[2] / "problems"
CASES = ("sessions_and_router", "one_user_70b_20tps")
"""The first one's winner by the closed form does not survive its replay."""

TOP = ["ranking.top=1", "hardware.gpus=[h200_sxm_141, rtx_4090_24]", "engine.weight_quant=[fp8]"]
"""Enough cards for another winner by the closed form."""

_LOADS = ("concurrency", "requests_per_second", "active")


def _answered(stem: str) -> Answer:
    if stem not in _KNOWN:
        _KNOWN[stem] = answer(read_inputs(PROBLEMS / f"{stem}.yaml", sets=TOP))
    return _KNOWN[stem]


_KNOWN: dict[str, Answer] = {}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a command says of the winner itself."""
    monkeypatch.setattr("optimizer.decide.solve._stressed", lambda plans, *_: plans)
    monkeypatch.setattr(picture_room, "_turns", lambda *_: iter(()))
    monkeypatch.setattr(picture_room, "LOADS", (100,))
    monkeypatch.setattr(picture_room, "MOST_LOADS", 1)
    monkeypatch.setattr(explain_room, "moves", lambda *_: ())
    monkeypatch.setattr(explain_room, "_reign", lambda *_: None)
    told = Stress("one node gone", False, None)
    monkeypatch.setattr("optimizer.whatif.stress.stress", lambda *_: (told,))
    monkeypatch.setattr(targets_room, "_ways_to_ask", lambda *_: iter(()))


def _is(plan: Plan | None, best: Plan) -> bool:
    return plan is not None and (plan.groups, plan.nodes, plan.cost_lines) == (best.groups, best.nodes, best.cost_lines)


@pytest.mark.parametrize("stem", CASES)
def test_every_command_names_the_same_winner(stem: str) -> None:
    answered = _answered(stem)
    best, path = answered.outcome.plans[0], answered.outcome.problem_path
    assert best.simulated
    assert _is(explain_room.explain(path, sets=TOP).plan, best)
    assert _is(targets_room.targets(path, sets=TOP).outcome.plans[0], best)
    assert _is(why_not(path, best.groups[0].gpu, sets=TOP).best, best)
    figure, stated = next(
        (one, value) for one, value in figures_of(answered.case.inputs.problem) if one.key in _LOADS and value
    )
    step = frontier(path, (figure.path, f"{stated}:{stated * 1.0001}:{stated}"), sets=TOP, jobs=1).curves[0].steps[0]
    assert step.first_cents == best.monthly_cents
    assert ask(answered.case).cents == best.monthly_cents


def test_a_budget_speaks_of_the_same_money(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizer.negotiate.budget._fastest", lambda _: ())
    path = PROBLEMS / "sessions_and_router.yaml"
    best = _answered("sessions_and_router").outcome.plans[0]
    found = budget(path, 60_000, sets=TOP)
    assert found.stated_load_cents == best.monthly_cents
    assert found.replayed and all(plan.simulated for plan in found.most.plans)


def test_what_ifs_of_a_page_speak_of_the_same_money() -> None:
    path = PROBLEMS / "sessions_and_router.yaml"
    best = _answered("sessions_and_router").outcome.plans[0]
    stairs = picture_of(open_case(read_inputs(path, sets=TOP), simulate=True)).stairs
    assert stairs[0].monthly_cents == best.monthly_cents


def test_without_the_replay_that_is_said() -> None:
    path = PROBLEMS / "sessions_and_router.yaml"
    inputs = read_inputs(path, sets=TOP)
    closed = answer(inputs, simulate=False)
    assert not closed.outcome.plans[0].simulated
    told = explain_room.explain(path, sets=TOP, simulate=False)
    assert _is(told.plan, closed.outcome.plans[0])
    assert told.plan and told.plan.monthly_cents < _answered("sessions_and_router").outcome.plans[0].monthly_cents
    for text in (
        render_explanation(told, "text"),
        render_targets(targets_room.targets(path, sets=TOP, simulate=False), "text"),
    ):
        assert "Not replayed" in text
    assert '"replayed": false' in render_explanation(told, "json")


def test_a_case_replays_every_edit() -> None:
    """At a load at which the closed form's winner holds in the replay, it is the winner of both."""
    inputs = read_inputs(PROBLEMS / "sessions_and_router.yaml", sets=TOP)
    case, closed = open_case(inputs, simulate=True), open_case(inputs)
    for rate in (4, 11):
        edit = [f"workloads.assistant.traffic.requests_per_second={rate}"]
        found: Winner = ask(case, edit)
        plan = found.plan()
        assert plan is not None
        assert all(one.kept for one in plan.simulated)
        assert (found.cents or 0) >= (ask(closed, edit).cents or 0)
