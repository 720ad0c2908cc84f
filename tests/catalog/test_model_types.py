"""Further model types: plain decoders, mixtures, hybrids and wrappers against their published totals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from optimizer.catalog import model_from_config
from optimizer.catalog.families import FAMILIES, PLAIN, REFUSED, SAME_AS, WRAPPERS, family_of
from optimizer.errors import CatalogError


def config(kind: str, sizes: tuple[int, int, int, int, int, int], **more: Any) -> dict[str, Any]:
    """Hidden size, layers, heads, KV heads, inner width, vocabulary; and what else the file says."""
    hidden, layers, heads, kv, inner, vocabulary = sizes
    return {
        "model_type": kind,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "intermediate_size": inner,
        "vocab_size": vocabulary,
        "max_position_embeddings": 32768,
        "hidden_act": "silu",
    } | more


UNTIED = {"tie_word_embeddings": False}
MLA = {"kv_lora_rank": 512, "q_lora_rank": None, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128}
GPT = {"n_embd": 6144, "n_layer": 40, "n_head": 48, "n_inner": 24576, "vocab_size": 49152, "n_positions": 8192}
CHATGLM = {
    "hidden_size": 4096, "num_layers": 28, "num_attention_heads": 32, "kv_channels": 128,
    "multi_query_attention": True, "multi_query_group_num": 2, "ffn_hidden_size": 13696, "padded_vocab_size": 65024,
    "seq_length": 32768, "tie_word_embeddings": False,
}  # fmt: skip
JAMBA = {
    "num_experts": 16, "num_experts_per_tok": 2, "attn_layer_period": 8, "attn_layer_offset": 4,
    "expert_layer_period": 2, "expert_layer_offset": 1, "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2,
    "mamba_dt_rank": 256, "tie_word_embeddings": False,
}  # fmt: skip
GRANITE_H = {
    "layer_types": (["mamba"] * 5 + ["attention"] + ["mamba"] * 4) * 4, "num_local_experts": 72,
    "num_experts_per_tok": 10, "shared_intermediate_size": 1536, "mamba_n_heads": 128, "mamba_d_head": 64,
    "mamba_d_state": 128, "mamba_n_groups": 1, "mamba_d_conv": 4, "mamba_expand": 2, "tie_word_embeddings": True,
}  # fmt: skip
KIMI_LINEAR = MLA | {
    "num_experts": 256, "num_experts_per_token": 8, "moe_intermediate_size": 1024, "num_shared_experts": 1,
    "first_k_dense_replace": 1, "tie_word_embeddings": False,
    "linear_attn_config": {
        "num_heads": 32, "head_dim": 128, "short_conv_kernel_size": 4, "full_attn_layers": [4, 8, 12, 16, 20, 24, 27],
    },
}  # fmt: skip
HUNYUAN = {
    "head_dim": 128, "num_experts": 64, "moe_topk": [8] * 32, "num_shared_expert": [1] * 32,
    "moe_intermediate_size": [3072] * 32, "tie_word_embeddings": True,
}  # fmt: skip
LING = {
    "num_experts": 256, "num_experts_per_tok": 8, "num_shared_experts": 1, "moe_intermediate_size": 1024,
    "first_k_dense_replace": 1, "head_dim": 128, "tie_word_embeddings": False,
}  # fmt: skip
DOTS = {
    "n_routed_experts": 128, "num_experts_per_tok": 6, "n_shared_experts": 2, "moe_intermediate_size": 1408,
    "first_k_dense_replace": 1, "tie_word_embeddings": False,
}  # fmt: skip
DEEPSEEK_MOE = DOTS | {"n_routed_experts": 64}
ERNIE = {
    "moe_num_experts": 64, "moe_k": 8, "moe_intermediate_size": 3584, "moe_num_shared_experts": 0,
    "moe_layer_start_index": 3, "tie_word_embeddings": False,
}  # fmt: skip
LFM2 = {
    "model_type": "lfm2", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32,
    "num_key_value_heads": 8, "block_ff_dim": 12288, "block_auto_adjust_ff_dim": True, "block_multiple_of": 256,
    "block_ffn_dim_multiplier": 1.0, "vocab_size": 65536, "max_position_embeddings": 128000, "conv_L_cache": 3,
    "full_attn_idxs": [2, 5, 8, 10, 12, 14],
}  # fmt: skip
MINIMAX = {
    "head_dim": 128, "num_local_experts": 32, "num_experts_per_tok": 2, "attn_type_list": [0] * 7 + [1],
    "tie_word_embeddings": False,
}  # fmt: skip
MINIMAX["attn_type_list"] = MINIMAX["attn_type_list"] * 10  # type: ignore[operator]

TOTALS = [
    (config("smollm3", (2048, 36, 16, 4, 11008, 128256)), 3.075, 36),
    (config("olmo2", (4096, 32, 32, 32, 11008, 100352), **UNTIED), 7.30, 32),
    (config("starcoder2", (3072, 30, 24, 2, 12288, 49152), hidden_act="gelu_pytorch_tanh"), 3.03, 30),
    (config("apertus", (4096, 32, 32, 8, 21504, 131072), hidden_act="xielu", **UNTIED), 8.05, 32),
    (config("nemotron", (18432, 96, 96, 8, 73728, 256000), hidden_act="relu2", **UNTIED), 341.0, 96),
    (config("phi3", (3072, 32, 24, 8, 8192, 200064), tie_word_embeddings=True), 3.84, 32),
    (config("exaone", (4096, 32, 32, 8, 14336, 102400), **UNTIED), 7.82, 32),
    (config("exaone4", (5120, 64, 40, 8, 27392, 102400), sliding_window=4096, sliding_window_pattern="LLLG",
            head_dim=128, **UNTIED), 32.0, 16),
    (config("olmoe", (2048, 16, 16, 16, 1024, 50304), num_experts=64, num_experts_per_tok=8, **UNTIED), 6.92, 16),
    (config("granitemoe", (1536, 32, 24, 8, 512, 49155), num_local_experts=40, num_experts_per_tok=8), 3.3, 32),
    (config("grok-1", (6144, 64, 48, 8, 32768, 131072), num_experts=8, num_experts_per_tok=2), 314.0, 64),
    (config("dots1", (4096, 62, 32, 32, 10944, 152064), **DOTS), 142.8, 62),
    (config("deepseek", (2048, 28, 16, 16, 10944, 102400), **DEEPSEEK_MOE), 16.4, 28),
    (config("ernie4_5_moe", (8192, 54, 64, 8, 28672, 103424), **ERNIE), 300.0, 54),
    (config("hunyuan_v1_moe", (4096, 32, 32, 8, 3072, 128167), **HUNYUAN), 80.4, 32),
    (config("bailing_moe_v2", (4096, 32, 32, 4, 9216, 157184), **LING), 103.0, 32),
    (config("jamba", (4096, 32, 32, 8, 14336, 65536), **JAMBA), 51.6, 4),
    (config("granitemoehybrid", (4096, 40, 32, 8, 768, 100352), **GRANITE_H), 32.2, 4),
    (config("kimi_linear", (2304, 27, 32, 32, 9216, 163840), **KIMI_LINEAR), 49.1, 7),
    (config("minimax_text_01", (6144, 80, 64, 8, 9216, 200064), **MINIMAX), 456.0, 10),
    (LFM2, 1.17, 6),
    (GPT | {"model_type": "gpt_bigcode", "multi_query": True}, 15.5, 40),
    (CHATGLM | {"model_type": "chatglm"}, 6.24, 28),
    (config("opt", (9216, 64, 72, 72, 36864, 50272), ffn_dim=36864), 65.7, 64),
    (config("phi", (2560, 32, 32, 32, 10240, 51200), hidden_act="gelu_new"), 2.78, 32),
    (config("llava", (1, 1, 1, 1, 1, 1), text_config={"model_type": "llama", "vocab_size": 32064}), 6.74, 32),
    (config("internvl_chat", (1, 1, 1, 1, 1, 1),
            llm_config=config("qwen2", (3584, 28, 28, 4, 18944, 151674), **UNTIED)), 7.61, 28),
    (config("qwen2_5_vl", (3584, 28, 28, 4, 18944, 152064), vision_config={"depth": 32}, **UNTIED), 7.62, 28),
    (config("a_type_nobody_knows", (4096, 32, 32, 8, 14336, 128256), **UNTIED), 8.03, 32),
    (config("another", (4096, 62, 32, 32, 10944, 152064), **DOTS), 142.8, 62),
    (config("yet_another", (2048, 27, 16, 16, 10944, 102400), **(MLA | DEEPSEEK_MOE)), 15.7, 27),
]  # fmt: skip


@pytest.mark.parametrize(("file", "billions", "attending"), TOTALS, ids=[row[0]["model_type"] for row in TOTALS])
def test_totals_are_those_published(file: dict[str, Any], billions: float, attending: int, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(file))
    model = model_from_config(tmp_path)
    assert model.total_params / 1e9 == pytest.approx(billions, rel=0.015)
    assert model.full_attention_layers == attending
    assert model.total_params == pytest.approx(sum(part.params for part in model.stored[0][1]), rel=0.06)


def test_a_type_that_is_not_known_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config("a_type_nobody_knows", (64, 2, 4, 2, 128, 1000))))
    model = model_from_config(tmp_path)
    assert model.plain_keys
    assert "'a_type_nobody_knows' is not known" in model.notes
    assert "grade C" in model.notes


@pytest.mark.parametrize("key", ["mamba_d_state", "ssm_state_size", "cross_attention_layers", "num_kv_shared_layers"])
def test_a_structure_that_is_not_described_is_refused_by_its_key(key: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config("unknown", (64, 2, 4, 2, 128, 1000), **{key: 1})))
    with pytest.raises(CatalogError, match=key):
        model_from_config(tmp_path)


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_every_refused_type_says_why(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config(kind, (64, 2, 4, 2, 128, 1000))))
    with pytest.raises(CatalogError) as error:
        model_from_config(tmp_path)
    assert REFUSED[kind] in str(error.value)


def test_the_registry_is_consistent() -> None:
    assert len({*FAMILIES, *PLAIN, *WRAPPERS, *REFUSED}) >= 200
    assert not set(FAMILIES) & set(PLAIN)
    assert not {*FAMILIES, *PLAIN} & set(REFUSED)
    inner = {name for name in WRAPPERS.values() if family_of(name) is None}
    assert inner == {"step3_text"}  # its latent attention is not counted: refused by its keys
    assert all(name in {**FAMILIES, **PLAIN} for name in SAME_AS.values())


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
SCALED = [
    ({"rope_scaling": YARN}, 131072, "raises the context limit from 32,768 to 131,072"),
    ({"rope_scaling": {"type": "linear", "factor": 2.0}}, 65536, "linear rope scaling x2"),
    ({"rope_scaling": {"type": "dynamic", "factor": 4}}, 131072, "dynamic rope scaling x4"),
    ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, 32768, ""),
    ({"rope_scaling": {"type": "longrope", "short_factor": [1.0]}}, 32768, ""),
    ({"rope_parameters": {"full_attention": YARN}}, 131072, "yarn rope scaling x4"),
    ({"rope_scaling": None}, 32768, ""),
]


@pytest.mark.parametrize(("scaling", "limit", "says"), SCALED)
def test_rope_scaling_raises_the_context_limit(scaling: dict[str, Any], limit: int, says: str, tmp_path: Path) -> None:
    file = config("qwen3", (64, 2, 4, 2, 128, 1000), **scaling)
    (tmp_path / "config.json").write_text(json.dumps(file))
    model = model_from_config(tmp_path)
    assert model.context_limit == limit
    assert says in model.notes
    (tmp_path / "config.json").write_text(json.dumps(file | {"rope_scaling": {"type": "odd", "factor": 2}}))
    with pytest.raises(CatalogError, match="rope_scaling: type 'odd' is not known"):
        model_from_config(tmp_path)


BARE = config("a_type_nobody_knows", (2048, 24, 16, 4, 8192, 100000), head_dim=128, **UNTIED)
LAYER = 2 * 2 * 4 * 128
"""KV bytes of a token in one layer."""


@pytest.mark.parametrize(
    ("keys", "full"),
    [
        ({"sliding_window": 1024}, 0),
        ({"sliding_window": 1024, "sliding_window_pattern": 6}, 4),
        ({"sliding_window": 1024, "global_attn_every_n_layers": 4}, 6),
        ({"sliding_window": 1024, "use_sliding_window": False, "max_window_layers": 24}, 24),
        ({"sliding_window": 1024, "use_sliding_window": True, "max_window_layers": 12}, 12),
        ({"model_type": "smallthinker", "sliding_window_size": 4096, "sliding_window_layout": [0, 1, 1, 1] * 6}, 6),
    ],
)
def test_windows_of_types_that_are_read_by_their_keys(keys: dict[str, Any], full: int, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(BARE | keys))
    model = model_from_config(tmp_path)
    assert model.kv_bytes_full_16bit == full * LAYER
    assert model.kv_bytes_sliding_16bit == (24 - full) * LAYER


@pytest.mark.parametrize(
    "keys",
    [{"attention_chunk_size": 8192}, {"global_attention_layers": [0, 5]}, {"window_size": 1024},
     {"sliding_window": 1024, "full_attention_interval": 4}, {"model_type": "hunyuan_v1_dense", "use_cla": True}],
)  # fmt: skip
def test_keys_that_say_more_than_is_read_are_refused_by_name(keys: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(BARE | keys))
    with pytest.raises(CatalogError) as error:
        model_from_config(tmp_path)
    assert list(keys)[-1] in str(error.value)
