"""Speculative decoding: tokens out of a step, what a step of drafts costs and holds, rows that state too little."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from optimizer.calibrate.scores import predict_table
from optimizer.catalog import default_root, load_catalog
from optimizer.performance import load_parameters
from optimizer.performance.memory import memory_table
from optimizer.performance.replicas import coefficients
from optimizer.performance.speculation import (
    Speculation,
    acceptance_of,
    draft_quant,
    eagle3_head,
    mtp_layer,
    tokens_per_step,
)
from optimizer.performance.step import step_seconds
from optimizer.performance.types import ReplicaSpec

CATALOG = load_catalog()
PARAMS = load_parameters(default_root())
DEEPSEEK = CATALOG.models["deepseek-ai/DeepSeek-R1"]
LLAMA = CATALOG.models["meta-llama/Llama-3.1-8B-Instruct"]
ROW = {
    "gpu": "b200_sxm_180", "model": "deepseek-ai/DeepSeek-R1", "engine": "sglang", "weight_quant": "fp8", "tp": "8",
    "input_tokens": "922", "output_tokens": "922", "concurrency": "16", "start": "burst",
}  # fmt: skip
MTP = {**ROW, "speculative": "mtp", "speculative_tokens": "3", "acceptance": "0.6"}


def spec(speculation: Speculation | None = None, d: int = 1) -> ReplicaSpec:
    card = CATALOG.gpus["b200_sxm_180"]
    return ReplicaSpec(
        gpu=card, model=DEEPSEEK, engine=CATALOG.engines["sglang"], weight_quant="fp8", kv_cache="auto",
        tensor_parallel=8 // d, pipeline_parallel=1, link=card.link, gpu_memory_utilization=0.9, max_num_seqs=256,
        max_num_batched_tokens=8192, max_model_len=4096, attention_dp=d, expert_parallel=d, speculation=speculation,
    )  # fmt: skip


def drafting(tokens: int = 3, acceptance: float = 0.6) -> Speculation:
    return Speculation("mtp", tokens, acceptance, mtp_layer(DEEPSEEK))


def step(one: ReplicaSpec, batch: float, context: float = 1000.0) -> float:
    return float(step_seconds(coefficients([one], PARAMS).row(0), batch, batch * context, 0.0, 0.0))


def predict(*rows: dict[str, str]) -> list[dict[str, str]]:
    header = list(dict.fromkeys(name for row in rows for name in row))
    text, _ = predict_table(header, [{name: row.get(name, "") for name in header} for row in rows], CATALOG, PARAMS)
    return list(csv.DictReader(io.StringIO(text)))


def test_a_step_yields_one_token_and_every_draft_that_is_accepted_in_a_row() -> None:
    assert tokens_per_step(0.6, 3) == pytest.approx(1 + 0.6 + 0.36 + 0.216)
    assert tokens_per_step(0.0, 8) == 1.0
    assert tokens_per_step(1.0, 4) == 5.0
    assert acceptance_of(tokens_per_step(0.71, 5), 5) == pytest.approx(0.71, abs=1e-6)


def test_without_speculation_a_step_is_what_it_was() -> None:
    c = coefficients([spec()], PARAMS).row(0)
    assert (c.drafted, c.draft_fixed, c.draft_sequence, c.draft_kv_token) == (0.0, 0.0, 0.0, 0.0)


def test_the_cache_is_read_once_for_all_tokens_of_a_step() -> None:
    """Longer contexts add as much to a step with drafts as to one without, and the draft's own layer of 61 for each."""
    read = [step(one, 8, 30_000) - step(one, 8, 10_000) for one in (spec(), spec(drafting()))]
    assert read[0] < read[1] < 1.2 * read[0]


def test_attention_that_computes_does_so_for_every_token_of_a_step() -> None:
    """All 128 heads of latent attention on one GPU are bound by arithmetic: four tokens take four times as long."""
    computed = [step(one, 8, 30_000) - step(one, 8, 10_000) for one in (spec(d=8), spec(drafting(), d=8))]
    assert computed[1] == pytest.approx(4 * computed[0], rel=0.1)


def test_a_step_with_drafts_lasts_longer_and_less_so_per_token() -> None:
    plain, drafted = step(spec(), 16), step(spec(drafting()), 16)
    assert plain < drafted < tokens_per_step(0.6, 3) * plain
    deeper = [step(spec(drafting(tokens)), 16) for tokens in (1, 2, 3, 5)]
    assert deeper == sorted(deeper)


def test_drafts_do_not_pay_where_the_batch_fills_the_arithmetic() -> None:
    """One token at a time, three drafts are worth their price; at 4,000 sequences of few tokens they are not."""
    gain = [step(spec(), n, 100.0) * tokens_per_step(0.35, 3) / step(spec(drafting()), n, 100.0) for n in (1.0, 4000.0)]
    assert gain[0] > 1.05
    assert gain[1] < 1.0


