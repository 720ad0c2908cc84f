"""A case that is edited answers as one that is opened afresh, whatever the edit."""

from __future__ import annotations

import pytest

from optimizer.decide import Inputs
from optimizer.fleet import SolveSettings
from optimizer.whatif.case import NEAR, Case, open_case

EDITS = (
    ["workloads.chat.traffic.concurrency=170"],
    ["workloads.chat.traffic.requests_per_second=9"],
    ["workloads.chat.slo.ttft_ms.p95=380"],
    ["workloads.chat.slo=null"],
    ["workloads.chat.slo.tpot_ms=30", "margins.confidence=0.6"],
    ["workloads.chat.tokens.context_max=32768"],
    ["workloads.chat.traffic={concurrency: 60}"],
    ["budget.monthly=15000"],
    ["engine.tensor_parallel=[2]", "hardware.nvlink=forbidden"],
    ["objective=minimize_ttft"],
    ["objective=maximize_load", "budget.monthly=30000"],
    ["payment.tiers=[on_demand, spot, reserved_1y]", "payment.tax_percent=19"],
)


@pytest.mark.parametrize("sets", EDITS, ids=" ".join)
def test_an_edited_case_is_the_case_opened_afresh(chat: Inputs, chat_case: Case, sets: list[str]) -> None:
    edited, fresh = chat_case.edited(sets), open_case(chat.with_sets(sets))
    assert edited.candidates.candidates == fresh.candidates.candidates
    assert edited.candidates.rules == fresh.candidates.rules
    assert edited.solve().solutions == fresh.solve().solutions  # the funnel's counts stay those of the first problem


@pytest.mark.parametrize("share", [0.2, 0.5, 0.92, 0.999, 1.0, 1.5])
def test_what_is_looked_for_near_some_money_is_the_best_however_far_it_costs(chat_case: Case, share: float) -> None:
    """A search that ends at some money may show a plan beyond it, which need not be the best of those."""
    published = chat_case.allowed().only(candidate=lambda one: one.spec.weight_quant == "bf16")
    best = published.solve().solutions[0]
    near = published.solve_near(int(share * best.monthly_cents / NEAR), SolveSettings())
    assert near.solutions[0].monthly_cents == best.monthly_cents


def test_edits_add_up(chat_case: Case) -> None:
    both = chat_case.edited(["workloads.chat.slo.ttft_ms.p95=380"]).edited(["budget.monthly=50000"])
    assert both.inputs.problem.budget.monthly == 50000
    at_once = chat_case.edited(["workloads.chat.slo.ttft_ms.p95=380", "budget.monthly=50000"])
    assert both.solve().solutions == at_once.solve().solutions


def test_load_edits_do_not_predict_again(chat_case: Case) -> None:
    edited = chat_case.edited(["workloads.chat.traffic.concurrency=170"])
    assert edited.candidates.candidates is chat_case.candidates.candidates
