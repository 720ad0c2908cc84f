"""docs/scenarios.md is generated from runs: complete, and true to a run made now."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
HINT = "run: python -m tools.generate_scenarios"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    sys.path.insert(0, str(ROOT))
    try:
        return importlib.import_module("tools.generate_scenarios")
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")


def test_answers_all_seventeen_questions(generator: ModuleType, page: str) -> None:
    assert [scenario.number for scenario in generator.SCENARIOS] == list(range(1, 18))
    for scenario in generator.SCENARIOS:
        assert f"## {scenario.number}. {scenario.title}" in page, HINT
        assert scenario.guides in page, HINT
        assert scenario.why in page, HINT


def test_names_only_problem_files_that_exist(generator: ModuleType) -> None:
    for scenario in generator.SCENARIOS:
        for run in scenario.runs:
            assert (ROOT / "problems" / run.file).is_file()


def test_the_command_shown_is_the_one_that_was_run(generator: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who types it gets the same answer: no option is left out, `--no-simulate` least of all."""
    ran: list[str] = []

    def record(*arguments: str) -> str:
        ran.append(" ".join(arguments))
        return '{"plans": [], "proof": {"candidates_enumerated": 0}, "relaxations": []}'

    monkeypatch.setattr(generator, "run_optimize", record)
    for run in (run for scenario in generator.SCENARIOS for run in scenario.runs):
        shown = generator.answer(run).split("`")[1]
        assert f"optimize {ran[-1].removesuffix(' --format json')}" == shown


@pytest.mark.parametrize("number", [4, 9, 12])
def test_a_section_equals_what_a_run_prints_now(number: int, generator: ModuleType, page: str) -> None:
    scenario = next(one for one in generator.SCENARIOS if one.number == number)
    assert generator.section(scenario) in page, HINT
