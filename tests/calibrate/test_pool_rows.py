"""``predict`` of disaggregated rows: degrees of two pools, slots, what cannot run, how near published rows it is."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from optimizer.calibrate.pool_rows import describes_pools, pool_case
from optimizer.calibrate.scores import predict_table
from optimizer.catalog import default_root, load_catalog
from optimizer.performance import load_parameters

CATALOG = load_catalog()
PARAMS = load_parameters(default_root())
ROW = {
    "gpu": "gb200_186", "engine": "trtllm", "engine_version": "1.3.0", "model": "deepseek-ai/DeepSeek-V3",
    "weight_quant": "fp4", "input_tokens": "922", "output_tokens": "922", "length_low": "0.8", "concurrency": "48",
    "prefill_workers": "1", "prefill_tensor_parallel": "1", "prefill_attention_dp": "4",
    "prefill_expert_parallel": "4", "prefill_moe_tensor_parallel": "1", "decode_workers": "4",
    "decode_tensor_parallel": "8", "decode_attention_dp": "1", "decode_expert_parallel": "8",
    "decode_moe_tensor_parallel": "1",
}  # fmt: skip
"""A published shape: one prefill worker of four attention ranks, four decode workers of eight GPUs."""

DENSE = {
    "gpu": "h100_sxm_80", "engine": "vllm", "model": "meta-llama/Llama-3.1-8B-Instruct", "input_tokens": "1000",
    "output_tokens": "200", "concurrency": "8", "prefill_workers": "1", "prefill_tensor_parallel": "1",
    "decode_workers": "1", "decode_tensor_parallel": "1",
}  # fmt: skip


def predict(*rows: dict[str, str]) -> list[dict[str, str]]:
    header = list(dict.fromkeys(name for row in rows for name in row))
    text, _ = predict_table(header, [{name: row.get(name, "") for name in header} for row in rows], CATALOG, PARAMS)
    return list(csv.DictReader(io.StringIO(text)))


def error_of(change: dict[str, str], row: dict[str, str] = ROW) -> str:
    (found,) = predict({**row, **change})
    assert not found["pred_tpot_ms_mean"]
    return found["error"]


def test_a_published_row_is_met() -> None:
    """InferenceX, DeepSeek nvfp4 on GB200, 48 clients: TTFT 266 ms, TPOT 8.6 ms."""
    (row,) = predict(ROW)
    assert row["error"] == ""
    assert float(row["pred_tpot_ms_mean"]) == pytest.approx(8.6, rel=0.13)
    assert float(row["pred_ttft_ms_mean"]) == pytest.approx(266, rel=0.35)
    assert float(row["pred_tpot_lo"]) < float(row["pred_tpot_ms_mean"]) < float(row["pred_tpot_hi"])
    assert float(row["pred_ttft_ms_p50"]) <= float(row["pred_ttft_ms_p95"]) <= float(row["pred_ttft_ms_p99"])
    assert row["grade"] in ("A", "B", "C")


def test_a_dense_model_is_served_by_pools_too() -> None:
    (row,) = predict(DENSE)
    assert row["error"] == ""
    assert float(row["pred_output_tokens_per_s"]) > 0


def test_decoding_is_disturbed_by_no_prompt() -> None:
    """The same cards as two replicas of an aggregated server decode more slowly."""
    replicas = {name: value for name, value in DENSE.items() if not name.startswith(("prefill_", "decode_"))}
    pools, alone = predict({**DENSE, "concurrency": "64"}, {**replicas, "concurrency": "64", "start": "burst"})
    assert float(pools["pred_tpot_ms_mean"]) < float(alone["pred_tpot_ms_mean"])


def test_fewer_slots_than_clients_make_first_tokens_wait() -> None:
    """192 clients, 128 slots: published TTFT 4.79 s, TPOT 10.6 ms; the bands are those of replicas beyond slots."""
    many = {**ROW, "concurrency": "192"}
    free, few = predict(many, {**many, "decode_slots": "128"})
    assert float(few["pred_ttft_ms_mean"]) == pytest.approx(4790, rel=0.2)
    assert float(free["pred_ttft_ms_mean"]) < 800
    assert float(few["pred_tpot_ms_mean"]) == pytest.approx(10.64, rel=0.13)
    assert pool_case({**many, "decode_slots": "128"}, CATALOG).beyond_slots
    assert not pool_case(many, CATALOG).beyond_slots


def test_more_workers_never_make_it_slower() -> None:
    one, two = predict(*({**ROW, "concurrency": "256", "decode_workers": n} for n in ("2", "4")))
    assert float(two["pred_tpot_ms_mean"]) < float(one["pred_tpot_ms_mean"])
    one, two = predict(*({**ROW, "concurrency": "256", "prefill_workers": n} for n in ("1", "4")))
    assert float(two["pred_ttft_ms_mean"]) < float(one["pred_ttft_ms_mean"])


def test_the_engine_version_of_a_dynamo_tag_is_the_engine_that_it_holds() -> None:
    """TensorRT-LLM 0.8 is of 2024 and has no pools; NVIDIA Dynamo 0.8 holds TensorRT-LLM 1.3."""
    tag, own = predict({**ROW, "engine_version": "0.8.1.post2"}, {**ROW, "engine_version": "1.2.0"})
    assert tag["pred_tpot_ms_mean"] == own["pred_tpot_ms_mean"]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"decode_expert_parallel": "4"}, "expert_parallel 4 x moe_tensor_parallel 1"),
        ({"prefill_attention_dp": "3"}, "expert_parallel 4 x moe_tensor_parallel 1 is not tp 1 x attention_dp 3"),
        ({"gpu_count": "32"}, "gpu_count 32 is not 1 x 4 prefill and 4 x 8 decode GPUs, 36 in all"),
        ({"prefill_workers": ""}, "prefill_workers is not stated"),
        ({"decode_tensor_parallel": ""}, "decode_tensor_parallel is not stated"),
        ({"decode_workers": "1.5"}, "decode_workers must be a whole number"),
        ({"tp": "4"}, "of pools state prefill_* and decode_* columns"),
        ({"prefill_kv_cache": "auto", "decode_kv_cache": "fp8"}, "a cache is sent as it stands"),
        ({"load": "offline"}, "closed_loop and open_loop"),
        ({"router": "sticky"}, "without a router"),
        ({"prefill_tensor_parallel": "2", "prefill_attention_dp": "2"}, "attention data parallelism on every GPU"),
        ({"decode_gpu": "gb300"}, "unknown gpu"),
        ({"decode_slots": "0"}, "decode_slots must be a whole number"),
    ],
)
def test_what_does_not_multiply_out_or_cannot_run_is_an_error(change: dict[str, str], names: str) -> None:
    assert names in error_of(change)


def test_a_stated_number_of_cards_that_is_right_is_accepted() -> None:
    (row,) = predict({**ROW, "gpu_count": "36"})
    assert row["error"] == ""


def test_cards_without_a_fabric_hand_over_inside_a_node_only() -> None:
    geforce = {**DENSE, "gpu": "rtx_4090_24"}
    (inside,) = predict(geforce)
    assert inside["error"] == ""
    assert "no fabric" in error_of({"decode_workers": "8"}, geforce)
    assert "no fabric" in error_of({"prefill_gpu": "l40s_48"}, geforce)


def test_pools_of_unlike_cards_are_predicted() -> None:
    like, unlike = predict(DENSE, {**DENSE, "prefill_gpu": "l40s_48"})
    assert unlike["error"] == ""
    assert float(unlike["pred_ttft_ms_mean"]) > float(like["pred_ttft_ms_mean"])
    assert float(unlike["pred_tpot_ms_mean"]) == pytest.approx(float(like["pred_tpot_ms_mean"]), rel=0.05)


def test_weights_that_exceed_a_pools_memory_are_an_error() -> None:
    small = {"engine": "vllm", "prefill_gpu": "l40s_48", "prefill_weight_quant": "fp8", "kv_cache": "fp8"}
    assert "does not fit" in error_of(small)


def test_open_loop_and_a_staggered_start() -> None:
    arrivals = {"load": "open_loop", "request_rate": "2", "concurrency": ""}
    poisson, steady = predict({**DENSE, **arrivals}, {**DENSE, "start": "steady"})
    assert poisson["error"] == steady["error"] == ""
    assert float(poisson["pred_output_tokens_per_s"]) == pytest.approx(400, rel=0.25)


def test_rows_that_state_nothing_of_pools_are_none() -> None:
    assert describes_pools({"decode_slots": "4"})
    assert not describes_pools({"decode_slots": " ", "prefill_workers": "", "tp": "8"})


def test_published_rows_as_a_whole(tmp_path: Path) -> None:
    """Every fifth published row: medians within what is claimed of rows that no fit saw."""
    source = Path(__file__).parents[2] / "data" / "disaggregated.csv"
    with source.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if float(row["concurrency"]) <= 300][::5]
    degrees = ("tensor_parallel", "attention_dp", "expert_parallel", "moe_tensor_parallel")
    for row in rows:
        row |= {f"{pool}_{name}": row[f"repaired_{pool}_{name}"] for pool in ("prefill", "decode") for name in degrees}
    found = predict(*rows)
    assert not [row["error"] for row in found if row["error"]]
    off = sorted(abs(float(row["pred_tpot_ms_mean"]) / float(row["tpot_ms_mean"]) - 1) for row in found)
    assert off[len(off) // 2] < 0.13
