"""What-ifs of the ranked table: priced where that is one more short solve, left open where a problem is large."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.decide import solve_problem
from optimizer.plan.types import Stress
from optimizer.report import render
from optimizer.whatif import stress

FRONT_PAGE = Path(__file__).parents[2] / "problems" / "chatbot_100users.yaml"
FEW = "hardware.gpus=[h100_sxm_80, h100_nvl_94]"


def busier() -> tuple[Stress, str]:
    outcome = solve_problem(FRONT_PAGE, sets=[FEW], simulate=False)
    (load,) = [one for one in outcome.plans[0].stress if one.what == "load x 1.5"]
    return load, " ".join(render(outcome, "text").split())


def test_half_as_much_load_again_costs_what_a_file_that_asks_for_it_costs() -> None:
    load, text = busier()
    asked = solve_problem(FRONT_PAGE, sets=[FEW, "margins.load_headroom=0.5"], simulate=False)
    assert (load.holds, load.monthly_cents) == (False, asked.plans[0].monthly_cents)
    assert f"load x 1.5: fails (then ${asked.plans[0].monthly_cents // 100:,}/mo)" in text


@pytest.mark.parametrize("priced", [True, False])
def test_a_large_problem_leaves_the_price_to_explain(priced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The boundary: as many candidates as the limit are priced, one more is not."""
    from optimizer.planning.inputs import read_inputs
    from optimizer.whatif.case import open_case

    candidates = len(open_case(read_inputs(FRONT_PAGE, sets=[FEW])).allowed().candidates.candidates)
    monkeypatch.setattr(stress, "PRICED_UP_TO", candidates if priced else candidates - 1)
    load, text = busier()
    assert (load.monthly_cents is not None) is priced
    assert ("load x 1.5: fails (then $" in text) is priced
