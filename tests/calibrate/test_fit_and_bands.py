"""The fit gives known parameters back, folds keep groups whole, bands hold what they promise."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from optimizer.calibrate.benchmark_results import parse_row, read_results
from optimizer.calibrate.cross_validation import (
    bands_of,
    folds_of,
    group_of,
    held_out_errors,
    nested_coverage,
    with_coverage,
)
from optimizer.calibrate.fit import FitProblem, fit, targets_of
from optimizer.calibrate.forward import predict_cases
from optimizer.calibrate.own_fit import calibrate, read_folds
from optimizer.calibrate.rows import RowCase, case_of
from optimizer.calibrate.scores import packaged_cases, rank_correlation, summarise, weighing
from optimizer.catalog import default_root, load_catalog
from optimizer.commands.calibrate import command
from optimizer.demand import Metric
from optimizer.errors import UsageError
from optimizer.performance import load_parameters
from optimizer.performance.accuracy import band_in, error_factor, factor_in
from optimizer.performance.parameters import Parameter
from optimizer.performance.rates import link_rates_of
from optimizer.performance.types import Band, Grade
from optimizer.vocabulary import Link

ROOT = default_root()
CATALOG = load_catalog()
PARAMS = load_parameters(ROOT)


def grid() -> list[RowCase]:
    cells = {"gpu": "h100_sxm_80", "engine": "vllm", "start": "burst", "model": "meta-llama/Llama-3.1-8B-Instruct"}
    return [
        case_of(
            parse_row({**cells, "input_tokens": str(i), "output_tokens": str(o), "concurrency": str(c), "tp": str(t)}),
            CATALOG,
        )
        for i, o in ((256, 128), (2048, 128), (4096, 512))
        for c in (1, 8, 64)
        for t in (1, 4)
    ]


def measured_with(cases: list[RowCase], **changes: float) -> list[RowCase]:
    """The cases as if measured on a machine whose parameters are known."""
    values = dict(PARAMS.values)
    for name, value in changes.items():
        key, scope = name.split("__")
        values[key, scope.replace("_at_", ":")] = value
    truth = predict_cases(cases, dataclasses.replace(PARAMS, values=values))
    return [
        dataclasses.replace(case, row=dataclasses.replace(case.row, ttft_ms_mean=p.ttft_mean, tpot_ms_mean=p.tpot_mean))
        for case, p in zip(cases, truth, strict=True)
    ]


def test_data_made_with_known_parameters_give_them_back() -> None:
    cases = measured_with(grid(), step_ms__engine_at_vllm=4.0, frontend_ms__engine_at_vllm=90.0)
    start = {name: PARAMS.first(name, "engine:vllm") for name in ("step_ms", "frontend_ms")}
    table = tuple(Parameter(name, "engine:vllm", at, 0.1, 500.0, at, 1.0, "", "") for name, at in start.items())
    theta, _ = fit(FitProblem(tuple(cases), targets_of(cases, lambda _: 1.0), table, PARAMS), rounds=8)
    assert np.exp(theta) == pytest.approx([4.0, 90.0], rel=0.03)


def test_own_measurements_mend_a_slow_machine() -> None:
    cases = measured_with(grid(), slowdown__gpu_at_h100_sxm_80=1.5)
    found = calibrate(cases, PARAMS)
    assert found.before["tpot"] > 15
    assert found.after["tpot"] < 5
    assert found.after["ttft"] < found.before["ttft"]


def test_own_measurements_tell_what_the_host_moves_between_four_cards_over_pcie() -> None:
    """Plans and predictions both take it then; a calibration that saw no such host leaves it open."""
    over_pcie = [dataclasses.replace(c, spec=dataclasses.replace(c.spec, link=Link.PCIE)) for c in grid()]
    cases = measured_with(over_pcie, **{"slow_host_bus_share__own/gpus_at_4": 0.3})
    found = calibrate(cases, PARAMS)
    (share,) = [p for p in found.parameters if p.name == "slow_host_bus_share"]
    assert (share.scope, share.value) == ("own/gpus:4", pytest.approx(0.3, rel=0.1))
    assert found.after["ttft"] < 2
    own = dataclasses.replace(PARAMS, values={**PARAMS.values, (share.name, share.scope): share.value})
    plan = dataclasses.replace(over_pcie[1].spec, known_host=False)
    assert link_rates_of(plan, own) == link_rates_of(over_pcie[1].spec, own) != link_rates_of(plan, PARAMS)
    assert not any(p.name == "slow_host_bus_share" for p in calibrate(grid()[:2], PARAMS, rounds=1).parameters)


def test_groups_stay_whole_and_folds_are_even() -> None:
    cases = packaged_cases(ROOT, CATALOG, PARAMS)
    folds = folds_of(cases)
    home: dict[str, int] = {}
    for case, fold in zip(cases, folds, strict=True):
        assert home.setdefault(case.row.group, int(fold)) == fold
    sizes = np.bincount(folds)
    assert sizes.max() < 1.3 * sizes.min()


def test_every_row_set_aside_has_a_reason_and_every_source_a_weight() -> None:
    weight = weighing(ROOT)
    cases = packaged_cases(ROOT, CATALOG, PARAMS)
    aside = [case for case in cases if weight(case.row) == 0]
    assert 0 < len(aside) < 0.02 * len(cases)
    assert all(0 <= weight(case.row) <= 1 for case in cases)


@pytest.fixture(scope="module")
def errors() -> list:
    weight = weighing(ROOT)
    return [error for error in held_out_errors(ROOT, CATALOG, PARAMS) if weight(error.case.row) > 0]


def test_unseen_groups_are_predicted_as_well_as_the_page_says(errors: list) -> None:
    scores = {score.metric: score for score in summarise(errors, lambda error: "all")}
    assert scores["tpot"].median_error <= 15
    assert scores["throughput"].median_error <= 15
    assert scores["offline"].median_error <= 20
    assert scores["ttft"].median_error <= 38
    assert rank_correlation(errors)[0] >= 0.9


def coverage_of_groups(errors: list, figure: str) -> float:
    """Mean over groups of the share of a group's truths that the band holds, in percent."""
    groups: dict[str, list[bool]] = {}
    for error in errors:
        if error.metric == figure:
            groups.setdefault(group_of(error), []).append(error.covered)
    return 100 * float(np.mean([np.mean(held) for held in groups.values()]))


