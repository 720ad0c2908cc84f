"""``optimize memory``: what a user reads."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from optimizer.commands.memory import command
from optimizer.errors import UsageError

LLAMA = "meta-llama/Llama-3.1-70B-Instruct"


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_text_fits_100_columns_and_says_what_misleads() -> None:
    text = _run(LLAMA, "--gpu", "rtx_4090_24", "--context", "16384", "--quant", "int4", "--tp", "2")
    assert max(map(len, text.splitlines())) <= 100
    assert "Does not fit 2 x rtx_4090_24" in text
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
        ((LLAMA, "--gpu", "mi300x_192", "--context", "8192", "--engine", "trtllm"), "does not run on"),
    ],
)
def test_refusals_say_why(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CliRunner().invoke(command, list(arguments), catch_exceptions=False)