def test_what_drafts_is_loaded_and_keeps_a_cache_of_its_own() -> None:
    """DeepSeek's prediction layer: one of 61 layers, 11.5 GB of fp8 experts and attention, on every GPU its share."""
    plain, drafted = memory_table([spec()]), memory_table([spec(drafting())])
    added = 8 * float(drafted.weights[0] - plain.weights[0]) / 1e9
    assert 11 < added < 14
    assert float(drafted.kv.per_token[0]) == pytest.approx(float(plain.kv.per_token[0]) * 62 / 61, rel=1e-6)


def test_an_eagle3_head_is_as_large_as_published_ones() -> None:
    """yuhuili/EAGLE3-LLaMA3.1-Instruct-8B: 0.85 GB at 16 bit, about 0.42 billion parameters."""
    assert eagle3_head(LLAMA).total_params == pytest.approx(0.42e9, rel=0.15)
    assert draft_quant(Speculation("eagle3", 3, 0.6, eagle3_head(LLAMA)), "fp8") == "bf16"
    assert draft_quant(drafting(), "fp8") == "fp8"
    assert draft_quant(drafting(), "nvfp4") == "bf16"


def test_predict_counts_tokens_not_steps() -> None:
    plain, drafted = predict(ROW, MTP)
    assert plain["error"] == drafted["error"] == ""
    assert float(drafted["pred_tpot_ms_mean"]) < float(plain["pred_tpot_ms_mean"])
    rate = float(drafted["pred_output_tokens_per_s"])
    assert rate > float(plain["pred_output_tokens_per_s"])
    seconds = (float(drafted["pred_ttft_ms_mean"]) + 921 * float(drafted["pred_tpot_ms_mean"])) / 1e3
    assert rate == pytest.approx(16 * 922 / seconds, rel=0.15)


def test_more_acceptance_is_never_slower() -> None:
    tpots = [
        float(row["pred_tpot_ms_mean"]) for row in predict(*({**MTP, "acceptance": a} for a in ("0", "0.4", "0.8")))
    ]
    assert tpots == sorted(tpots, reverse=True)


def test_acceptance_that_is_not_stated_is_that_of_the_task() -> None:
    task = {**MTP, "acceptance": "", "task": "code"}
    (by_task,) = predict(task)
    known = next(fact for fact in CATALOG.drafts if (fact.model, fact.method, fact.task) == ("", "mtp", "code"))
    (stated,) = predict({**MTP, "acceptance": str(known.acceptance)})
    assert by_task["pred_tpot_ms_mean"] == stated["pred_tpot_ms_mean"]
    assert known.source


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"acceptance": ""}, "needs acceptance (0 to 1), or a task"),
        ({"acceptance": "", "task": "poetry"}, "or a task: code, random"),
        ({"acceptance": "1.2"}, "acceptance has to be at most 1"),
        ({"speculative_tokens": ""}, "needs speculative_tokens"),
        ({"speculative_tokens": "0"}, "speculative_tokens must be a whole number"),
        ({"speculative": ""}, "speculative is not"),
        ({"speculative": "medusa"}, "speculative must be one of none, mtp, eagle3, draft"),
        ({"model": "meta-llama/Llama-3.1-8B-Instruct", "tp": "1"}, "no layers for multi-token prediction are known"),
        ({"speculative": "draft"}, "needs draft_model"),
        ({"speculative": "draft", "draft_model": "Qwen/Qwen3-0.6B"}, "different vocabularies"),
    ],
)
def test_rows_that_state_too_little_are_errors(change: dict[str, str], names: str) -> None:
    (row,) = predict({**MTP, **change})
    assert names in row["error"]
    assert not row["pred_tpot_ms_mean"]


def test_a_small_model_drafts_for_a_large_one() -> None:
    large = {**ROW, "model": "Qwen/Qwen3-32B", "weight_quant": "bf16", "tp": "2", "concurrency": "1", "engine": "vllm"}
    drafts = {"speculative": "draft", "draft_model": "Qwen/Qwen3-0.6B", "speculative_tokens": "3", "acceptance": "0.7"}
    plain, drafted = predict(large, {**large, **drafts})
    assert drafted["error"] == ""
    assert float(drafted["pred_tpot_ms_mean"]) < float(plain["pred_tpot_ms_mean"])


def test_pools_draft_where_tokens_are_written() -> None:
    pools = {
        **{name: value for name, value in ROW.items() if name != "tp"}, "prefill_workers": "1",
        "prefill_tensor_parallel": "8", "decode_workers": "1", "decode_tensor_parallel": "8",
    }  # fmt: skip
    drafts = {name: value for name, value in MTP.items() if name not in ROW}
    plain, drafted = predict(pools, {**pools, **drafts})
    assert drafted["error"] == ""
    assert float(drafted["pred_tpot_ms_mean"]) < float(plain["pred_tpot_ms_mean"])


def test_speculation_is_part_of_a_specification() -> None:
    assert replace(spec(drafting()), speculation=None) == spec()
