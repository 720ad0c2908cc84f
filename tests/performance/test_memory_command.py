"""``optimize memory``: what a user reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from optimizer.commands.memory import command
from optimizer.errors import UsageError

CONFIGS = Path(__file__).parents[2] / "data" / "configs"
LLAMA = "meta-llama/Llama-3.1-70B-Instruct"


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_text_fits_100_columns_and_says_what_misleads() -> None:
    text = _run(LLAMA, "--gpu", "rtx_4090_24", "--context", "16384", "--quant", "int4", "--tp", "2")
    assert max(map(len, text.splitlines())) <= 100
    assert "Does not fit 2 x rtx_4090_24" in text
    assert "It does not start, because one request of 16,384 tokens needs" in text
    assert "327,680 bytes" in text
    assert "381.5 times too much" in text


def test_json_is_complete_and_adds_up() -> None:
    told = json.loads(
        _run(LLAMA, "--gpu", "h100_sxm_80", "--context", "8192", "--users", "32", "--tp", "4", "--format", "json")
    )
    per_gpu = told["per_gpu_bytes"]
    parts = sum(per_gpu[key] for key in ("weights", "kv_cache", "activations", "overhead"))
    assert parts == pytest.approx(per_gpu["total"])
    assert told["fits"] is (per_gpu["total"] <= per_gpu["usable"])
    assert told["kv"]["bytes_per_request"] / 1e9 == pytest.approx(2.68, abs=0.005)
    assert sum(part["bytes"] for part in told["weights"]) == pytest.approx(told["weights_bytes"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("llama-3.1-70b", "--gpu", "h100_sxm_80", "--context", "8192"), "did you mean"),
        ((LLAMA, "--gpu", "h100", "--context", "8192"), "did you mean h100"),
        ((LLAMA, "--gpu", "v100_sxm_32", "--context", "8192", "--quant", "fp8"), "compute capability"),
        ((LLAMA, "--gpu", "h100_sxm_80", "--context", "8192", "--tp", "3"), "does not divide"),
        ((LLAMA, "--gpu", "h100_sxm_80", "--context", "999999"), "stops at"),
        ((LLAMA, "--gpu", "h100_sxm_80", "--context", "8192", "--quant", "int3"), "unknown weight format"),
        ((LLAMA, "--gpu", "a100_sxm_80", "--context", "8192", "--kv", "fp8"), "fp8 KV"),
        ((LLAMA, "--gpu", "h100_sxm_80", "--context", "8192", "--kv", "nvfp4"), "recovery no source states"),
        ((LLAMA, "--gpu", "h100_sxm_80", "--context", "8192", "--kv", "int3"), "not a KV cache; there are auto, fp8"),
        ((LLAMA, "--gpu", "mi300x_192", "--context", "8192", "--engine", "trtllm"), "does not run on"),
    ],
)
def test_refusals_say_why(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CliRunner().invoke(command, list(arguments), catch_exceptions=False)


def test_json_compares_with_a_start_up_log() -> None:
    """vLLM 0.11 on one H100 (llm-d-planner, 2026-04-01): gpt-oss-20b with 13.47 GiB of weights has 50.28 for KV."""
    told = json.loads(
        _run("openai/gpt-oss-20b", "--gpu", "h100_sxm_80", "--context", "16000", "--engine-version", "0.11.0",
             "--format", "json")
    )  # fmt: skip
    assert (told["max_num_seqs"], told["max_num_batched_tokens"]) == (1024, 8192)
    per_gpu = told["per_gpu"]
    assert per_gpu["total_gib"] == pytest.approx(79.18, abs=0.01)
    assert per_gpu["usable_gib"] == pytest.approx(0.9 * 79.18, abs=0.01)
    assert per_gpu["weights_gib"] == pytest.approx(13.47, rel=0.03)
    assert per_gpu["kv_gib"] == pytest.approx(50.28, rel=0.01)
    assert per_gpu["peak_activation_gib"] == pytest.approx(7.38, rel=0.03)
    assert (told["starts"], told["reason"], told["least_change"]) == (True, None, None)


def test_what_does_not_start_says_the_least_change() -> None:
    """The same source: a 70B in fp8 on one H100 has -1.44 GiB for KV with the default of 1,024 sequences."""
    flags = ("--gpu", "h100_sxm_80", "--context", "4096", "--quant", "fp8", "--engine-version", "0.11.0")
    told = json.loads(_run("meta-llama/Llama-3.3-70B-Instruct", *flags, "--format", "json"))
    assert told["starts"] is False
    assert told["per_gpu"]["kv_gib"] == pytest.approx(-1.44, abs=0.3)
    assert "no room for the KV cache" in told["reason"]
    option, number = told["least_change"].split()
    assert option == "--max-num-seqs"
    smaller = json.loads(
        _run("meta-llama/Llama-3.3-70B-Instruct", *flags, "--max-num-seqs", number, "--format", "json")
    )
    one_more = json.loads(
        _run("meta-llama/Llama-3.3-70B-Instruct", *flags, "--max-num-seqs", str(int(number) + 1), "--format", "json")
    )
    assert (smaller["starts"], one_more["starts"]) == (True, False)


def test_the_longest_context_that_fits_is_named() -> None:
    flags = ("--tp", "2", "--context", "131072", "--gpu-memory-utilization", "0.98", "--max-num-seqs", "256")
    model = "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B"
    told = json.loads(_run(model, "--gpu", "rtx_4090_24", *flags, "--engine-version", "0.7.3", "--format", "json"))
    option, context = told["least_change"].split()
    assert option == "--context"
    assert int(context) == pytest.approx(81_536, rel=0.15)  # as the engine said when it refused


def test_hybrid_models_are_bound_by_their_states() -> None:
    told = json.loads(
        _run("Qwen/Qwen3.6-27B", "--gpu", "h100_sxm_80", "--context", "131072", "--engine-version", "0.25.1",
             "--format", "json")
    )  # fmt: skip
    assert told["starts"] is False
    assert "blocks for the state" in told["reason"]
    assert told["least_change"].startswith("--max-num-seqs ")


def test_without_a_card_only_the_model_is_told() -> None:
    told = json.loads(_run(str(CONFIGS / "moonshotai--Kimi-K2.5"), "--format", "json"))
    assert list(told) == ["model"]
    assert told["model"]["weight_format"] == "int4"
    assert told["model"]["total_params"] == pytest.approx(1026408232448, rel=1e-6)
    assert told["model"]["kv_bytes_per_token_16bit"] == 70272
    assert told["model"]["context_limit"] == 262144
    assert "encoder" in told["model"]["notes"]
    assert "context limit" in _run(str(CONFIGS / "moonshotai--Kimi-K2.5" / "config.json"))


def test_layers_for_speculation_are_loaded_only_if_used() -> None:
    """The files of DeepSeek-V3 hold 688.59 GB: with the layer for speculation, its own embedding and head beside."""
    model = str(CONFIGS / "deepseek-ai--DeepSeek-V3")
    without = json.loads(_run(model, "--format", "json"))["model"]["bytes_as_loaded"]
    used = json.loads(_run(model, "--speculative", "mtp", "--format", "json"))["model"]["bytes_as_loaded"]
    assert without / 1e9 == pytest.approx(673.15, rel=1e-3)
    assert used / 1e9 == pytest.approx(688.59 - 4 * 0.927, rel=2e-3)
    facts = json.loads(_run(model, "--format", "json"))["model"]
    published = facts["total_params"] + facts["params_for_speculation"]
    assert published / 1e9 == pytest.approx(684.5 - 2 * 0.927, rel=1e-3)  # the files hold embedding and head twice
    assert json.loads(_run(LLAMA, "--format", "json"))["model"]["params_for_speculation"] is None
    wide = str(CONFIGS / "nvidia--Qwen3.6-27B-NVFP4")  # its mtp layers are excluded from quantization: 16 bit
    plain = json.loads(_run(wide, "--format", "json"))["model"]["bytes_as_loaded"]
    more = json.loads(_run(wide, "--speculative", "mtp", "--format", "json"))["model"]["bytes_as_loaded"]
    assert (more - plain) / 1e9 == pytest.approx(0.85, rel=0.05)
    with pytest.raises(UsageError, match="no layers for speculation are known"):
        CliRunner().invoke(command, [LLAMA, "--speculative", "mtp"], catch_exceptions=False)


def test_attention_ranks_keep_their_own_attention_and_share_the_experts() -> None:
    """Eight H200 with DeepSeek-V4-Pro: 125.65 GB a card are reported, which eight attention ranks explain, not TP8."""
    flags = ("deepseek-ai/DeepSeek-V4-Pro", "--gpu", "h200_sxm_141", "--context", "9216", "--format", "json")
    ranks = json.loads(_run(*flags, "--attention-dp", "8", "--expert-parallel", "8"))
    split = json.loads(_run(*flags, "--tp", "8"))
    assert ranks["gpus"] == split["gpus"] == 8
    assert ranks["per_gpu"]["weights_gib"] == pytest.approx(125.65, rel=0.03)
    assert split["per_gpu"]["weights_gib"] < 110


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((LLAMA, "--gpu", "h100_sxm_80", "--context", "8192", "--attention-dp", "2"), "no routed experts"),
        (
            ("Qwen/Qwen3-30B-A3B", "--gpu", "h100_sxm_80", "--context", "8192", "--tp", "2", "--expert-parallel", "3"),
            "does not divide tp 2 x attention_dp 1",
        ),
        ((LLAMA, "--quant", "int3"), "unknown weight format"),
        (("Qwen/Qwen3-8B", "--gpu", "h100_sxm_80", "--context", "100000"), "to 131,072 by YaRN.*--hf-overrides"),
    ],
)
def test_degrees_and_formats_are_checked(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CliRunner().invoke(command, list(arguments), catch_exceptions=False)


def test_what_an_engine_refuses_whatever_the_memory() -> None:
    """vLLM takes no more sequences than tokens of a step, and no share that the driver's context has no room beside."""
    flags = (LLAMA.replace("70B", "8B"), "--gpu", "h100_sxm_80", "--context", "8192", "--format", "json")
    many = json.loads(_run(*flags, "--max-num-batched-tokens", "512", "--max-num-seqs", "513"))
    assert (many["starts"], many["least_change"]) == (False, "--max-num-seqs 512")
    assert json.loads(_run(*flags, "--max-num-batched-tokens", "512", "--max-num-seqs", "512"))["starts"]
    lowered = json.loads(_run(*flags, "--max-num-batched-tokens", "512"))
    assert (lowered["starts"], lowered["max_num_seqs"]) == (True, 512)
    for engine in ("vllm", "sglang"):
        whole = json.loads(_run(*flags, "--engine", engine, "--gpu-memory-utilization", "1.0"))
        assert whole["starts"] is False
        option, share = whole["least_change"].split()
        assert option == "--gpu-memory-utilization"
        assert json.loads(_run(*flags, "--engine", engine, option, share))["starts"]
    assert json.loads(_run(*flags, "--gpu-memory-utilization", "1.0", "--engine-version", "0.7.3"))["starts"]


