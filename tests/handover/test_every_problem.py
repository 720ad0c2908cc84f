"""Every file in problems/ yields every artefact."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from handover_spreadsheet import Spreadsheet

from optimizer.commands import cli
from optimizer.errors import UsageError

PROBLEMS = Path(__file__).parents[2] / "problems"
FILES = sorted(path.name for path in PROBLEMS.glob("*.yaml"))
INFEASIBLE = {"infeasible_budget.yaml"}


@pytest.mark.usefixtures("solved_once")
@pytest.mark.parametrize("name", FILES)
def test_every_artefact(name: str, tmp_path: Path) -> None:
    feasible = name not in INFEASIBLE
    outputs = {
        command: tmp_path / file
        for command, file in (("launch", "launch"), ("shortlist", "shortlist.xlsx"), ("report", "report.html"))
    }
    for command, out in outputs.items():
        extra = ["--no-simulate"] if command == "report" else []
        result = CliRunner().invoke(cli, [command, str(PROBLEMS / name), "-o", str(out), *extra])
        assert result.exit_code == (0 if feasible else 3), (command, result.output, result.exception)
    assert outputs["launch"].exists() == feasible
    if feasible:
        assert (outputs["launch"] / "README.md").read_text(encoding="utf-8").startswith("# Launch files")
        assert list(outputs["launch"].glob("*-benchmark.sh"))
    sheet = Spreadsheet(outputs["shortlist"].read_bytes())
    checks = [cell for title, cell in sheet.formulas() if title == "Summary" and cell.startswith("N")]
    assert bool(checks) == feasible
    assert {sheet.value("Summary", cell) for cell in checks} <= {"as solved"}
    page = outputs["report"].read_text(encoding="utf-8")
    assert page.endswith("</html>")
    assert ("<svg" in page) == feasible


@pytest.mark.usefixtures("solved_once")
def test_launch_refuses_a_rank_that_is_not_there(tmp_path: Path) -> None:
    arguments = ["launch", str(PROBLEMS / "rtx4090_tp_or_pp.yaml"), "--rank", "99", "-o", str(tmp_path / "x")]
    result = CliRunner().invoke(cli, arguments)
    assert isinstance(result.exception, UsageError)
    assert not (tmp_path / "x").exists()
