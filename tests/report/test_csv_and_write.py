"""The CSV report and the atomic write."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import replace
from pathlib import Path

import pytest

from optimizer.errors import UsageError
from optimizer.plan.types import Outcome
from optimizer.report import render, write_output
from optimizer.report.csv_report import COLUMNS


def _rows(outcome: Outcome) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render(outcome, "csv"))))


def test_one_row_per_plan_and_stable_columns(outcomes: dict[str, Outcome]) -> None:
    for outcome in outcomes.values():
        rows = _rows(outcome)
        assert len(rows) == len(outcome.plans)
        header = render(outcome, "csv").splitlines()[0].split(",")
        assert header == ["problem", "status", *(name for name, _ in COLUMNS)]


def test_figures_of_a_row(outcomes: dict[str, Outcome]) -> None:
    row = _rows(outcomes["optimal"])[0]
    assert row["monthly_cost"] == "8420.00"
    assert row["gpu"] == "h200_sxm_141"
    assert row["tensor_parallel"] == "2"
    assert row["status"] == "optimal"


def test_several_nodes_share_a_cell(outcomes: dict[str, Outcome]) -> None:
    row = _rows(outcomes["two_workloads"])[0]
    assert row["provider"] == "nebius; aws"
    assert row["workload"] == "chat; summaries"


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=x", " =x", "=HYPERLINK(1)"])
def test_a_cell_is_never_a_formula(name: str, outcomes: dict[str, Outcome]) -> None:
    row = _rows(replace(outcomes["optimal"], problem_name=name))[0]
    assert row["problem"] == f"'{name}"


def test_a_cell_is_one_line(outcomes: dict[str, Outcome]) -> None:
    row = _rows(replace(outcomes["optimal"], problem_name="two\r\nlines\rthree"))[0]
    assert row["problem"] == "two lines three"


def test_negative_numbers_stay_numbers(outcomes: dict[str, Outcome]) -> None:
    plan = replace(outcomes["optimal"].plans[0], monthly_cents=-5)
    assert _rows(replace(outcomes["optimal"], plans=(plan,)))[0]["monthly_cost"] == "-0.05"


def test_writes_whole_file_and_leaves_no_other(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")
    write_output("new\n", target)
    assert target.read_text() == "new\n"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_keeps_the_mode_of_the_file_it_replaces(tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    target.write_text("old")
    target.chmod(0o640)
    write_output("new", target)
    assert target.stat().st_mode & 0o777 == 0o640


def test_follows_a_link_instead_of_replacing_it(tmp_path: Path) -> None:
    target, link = tmp_path / "real.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    write_output("new", link)
    assert link.is_symlink() and target.read_text() == "new"


def test_a_device_is_written_to_and_not_replaced() -> None:
    write_output("nothing", Path(os.devnull))
    assert not Path(os.devnull).is_file()


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.txt"
    target.write_text("old")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UsageError, match="No space left on device"):
        write_output("new", target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.txt"]


@pytest.mark.parametrize("place", [".", "missing/report.txt", "file/report.txt"])
def test_unwritable_places_are_usage_errors(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError):
        write_output("text", tmp_path / place)


def test_unknown_format_is_a_usage_error(outcomes: dict[str, Outcome]) -> None:
    with pytest.raises(UsageError, match="no report format"):
        render(outcomes["optimal"], "pdf")
