"""Results are read as they were run: rates with a cap, engines, formats and degrees; what cannot be used is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimizer.calibrate.benchmark_results import parse_row, read_cases, read_results
from optimizer.calibrate.checkpoint_names import named
from optimizer.calibrate.forward import predict_cases
from optimizer.calibrate.own_fit import calibrate
from optimizer.calibrate.own_report import fits_nothing, report
from optimizer.calibrate.rows import RowCase, case_of
from optimizer.catalog import default_root, load_catalog
from optimizer.errors import UsageError
from optimizer.performance import load_parameters
from optimizer.performance.rates import work_of
from optimizer.performance.replicas import coefficients
from optimizer.simulate.replica import Arrivals, Pattern, Settings, simulate

CATALOG = load_catalog()
PARAMS = load_parameters(default_root())
FLAGS = {"gpu": "h100_sxm_80", "tp": "1"}
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
CLOSED: dict[str, Any] = {
    "backend": "vllm", "model_id": MODEL, "num_prompts": 320, "request_rate": "inf", "burstiness": 1.0,
    "max_concurrency": 32, "completed": 320, "failed": 0, "total_input_tokens": 320000, "total_output_tokens": 64000,
    "output_throughput": 2211.5, "mean_ttft_ms": 698.6, "median_ttft_ms": 649.3, "p95_ttft_ms": 900.0,
    "p99_ttft_ms": 990.8, "mean_tpot_ms": 11.45, "median_tpot_ms": 11.84, "p95_tpot_ms": 13.0, "p99_tpot_ms": 14.19,
}  # fmt: skip
CAPPED = {**CLOSED, "request_rate": 4.0, "max_concurrency": 256, "mean_ttft_ms": 48.5, "mean_tpot_ms": 9.03}
TEXT = """warming up
============ Serving Benchmark Result ============
Successful requests:                     320
Maximum request concurrency:             32
Benchmark duration (s):                  29.00
Total input tokens:                      320000
Total generated tokens:                  64000
Output token throughput (tok/s):         2,211.50
Mean TTFT (ms):                          698.60
Median TTFT (ms):                        649.30
P95 TTFT (ms):                           900.00
P99 TTFT (ms):                           990.80
Mean TPOT (ms):                          11.45
Median TPOT (ms):                        11.84
P99 TPOT (ms):                           14.19
==================================================
"""
TRTLLM: dict[str, Any] = {
    "engine": {"model": MODEL, "backend": "pytorch", "dtype": "bfloat16", "kv_cache_dtype": "auto",
               "quantization": None},
    "world_info": {"tp_size": 2, "pp_size": 1, "ep_size": 1},
    "request_info": {"num_requests": 300, "avg_num_concurrent_requests": 289.4, "avg_input_length": 1000.0,
                     "avg_output_length": 200.0},
    "performance": {"system_output_throughput_tok_s": 3960.0},
    "streaming_metrics": {"avg_ttft_ms": 4889.0, "avg_tpot_ms": 50.7},
}  # fmt: skip
AIPERF: dict[str, Any] = {
    "input_config": {"loadgen": {"concurrency": 64, "request_rate": 4.0}, "model_names": [MODEL]},
    "request_count": {"unit": "requests", "avg": 100.0},
    "time_to_first_token": {"unit": "ms", "avg": 48.0, "p50": 45.0, "p95": 70.0},
    "inter_token_latency": {"unit": "ms", "avg": 9.0, "p50": 9.0, "p95": 9.5},
    "input_sequence_length": {"unit": "tokens", "avg": 1000.0},
    "output_sequence_length": {"unit": "tokens", "avg": 200.0},
    "output_token_throughput": {"unit": "tokens/sec", "avg": 800.0},
}


def saved(folder: Path, content: object, name: str = "result.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def cases(folder: Path, content: object, **given: str) -> list[RowCase]:
    return read_cases([saved(folder, content)], {**FLAGS, **given}, CATALOG)


def refusal(folder: Path, content: object, **given: str) -> str:
    with pytest.raises(UsageError) as raised:
        cases(folder, content, **given)
    return str(raised.value)


@pytest.mark.parametrize(
    ("content", "cap"), [(CAPPED, 256), ({**CAPPED, "backend": "sglang"}, 256), (AIPERF, 64)], ids=["v", "s", "a"]
)
def test_a_rate_with_a_cap_is_an_open_loop_with_a_cap(tmp_path: Path, content: dict[str, Any], cap: int) -> None:
    (case,) = cases(tmp_path, content, engine="vllm")
    row = case.row
    assert (row.load, row.request_rate, row.concurrency, row.start) == ("open_loop", 4.0, cap, "steady")
    (capped, free) = predict_cases(
        [case, dataclasses.replace(case, row=dataclasses.replace(row, concurrency=math.nan))], PARAMS
    )
    assert capped == free  # 4 requests/s never fill the cap
    closed = dataclasses.replace(case, row=dataclasses.replace(row, load="closed_loop", start="burst"))
    assert predict_cases([closed], PARAMS)[0].tpot_mean > 1.5 * capped.tpot_mean  # what it was read as before


@pytest.mark.parametrize("cells", [{"load": ""}, {"load": "open_loop"}])
def test_a_table_that_states_both_means_the_same(cells: dict[str, str]) -> None:
    row = parse_row({"gpu": "h100_sxm_80", "model": MODEL, "input_tokens": "1000", "output_tokens": "200",
                     "concurrency": "8", "request_rate": "4", **cells})  # fmt: skip
    assert (row.load, row.concurrency, row.request_rate) == ("open_loop", 8, 4)


def _replica() -> tuple[Any, Settings]:
    case = case_of(parse_row({"gpu": "h100_sxm_80", "model": MODEL, "input_tokens": "500", "output_tokens": "100",
                              "concurrency": "1", "engine": "vllm"}), CATALOG)  # fmt: skip
    return coefficients([case.spec], PARAMS).row(0), Settings(256, 8192, 300_000.0, 0.01, 0.001)


@pytest.mark.parametrize("cap", [1, 4, 16])
def test_never_more_than_the_cap_is_in_flight_and_at_saturation_it_is_the_closed_loop(cap: int) -> None:
    c, settings = _replica()
    base = Pattern(Arrivals.POISSON, 400, 500.0, 100.0, rate=1e4, cap=cap)
    flooded = simulate(c, settings, base)
    closed = simulate(c, settings, dataclasses.replace(base, arrivals=Arrivals.BURST, concurrency=cap))
    assert flooded.tpot.mean() == pytest.approx(closed.tpot.mean(), rel=0.02)
    assert flooded.output_tokens_per_second == pytest.approx(closed.output_tokens_per_second, rel=0.02)
    # Little: what is in flight on average is the sum of stays over the duration
    assert flooded.e2e.sum() / flooded.duration <= cap * (1 + 1e-9)


def test_a_cap_that_does_not_bind_changes_nothing_and_one_that_does_shortens_the_stay() -> None:
    c, settings = _replica()
    free = simulate(c, settings, Pattern(Arrivals.POISSON, 300, 500.0, 100.0, rate=20.0))
    same = simulate(c, settings, Pattern(Arrivals.POISSON, 300, 500.0, 100.0, rate=20.0, cap=300))
    tight = simulate(c, settings, Pattern(Arrivals.POISSON, 300, 500.0, 100.0, rate=20.0, cap=3))
    assert np.array_equal(free.e2e, same.e2e)
    assert tight.tpot.mean() < free.tpot.mean()
    assert tight.duration >= free.duration * (1 - 1e-9)


def test_what_a_client_prints_reads_like_what_it_saves(tmp_path: Path) -> None:
    given = {"engine": "vllm", "model": MODEL, "weight_quant": "bf16"}
    (printed,) = read_cases([saved(tmp_path, TEXT, "log.txt")], {**FLAGS, **given}, CATALOG)
    (written,) = read_cases([saved(tmp_path, CLOSED)], {**FLAGS, **given}, CATALOG)
    gone = dataclasses.replace(written.row, tpot_ms_p95=math.nan)  # not printed here
    assert repr(printed.row) == repr(gone)


def test_a_report_of_trtllm_bench_is_read(tmp_path: Path) -> None:
    (case,) = read_cases([saved(tmp_path, TRTLLM)], {"gpu": "h100_sxm_80"}, CATALOG)
    row = case.row
    assert (row.engine, row.tp, row.weight_quant, row.concurrency, row.requests) == ("trtllm", 2, "bf16", 290, 300)
    assert (row.ttft_ms_mean, row.tpot_ms_mean, row.load, row.start) == (4889.0, 50.7, "closed_loop", "burst")
    (fp8,) = read_cases([saved(tmp_path, {**TRTLLM, "engine": {**TRTLLM["engine"], "quantization": "FP8"}})],
                        {"gpu": "h100_sxm_80"}, CATALOG)  # fmt: skip
    assert fp8.spec.weight_quant == "fp8"


@pytest.mark.parametrize("backend", ["openai", "openai-chat", "lmdeploy", None])
def test_an_engine_that_nobody_named_is_asked_for(tmp_path: Path, backend: str | None) -> None:
    content = {**CLOSED, "backend": backend}
    assert "the engine is not stated" in refusal(tmp_path, content)
    (case,) = cases(tmp_path, content, engine="sglang")
    assert case.spec.engine.id == "sglang"
    assert "unknown engine 'zippy'" in refusal(tmp_path, content, engine="zippy")


def test_everything_that_is_missing_is_asked_for_at_once(tmp_path: Path) -> None:
    path = saved(tmp_path, TEXT, "log.txt")
    with pytest.raises(UsageError) as raised:
        read_cases([path], {}, CATALOG)
    told = str(raised.value)
    for option in ("--gpu", "--model", "--engine", "--weight-quant", "--tp"):
        assert option in told
    assert "log.txt:2:1" in told


@pytest.mark.parametrize(
    ("option", "value", "seen"),
    [("engine", "sglang", "engine"), ("weight_quant", "fp8", "weight_quant"), ("kv_cache", "fp8", "kv_cache")],
)
def test_an_option_overrides_what_the_file_says(tmp_path: Path, option: str, value: str, seen: str) -> None:
    (case,) = cases(tmp_path, CLOSED, **{option: value})
    assert getattr(case.row, seen) == value


def test_an_option_overrides_every_row_of_a_table(tmp_path: Path) -> None:
    table = f"model,engine,tp,input_tokens,output_tokens,concurrency,tpot_ms_mean\n{MODEL},vllm,4,1000,200,8,9\n"
    (case,) = read_cases([saved(tmp_path, table, "rows.csv")], {**FLAGS, "engine": "sglang"}, CATALOG)
    assert (case.spec.engine.id, case.spec.tensor_parallel) == ("sglang", 1)


@pytest.mark.parametrize(
    ("repository", "model", "quant"),
    [
        (MODEL, MODEL, ""),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8", MODEL, "fp8"),
        ("somebody/Llama-3.1-8B-Instruct-FP8-dynamic", MODEL, "fp8"),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w8a8", MODEL, "int8"),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", MODEL, "int4"),
        ("hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4", MODEL, "int4"),
        ("nvidia/Llama-3.1-8B-Instruct-NVFP4", MODEL, "nvfp4"),
        ("nvidia/Llama-3.1-8B-Instruct-FP4", MODEL, "nvfp4"),
        ("amd/Llama-3.1-8B-Instruct-MXFP4-Preview", MODEL, "mxfp4"),
        ("Qwen/Qwen2.5-72B-Instruct-GPTQ-Int4", "Qwen/Qwen2.5-72B-Instruct", "int4"),
    ],
)
def test_a_quantized_repository_is_a_model_in_a_format(repository: str, model: str, quant: str) -> None:
    found = named(repository, CATALOG)
    assert found is not None
    assert (found.model, found.weight_quant) == (model, quant)


@pytest.mark.parametrize(
    "repository",
    [
        "Qwen/Qwen2.5-72B-Instruct-GPTQ-Int8",  # 8-bit weights, 16-bit products: no format of ours
        "somebody/Llama-3.1-8B-Instruct-GGUF",
        "somebody/Llama-3.1-8B-Instruct-W4AFP8",
        "somebody/Llama-3.1-8B-Instrukt-FP8",  # a likeness is no name
        "somebody/my-finetune",
    ],
)
def test_a_repository_that_nobody_knows_is_refused_by_name(tmp_path: Path, repository: str) -> None:
    assert named(repository, CATALOG) is None
    told = refusal(tmp_path, {**CLOSED, "model_id": repository}, weight_quant="fp8")
    assert f"unknown model '{repository}'" in told


def test_the_format_of_a_served_name_is_kept_where_the_model_is_given(tmp_path: Path) -> None:
    (case,) = cases(tmp_path, {**CLOSED, "model_id": "local/llama-FP8"}, model=MODEL)
    assert (case.spec.model.id, case.spec.weight_quant) == (MODEL, "fp8")
    assert "--weight-quant" in refusal(tmp_path, {**CLOSED, "model_id": "my-llama"}, model=MODEL)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"failed": 3, "completed": 317}, "3 of 320 requests failed"),
        ({"failed": None, "completed": 317}, "3 of 320 requests failed"),
        ({"mean_tpot_ms": 0.0, "median_tpot_ms": 0.0}, "did not stream"),
        ({"mean_ttft_ms": 990.0, "mean_e2el_ms": 1000.0}, "did not stream"),
        ({"burstiness": 0.5, "request_rate": 4.0}, "burstiness 0.5"),
    ],
)
def test_runs_that_say_little_are_refused_with_the_reason(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    content = {**CLOSED, **change}
    told = refusal(tmp_path, content)
    assert says in told
    assert "--accept-failures" in told
    assert read_cases([saved(tmp_path, content)], FLAGS, CATALOG, accept_failures=True)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({**AIPERF, "error_request_count": {"unit": "requests", "avg": 2.0}}, "2 of 102 requests failed"),
        ({k: v for k, v in AIPERF.items() if k != "time_to_first_token"} | {"request_latency": {"avg": 1}}, "stream"),
        ({**TRTLLM, "streaming_metrics": None}, "did not stream"),
        ({**TRTLLM, "world_info": {"tp_size": 2, "ep_size": 2}}, "expert parallel"),
        ({"elapsed_time": 3.0, "tokens_per_second": 5.0, "num_requests": 3}, "vLLM bench throughput"),
        ({"avg_latency": 3.0, "latencies": [3.0]}, "vLLM bench latency"),
    ],
)
def test_other_tools_runs_that_say_little_are_refused_too(tmp_path: Path, content: dict[str, Any], says: str) -> None:
    assert says in refusal(tmp_path, content, engine="vllm")


def test_p95_is_read_shown_and_taken_where_it_is_all_there_is(tmp_path: Path) -> None:
    (case,) = cases(tmp_path, CLOSED)
    assert (case.row.ttft_ms_p95, case.row.tpot_ms_p95) == (900.0, 13.0)
    found = calibrate([case], PARAMS, rounds=1)
    assert {(one.metric, one.statistic) for one in found.figures} >= {("ttft", "p95"), ("tpot", "p95")}
    bare = {key: value for key, value in CLOSED.items() if not key.startswith(("mean_", "median_"))}
    (only,) = cases(tmp_path, {**bare, "mean_ttft_ms": None})
    fitted = {(one.metric, one.statistic) for one in calibrate([only], PARAMS, rounds=1).figures if one.fitted}
    assert fitted == {("ttft", "p95"), ("tpot", "p95")}


def _of(card: str, quant: str, change: dict[tuple[str, str], float]) -> list[RowCase]:
    """Runs on a card whose true parameters differ by ``change``."""
    rows = [
        {"gpu": card, "model": MODEL, "engine": "vllm", "weight_quant": quant, "kv_cache": "bf16", "tp": "1",
         "input_tokens": "4000", "output_tokens": "100", "concurrency": held, "start": "burst", "requests": "40"}
        for held in ("1", "4", "16")
    ]  # fmt: skip
    asked = [case_of(parse_row(row), CATALOG) for row in rows]
    truth = predict_cases(asked, dataclasses.replace(PARAMS, values={**PARAMS.values, **change}))
    return [
        dataclasses.replace(case, row=dataclasses.replace(case.row, ttft_ms_mean=p.ttft_mean, tpot_ms_mean=p.tpot_mean))
        for case, p in zip(asked, truth, strict=True)
    ]


@pytest.mark.parametrize(("card", "quant"), [("a100_sxm_80", "fp8"), ("a100_sxm_80", "int4"), ("h100_sxm_80", "fp8")])
def test_own_measurements_mend_a_format_on_a_card_and_leave_the_others(card: str, quant: str) -> None:
    plain = _of(card, "bf16", {})
    kernel = work_of(_of(card, quant, {})[0].spec).dense_format
    slow = _of(card, quant, {("gemm_mfu_factor", f"gpu:{card}/{kernel}"): 0.55})
    found = calibrate([*plain, *slow], PARAMS)
    errors = {(found.cases[one.case].spec.weight_quant, one.metric, one.error) for one in found.figures if one.fitted}
    assert max(abs(error) for quantized, _, error in errors if quantized == quant) < 0.1
    assert max(abs(error) for quantized, _, error in errors if quantized == "bf16") < 0.08
    before = predict_cases(slow, PARAMS)
    assert max(abs(b.ttft_mean / case.row.ttft_ms_mean - 1) for b, case in zip(before, slow, strict=True)) > 0.25


def test_what_stays_outside_its_band_is_printed_and_a_fit_that_explains_nothing_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {**CLOSED, "mean_tpot_ms": 900.0, "median_tpot_ms": 900.0, "mean_ttft_ms": 4.0, "median_ttft_ms": 4.0}
    found = calibrate(cases(tmp_path, wrong), PARAMS, rounds=2)
    lines = list(report(found))
    assert any(line.startswith("Still outside the 90 % band") for line in lines)
    assert any("1,000 + 200 tokens, 32 in flight: TPOT p50 measured 900 ms" in line for line in lines)
    assert fits_nothing(found)
    good = calibrate(cases(tmp_path, CLOSED), PARAMS, rounds=2)
    assert fits_nothing(good) is None
    from optimizer.commands import main

    out, results = tmp_path / "fit.csv", saved(tmp_path, wrong)
    for extra, code in (([], 2), (["--force"], 0)):
        words = ["optimize", "calibrate", str(results), "--gpu", "h100_sxm_80", "--tp", "1", "-o", str(out), *extra]
        monkeypatch.setattr("sys.argv", words)
        with pytest.raises(SystemExit) as left:
            main()
        assert (left.value.code or 0) == code
        assert out.exists() is (code == 0)
        told = capsys.readouterr()
        assert "Still outside" in told.out
        assert ("not written" in told.err) is (code == 2)


def test_results_of_an_unstated_format_keep_reading_for_predictions(tmp_path: Path) -> None:
    (row,) = read_results(saved(tmp_path, {**CLOSED, "backend": "openai"}), FLAGS)
    assert row.engine == ""
