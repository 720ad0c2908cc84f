"""Rows in, predictions out: defaults, rules, errors per row, malformed files."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.calibrate.benchmark_results import parse_row
from optimizer.calibrate.fit import measured_of
from optimizer.calibrate.forward import MedianEstimate, beyond_slots
from optimizer.calibrate.rows import case_of
from optimizer.calibrate.scores import OUTPUT, pairs_of, predict_table, read_table, throughputs
from optimizer.catalog import default_root, load_catalog
from optimizer.commands import cli
from optimizer.errors import InputError, UsageError
from optimizer.performance import load_parameters
from optimizer.vocabulary import Link

CATALOG = load_catalog()
PARAMS = load_parameters(default_root())
PLAIN = {
    "gpu": "h100_sxm_80", "model": "meta-llama/Llama-3.1-8B-Instruct", "input_tokens": "1024", "output_tokens": "256",
    "concurrency": "16", "engine": "vllm", "start": "burst",
}  # fmt: skip


def predict(*rows: dict[str, str]) -> list[dict[str, str]]:
    header = list(dict.fromkeys(name for row in rows for name in row))
    text, _ = predict_table(header, [{name: row.get(name, "") for name in header} for row in rows], CATALOG, PARAMS)
    return list(csv.DictReader(io.StringIO(text)))


def test_only_what_a_load_needs_must_be_stated() -> None:
    row = parse_row({"gpu": "g", "model": "m", "input_tokens": "100", "output_tokens": "10", "concurrency": "4"})
    assert (row.tp, row.pp, row.dp, row.load, row.start, row.length_low) == (1, 1, 1, "closed_loop", "unknown", 1.0)
    rated = parse_row({"gpu": "g", "model": "m", "input_tokens": "100", "output_tokens": "10", "request_rate": "2"})
    assert (rated.load, rated.start) == ("open_loop", "steady")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"input_tokens": "0"}, "input_tokens"),
        ({"output_tokens": "many"}, "not a number"),
        ({"tp": "1.5"}, "whole number"),
        ({"concurrency": ""}, "concurrency"),
        ({"load": "sometimes"}, "load must be one of"),
        ({"start": "cold"}, "start must be one of"),
        ({"length_low": "2"}, "length_low"),
        ({"gpu": "h100_sxm_81"}, "did you mean h100_sxm_80"),
        ({"model": "meta-llama/Llama-3.1-8B"}, "unknown model"),
        ({"weight_quant": "int3"}, "unknown weight_quant"),
    ],
)
def test_a_bad_row_says_why_and_the_others_are_predicted(change: dict[str, str], says: str) -> None:
    bad, good = predict({**PLAIN, **change}, PLAIN)
    assert says in bad["error"]
    assert not bad["pred_tpot_ms_mean"]
    assert not good["error"]
    assert float(good["pred_tpot_ms_mean"]) > 0


def test_a_table_without_a_good_row_is_written_with_its_errors() -> None:
    bad = predict({**PLAIN, "gpu": "nope"})
    assert bad[0]["error"]
    assert bad[0]["pred_ttft_ms_mean"] == ""
    text, failed = predict_table(list(PLAIN), [], CATALOG, PARAMS)
    assert (len(text.splitlines()), failed) == (1, 0)


def test_what_no_gpu_could_hold_is_an_error_and_not_a_number() -> None:
    huge, endless, plain = predict(
        {**PLAIN, "model": "deepseek-ai/DeepSeek-V3"}, {**PLAIN, "input_tokens": "1e9"}, PLAIN
    )
    assert "does not fit" in huge["error"]
    assert "input_tokens must be a number from 1 to 100,000,000" in endless["error"]
    assert (huge["pred_tpot_ms_mean"], endless["pred_tpot_ms_mean"], plain["error"]) == ("", "", "")


def test_other_columns_are_carried_through_and_all_output_columns_are_there() -> None:
    row = predict({**PLAIN, "my_note": "büro, 3"})[0]
    assert row["my_note"] == "büro, 3"
    assert set(OUTPUT) <= set(row)
    for figure in ("ttft", "tpot", "output_tokens_per_s"):
        middle = row["pred_output_tokens_per_s"] if "per_s" in figure else row[f"pred_{figure}_ms_mean"]
        assert float(row[f"pred_{figure}_lo"]) < float(middle) < float(row[f"pred_{figure}_hi"])
    assert float(row["pred_ttft_ms_p50"]) <= float(row["pred_ttft_ms_p95"]) <= float(row["pred_ttft_ms_p99"])


def test_four_bit_means_the_vendors_own_format() -> None:
    base = {**PLAIN, "weight_quant": "fp4", "tp": "8", "model": "deepseek-ai/DeepSeek-R1"}
    nvidia = case_of(parse_row({**base, "gpu": "b200_sxm_180"}), CATALOG)
    amd = case_of(parse_row({**base, "gpu": "mi355x_288"}), CATALOG)
    assert (nvidia.spec.weight_quant, amd.spec.weight_quant) == ("nvfp4", "mxfp4")


def test_an_unknown_engine_gets_the_generic_profile_and_grade_c() -> None:
    row = predict({**PLAIN, "engine": "zippy"})[0]
    assert (row["error"], row["grade"]) == ("", "C")


def test_the_source_of_a_row_changes_nothing() -> None:
    first, second = predict({**PLAIN, "source": "aic_silicon_infx"}, {**PLAIN, "source": "somebody"})
    assert {k: v for k, v in first.items() if k != "source"} == {k: v for k, v in second.items() if k != "source"}


def test_links_and_copies() -> None:
    case = case_of(parse_row({**PLAIN, "interconnect": "pcie", "tp": "2", "dp": "4"}), CATALOG)
    assert (case.spec.link, case.replicas, case.spec.attention_dp) == (Link.PCIE, 4, 1)
    spread = {**PLAIN, "model": "deepseek-ai/DeepSeek-R1", "weight_quant": "fp8", "dp": "8", "concurrency": "64"}
    assert case_of(parse_row(spread), CATALOG).spec.attention_dp == 8


def test_four_copies_carry_four_times_as_much() -> None:
    one, four = predict(PLAIN, {**PLAIN, "dp": "4", "concurrency": "64"})
    assert float(four["pred_output_tokens_per_s"]) == pytest.approx(
        4 * float(one["pred_output_tokens_per_s"]), rel=1e-3
    )
    assert float(four["pred_tpot_ms_mean"]) == pytest.approx(float(one["pred_tpot_ms_mean"]), rel=1e-3)


@pytest.mark.parametrize("load", ["closed_loop", "static_batch", "offline", "open_loop"])
def test_every_kind_of_load_is_predicted(load: str) -> None:
    row = predict({**PLAIN, "load": load, "request_rate": "2" if load == "open_loop" else "", "start": ""})[0]
    assert not row["error"]
    assert float(row["pred_output_tokens_per_s"]) > 0


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"gpu,model\nx,y\n", b'gpu,model,input_tokens,output_tokens\n"a,b\n', b"\xff\xfe\x00", b"a\0b",
     b"gpu,gpu,model,input_tokens,output_tokens\n1,2,3,4,5\n", b"gpu,model,input_tokens,output_tokens\n1,2\n"],
)  # fmt: skip
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        read_table(path)


def test_the_command_writes_whole_files_or_nothing(tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    rows.write_text(",".join(PLAIN) + "\n" + ",".join(PLAIN.values()) + "\n", encoding="utf-8")
    result = CliRunner().invoke(cli, ["predict", str(rows), "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert len(list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))) == 1
    rows.write_text("gpu\n1\n", encoding="utf-8")
    again = CliRunner().invoke(cli, ["predict", str(rows), "-o", str(tmp_path / "none.csv")])
    assert isinstance(again.exception, InputError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "rows.csv"]


def test_the_time_of_predicting_grows_with_the_rows(grows_with) -> None:
    rows = [{**PLAIN, "concurrency": str(1 + k % 64), "input_tokens": str(100 + k)} for k in range(640)]
    grows_with(lambda: predict(*rows[:64]), lambda: predict(*rows), 10)


def test_copies_of_a_mixture_in_one_engine_share_their_experts() -> None:
    dense = case_of(parse_row({**PLAIN, "dp": "4"}), CATALOG)
    mixture = case_of(parse_row({**PLAIN, "dp": "4", "model": "openai/gpt-oss-120b", "gpu": "b200_sxm_180"}), CATALOG)
    assert (dense.spec.attention_dp, mixture.spec.attention_dp) == (1, 4)
    assert dense.replicas == mixture.replicas == 4


def test_the_checkpoint_decides_the_cache_where_a_row_does_not() -> None:
    def cache(model: str, quant: str, gpu: str = "b200_sxm_180") -> str:
        return case_of(parse_row({**PLAIN, "model": model, "weight_quant": quant, "gpu": gpu}), CATALOG).spec.kv_cache

    assert cache("meta-llama/Llama-3.1-70B-Instruct", "fp8") == "fp8"
    assert cache("meta-llama/Llama-3.1-70B-Instruct", "fp8", "a100_sxm_80") == "auto"
    assert cache("deepseek-ai/DeepSeek-R1", "fp8") == "auto"
    assert cache("deepseek-ai/DeepSeek-R1", "fp4") == "fp8"


STALLED = {**PLAIN, "ttft_ms_mean": "5000", "ttft_ms_p50": "400", "ttft_ms_p99": "70000", "tpot_ms_mean": "14",
           "tpot_ms_p50": "11", "output_tokens_per_s": "200"}  # fmt: skip


def test_a_run_with_a_stall_counts_by_its_medians() -> None:
    """A mean of 5 s beside a median of 0.4 s and a tail of 70 s: kernels were compiled while requests waited."""
    case = case_of(parse_row(STALLED), CATALOG)
    assert case.row.stalled
    assert measured_of(case.row) == {"tpot": 11.0, "ttft": 400.0}
    prediction = MedianEstimate(100.0, 90.0, 150.0, 190.0, 9.0, 8.0, 10.0, 11.0, 1500.0)
    found = {name: (predicted, measured) for name, predicted, measured in pairs_of(case, prediction)}
    assert found["ttft"] == (90.0, 400.0)
    assert found["tpot"] == (8.0, 11.0)
    assert found["throughput"] == pytest.approx((16 * 256e3 / (90 + 8 * 255), 16 * 256e3 / (400 + 11 * 255)))
    assert "ttft_p99" not in found


def test_throughput_is_compared_with_like() -> None:
    """Stated: the run's own, ramp and tail included. Derived from latencies: so is the prediction."""
    prediction = MedianEstimate(100.0, 90.0, 150.0, 190.0, 9.0, 8.0, 10.0, 11.0, 1500.0)
    means = {"ttft_ms_mean": "400", "tpot_ms_mean": "11"}
    stated = case_of(parse_row({**PLAIN, **means, "output_tokens_per_s": "1200"}), CATALOG)
    derived = case_of(parse_row({**PLAIN, **means}), CATALOG)
    assert throughputs(stated, prediction) == (1500.0, 1200.0)
    assert throughputs(derived, prediction) == pytest.approx(
        (16 * 256e3 / (100 + 9 * 255), 16 * 256e3 / (400 + 11 * 255))
    )


def test_more_requests_than_slots_have_a_band_of_their_own() -> None:
    cells = {**PLAIN, "input_tokens": "8000", "output_tokens": "1000"}
    few, many = (case_of(parse_row({**cells, "concurrency": n}), CATALOG) for n in ("8", "900"))
    assert beyond_slots([few, many]) == [False, True]
    rows = predict({**cells, "concurrency": "8"}, {**cells, "concurrency": "900"})
    widths = [float(row["pred_ttft_hi"]) / float(row["pred_ttft_lo"]) for row in rows]
    assert widths[1] > widths[0]
