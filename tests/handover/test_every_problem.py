"""Every file in problems/ yields every artefact."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.commands import cli, options
from optimizer.errors import UsageError
from optimizer.report import render
from tests.handover.handover_spreadsheet import Spreadsheet

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
        _the_printed_test_is_predicted_to_pass(outputs["launch"])
    sheet = Spreadsheet(outputs["shortlist"].read_bytes())
    checks = [cell for title, cell in sheet.formulas() if title == "Summary" and cell.startswith("N")]
    assert bool(checks) == feasible
    assert {sheet.value("Summary", cell) for cell in checks} <= {"as solved"}
    _, outcome = options.answer(PROBLEMS / name, (), None, sys.stderr)
    for style in ("screen", "text"):
        wide = [line for line in render(outcome, style, file=f"problems/{name}").splitlines() if len(line) > 80]
        assert not [line for line in wide if len(line.split()) > 1], style
    page = outputs["report"].read_text(encoding="utf-8")
    assert page.endswith("</html>")
    assert ("<svg" in page) == feasible


def _the_printed_test_is_predicted_to_pass(folder: Path) -> None:
    """``predict`` of the row beside each benchmark keeps every promise that the benchmark prints.

    The plans were not replayed here, so brackets are those of the closed form; of replayed ones: test_experiment.py.
    """
    for row in folder.glob("*-measurement.csv"):
        result = CliRunner().invoke(cli, ["predict", str(row)])
        assert result.exit_code == 0, result.output
        (predicted,) = csv.DictReader(io.StringIO(result.stdout))
        assert not predicted["error"], (row.name, predicted["error"])
        script = row.with_name(row.name.replace("measurement.csv", "benchmark.sh")).read_text(encoding="utf-8")
        assert f"--num-prompts {predicted['requests']} " in script
        printed = re.findall(r"#   (\w+) p(\d+): limit (\S+) ms; expected", script)
        least = re.search(r"#   output tokens/s: at least (\S+)", script)
        for metric, percentile, limit in printed:
            seen = predicted.get(f"pred_{metric.lower()}_ms_p{percentile}")
            if seen is None:  # an end-to-end time, or a percentile that predict does not print
                continue
            assert float(seen) <= float(limit.replace(",", "")), (row.name, metric, percentile, limit, seen)
        if least:
            assert float(predicted["pred_output_tokens_per_s"]) >= float(least[1].replace(",", ""))


@pytest.mark.usefixtures("solved_once")
def test_launch_refuses_a_rank_that_is_not_there(tmp_path: Path) -> None:
    arguments = ["launch", str(PROBLEMS / "rtx4090_tp_or_pp.yaml"), "--rank", "99", "-o", str(tmp_path / "x")]
    result = CliRunner().invoke(cli, arguments)
    assert isinstance(result.exception, UsageError)
    assert not (tmp_path / "x").exists()


@pytest.mark.usefixtures("solved_once")
def test_hostile_names_from_a_file_to_every_artefact(tmp_path: Path) -> None:
    """The same names as a user could write them, through the whole program."""
    text = (PROBLEMS / "rtx4090_tp_or_pp.yaml").read_text(encoding="utf-8")
    evil = "=cmd|' /C calc'!A0; rm -rf ~ \u202e <script>alert(1)</script> $(touch pwned)"
    text = text.replace("name: 70B INT4 on RTX 4090 over PCIe, TP or PP", f"name: {json.dumps(evil)}")
    text = text.replace("- name: solo", f"- name: {json.dumps(evil.strip('='))}")
    path = tmp_path / "=evil;$(touch pwned).yaml"
    path.write_text(text.replace(".", "\\uff0e") if "." in evil else text, encoding="utf-8")
    for command, out in (
        ("launch", "l"),
        ("shortlist", "s.xlsx"),
        ("shortlist", "s.md"),
        ("shortlist", "s.csv"),
        ("report", "r.html"),
    ):
        result = CliRunner().invoke(cli, [command, str(path), "-o", str(tmp_path / out), "--no-simulate"])
        assert result.exit_code == 0, (command, result.output, result.exception)
    assert "<script" not in (tmp_path / "r.html").read_text(encoding="utf-8")
    sheet = Spreadsheet((tmp_path / "s.xlsx").read_bytes())
    assert not [where for where in sheet.formulas() if "cmd|" in str(sheet.book[where[0]][where[1]].value)]
    for written in (tmp_path / "l").iterdir():
        assert "\u202e" not in written.read_text(encoding="utf-8")
        if written.suffix == ".sh":
            assert subprocess.run(["bash", "-n", str(written)], check=False).returncode == 0
