"""Twenty loads of one's own narrow the band of that setup, of no other, and as far as published setups say."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.calibrate.benchmark_results import parse_row
from optimizer.calibrate.forward import predict_cases
from optimizer.calibrate.left_out import read_errors
from optimizer.calibrate.own_bands import FIGURES, OWN_FILE, own_bands, own_coverage
from optimizer.calibrate.own_fit import calibrate
from optimizer.calibrate.rows import RowCase, case_of
from optimizer.calibrate.scores import packaged_cases
from optimizer.catalog import default_root, load_catalog
from optimizer.commands import cli
from optimizer.decide.solve import decide
from optimizer.errors import CatalogError
from optimizer.performance import grade_of, load_parameters
from optimizer.performance.accuracy import (
    BORROWED,
    ENOUGH_OWN,
    OWN,
    band_source,
    named_band,
    own_setup,
    read_bands,
    usual_source,
)
from optimizer.performance.parameter_files import OWN_SETUPS
from optimizer.performance.types import Grade
from optimizer.planning.inputs import read_inputs

PROBLEMS = Path(__file__).parents[2] / "problems"
ROOT = default_root()
CATALOG = load_catalog()
PARAMS = load_parameters(ROOT)
SMALL = "meta-llama/Llama-3.1-8B-Instruct"
CELLS = {
    "gpu": "h100_sxm_80", "engine": "vllm", "engine_version": "0.11", "model": "meta-llama/Llama-3.1-70B-Instruct",
    "weight_quant": "fp8", "tp": "2", "input_tokens": "1024", "output_tokens": "300", "interconnect": "nvlink",
}  # fmt: skip


def cases(loads: int, **cells: str) -> list[RowCase]:
    rows = [{**CELLS, "concurrency": str(4 * number), "tpot_ms_mean": "30", **cells} for number in range(1, loads + 1)]
    return [case_of(parse_row(row), CATALOG) for row in rows]


def measured(loads: int, case: RowCase) -> object:
    return replace(PARAMS, own={own_setup(case.spec): loads})


@pytest.mark.parametrize(("loads", "source"), [(ENOUGH_OWN - 1, "vllm"), (ENOUGH_OWN, OWN), (ENOUGH_OWN + 1, OWN)])
def test_so_many_loads_are_enough(loads: int, source: str) -> None:
    (case,) = cases(1)
    assert band_source(case.spec, measured(loads, case)) == source  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gpu", "source"),
    [
        ("h100_sxm_80", "vllm"), ("gh200_96", "vllm"), ("h800_sxm_80", "vllm"), ("h100_pcie_80", BORROWED),
        ("rtx_4090_24", BORROWED), ("mi300x_192", BORROWED),
    ],
)  # fmt: skip
def test_cards_without_kernel_measurements_have_the_band_of_such_cards(gpu: str, source: str) -> None:
    """The same die (GH200) and a sibling (H800) are measured, a card that only its architecture speaks for is not."""
    (case,) = cases(1, gpu=gpu, interconnect="none", tp="1", weight_quant="bf16", model=SMALL)
    assert band_source(case.spec, PARAMS) == usual_source(case.spec, PARAMS) == source
    assert band_source(case.spec, measured(ENOUGH_OWN, case)) == OWN  # type: ignore[arg-type]


def test_borrowed_kernels_widen_a_band() -> None:
    for figure in ("tpot", "ttft"):
        for grade in Grade:
            borrowed, everyone = named_band(figure, grade, BORROWED), named_band(figure, grade)
            assert borrowed.near_high is not None and everyone.near_high is not None
            assert borrowed.near_high > everyone.near_high


@pytest.mark.parametrize(
    "other",
    [
        {"gpu": "h200_sxm_141"}, {"model": "Qwen/Qwen2.5-72B-Instruct"}, {"weight_quant": "bf16", "tp": "4"},
        {"engine": "sglang", "engine_version": "0.5"}, {"pp": "2"}, {"tp": "4", "interconnect": "pcie"},
    ],
    ids="-".join,
)  # fmt: skip
def test_a_setup_speaks_for_itself_alone(other: dict[str, str]) -> None:
    (case,), (stranger,) = cases(1), cases(1, **other)
    params = measured(ENOUGH_OWN, case)
    assert band_source(stranger.spec, params) != OWN  # type: ignore[arg-type]
    assert grade_of(stranger.spec, params) == grade_of(stranger.spec, PARAMS)  # type: ignore[arg-type]


def test_what_was_measured_by_the_user_is_of_grade_a_and_says_so() -> None:
    (case,) = cases(1, model="deepseek-ai/DeepSeek-V3", tp="8", weight_quant="fp8", gpu="h20_96")
    assert grade_of(case.spec, PARAMS)[0] is not Grade.A
    grade, reasons = grade_of(case.spec, measured(24, case))  # type: ignore[arg-type]
    assert grade is Grade.A
    assert reasons == ("measured by you at 24 loads: deepseek-ai/DeepSeek-V3 in fp8 on h20_96",)


def test_a_calibration_counts_different_loads_not_repeated_runs() -> None:
    found = calibrate(cases(3) + cases(3) + cases(1, tp="4"), PARAMS, rounds=1)
    (loads,) = found.loads
    assert (loads.name, loads.value) == (OWN_SETUPS, 4)
    assert loads.scope == "h100_sxm_80 | meta-llama/Llama-3.1-70B-Instruct | fp8 | vllm"
    assert OWN_SETUPS not in {parameter.name for parameter in found.parameters}


def results(path: Path, loads: int) -> Path:
    """Runs of the example's setup, 5 % slower than predicted."""
    rows = cases(loads)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*CELLS, "concurrency", "load", "start", "tpot_ms_mean", "ttft_ms_mean"])
    writer.writeheader()
    for row, seen in zip(rows, predict_cases(rows, PARAMS), strict=True):
        writer.writerow({
            **CELLS, "concurrency": f"{row.row.concurrency:g}", "load": "closed_loop", "start": "burst",
            "tpot_ms_mean": f"{1.05 * seen.tpot_mean:.3f}", "ttft_ms_mean": f"{1.05 * seen.ttft_mean:.1f}",
        })  # fmt: skip
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def test_the_file_of_a_calibration_carries_the_band_to_every_plan(tmp_path: Path) -> None:
    """A plan may then run closer to its limits, and never costs more for it."""
    own, fewer = tmp_path / "own.csv", tmp_path / "fewer.csv"
    shown = CliRunner().invoke(cli, ["calibrate", str(results(tmp_path / "runs.csv", ENOUGH_OWN)), "-o", str(own)])
    assert shown.exit_code == 0, shown.output
    assert f"{ENOUGH_OWN} different loads; its plans carry the band of own measurements" in shown.output
    text = own.read_text(encoding="utf-8")
    assert f"| fp8 | vllm,{ENOUGH_OWN}," in text
    fewer.write_text(text.replace(f"| vllm,{ENOUGH_OWN},", f"| vllm,{ENOUGH_OWN - 1},"), encoding="utf-8")
    costs = []
    for path in (fewer, own):
        sets = [f"engine.calibration={path}", "engine.weight_quant=[fp8]", "ranking.top=1"]
        plan = decide(read_inputs(PROBLEMS / "calibrated.yaml", sets=sets), simulate=False).plans[0]
        costs.append(plan.monthly_cents)
        reasons = {reason for one in plan.predicted for reason in one.grade_reasons}
        assert any("measured by you at 20 loads" in reason for reason in reasons) == (path is own)
        (tpot,) = [p for one in plan.predicted for p in one.promises if p.path.endswith("tpot_ms.p95")]
        spread = named_band("tpot", Grade.A, OWN if path is own else "vllm")
        assert tpot.high_s == pytest.approx(tpot.estimate_s * spread.high)
    assert costs[1] <= costs[0]


