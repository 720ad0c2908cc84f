"""Every quote of a problem file appears: it wins, or the answer says why not and below which price it would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from optimizer import decide
from optimizer.decide import read_inputs
from optimizer.negotiate.your_quotes import with_quotes
from optimizer.plan.quotes import NO_PLAN, Verdict
from optimizer.plan.types import Outcome
from optimizer.report import render
from optimizer.report.json_report import document
from optimizer.report.quotes import verdict_of

ROOT = Path(__file__).resolve().parents[2]
CHAT = ROOT / "problems" / "chatbot_100users.yaml"
SHARED = ROOT / "problems" / "chat_and_rag.yaml"
SETS = ("hardware.gpus=[h100_sxm_80, l40s_48, l20_48, ascend_910b3_64, t4_16]", "ranking.top=2")


def quote(name: str, gpu: str, price: float, **more: Any) -> dict[str, Any]:
    """An hourly quote for a node of eight cards."""
    return {"id": name, "provider": name, "gpu": gpu, "gpus_per_node": 8, "price_per_hour": price, **more}


def judged(quotes: list[dict[str, Any]], *sets: str) -> Outcome:
    """The answer with its quotes, not replayed."""
    inputs = read_inputs(CHAT, sets=[*SETS, *sets, f"offers={json.dumps(quotes)}"])
    found = decide.answer(inputs, simulate=False)
    return with_quotes(found.outcome, found.case)


@pytest.fixture(scope="module")
def answer() -> Outcome:
    """A cheap quote, a dear one, one that has expired, one for a card that is too slow, one that no engine runs on, one
    paid in a way that is not allowed."""
    return judged(
        [
            quote("cheap", "h100_sxm_80", 12.0, valid_until="2027-12-31", lead_time_weeks=3),
            quote("dear", "h100_sxm_80", 40.0),
            quote("late", "h100_sxm_80", 1.0, valid_until="2026-01-31"),
            quote("npu", "ascend_910b3_64", 1.0),
            quote("tied", "h100_sxm_80", 2.0, tier="reserved_3y"),
            quote("slow", "t4_16", 0.5),
        ],
        "workloads.chat.slo.ttft_ms.p95=600",
    )


def test_each_quote_has_its_verdict_in_the_order_of_the_file(answer: Outcome) -> None:
    assert [(one.provider, one.verdict) for one in answer.quotes] == [
        ("cheap", Verdict.WINS),
        ("dear", Verdict.LOSES),
        ("late", Verdict.EXPIRED),
        ("npu", Verdict.CANNOT_SERVE),
        ("tied", Verdict.BREAKS_RULE),
        ("slow", Verdict.BREAKS_PROMISE),
    ]
    by_name = {one.provider: one for one in answer.quotes}
    assert by_name["tied"].rules == ("payment.tiers",)
    assert "2026-01-31" in by_name["late"].why
    assert by_name["slow"].missed[0].value > by_name["slow"].missed[0].limit
    assert by_name["npu"].why


def test_a_dearer_quote_wins_up_to_the_price_that_is_printed(answer: Outcome) -> None:
    dear = answer.quotes[1]
    assert dear.wins_below is not None
    for price, wins in ((dear.wins_below, True), (dear.wins_below + 0.08, False)):
        others = [quote("cheap", "h100_sxm_80", 12.0, valid_until="2027-12-31")]
        again = judged([*others, quote("dear", "h100_sxm_80", price)], "workloads.chat.slo.ttft_ms.p95=600")
        found = {one.provider: one.verdict for one in again.quotes}
        assert (found["dear"] is Verdict.WINS) is wins


def test_text_json_and_words_say_the_same(answer: Outcome) -> None:
    text, data = render(answer), document(answer)["quotes"]
    assert "Your quotes" in text
    assert isinstance(data, list)
    assert len(data) == 6
    for one, entry in zip(answer.quotes, data, strict=True):
        assert isinstance(entry, dict)
        assert entry["verdict"] == str(one.verdict)
        assert entry["reason"] == verdict_of(one, answer)
        assert one.provider in text
    flat = " ".join(text.split())
    assert "valid until 2027-12-31, 3 weeks to delivery" in flat
    assert "breaks payment.tiers" in flat
    assert "loses because TTFT p95" in flat
    assert "of 600 ms" in flat
    assert "on 8x T4 16GB" in flat
    assert "not replayed" in flat


def test_without_a_plan_a_quote_loses_for_that_and_at_no_stated_price() -> None:
    found = judged([quote("able", "h100_sxm_80", 12.0)], "budget.monthly=100")
    assert not found.plans
    assert verdict_of(found.quotes[0], found) == f"loses: {NO_PLAN}"


def test_a_quote_that_cannot_serve_alone_says_what() -> None:
    """It holds one of two models; also where a latency is minimised, of which no money is told."""
    inputs = read_inputs(SHARED, sets=["ranking.top=1", f"offers={json.dumps([quote('small', 'l4_24', 9.0)])}"])
    for sets, end in ((["budget.monthly=90000"], "wins up to $"), (["objective=minimize_ttft"], "stays first")):
        case = decide.answer(inputs.with_sets(["budget.monthly=90000", *sets]), simulate=False)
        (one,) = with_quotes(case.outcome, case.case).quotes
        told = verdict_of(one, case.outcome)
        assert one.verdict is Verdict.LOSES and one.monthly_cents is None, told
        assert "alone it cannot serve retrieval, and beside other nodes #1 stays first" in told and end in told, told


def test_a_price_in_another_currency_is_told_in_it() -> None:
    """To a step of the search: a cent per card and hour."""
    found = judged([quote("cn", "h100_sxm_80", 800.0, currency="CNY"), quote("us", "h100_sxm_80", 800.0 / 7.1)]).quotes
    assert found[0].wins_below is not None
    assert found[1].wins_below is not None
    assert found[0].wins_below == pytest.approx(found[1].wins_below * 7.1, abs=0.1 * 7.1)


def test_without_quotes_nothing_is_printed() -> None:
    inputs = read_inputs(CHAT, sets=[*SETS])
    found = decide.answer(inputs, simulate=False)
    outcome = with_quotes(found.outcome, found.case)
    assert outcome.quotes == ()
    assert "Your quotes" not in render(outcome)
