"""Every file in problems/ yields every artefact."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from handover_spreadsheet import Spreadsheet

from optimizer.commands import cli
from optimizer.decide import picture

PROBLEMS = Path(__file__).parents[2] / "problems"
FILES = sorted(path.name for path in PROBLEMS.glob("*.yaml"))
INFEASIBLE = {"infeasible_budget.yaml"}


@pytest.mark.parametrize("name", FILES)
def test_launch(name: str, tmp_path: Path) -> None:
    out = tmp_path / "launch"
    result = CliRunner().invoke(cli, ["launch", str(PROBLEMS / name), "-o", str(out)])
    assert result.exit_code == (3 if name in INFEASIBLE else 0), result.output
    assert out.exists() == (name not in INFEASIBLE)
    if out.exists():
        assert (out / "README.md").read_text(encoding="utf-8").startswith("# Launch files")
        assert list(out.glob("*-benchmark.sh"))


@pytest.mark.parametrize("name", FILES)
def test_shortlist(name: str, tmp_path: Path) -> None:
    out = tmp_path / "shortlist.xlsx"
    result = CliRunner().invoke(cli, ["shortlist", str(PROBLEMS / name), "-o", str(out)])
    assert result.exit_code == (3 if name in INFEASIBLE else 0), result.output
    sheet = Spreadsheet(out.read_bytes())
    checks = [cell for title, cell in sheet.formulas() if title == "Summary" and cell.startswith("N")]
    assert bool(checks) == (name not in INFEASIBLE)
    assert {sheet.value("Summary", cell) for cell in checks} <= {"as solved"}


@pytest.mark.parametrize("name", FILES)
def test_report(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "LOAD_FACTORS", (1.0, 2.0))
    monkeypatch.setattr(picture, "PROMISE_FACTORS", (2.0,))
    out = tmp_path / "report.html"
    result = CliRunner().invoke(cli, ["report", str(PROBLEMS / name), "-o", str(out), "--no-simulate"])
    assert result.exit_code == (3 if name in INFEASIBLE else 0), result.output
    text = out.read_text(encoding="utf-8")
    assert text.endswith("</html>")
    assert ("<svg" in text) == (name not in INFEASIBLE)


def test_launch_refuses_a_rank_that_is_not_there(tmp_path: Path) -> None:
    from optimizer.errors import UsageError

    arguments = ["launch", str(PROBLEMS / "rtx4090_tp_or_pp.yaml"), "--rank", "99", "-o", str(tmp_path / "x")]
    result = CliRunner().invoke(cli, arguments)
    assert isinstance(result.exception, UsageError)
    assert not (tmp_path / "x").exists()
