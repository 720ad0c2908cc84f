"""One limit over the whole command: what was found by then, marked as not proven, and no more."""

from __future__ import annotations

import time
from pathlib import Path

from optimizer.decide import solve_problem
from optimizer.plan.types import Infeasible, Optimal, Unknown

PROBLEMS = Path(__file__).resolve().parents[2] / "problems"


def test_no_time_leaves_no_plan_and_says_why() -> None:
    outcome = solve_problem(PROBLEMS / "chatbot_100users.yaml", simulate=False, time_limit=1e-6)
    assert isinstance(outcome, Unknown)
    assert any("time limit" in warning for warning in outcome.warnings)
    assert not outcome.plans


def test_enough_time_changes_nothing() -> None:
    sets = ["ranking.top=2"]
    without = solve_problem(PROBLEMS / "chatbot_100users.yaml", sets=sets, simulate=False)
    limited = solve_problem(PROBLEMS / "chatbot_100users.yaml", sets=sets, simulate=False, time_limit=300.0)
    assert isinstance(limited, Optimal)
    assert limited == without


def test_ways_out_end_with_the_time() -> None:
    start = time.monotonic()
    outcome = solve_problem(PROBLEMS / "infeasible_budget.yaml", simulate=False, time_limit=1.0)
    assert time.monotonic() - start < 20
    assert isinstance(outcome, (Infeasible, Unknown))
