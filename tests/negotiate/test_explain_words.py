"""Explanations in the objective's own unit: a latency, a load, a number of GPUs, with the money beside it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from optimizer.negotiate.explain import Explanation, Reign, explain
from optimizer.report.negotiate_explain import _room, render_explanation
from optimizer.report.words import Names, counted

pytestmark = pytest.mark.cards("h100_sxm_80", "l40s_48", "mi300x_192")

ROOT = Path(__file__).resolve().parents[2]
LATENCY = ROOT / "problems" / "low_latency_70b.yaml"
CARDS = "hardware.gpus=[h100_sxm_80, l40s_48, mi300x_192]"


def words(answer: Explanation) -> str:
    """The report as one line."""
    return " ".join(render_explanation(answer, "text").split())


def test_a_latency_is_compared_as_a_latency() -> None:
    answer = explain(LATENCY, simulate=False)
    assert answer.reached is not None
    text = words(answer)
    assert f"Lowest TPOT p95, safety margin included: {answer.reached:.1f} ms" in text
    floor = next(move for move in answer.moves if move.path.endswith("min_recovery"))
    assert floor.tighter is not None and floor.tighter.reached is not None
    assert floor.tighter.reached > answer.reached
    assert f"TPOT p95 {floor.tighter.reached:.1f} ms instead of {answer.reached:.1f} ms, +$88 a month" in text
    assert "Money hangs on" not in text


def test_without_traffic_the_load_is_requests_in_flight() -> None:
    answer = explain(ROOT / "problems" / "a10_server_qwen3_32b.yaml", simulate=False)
    text = words(answer)
    assert answer.reached == 32
    assert "Most load: 32 requests in flight" in text
    assert "times the planned load" not in text
    assert "It carries 32 requests in flight before a promise breaks" in text


def test_fewer_gpus_are_told_with_the_money() -> None:
    sets = [CARDS, "objective=minimize_gpus", "margins.confidence=0.5"]
    answer = explain(ROOT / "problems" / "chatbot_100users.yaml", sets=sets, simulate=False)
    text = words(answer)
    assert answer.plan is not None
    assert f"Fewest GPUs: {answer.plan.gpus} GPUs" in text
    assert all(move.looser is None or move.looser.reached is not None for move in answer.moves)


def test_a_value_that_the_file_cannot_take_is_no_broken_promise() -> None:
    """A p95 below the p50 is no stricter promise but a contradiction: the axis ends before it."""
    sets = [CARDS, "workloads.chat.slo.ttft_ms={p50: 500, p95: 700}"]
    answer = explain(ROOT / "problems" / "chatbot_100users.yaml", sets=sets, simulate=False)
    p95 = next(move for move in answer.moves if move.path.endswith("ttft_ms.p95"))
    assert p95.strictest == 500
    assert p95.tighter is None or p95.tighter.value >= 500


def test_what_has_no_plan_is_told_so_in_its_heading() -> None:
    text = words(explain(ROOT / "problems" / "infeasible_budget.yaml", sets=[CARDS], simulate=False))
    assert text.startswith("Why no plan:")


@pytest.mark.parametrize(
    ("number", "unit", "said"),
    [("1", "nodes", "1 node"), ("2", "nodes", "2 nodes"), ("1", "requests in flight", "1 request in flight")],
)
def test_one_is_singular(number: str, unit: str, said: str) -> None:
    assert counted(number, unit) == said


def test_a_unit_is_said_once() -> None:
    names = Names(several=False, currency="USD")
    assert names.beside("workloads.chat.traffic.concurrency", 100) == "100"
    assert names.beside("workloads.chat.slo.ttft_ms.p95", 100) == "100 ms"


def test_what_the_formula_carries_is_told_apart_from_what_the_replay_does() -> None:
    """Two figures for one question, 2 % and 1.05 times, stood beside each other without a word on why they differ."""
    room, won = 1.0234, 1.051
    plan = SimpleNamespace(load_factor=room)
    gain = SimpleNamespace(is_load=False, load=lambda factor: f"{factor:g} times the planned load")
    answer = SimpleNamespace(reign=Reign(won, None), replayed=True)
    told = _room(answer, plan, gain)  # type: ignore[arg-type]
    assert told == (
        "By formula it carries 2 % more than the planned load; replayed it stays the best up to 1.051 times (below)."
    )
    answer.replayed = False
    told = _room(answer, plan, gain)  # type: ignore[arg-type]
    assert told == "It carries 2 % more than the planned load before a promise breaks."
