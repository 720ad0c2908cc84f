"""Everything a user reads is a golden file. ``UPDATE_GOLDEN=1 pytest tests/report`` rewrites them; read the diff."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from optimizer.plan.types import Outcome
from optimizer.report import render

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("optimal", "feasible", "infeasible", "no_way_out", "unknown", "two_workloads", "owned", "cny")
SUFFIX = {"screen": "screen.txt", "text": "txt", "json": "json", "csv": "csv"}


@pytest.mark.parametrize("style", SUFFIX)
@pytest.mark.parametrize("name", NAMES)
def test_report_equals_golden_file(name: str, style: str, outcomes: dict[str, Outcome]) -> None:
    printed = render(outcomes[name], style)
    golden = GOLDEN / f"{name}.{SUFFIX[style]}"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(printed, encoding="utf-8")
    assert printed == golden.read_text(encoding="utf-8")


def test_every_outcome_has_a_golden_file(outcomes: dict[str, Outcome]) -> None:
    assert set(outcomes) == set(NAMES)
