"""What a budget buys: really the most, within the budget, and really the quickest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from optimizer.decide import solve_problem
from optimizer.demand import Metric
from optimizer.errors import UsageError
from optimizer.negotiate.budget import BudgetAnswer, budget
from optimizer.plan.types import Infeasible, Optimal
from optimizer.report.negotiate_budget import render_budget
from optimizer.whatif.case import Case

pytestmark = pytest.mark.cards("h100_sxm_80", "l40s_48", "mi300x_192", "a100_sxm_80", "rtx_pro_6000_server_96")

ROOT = Path(__file__).resolve().parents[2]
CHAT = ROOT / "problems" / "chatbot_100users.yaml"
CARDS = "hardware.gpus=[h100_sxm_80, l40s_48, mi300x_192, a100_sxm_80, rtx_pro_6000_server_96]"
TWO_CARDS = "hardware.gpus=[h100_sxm_80, l40s_48]"


@pytest.fixture(scope="module")
def answer() -> BudgetAnswer:
    """40,000 a month on five cards."""
    return budget(CHAT, 40000, sets=[CARDS])


def test_the_most_load_is_the_most(answer: BudgetAnswer, chat_case: Case) -> None:
    """At the factor found the load fits the budget; a thousandth more does not (asked of the cost objective)."""
    factor = answer.most.plans[0].load_factor
    assert factor > 1

    def fits(times: float) -> bool:
        sets = ["budget.monthly=40000", f"margins.load_headroom={times - 1:.6f}"]
        return bool(chat_case.edited(sets).solve().solutions)

    assert fits(factor)
    assert not fits(factor + 0.01)


def test_every_plan_is_within_the_budget_and_ranked(answer: BudgetAnswer) -> None:
    assert isinstance(answer.most, Optimal)
    factors = [plan.load_factor for plan in answer.most.plans]
    assert factors == sorted(factors, reverse=True)
    assert all(plan.monthly_cents <= answer.budget_cents for plan in answer.most.plans)
    for plan, reach in zip(answer.most.plans, answer.reach, strict=True):
        assert [one.path.rsplit(".", 1)[-1] for one in reach] == ["concurrency", "output_tokens_per_second"]
        assert all(one.reached == one.stated * plan.load_factor for one in reach)


def test_more_money_never_buys_less(answer: BudgetAnswer) -> None:
    sets = [CARDS, "objective=maximize_load", "budget.monthly=60000", "ranking.top=1"]
    assert solve_problem(CHAT, sets=sets).plans[0].load_factor >= answer.most.plans[0].load_factor


def test_latencies_for_the_stated_load(answer: BudgetAnswer) -> None:
    assert [one.metric for one in answer.fastest] == [Metric.TTFT, Metric.TPOT]
    plans = [one.plan for one in answer.fastest if one.plan is not None]
    assert len(plans) == 2
    assert all(plan.monthly_cents <= answer.budget_cents and plan.load_factor >= 1 for plan in plans)
    assert plans[0].predicted[0].ttft_ms.p95 <= plans[1].predicted[0].ttft_ms.p95
    assert plans[1].predicted[0].tpot_ms.p95 <= plans[0].predicted[0].tpot_ms.p95


def test_too_little_money_says_what_is_missing() -> None:
    poor = budget(CHAT, 30, sets=[TWO_CARDS])
    assert isinstance(poor.most, Infeasible)
    text = " ".join(render_budget(poor, "text").split())
    assert "buys no deployment" in text
    assert "budget.monthly" in text
    assert json.loads(render_budget(poor, "json"))["fastest"] == {"ttft": None, "tpot": None}


def test_a_budget_must_be_stated_somewhere() -> None:
    with pytest.raises(UsageError, match="no budget"):
        budget(CHAT)
    stated = budget(CHAT, sets=[TWO_CARDS, "budget.monthly=25000", "ranking.top=1"], simulate=False)
    assert stated.budget_cents == 2_500_000


def test_text_fits_the_page(answer: BudgetAnswer) -> None:
    text = render_budget(answer, "text")
    assert max(len(line) for line in text.splitlines() if "(" not in line[:3]) <= 100
    assert "Quickest first token (TTFT) for the planned load" in text


def test_where_mixes_are_allowed_the_question_is_refused_in_words_of_the_file() -> None:
    with pytest.raises(UsageError) as refused:
        budget(ROOT / "problems" / "mixed_kinds.yaml", 60000)
    (finding,) = refused.value.findings
    assert "max_configurations_per_workload: 2" in finding.message and "maximize_load" not in finding.message
    assert finding.hint == "--set ranking.max_configurations_per_workload=1 asks for one"


def test_where_pools_are_required_the_question_is_refused_in_words_of_the_file() -> None:
    with pytest.raises(UsageError) as refused:
        budget(ROOT / "problems" / "rag_disaggregated_unlike.yaml", 60000, sets=["engine.disaggregation=required"])
    (finding,) = refused.value.findings
    assert "engine.disaggregation: required" in finding.message
    assert "maximize_load" not in finding.message
