"""Bytes of KV cache a token, worked out by hand from the published dimensions of the models."""

from __future__ import annotations

import pytest

from optimizer.catalog import load_catalog
from optimizer.performance.architecture import kv_bytes

MODELS = load_catalog().models


@pytest.mark.parametrize(
    ("model", "tp", "cache", "expected"),
    [
        # 80 layers x 8 KV heads x 128 x (K and V) x 2 bytes; heads divide over ranks until each holds one
        ("meta-llama/Llama-3.1-70B-Instruct", 1, "auto", 80 * 8 * 128 * 2 * 2),
        ("meta-llama/Llama-3.1-70B-Instruct", 2, "auto", 80 * 4 * 128 * 2 * 2),
        ("meta-llama/Llama-3.1-70B-Instruct", 8, "auto", 80 * 1 * 128 * 2 * 2),
        ("meta-llama/Llama-3.1-70B-Instruct", 16, "auto", 80 * 1 * 128 * 2 * 2),
        ("meta-llama/Llama-3.1-70B-Instruct", 4, "fp8", 80 * 2 * 128 * 2 * 1),
        ("meta-llama/Llama-3.1-8B-Instruct", 1, "auto", 32 * 8 * 128 * 2 * 2),
        # latent: 61 layers x (512 + 64) x 2 bytes, whole on every rank
        ("deepseek-ai/DeepSeek-V3", 1, "auto", 61 * 576 * 2),
        ("deepseek-ai/DeepSeek-V3", 8, "auto", 61 * 576 * 2),
        ("deepseek-ai/DeepSeek-V3", 8, "fp8", 61 * 576),
    ],
)
def test_of_a_rank(model: str, tp: int, cache: str, expected: int) -> None:
    assert kv_bytes(MODELS[model], tp, cache).full == expected
