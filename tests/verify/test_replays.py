"""The replay that a plan carries is of its load and of every promise, at its limit and with its margin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from optimizer.plan.types import Outcome, Plan, Replay
from optimizer.planning.inputs import Inputs, read_inputs
from optimizer.verify import verify_plan

PROBLEM = Path(__file__).parents[2] / "problems" / "chatbot_100users.yaml"


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return read_inputs(PROBLEM)


@pytest.fixture
def plan(solved: Callable[..., Outcome]) -> Plan:
    return solved("chatbot_100users").plans[0]


def told(inputs: Inputs, plan: Plan, change: Callable[[Replay], Replay]) -> list[str]:
    """What is said of a plan whose replay is another."""
    other = replace(plan, simulated=(change(plan.simulated[0]), *plan.simulated[1:]))
    found = verify_plan(inputs.problem, inputs.catalog, inputs.params, other)
    return [one.path for one in found if one.rule == "replays"]


def test_a_plan_as_it_was_made_has_nothing_to_tell(inputs: Inputs, plan: Plan) -> None:
    assert told(inputs, plan, lambda replay: replay) == []


def first(replay: Replay, **changes: Any) -> Replay:
    return replace(replay, promises=(replace(replay.promises[0], **changes), *replay.promises[1:]))


def test_a_promise_that_was_not_replayed_is_found(inputs: Inputs, plan: Plan) -> None:
    path = plan.simulated[0].promises[0].path
    assert path in told(inputs, plan, lambda replay: replace(replay, promises=replay.promises[1:]))


@pytest.mark.parametrize("factor", [0.999, 1.001])
def test_a_promise_replayed_against_another_limit_is_found(factor: float, inputs: Inputs, plan: Plan) -> None:
    one = plan.simulated[0].promises[0]
    assert told(inputs, plan, lambda replay: first(replay, limit_s=one.limit_s * factor)) == [one.path]


@pytest.mark.parametrize(("factor", "found"), [(1 + 1e-9, False), (1 + 1e-4, True), (1 - 1e-4, True)])
def test_the_margin_is_the_model_error_of_the_grade(factor: float, found: bool, inputs: Inputs, plan: Plan) -> None:
    one = plan.simulated[0].promises[0]
    said = told(inputs, plan, lambda replay: first(replay, with_margin_s=one.with_margin_s * factor))
    assert (one.path in said) is found


def test_a_replay_that_misses_a_promise_is_found(inputs: Inputs, plan: Plan) -> None:
    one = plan.simulated[0].promises[0]
    late = one.limit_s * 2 / (one.with_margin_s / one.simulated_s)
    said = told(inputs, plan, lambda replay: first(replay, simulated_s=late, with_margin_s=one.limit_s * 2))
    assert said == ["groups[0]"]


@pytest.mark.parametrize("figure", ["replicas", "requests_per_second", "inflight"])
def test_a_replay_of_another_load_is_found(figure: str, inputs: Inputs, plan: Plan) -> None:
    value = getattr(plan.simulated[0], figure)
    assert f"groups[0] {figure}" in told(inputs, plan, lambda replay: replace(replay, **{figure: value + 1}))


def test_a_plan_without_one_of_its_replays_is_found(inputs: Inputs, plan: Plan) -> None:
    twice = replace(plan, simulated=(*plan.simulated, plan.simulated[0]))
    found = verify_plan(inputs.problem, inputs.catalog, inputs.params, twice)
    assert ("replays", "simulated") in {(one.rule, one.path) for one in found}
