"""Own measurements reach every decision, as a key, as an option and after an edit; what is wrong with them is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.calibrate.benchmark_results import read_results
from optimizer.calibrate.own_fit import calibrate
from optimizer.calibrate.rows import case_of
from optimizer.catalog import default_root, load_catalog
from optimizer.commands import cli
from optimizer.decide.solve import decide
from optimizer.errors import CatalogError, InputError
from optimizer.performance import load_parameters
from optimizer.planning.inputs import Inputs, read_inputs
from optimizer.whatif.case import open_case

PROBLEMS = Path(__file__).parents[2] / "problems"
EXAMPLE = PROBLEMS / "calibrated.yaml"
OWN = PROBLEMS / "calibration" / "own_h100.csv"
ROOT = default_root()


def best(inputs: Inputs) -> tuple[object, ...]:
    plan = decide(inputs, simulate=False).plans[0]
    return (plan.key, [(group.weight_quant, group.tensor_parallel, group.replicas) for group in plan.groups])


def test_the_key_changes_the_answer_and_names_itself() -> None:
    own, packaged = read_inputs(EXAMPLE), read_inputs(EXAMPLE, sets=["engine.calibration=null"])
    assert own.params.version.startswith(f"{packaged.params.version}+")
    assert own.params.values["slowdown", "gpu:h100_sxm_80"] > packaged.params.values["slowdown", "gpu:h100_sxm_80"]
    assert best(own) != best(packaged)
    assert "calibration" in " ".join(decide(own, simulate=False).rules)


def test_the_example_is_what_calibrate_makes_of_its_results() -> None:
    given = {"gpu": "h100_sxm_80", "engine_version": "0.11", "weight_quant": "fp8", "kv_cache": "bf16", "tp": "2"}
    catalog, base = load_catalog(), load_parameters(ROOT)
    rows = read_results(PROBLEMS / "calibration" / "bench_serve.jsonl", given)
    found = calibrate([case_of(row, catalog) for row in rows], base)
    written = load_parameters(ROOT, OWN).values
    for parameter in found.parameters:
        assert written[parameter.name, parameter.scope] == pytest.approx(parameter.value, rel=0.02)
    assert found.after["tpot"] < 0.5 * found.before["tpot"]


@pytest.mark.parametrize("command", ["solve", "budget", "targets", "explain", "frontier", "check", "report",
                                     "shortlist", "launch", "drill", "diff", "predict"])  # fmt: skip
def test_every_command_that_predicts_or_decides_takes_one(command: str) -> None:
    shown = CliRunner().invoke(cli, [command, "--help"])
    assert "--calibration FILE" in shown.output


def test_the_option_means_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the option names is sought where the user stands, not beside the problem file."""
    monkeypatch.chdir(OWN.parent)
    without = EXAMPLE.read_text(encoding="utf-8").replace("  calibration: calibration/own_h100.csv", "  # none")
    problem = tmp_path / "problem.yaml"
    problem.write_text(without, encoding="utf-8")
    runner = CliRunner()
    plain = runner.invoke(cli, [str(problem), "--no-simulate", "--format", "json"])
    own = runner.invoke(cli, [str(problem), "--no-simulate", "--format", "json", "--calibration", OWN.name])
    by_key = runner.invoke(cli, [str(EXAMPLE), "--no-simulate", "--format", "json"])
    plans = [json.loads(text.stdout)["plans"] for text in (plain, own, by_key)]  # not the seal: the files differ
    assert plans[0] != plans[1] == plans[2]


def test_an_edit_of_the_key_predicts_anew() -> None:
    """A case that is asked again must not keep what the former parameters predicted."""
    case = open_case(read_inputs(EXAMPLE))
    edited = case.edited(["engine.calibration=null"])
    fresh = open_case(read_inputs(EXAMPLE, sets=["engine.calibration=null"]))
    assert edited.candidates == fresh.candidates
    assert case.candidates != fresh.candidates
    assert case.edited(["engine.version='0.6'"]).candidates != case.candidates  # another generation of the engine


HEADER = "name,scope,value,low,high,prior,prior_log_sd,unit,source"
ROW = "slowdown,gpu:h100_sxm_80,1.2,0.5,2,1,0.1,ratio,own"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (HEADER + "\n", "no parameters"),
        ("gpu,price\nh100,3\n", "optimize calibrate"),
        (f"{HEADER}\n{ROW.replace('slowdown', 'slow_down')}\n", "did you mean slowdown"),
        (f"{HEADER}\n{ROW.replace('1.2', '2.5')}\n", "outside its bounds 0.5 to 2"),
        (f"{HEADER}\n{ROW.replace('1.2', 'nan')}\n", "not a number"),
        (f"{HEADER}\n{ROW}\n{ROW}\n", "stands twice"),
        ("\0\0", "NUL"),
    ],
)
def test_what_is_no_calibration_is_refused_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError, match=r"own\.csv") as raised:
        load_parameters(ROOT, path)
    assert message in str(raised.value)
    with pytest.raises(InputError) as told:
        read_inputs(EXAMPLE, sets=[f"engine.calibration={path}"])
    assert message in str(told.value)


def test_bounds_are_inclusive(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(f"{HEADER}\n{ROW.replace('1.2', '2')}\n", encoding="utf-8")
    assert load_parameters(ROOT, path).values["slowdown", "gpu:h100_sxm_80"] == 2.0


def test_a_missing_file_is_named_at_its_line(tmp_path: Path) -> None:
    problem = tmp_path / "problem.yaml"
    problem.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    shown = CliRunner().invoke(cli, ["check", str(problem)])
    assert isinstance(shown.exception, InputError)
    assert "problem.yaml:22:16" in str(shown.exception)
    assert "no such file" in str(shown.exception)
