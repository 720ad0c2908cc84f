"""Known Hugging Face architecture families: how each writes its dimensions and what its layers hold.

Key names and defaults are those of the ``configuration_*.py`` of each family in Hugging Face transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto


class ExpertKeys(Enum):
    """How a family writes its experts."""

    NONE = auto()
    MIXTRAL = auto()  # num_local_experts, intermediate_size is the expert's
    QWEN = auto()  # num_experts, moe_intermediate_size, shared_expert_intermediate_size
    DEEPSEEK = auto()  # n_routed_experts, moe_intermediate_size, n_shared_experts, first_k_dense_replace
    LLAMA4 = auto()  # num_local_experts in every interleave_moe_layer_step-th layer, one shared expert
    ERNIE = auto()  # moe_num_experts, moe_k, moe_num_shared_experts, moe_layer_start_index


class Window(Enum):
    """Which layers slide, where the config does not list its ``layer_types``."""

    NONE = auto()
    ALL = auto()  # every layer, when sliding_window is below the context
    ALTERNATE = auto()  # every other layer
    PATTERN = auto()  # all but every sliding_window_pattern-th layer
    UPPER = auto()  # layers from max_window_layers on, when use_sliding_window says so
    CHUNKED = auto()  # all but every fourth layer attend inside attention_chunk_size


@dataclass(frozen=True, slots=True)
class Family:
    """What one ``model_type`` means."""

    name: str
    experts: ExpertKeys = ExpertKeys.NONE
    window: Window = Window.NONE
    latent: bool = False  # multi-head latent attention
    delta_net: bool = False  # gated delta-net layers between the full-attention ones
    gated_mlp: bool = True
    gated_attention: bool = False  # the query projection is doubled by an output gate
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    sinks: bool = False
    qk_norm: bool = False
    indexer: bool = False  # sparse-attention index (DSA)
    tied: bool = False  # where the config does not say
    fused_mlp_halves: bool = False  # intermediate_size counts both halves of a gated MLP
    defaults: Mapping[str, object] = field(default_factory=dict)


_DEEPSEEK = Family("DeepSeek-V3", experts=ExpertKeys.DEEPSEEK, latent=True)
_QWEN_NEXT = Family("Qwen3-Next", experts=ExpertKeys.QWEN, delta_net=True, gated_attention=True, qk_norm=True)
_GEMMA3_DEFAULTS: Mapping[str, object] = {
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "vocab_size": 262208,
    "max_position_embeddings": 131072,
    "sliding_window_pattern": 6,
}
_CLASSIC_DEFAULTS: Mapping[str, object] = {"max_position_embeddings": 2048, "expansion_ratio": 4}

FAMILIES: Mapping[str, Family] = {
    "baichuan": Family("Baichuan"),
    "bloom": Family(
        "BLOOM", gated_mlp=False, qkv_bias=True, out_bias=True, mlp_bias=True, tied=True, defaults=_CLASSIC_DEFAULTS
    ),
    "cohere": Family("Command-R", tied=True),
    "cohere2": Family("Command-A", window=Window.PATTERN, tied=True, defaults={"sliding_window_pattern": 4}),
    "dbrx": Family("DBRX", experts=ExpertKeys.MIXTRAL),
    "deepseek_v2": replace(_DEEPSEEK, name="DeepSeek-V2"),
    "deepseek_v3": _DEEPSEEK,
    "deepseek_v32": replace(_DEEPSEEK, name="DeepSeek-V3.2", indexer=True),
    "ernie4_5_moe": Family("ERNIE-4.5", experts=ExpertKeys.ERNIE, tied=True),
    "falcon": Family("Falcon", gated_mlp=False, tied=True, defaults=_CLASSIC_DEFAULTS),
    "gemma": Family("Gemma", tied=True),
    "gemma2": Family("Gemma-2", window=Window.ALTERNATE, tied=True),
    "gemma3_text": Family("Gemma-3", window=Window.PATTERN, tied=True, qk_norm=True, defaults=_GEMMA3_DEFAULTS),
    "glm": Family("GLM-4", qkv_bias=True),
    "glm4": Family("GLM-4"),
    "glm4_moe": Family("GLM-4.5", experts=ExpertKeys.DEEPSEEK, qkv_bias=True),
    "glm4_moe_lite": replace(_DEEPSEEK, name="GLM-4.7"),
    "glm_moe_dsa": replace(_DEEPSEEK, name="GLM-5", indexer=True),
    "gpt_neox": Family("GPT-NeoX", gated_mlp=False, qkv_bias=True, out_bias=True, mlp_bias=True),
    "gpt_oss": Family(
        "gpt-oss",
        experts=ExpertKeys.MIXTRAL,
        window=Window.ALTERNATE,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        sinks=True,
    ),
    "gptj": Family("GPT-J", gated_mlp=False, mlp_bias=True, defaults=_CLASSIC_DEFAULTS),
    "internlm2": Family("InternLM2"),
    "internlm3": Family("InternLM3"),
    "kimi_k2": replace(_DEEPSEEK, name="Kimi-K2"),
    "llama": Family("Llama"),
    "llama4_text": Family("Llama-4", experts=ExpertKeys.LLAMA4, window=Window.CHUNKED),
    "minimax_m2": Family("MiniMax-M2", experts=ExpertKeys.MIXTRAL),
    "mistral": Family("Mistral", window=Window.ALL),
    "mixtral": Family("Mixtral", experts=ExpertKeys.MIXTRAL, window=Window.ALL),
    "mpt": Family("MPT", gated_mlp=False, tied=True, defaults=_CLASSIC_DEFAULTS),
    "phi3": Family("Phi-3", window=Window.ALL),
    "phimoe": Family("Phi-3.5", experts=ExpertKeys.MIXTRAL, qkv_bias=True, out_bias=True, window=Window.ALL),
    "qwen": Family("Qwen", qkv_bias=True, fused_mlp_halves=True),
    "qwen2": Family("Qwen2", qkv_bias=True, window=Window.UPPER),
    "qwen2_moe": Family("Qwen2", experts=ExpertKeys.QWEN, qkv_bias=True, window=Window.UPPER),
    "qwen3": Family("Qwen3", qk_norm=True, window=Window.UPPER),
    "qwen3_5_moe_text": replace(_QWEN_NEXT, name="Qwen3.5"),
    "qwen3_5_text": Family("Qwen3.5", delta_net=True, gated_attention=True, qk_norm=True),
    "qwen3_moe": Family("Qwen3", experts=ExpertKeys.QWEN, qk_norm=True, window=Window.UPPER),
    "qwen3_next": _QWEN_NEXT,
    "seed_oss": Family("Seed-OSS", qkv_bias=True),
}

WRAPPERS: Mapping[str, str] = {
    "gemma3": "gemma3_text",
    "kimi_k25": "kimi_k2",
    "llama4": "llama4_text",
    "mistral3": "mistral",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
}
"""Multimodal models: the language model is described in ``text_config``; the value is its ``model_type`` if unsaid."""
