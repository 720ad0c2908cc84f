"""``predict``: columns of degrees, copies that have nothing to do, rows that cannot run, catalogs of the user's own."""

from __future__ import annotations

import csv
import io
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.calibrate.benchmark_results import parse_row
from optimizer.calibrate.forward import loads_of
from optimizer.calibrate.rows import case_of
from optimizer.calibrate.scores import predict_table
from optimizer.catalog import default_root, load_catalog
from optimizer.commands import cli
from optimizer.performance import load_parameters, weight_quants

CATALOG = load_catalog()
PARAMS = load_parameters(default_root())
PLAIN = {
    "gpu": "h100_sxm_80", "model": "meta-llama/Llama-3.1-8B-Instruct", "input_tokens": "1000", "output_tokens": "300",
    "concurrency": "1", "engine": "vllm", "start": "burst",
}  # fmt: skip
MIXTURE = {**PLAIN, "model": "Qwen/Qwen3-235B-A22B", "weight_quant": "fp8", "gpu": "h200_sxm_141", "tp": "4"}
FIGURES = ("pred_ttft_ms_mean", "pred_ttft_ms_p99", "pred_tpot_ms_mean", "pred_output_tokens_per_s")


def predict(*rows: dict[str, str]) -> list[dict[str, str]]:
    header = list(dict.fromkeys(name for row in rows for name in row))
    text, _ = predict_table(header, [{name: row.get(name, "") for name in header} for row in rows], CATALOG, PARAMS)
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("load", ["closed_loop", "static_batch", "offline"])
@pytest.mark.parametrize("degree", ["dp", "replicas"])
def test_copies_without_a_request_do_nothing(degree: str, load: str) -> None:
    start = {"start": ""} if load == "offline" else {}
    one, eight = predict({**PLAIN, "load": load, **start}, {**PLAIN, "load": load, **start, degree: "8"})
    assert [one[name] for name in FIGURES] == [eight[name] for name in FIGURES]


def test_requests_are_dealt_out_evenly() -> None:
    case = case_of(parse_row({**PLAIN, "replicas": "4", "concurrency": "11"}), CATALOG)
    assert loads_of(case) == [(1, 2), (3, 3)]
    assert sum(copies * held for copies, held in loads_of(case)) == 11


def test_more_copies_never_serve_less_and_more_requests_never_come_back_faster() -> None:
    rows = predict(*({**PLAIN, "replicas": "4", "concurrency": str(n)} for n in (1, 2, 3, 4, 5, 7, 8, 9, 12)))
    speeds = [float(row["pred_output_tokens_per_s"]) for row in rows]
    tpots = [float(row["pred_tpot_ms_mean"]) for row in rows]
    assert speeds == sorted(speeds)
    assert all(later >= before * 0.999 for before, later in pairwise(tpots))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({**MIXTURE, "dp": "2"}, "state replicas"),
        ({**MIXTURE, "tp": "4", "expert_parallel": "2"}, "deals the experts to all 4 GPUs"),
        ({**MIXTURE, "attention_dp": "2", "engine": "tgi"}, "no such option"),
        ({**MIXTURE, "overlap": "on"}, "two-batch overlap needs"),
        ({**MIXTURE, "overlap": "maybe"}, "overlap must be one of"),
        ({**MIXTURE, "attention_dp": "2", "expert_parallel": "4", "moe_tensor_parallel": "4"}, "expert_parallel 4 x"),
        ({**MIXTURE, "attention_dp": "2", "gpu_count": "4"}, "gpu_count 4"),
        ({**MIXTURE, "replicas": "2", "gpu_count": "4"}, "gpu_count 4"),
        ({**MIXTURE, "speculative": "mtp"}, "speculative"),
        ({**PLAIN, "attention_dp": "2"}, "no routed experts"),
        ({**PLAIN, "replicas": "2", "gpu_count": "1"}, "gpu_count 1"),
        ({**PLAIN, "replicas": "0"}, "whole number"),
        ({**PLAIN, "gpu_memory_utilization": "1.2"}, "at most 1"),
        ({**PLAIN, "speculative": "medusa"}, "speculative must be one of"),
    ],
)
def test_degrees_that_contradict_or_are_not_modelled_are_errors(change: dict[str, str], says: str) -> None:
    row = predict(change)[0]
    assert says in row["error"], row["error"]
    assert not row["pred_tpot_ms_mean"] and not row["grade"]


def test_a_mixture_states_what_its_copies_share() -> None:
    separate = case_of(parse_row({**MIXTURE, "replicas": "2"}), CATALOG)
    sharing = case_of(parse_row({**MIXTURE, "attention_dp": "2"}), CATALOG)
    assert (separate.replicas, separate.spec.attention_dp) == (2, 1)
    assert (sharing.replicas, sharing.spec.attention_dp) == (2, 2)
    rows = predict({**MIXTURE, "replicas": "2", "gpu_count": "8"}, {**MIXTURE, "attention_dp": "2", "gpu_count": "8"})
    assert not any(row["error"] for row in rows)


