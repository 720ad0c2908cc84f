"""The public names as people expect them: one question, whatever it is asked of; tables; time that is kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import optimizer
from optimizer import (
    InputError,
    OutOfTimeError,
    Unknown,
    budget,
    check,
    compare,
    explain,
    files_closed,
    frontier,
    load_catalog,
    load_problem,
    memory,
    offers_frame,
    parse_problem,
    render,
    solve,
    targets,
    why_not,
)

ROOT = Path(__file__).parents[2]
FRONT_PAGE = ROOT / "problems" / "chatbot_100users.yaml"
FEW = ["hardware.gpus=[h100_sxm_80]", "engine.weight_quant=[fp8]", "ranking.top=1"]

QUESTIONS: dict[str, Callable[..., Any]] = {
    "solve": solve,
    "budget": lambda problem, *args, **kw: budget(problem, 20_000, *args, **kw),
    "targets": targets,
    "explain": explain,
    "why_not": lambda problem, *args, **kw: why_not(problem, "h100_sxm_80 bf16", *args, **kw),
    "frontier": lambda problem, *args, **kw: frontier(problem, ("concurrency", "100:104"), None, *args, jobs=1, **kw),
    "compare": lambda problem, *args, **kw: compare(problem, problem, *args, **kw),
}


def test_a_file_its_problem_and_its_text_are_one_question() -> None:
    catalog = load_catalog()
    told = {
        render(solve(one, catalog, sets=FEW, simulate=False), "json")
        for one in (
            FRONT_PAGE,
            str(FRONT_PAGE),
            load_problem(FRONT_PAGE),
            parse_problem(FRONT_PAGE.read_text(), name=str(FRONT_PAGE)),
        )
    }
    assert len(told) == 1


def test_edits_of_a_problem_come_after_those_it_was_read_with() -> None:
    once = load_problem(FRONT_PAGE, sets=FEW)
    asked = solve(once, sets=["budget.monthly=50000"], simulate=False)
    assert render(asked) == render(solve(FRONT_PAGE, sets=[*FEW, "budget.monthly=50000"], simulate=False))


def test_a_problem_is_asked_as_it_was_read(tmp_path: Path) -> None:
    file = tmp_path / "problem.yaml"
    file.write_text(FRONT_PAGE.read_text())
    problem = load_problem(file, sets=FEW)
    before = render(solve(problem, simulate=False), "json")
    file.unlink()
    assert render(solve(problem, simulate=False), "json") == before


@pytest.mark.parametrize("name", sorted(set(QUESTIONS) - {"solve"}))
def test_every_question_takes_a_problem_and_says_so_where_time_is_up(name: str) -> None:
    problem = load_problem(FRONT_PAGE, sets=FEW)
    steps: list[str] = []
    how: dict[str, Any] = {"simulate": False, "time_limit": 1e-6, "progress": steps.append}
    if name in ("explain", "targets"):
        assert isinstance(QUESTIONS[name](problem, load_catalog(), **how).outcome, Unknown)
    else:
        with pytest.raises(OutOfTimeError):
            QUESTIONS[name](problem, load_catalog(), **how)
    assert all(isinstance(step, str) for step in steps)


def test_solve_gives_what_it_has_where_time_is_up() -> None:
    assert not solve(FRONT_PAGE, sets=FEW, simulate=False, time_limit=1e-6).plans


def test_progress_has_one_shape() -> None:
    steps: list[str] = []
    frontier(FRONT_PAGE, ("concurrency", "100:101"), sets=FEW, jobs=1, simulate=False, progress=steps.append)
    assert steps[-1] == "1 of 1 curves"
    solve(FRONT_PAGE, sets=FEW, simulate=False, progress=steps.append)
    assert all(isinstance(step, str) for step in steps)


def test_an_outcome_is_a_table() -> None:
    outcome = solve(FRONT_PAGE, sets=[*FEW[:2], "ranking.top=3"], simulate=False)
    frame = outcome.to_frame()
    header = render(outcome, "csv").splitlines()[0].split(",")
    assert set(frame.columns) <= set(header) | {"nodes"}
    assert list(frame["rank"]) == [plan.rank for plan in outcome.plans]
    assert list(frame["monthly_cost"]) == [plan.monthly_cents / 100 for plan in outcome.plans]
    assert frame["monthly_cost"].dtype.kind == "f"
    assert frame["gpus"].dtype.kind == "i"


def test_a_table_of_no_plans_has_its_columns() -> None:
    frame = solve(FRONT_PAGE, sets=[*FEW, "budget.monthly=10"], simulate=False).to_frame()
    assert len(frame) == 0
    assert "monthly_cost" in frame.columns


def test_a_frontier_is_a_table() -> None:
    stairs = frontier(FRONT_PAGE, ("concurrency", "100:140:20"), sets=FEW, jobs=1, simulate=False)
    frame = stairs.to_frame()
    steps = [step for curve in stairs.curves for step in curve.steps]
    assert list(frame["from"]) == [step.first for step in steps]
    assert frame["monthly_cost_to"].iloc[-1] == steps[-1].last_cents / 100  # type: ignore[operator]


def test_offers_are_a_table() -> None:
    catalog = load_catalog()
    frame = offers_frame(catalog)
    assert len(frame) == sum(len(offer.prices) for offer in catalog.offers.values())
    assert set(frame["gpu"]) <= set(catalog.gpus)


def test_the_package_names_its_version_and_everything_public() -> None:
    assert optimizer.__version__.count(".") == 2
    assert set(optimizer.__all__) <= set(dir(optimizer))
    assert optimizer.solve_problem is optimizer.solve
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        optimizer.nothing  # noqa: B018


def test_pandas_is_imported_only_for_tables() -> None:
    program = (
        "import sys; from optimizer import solve; from optimizer.commands import cli\n"
        f"solve({str(FRONT_PAGE)!r}, sets={FEW!r}, simulate=False); assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


STATED_FILES = (
    ("engine.calibration", "problems/calibration/own.csv"),
    ("workloads.chat.traffic.trace", "/etc/passwd"),
    *(("workloads.chat.model", name) for name in ("/etc/passwd", "../x/config.json", "~/config.json", "problems")),
)


@pytest.mark.parametrize(("path", "name"), STATED_FILES)
def test_a_problem_of_a_stranger_opens_no_file(path: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    touched: list[str] = []

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def noted(self: Path, *args: Any, **kw: Any) -> Any:
            touched.append(str(self))
            return real(self, *args, **kw)

        return noted

    for way in ("open", "stat", "is_file", "is_dir", "exists"):
        monkeypatch.setattr(Path, way, watched(getattr(Path, way)))
    monkeypatch.chdir(ROOT)
    text = FRONT_PAGE.read_text()
    touched.clear()
    with files_closed({}, ROOT / "catalogs"), pytest.raises(InputError) as caught:
        check(parse_problem(text), sets=[f'{path}="{name}"'])
    assert touched
    ours = (str(ROOT / "catalogs"), str(ROOT / "optimizer"))
    assert not [file for file in touched if not file.startswith(ours)]
    assert any("is not opened" in str(one) or "unknown model" in str(one) for one in caught.value.findings)


def test_check_and_memory_are_rendered() -> None:
    assert '"understood"' in render(check(FRONT_PAGE), "json")
    assert render(check(FRONT_PAGE)).startswith("Chatbot")
    assert '"starts"' in render(memory("Qwen/Qwen3-32B", "h100_sxm_80"), "json")