def test_bands_hold_what_they_promise_on_groups_they_did_not_see(errors: list) -> None:
    """Bands are made of groups, so it is groups they hold; rows of large, well-known groups they hold more often."""
    weight, folds = weighing(ROOT), read_folds(ROOT)
    seen, unseen = with_coverage(errors, bands_of(errors, weight)), nested_coverage(errors, folds, weight)
    rows = {score.metric: score for score in summarise(unseen, lambda error: "all")}
    for figure in ("tpot", "ttft", "throughput", "offline"):
        assert 82 <= coverage_of_groups(seen, figure) <= 97
        assert 75 <= coverage_of_groups(unseen, figure) <= 97
        assert 82 <= rows[figure].coverage <= (100 if figure == "offline" else 99)  # its rows lie in few large groups


def test_confidence_of_a_half_means_no_margin_and_more_means_more() -> None:
    for grade in Grade:
        assert error_factor(Metric.TPOT, grade, 0.5) == 1.0
        assert 1.0 < error_factor(Metric.TTFT, grade, 0.8) < error_factor(Metric.TTFT, grade, 0.95)
    assert factor_in(Band(0.5, 3.0), 0.95) == pytest.approx(3.0)
    assert factor_in(Band(0.5, 3.0), 0.05) == pytest.approx(0.5)
    known = Band(0.5, 3.0, 0.8, 1.2)
    assert [factor_in(known, q) for q in (0.05, 0.1, 0.5, 0.9, 0.95)] == pytest.approx([0.5, 0.8, 1.0, 1.2, 3.0])
    factors = [factor_in(known, q / 100) for q in range(1, 100)]
    assert factors == sorted(factors)


def test_margins_hold_as_often_as_they_say_on_groups_they_did_not_see(errors: list) -> None:
    """One-sided, at 0.9, by bands of the other folds."""
    weight, folds = weighing(ROOT), read_folds(ROOT)
    for figure in ("tpot", "ttft"):
        held = []
        for fold in sorted(set(folds.values())):
            mine = [e for e in errors if folds[e.case.row.group] == fold and e.band == figure]
            bands = bands_of([e for e in errors if folds[e.case.row.group] != fold], weight)
            held += [math.exp(-e.log) <= factor_in(band_in(bands, e.band, e.grade, e.source), 0.9) for e in mine]
        assert 0.85 <= sum(held) / len(held) <= 0.97, figure


