"""What sizing guides say of memory, beside what the bill says: their arithmetic by hand."""

from __future__ import annotations

import pytest

from optimizer.performance.memory_statement import rules_of_thumb

LLAMA = "meta-llama/Llama-3.1-70B-Instruct"


def test_rules_of_sizing_guides_by_hand(make) -> None:
    spec = make("h200_sxm_141", LLAMA, "fp8", tp=2)
    params, per_user, context, users = spec.model.total_params, 327_680.0 * 4096, 4096, 10
    said = {one.name: one.says for one in rules_of_thumb(spec, 72e9, per_user, context, users)}
    assert said["2 bytes per parameter"] == pytest.approx(2 * params)
    assert said["1 byte per parameter"] == pytest.approx(params)
    assert said["1.2 x weights + KV + 4 GB"] == pytest.approx(1.2 * params + 10 * per_user + 4e9)
    assert said["KV 100-150 MB per token"] == pytest.approx(125e6 * 4096 * 10)
    assert said["KV = 4 bytes x layers x heads x head size"] == pytest.approx(4 * 80 * 64 * 128 * 4096 * 10)
    billed = {one.name: one.bill for one in rules_of_thumb(spec, 72e9, per_user, context, users)}
    assert billed["2 bytes per parameter"] == 72e9
    assert billed["KV 100-150 MB per token"] == 10 * per_user


def test_half_a_byte_at_four_bits_and_nothing_said_at_sixteen(make) -> None:
    four = rules_of_thumb(make("h200_sxm_141", LLAMA, "int4"), 40e9, 1e9, 4096, 1)
    assert [one.says for one in four if one.name == "half a byte per parameter"] == [pytest.approx(four[0].says / 4)]
    sixteen = rules_of_thumb(make("h200_sxm_141", LLAMA, "bf16", tp=2), 141e9, 1e9, 4096, 1)
    assert not any("a byte" in one.name or one.name.startswith("1 byte") for one in sixteen)