def test_a_short_version_is_the_same_release_and_a_word_is_none() -> None:
    flags = ("openai/gpt-oss-20b", "--gpu", "h100_sxm_80", "--context", "16000", "--format", "json")
    short, whole = (json.loads(_run(*flags, "--engine-version", version)) for version in ("0.11", "0.11.0"))
    assert short["per_gpu"] == whole["per_gpu"]
    assert short["max_num_seqs"] == whole["max_num_seqs"] == 1024
    with pytest.raises(UsageError, match="'latest' is none"):
        CliRunner().invoke(command, [*flags, "--engine-version", "latest"], catch_exceptions=False)


def test_a_cache_that_the_checkpoint_asks_for_is_never_replaced_in_silence(tmp_path: Path) -> None:
    source = CONFIGS / "RedHatAI--Llama-3.3-70B-Instruct-FP8-dynamic" / "config.json"
    config = json.loads(source.read_text(encoding="utf-8"))
    config["quantization_config"]["kv_cache_scheme"] = {"num_bits": 8, "type": "float"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    flags = (str(tmp_path), "--tp", "4", "--context", "8192", "--format", "json")
    assert json.loads(_run(*flags, "--gpu", "h100_sxm_80"))["kv_cache"] == "fp8"
    with pytest.raises(UsageError, match="asks for a KV cache of fp8: fp8 KV needs"):
        CliRunner().invoke(command, [*flags, "--gpu", "a100_sxm_80"], catch_exceptions=False)
    assert json.loads(_run(*flags, "--gpu", "a100_sxm_80", "--kv", "auto"))["kv_cache"] == "auto"
    config["quantization_config"]["kv_cache_scheme"]["num_bits"] = 4
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="asks for a KV cache of nvfp4"):
        CliRunner().invoke(command, [*flags, "--gpu", "h100_sxm_80"], catch_exceptions=False)
