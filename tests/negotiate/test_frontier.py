"""Staircases: equal to brute force at every value of the axis, never falling, the same in any number of processes."""

from __future__ import annotations

import csv
import io
import json
from itertools import pairwise
from pathlib import Path

import pytest

from optimizer.decide import Inputs
from optimizer.errors import UsageError
from optimizer.negotiate.frontier import Frontier, frontier
from optimizer.report.negotiate_frontier import draw, render_frontier
from optimizer.whatif.axes import axis_of, resolve
from optimizer.whatif.case import Case, Winner, open_case
from optimizer.whatif.search import Stairs

ROOT = Path(__file__).resolve().parents[2]
CHAT = ROOT / "problems" / "chatbot_100users.yaml"
CARDS = "hardware.gpus=[h100_sxm_80, l40s_48, mi300x_192]"
AXES = (
    ("chatbot_100users.yaml", CARDS, "concurrency", "60:260:8"),
    ("chatbot_100users.yaml", CARDS, "ttft_ms", "240:640:50"),
    ("low_latency_70b.yaml", CARDS, "tpot_ms", "12:36:4"),
    ("chat_and_rag.yaml", CARDS, "workloads.chat.traffic.requests_per_second", "1:21:4"),
    ("chatbot_100users.yaml", CARDS, "margins.confidence", "0.5:0.95:0.09"),
    ("chatbot_100users.yaml", CARDS, "budget.monthly", "10000:30000:500"),
)


@pytest.mark.parametrize(("file", "cards", "name", "span"), AXES, ids=lambda value: str(value)[:30])
def test_steps_are_those_of_brute_force(file: str, cards: str, name: str, span: str) -> None:
    from optimizer.decide import read_inputs

    sets = [cards, "ranking.top=1"]
    answer = frontier(ROOT / "problems" / file, (name, span), sets=sets, jobs=1, simulate=False)
    inputs = read_inputs(ROOT / "problems" / file, sets=sets)
    case = open_case(inputs)
    axis = axis_of(inputs, name, span)
    found: list[tuple[float, float, int | None]] = []
    previous: object = None
    for index, value in enumerate(axis.values):
        edited = case.edited([axis.edit(index)])
        best = Winner(edited, edited.solve())
        if index and best.identity == previous:
            found[-1] = (found[-1][0], value, best.cents)
        else:
            found.append((value, value, best.cents))
        previous = best.identity
    assert [(step.first, step.last, step.last_cents) for step in answer.curves[0].steps] == found
    assert answer.exact


@pytest.fixture(scope="module")
def surface() -> Frontier:
    """Two fields at once."""
    return frontier(
        CHAT, ("concurrency", "60:260"), ("ttft_ms", "260:1000"), points=3, sets=[CARDS], jobs=1, simulate=False
    )


def test_cost_never_falls_with_load_or_strictness(surface: Frontier) -> None:
    never = 10**12
    rows = []
    for curve in surface.curves:
        costs = {step.first: step.first_cents or never for step in curve.steps}
        ends = {step.last: step.last_cents or never for step in curve.steps}
        ordered = [cost for _, cost in sorted({**costs, **ends}.items())]
        assert ordered == sorted(ordered)
        rows.append([next(s.last_cents or never for s in curve.steps if s.last >= load) for load in range(60, 261, 5)])
    limits = [curve.against or 0.0 for curve in surface.curves]
    assert limits == sorted(limits, reverse=True)
    for looser, stricter in pairwise(rows):
        assert all(a <= b for a, b in zip(looser, stricter, strict=True))


def test_processes_do_not_change_the_answer(surface: Frontier) -> None:
    spread = frontier(
        CHAT, ("concurrency", "60:260"), ("ttft_ms", "260:1000"), points=3, sets=[CARDS], jobs=2, simulate=False
    )
    assert render_frontier(spread, "json") == render_frontier(surface, "json")


def test_formats(surface: Frontier, tmp_path: Path) -> None:
    document = json.loads(render_frontier(surface, "json"))
    steps = sum(len(curve["steps"]) for curve in document["curves"])
    rows = list(csv.DictReader(io.StringIO(render_frontier(surface, "csv"))))
    assert len(rows) == steps
    assert {row["currency"] for row in rows} == {"USD"}
    text = render_frontier(surface, "text")
    assert "TTFT p95 1,000 ms: 60 to" in text
    assert max(len(line) for line in text.splitlines() if "(" not in line[:3]) <= 100
    svg = draw(surface, Path("chart.svg"))
    assert svg.startswith(b"<?xml")
    assert svg == draw(surface, Path("chart.svg"))
    assert draw(surface, Path("chart.png")).startswith(b"\x89PNG")
    with pytest.raises(UsageError, match=r"\.svg or \.png"):
        draw(surface, Path("chart.jpg"))


def test_a_field_that_is_not_monotone_is_sampled_and_says_so() -> None:
    answer = frontier(CHAT, ("tokens.input", "512:4096:512"), points=3, sets=[CARDS], jobs=1, simulate=False)
    assert not answer.exact
    assert "Sampled" in " ".join(render_frontier(answer, "text").split())
    assert [step.last for step in answer.curves[0].steps][-1] == 4096


def test_fields_by_name(chat: Inputs) -> None:
    assert resolve(chat.problem, "concurrency").path == "workloads.chat.traffic.concurrency"
    assert resolve(chat.problem, "ttft_ms").path == "workloads.chat.slo.ttft_ms.p95"
    assert resolve(chat.problem, "monthly").path == "budget.monthly"
    assert resolve(chat.problem, "slo.tpot_ms").path == "workloads.chat.slo.tpot_ms.p95"


@pytest.mark.parametrize(
    ("over", "message"),
    [
        (("concurency", "1:2"), "no numeric field"),
        (("concurrency", "400:50"), "not a range"),
        (("concurrency", "a:b"), "not a range"),
        (("concurrency", "1:2:0"), "not a range"),
        (("concurrency", "-5:10"), "concurrency"),
        (("concurrency", "1:1000000000"), "steps"),
        (("workloads.chat.model", "1:2"), "model"),
    ],
)
def test_what_cannot_be_an_axis_is_refused(chat: Inputs, over: tuple[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        axis_of(chat, *over)


def test_several_workloads_need_a_full_path() -> None:
    from optimizer.decide import read_inputs

    with pytest.raises(UsageError, match="not one field but 2"):
        axis_of(read_inputs(ROOT / "problems" / "chat_and_rag.yaml"), "input", "512:1024")


def test_a_wrong_guess_costs_questions_only(chat_case: Case) -> None:
    class Value:
        def __init__(self, number: int) -> None:
            self.identity = number

    truth = [0] * 7 + [1] + [2] * 40 + [3] * 3
    for guess in (lambda i, _: i, lambda i, _: i + 5, lambda _i, _v: None, lambda _i, _v: 10**6, lambda _i, _v: -1):
        asked: list[int] = []

        def ask(index: int, asked: list[int] = asked) -> Value:
            asked.append(index)
            return Value(truth[index])

        found = Stairs(ask, guess).between(0, len(truth) - 1)
        assert [(s.first, s.last) for s in found] == [(0, 6), (7, 7), (8, 47), (48, 50)]
        assert len(asked) == len(set(asked))
