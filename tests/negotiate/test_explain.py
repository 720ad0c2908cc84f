"""Explanations: every break point is one, the reign ends where it is said to, what-ifs are solved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from optimizer.negotiate.explain import Explanation, explain
from optimizer.negotiate.solve import solved
from optimizer.problem import figure_of
from optimizer.report.negotiate_explain import render_explanation
from optimizer.whatif.case import Case, ask, score

pytestmark = pytest.mark.cards(
    "h100_sxm_80", "l40s_48", "mi300x_192", "a100_sxm_80", "rtx_pro_6000_server_96", "h200_sxm_141"
)

ROOT = Path(__file__).resolve().parents[2]
CHAT = ROOT / "problems" / "chatbot_100users.yaml"
CARDS = "hardware.gpus=[h100_sxm_80, l40s_48, mi300x_192, a100_sxm_80, rtx_pro_6000_server_96]"


@pytest.fixture(scope="module")
def answer() -> Explanation:
    """The front page on five cards."""
    return explain(CHAT, sets=[CARDS, "ranking.top=1"], simulate=False)


def test_every_break_point_is_one(answer: Explanation, chat_case: Case) -> None:
    """At the value the answer is better (worse); one step of the field before it is what it was."""
    now = score(ask(chat_case))
    assert len(answer.moves) == 6
    assert any(move.looser for move in answer.moves)
    for move in answer.moves:
        figure = figure_of(move.path)
        grain, up = float(figure.number.step), not figure.loosens_up
        for step, direction in ((move.looser, -1 if up else 1), (move.tighter, 1 if up else -1)):
            if step is None:
                continue
            there = ask(chat_case, [f"{move.path}={step.value}"])
            before = ask(chat_case, [f"{move.path}={round(step.value - direction * grain, 9)}"])
            assert there.cents == (step.plan.monthly_cents if step.plan else None)
            assert score(there) > now if step is move.tighter else score(there) < now, move.path
            assert score(before) == now, move.path


def test_what_changes_nothing_changes_nothing(answer: Explanation, chat_case: Case) -> None:
    now = score(ask(chat_case))
    for move in answer.moves:
        if move.looser is None and ".slo." in move.path:
            assert score(ask(chat_case, [f"{move.path}={move.stated * 19}"])) == now


def test_the_reign_ends_where_it_is_said_to(answer: Explanation, chat_case: Case) -> None:
    reign, best = answer.reign, ask(chat_case)
    assert reign is not None
    assert reign.after is not None
    assert ask(chat_case, [f"margins.load_headroom={reign.last - 1:.6f}"]).identity == best.identity
    assert ask(chat_case, [f"margins.load_headroom={reign.after.value - 1:.6f}"]).identity != best.identity


def test_stress_lines(answer: Explanation, chat_case: Case) -> None:
    assert answer.plan is not None
    lines = {one.what: one for one in answer.stress}
    assert len(lines) == 5
    cents = answer.plan.monthly_cents
    assert lines["all prices + 10 %"].monthly_cents == pytest.approx(cents * 1.1, abs=2)
    assert lines["all prices + 10 %"].holds
    busier = ask(chat_case, ["margins.load_headroom=0.5"]).cents
    assert lines["load x 1.5"].monthly_cents == (cents if lines["load x 1.5"].holds else busier)
    spare = ask(chat_case, ["margins.spare_nodes=1"]).cents
    assert lines["one node gone"].monthly_cents == (cents if lines["one node gone"].holds else spare)


def test_one_node_gone_holds_where_the_rest_carries_the_load() -> None:
    """Spare nodes that are in the plan already stand in for the one that is gone."""
    spared = explain(
        CHAT, sets=["hardware.gpus=[mi300x_192]", "ranking.top=1", "margins.spare_nodes=1"], simulate=False
    )
    assert {one.what: one.holds for one in spared.stress}["one node gone"]


def test_one_node_gone_costs_what_the_first_screen_says() -> None:
    edits = ["hardware.gpus=[mi300x_192, h200_sxm_141]", "ranking.top=1"]
    told = {one.what: one for one in explain(CHAT, sets=edits).stress}["one node gone"]
    safe = solved(CHAT, sets=edits).outcome.others.surviving
    assert safe is not None and safe.plan is not None
    assert (told.holds, told.monthly_cents) == (False, safe.plan.monthly_cents)


def test_text_and_json(answer: Explanation) -> None:
    text = render_explanation(answer, "text")
    assert max(len(line) for line in text.splitlines() if "(/" not in line) <= 100
    for heading in ("What buys the hardware", "What each promise costs", "Up to which load it wins", "What if"):
        assert heading in text
    document = json.loads(render_explanation(answer, "json"))
    assert [move["promise"] for move in document["moves"]] == [move.path for move in answer.moves]
    assert document["wins_up_to_times_stated_load"] >= 1


def test_what_cannot_be_is_explained_by_its_ways_out() -> None:
    text = " ".join(
        render_explanation(explain(CHAT, sets=[CARDS, "budget.monthly=9000"], simulate=False), "text").split()
    )
    assert "What would make it possible" in text