def test_engines_with_enough_groups_have_bands_of_their_own(errors: list) -> None:
    bands = bands_of(errors, weighing(ROOT))
    assert ("tpot", "vllm", Grade.A) in bands
    assert ("tpot", "atom", Grade.C) not in bands
    assert band_in(bands, "tpot", Grade.C, "atom") == bands["tpot", "", Grade.C]
    assert error_factor(Metric.TPOT, Grade.C, 0.9, "atom") == error_factor(Metric.TPOT, Grade.C, 0.9)
    for figure, engine, grade in bands:
        band = bands[figure, engine, grade]
        assert band.near_low is not None and band.near_high is not None
        assert band.low <= band.near_low < 1.0 < band.near_high <= band.high


FLAGS = {"gpu": "h100_sxm_80", "weight_quant": "bf16", "tp": "1", "model": "meta-llama/Llama-3.1-8B-Instruct"}

VLLM = {
    "model_id": "meta-llama/Llama-3.1-8B-Instruct", "backend": "vllm", "completed": 100, "total_input_tokens": 102400,
    "total_output_tokens": 25600, "max_concurrency": 8, "request_rate": "inf", "output_throughput": 900.0,
    "mean_ttft_ms": 60.0, "median_ttft_ms": 55.0, "p99_ttft_ms": 90.0, "mean_tpot_ms": 8.0, "median_tpot_ms": 8.0,
    "p99_tpot_ms": 9.0,
}  # fmt: skip


def statistic(unit: str, **values: float) -> dict[str, object]:
    return {"unit": unit, **values}


GENAI = {
    "time_to_first_token": statistic("ns", avg=60e6, p50=55e6, p99=90e6),
    "inter_token_latency": statistic("ms", avg=8.0, p50=8.0, p99=9.0),
    "output_token_throughput": statistic("tokens/sec", avg=900.0),
    "input_sequence_length": statistic("tokens", avg=1024.0),
    "output_sequence_length": statistic("tokens", avg=256.0),
    "input_config": {"perf_analyzer": {"stimulus": {"concurrency": 8}}, "model_names": [VLLM["model_id"]]},
}


def spread(mean: float) -> dict[str, object]:
    return {"successful": {"mean": mean, "median": mean}}


GUIDELLM = {
    "benchmarks": [
        {
            "config": {"strategy": {"type_": "concurrent", "streams": 8}},
            "metrics": {
                "time_to_first_token_ms": spread(60.0), "inter_token_latency_ms": spread(8.0),
                "output_tokens_per_second": spread(900.0), "prompt_token_count": spread(1024.0),
                "output_token_count": spread(256.0), "request_concurrency": spread(7.9),
            },
        }
    ]
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vllm.json", json.dumps(VLLM)),
        ("sglang.jsonl", json.dumps({**VLLM, "backend": "sglang", "random_range_ratio": 1.0}) + "\n"),
        ("genai.json", json.dumps(GENAI)),
        ("guidellm.json", json.dumps(GUIDELLM)),
        (
            "own.csv",
            "input_tokens,output_tokens,concurrency,ttft_ms_mean,tpot_ms_mean,output_tokens_per_s\n1024,256,8,60,8,900\n",
        ),
    ],
)
def test_results_of_every_tool_say_the_same(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    (row,) = read_results(path, FLAGS)
    assert (row.input_tokens, row.output_tokens, row.concurrency) == (1024, 256, 8)
    assert row.ttft_ms_mean == pytest.approx(60.0)
    assert (row.tpot_ms_mean, row.output_tokens_per_s, row.gpu) == (8.0, 900.0, "h100_sxm_80")


@pytest.mark.parametrize("content", ["", "[]", "[1]", '{"a": 1}', "{nonsense", '{"mean_ttft_ms": 1}'])
def test_what_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError):
        read_results(path, FLAGS)


def test_the_calibration_file_changes_predictions(tmp_path: Path) -> None:
    results, out = tmp_path / "vllm.json", tmp_path / "calibration.csv"
    results.write_text(json.dumps({**VLLM, "mean_tpot_ms": 16.0}), encoding="utf-8")
    flags = ["--gpu", "h100_sxm_80", "--tp", "1", "-o", str(out), "--force"]  # one made-up run explains nothing
    shown = CliRunner().invoke(command, [str(results), *flags])
    assert shown.exit_code == 0, shown.output
    assert "before and after" in shown.output
    own = load_parameters(ROOT, out)
    assert own.version != PARAMS.version
    case = case_of(read_results(results, FLAGS)[0], CATALOG)
    before, after = (predict_cases([case], params)[0].tpot_mean for params in (PARAMS, own))
    assert abs(math.log(after / 16.0)) < abs(math.log(before / 16.0))