def test_with_few_loads_the_report_says_how_many_are_enough(tmp_path: Path) -> None:
    runs = results(tmp_path / "runs.csv", 3)
    shown = CliRunner().invoke(cli, ["calibrate", str(runs), "-o", str(tmp_path / "own.csv")])
    assert f"3 different loads; from {ENOUGH_OWN} on its plans carry a narrower band" in shown.output


def test_a_wrong_number_of_loads_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    head = "name,scope,value,low,high,prior,prior_log_sd,unit,source\n"
    head += "slowdown,gpu:h100_sxm_80,1,0.2,5,1,0.15,ratio,own\n"
    path.write_text(head + f"{OWN_SETUPS},a | b | fp8 | vllm,many,1,1e6,0,0,loads,own\n", encoding="utf-8")
    with pytest.raises(CatalogError, match=r"own\.csv:3"):
        load_parameters(ROOT, path)
    path.write_text(head.splitlines()[0] + f"\n{OWN_SETUPS},a | b | fp8 | vllm,20,1,1e6,0,0,loads,own\n", "utf-8")
    with pytest.raises(CatalogError, match="no parameters in it"):
        load_parameters(ROOT, path)


def test_own_bands_are_narrower_and_hold_setups_that_did_not_make_them() -> None:
    errors = read_errors(ROOT / "performance" / OWN_FILE, packaged_cases(ROOT, CATALOG, PARAMS), PARAMS)
    made, kept = own_bands(errors), read_bands(ROOT)
    assert {figure for figure, *_ in made} == set(FIGURES)
    for key, band in made.items():
        assert kept[key].low == pytest.approx(band.low, abs=1e-4)
        assert kept[key].high == pytest.approx(band.high, abs=1e-4)
        usual = kept[key[0], "", Grade.A]
        assert usual.low < band.low < 1 < band.high < usual.high
    for coverage in own_coverage(errors):
        assert coverage.groups >= 20 and 80 <= coverage.by_row <= 98 and 80 <= coverage.by_group <= 98, coverage