def test_settings_of_the_engine_are_taken_from_the_row() -> None:
    stated = {"max_num_seqs": "8", "max_num_batched_tokens": "512", "gpu_memory_utilization": "0.5"}
    spec = case_of(parse_row({**PLAIN, **stated}), CATALOG).spec
    assert (spec.max_num_seqs, spec.max_num_batched_tokens, spec.gpu_memory_utilization) == (8, 512, 0.5)


@pytest.mark.parametrize(
    ("gpu", "quant", "engine"),
    [
        ("v100_sxm_32", "fp8", "vllm"),
        ("b200_sxm_180", "int8", "vllm"),
        ("mi300x_192", "int8", "vllm"),
        ("t4_16", "fp8", "vllm"),
        ("t4_16", "fp8", "somebody's own"),
        ("a100_sxm_80", "nvfp4", "sglang"),
        ("mi300x_192", "bf16", "trtllm"),
        ("l40s_48", "nvfp4", "tgi"),
    ],
)
def test_what_cannot_run_is_an_error_and_not_a_grade(gpu: str, quant: str, engine: str) -> None:
    row = predict({**PLAIN, "gpu": gpu, "weight_quant": quant, "engine": engine})[0]
    assert row["error"] and not row["grade"] and not row["pred_ttft_ms_mean"]


def test_an_fp8_cache_needs_a_card_that_has_it() -> None:
    row = predict({**PLAIN, "gpu": "a100_sxm_80", "kv_cache": "fp8"})[0]
    assert "fp8 KV" in row["error"]


def test_predict_answers_exactly_where_plans_may_be_made() -> None:
    model, engine = CATALOG.models[PLAIN["model"]], CATALOG.engines["vllm"]
    cells = [(gpu, quant) for gpu in CATALOG.gpus.values() for quant in ("bf16", "fp8", "int8", "int4", "nvfp4")]
    rows = predict(*({**PLAIN, "gpu": gpu.id, "weight_quant": quant, "output_tokens": "2"} for gpu, quant in cells))
    for (gpu, quant), row in zip(cells, rows, strict=True):
        refused = quant not in weight_quants(gpu, model, engine)
        assert bool(row["error"]) == refused or "does not fit" in row["error"], (gpu.id, quant, row["error"])


def test_catalogs_of_the_users_own_bring_their_parameters_kernels_and_bands(tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    rows.write_text(",".join(PLAIN) + "\n" + ",".join(PLAIN.values()) + "\n", encoding="utf-8")

    def run(root: Path | None) -> dict[str, str]:
        given = [] if root is None else ["--catalogs", str(root)]
        result = CliRunner().invoke(cli, ["predict", str(rows), "-o", str(out), *given])
        assert result.exit_code == 0, result.output
        return next(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))

    packaged, found = run(None), {}
    for folder, name, old, new in (
        ("performance", "parameters.csv", "slowdown,gpu:h100_sxm_80,", "slowdown,gpu:h100_sxm_80,1.5;"),
        ("kernels", "gemm.csv", "h100_sxm_80,bf16,", "h100_sxm_80,bf16,0.3;"),
        ("performance", "bands.csv", "tpot,vllm,A,", "tpot,vllm,A,0.1;"),
    ):
        root = tmp_path / name / "catalogs"
        (root / folder).mkdir(parents=True)
        shutil.copy(default_root() / folder / name, root / folder / name)
        text = (root / folder / name).read_text(encoding="utf-8")
        line = next(line for line in text.splitlines() if line.startswith(old))
        value, rest = new.removeprefix(old).rstrip(";"), line.removeprefix(old).split(",", 1)[1]
        (root / folder / name).write_text(text.replace(line, f"{old}{value},{rest}"), encoding="utf-8")
        found[name] = run(root)
    assert float(found["parameters.csv"]["pred_tpot_ms_mean"]) > 1.2 * float(packaged["pred_tpot_ms_mean"])
    assert float(found["gemm.csv"]["pred_tpot_ms_mean"]) > 1.2 * float(packaged["pred_tpot_ms_mean"])
    assert found["bands.csv"]["pred_tpot_ms_mean"] == packaged["pred_tpot_ms_mean"]
    assert float(found["bands.csv"]["pred_tpot_lo"]) < 0.5 * float(packaged["pred_tpot_lo"])


@pytest.mark.parametrize(("p95", "refused"), [("3.8", False), ("3.9", True)])
def test_lengths_that_no_lognormal_has_are_an_error_and_no_figure(p95: str, refused: bool) -> None:
    """A run of lengths as counted (tokens.histogram) may spread wider than a row of a mean and a p95 can say."""
    output = float(PLAIN["output_tokens"])
    (row,) = predict({**PLAIN, "output_p95": f"{float(p95) * output:g}", "router": "round_robin"})
    assert ("output_p95" in row["error"]) is refused
    assert (row["pred_tpot_ms_mean"] == "") is refused
