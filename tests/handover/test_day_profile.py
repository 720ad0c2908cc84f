"""A day profile in the workbook and the launch files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from optimizer.decide import decide, read_inputs
from optimizer.handover.launch import launch_files
from optimizer.handover.launch.facts import load_facts
from optimizer.handover.page import render_page
from optimizer.handover.shortlist import workbook_of
from optimizer.handover.shortlist.xlsx import render_xlsx
from optimizer.plan.types import Outcome
from optimizer.planning.inputs import Inputs
from tests.handover.handover_spreadsheet import Spreadsheet

PROBLEM = Path(__file__).parents[2] / "problems" / "day_profile.yaml"


@cache
def answered(*sets: str) -> tuple[Inputs, Outcome]:
    inputs = read_inputs(PROBLEM, sets=("ranking.top=2", *sets))
    return inputs, decide(inputs, simulate=False)


@pytest.mark.parametrize(
    "sets",
    [
        (),
        ("payment.tiers=[on_demand]", "payment.tax_percent=7"),
        ("payment.tiers=[spot]", "payment.spot_uplift_percent=15", "payment.tax_percent=7", "hardware.providers=null"),
        ("margins.spare_nodes=1", "payment.discounts=[{provider: aws, percent: 12}]"),
    ],
)
def test_formulas_of_every_period_give_the_total_of_the_plan(sets: tuple[str, ...]) -> None:
    inputs, outcome = answered(*sets)
    assert outcome.plans
    sheet = Spreadsheet(render_xlsx(workbook_of(outcome, inputs.problem, inputs.catalog, str)))
    for plan in outcome.plans:
        row = next(row[0].row for row in sheet.book["Summary"] if row[0].value == plan.rank)
        total: Any = sheet.value("Summary", f"E{row}")
        assert round(total * 100) == plan.monthly_cents


def test_a_longer_day_costs_what_the_formulas_say() -> None:
    inputs, outcome = answered("payment.tiers=[on_demand]")
    sheet = Spreadsheet(render_xlsx(workbook_of(outcome, inputs.problem, inputs.catalog, str)))
    cell = next(row[1].coordinate for row in sheet.book["Inputs"] if row[0].value == "Period: day")
    summary = next(row[0].row for row in sheet.book["Summary"] if row[0].value == 1)
    before: Any = sheet.value("Summary", f"E{summary}")
    sheet.change("Inputs", cell, 250)
    plan = outcome.plans[0]
    rent = next(line for line in plan.cost_lines if line.name.startswith("rent, day"))
    after: Any = sheet.value("Summary", f"E{summary}")
    more = after - before
    assert more == pytest.approx(10 * plan.periods[0].nodes[0] * rent.unit_price, abs=0.05)


def test_the_notes_say_what_runs_when() -> None:
    inputs, outcome = answered()
    plan = outcome.plans[0]
    (notes, *_) = launch_files(outcome, plan, inputs.catalog, load_facts())
    assert "## Through the day" in notes.text
    for period in plan.periods:
        assert f"| {period.name} | {period.hours_per_month:g} | {period.replicas[0]} |" in notes.text
    assert "kubectl scale deployment chat" in notes.text


def test_the_page_shows_every_period_and_says_nothing_without_a_profile() -> None:
    _, outcome = answered()
    page = render_page(outcome, None)
    assert "What #1 runs through the day" in page
    for period in outcome.plans[0].periods:
        assert f">{period.name}</" in page
    _, flat = answered("workloads.chat.traffic={requests_per_second: 30}")
    assert "runs through the day" not in render_page(flat, None)
