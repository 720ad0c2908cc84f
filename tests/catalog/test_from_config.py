"""config.json of a known family -> Model: rebuilt from catalog rows the way each family writes its dimensions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optimizer.catalog import load_catalog, model_from_config, with_configs
from optimizer.catalog.families import FAMILIES, WRAPPERS
from optimizer.catalog.types import Attention, Model
from optimizer.errors import CatalogError

_PLAIN = {
    "Llama-2": "llama",
    "Llama-3": "llama",
    "Llama-3.1": "llama",
    "Llama-3.2": "llama",
    "Llama-3.3": "llama",
    "Yi": "llama",
    "Qwen1.5": "qwen2",
    "Qwen2.5": "qwen2",
    "Mistral": "mistral",
    "Phi-3": "phi3",
    "Phi-4": "phi3",
    "InternLM2": "internlm2",
    "InternLM3": "internlm3",
    "Seed-OSS": "seed_oss",
    "Baichuan2": "baichuan",
    "Command-R": "cohere",
    "Gemma-2": "gemma2",
    "GPT-NeoX": "gpt_neox",
}
_BY_ID = {
    "Qwen/Qwen2-7B-Instruct": "qwen2",
    "Qwen/Qwen2-72B-Instruct": "qwen2",
    "zai-org/glm-4-9b-chat-hf": "glm",
    "zai-org/GLM-4-32B-0414": "glm4",
    "Qwen/Qwen2-57B-A14B-Instruct": "qwen2_moe",
    "mistralai/Mixtral-8x7B-Instruct-v0.1": "mixtral",
    "mistralai/Mixtral-8x22B-Instruct-v0.1": "mixtral",
    "microsoft/Phi-3.5-MoE-instruct": "phimoe",
    "MiniMaxAI/MiniMax-M2": "minimax_m2",
    "zai-org/GLM-4.5": "glm4_moe",
    "zai-org/GLM-4.6": "glm4_moe",
    "zai-org/GLM-4.5-Air": "glm4_moe",
    "zai-org/GLM-4.7-Flash": "glm4_moe_lite",
    "zai-org/GLM-5": "glm_moe_dsa",
    "deepseek-ai/DeepSeek-V2-Lite-Chat": "deepseek_v2",
    "deepseek-ai/DeepSeek-V2.5": "deepseek_v2",
    "deepseek-ai/DeepSeek-V3": "deepseek_v3",
    "deepseek-ai/DeepSeek-R1": "deepseek_v3",
    "deepseek-ai/DeepSeek-V3.2": "deepseek_v32",
    "moonshotai/Kimi-K2-Instruct": "kimi_k2",
    "openai/gpt-oss-120b": "gpt_oss",
    "openai/gpt-oss-20b": "gpt_oss",
    "Qwen/Qwen3-Next-80B-A3B-Instruct": "qwen3_next",
    "Qwen/Qwen3.5-27B": "qwen3_5",
    "Qwen/Qwen3.5-35B-A3B": "qwen3_5_moe",
    "Qwen/Qwen3.5-397B-A17B": "qwen3_5_moe",
    "google/gemma-3-1b-it": "gemma3_text",
    "google/gemma-3-4b-it": "gemma3",
    "google/gemma-3-27b-it": "gemma3",
    "CohereLabs/c4ai-command-a-03-2025": "cohere2",
    "meta-llama/Llama-4-Scout-17B-16E-Instruct": "llama4",
    "meta-llama/Llama-4-Maverick-17B-128E-Instruct": "llama4",
    "tiiuae/falcon-7b": "falcon",
    "tiiuae/falcon-40b": "falcon",
    "tiiuae/falcon-180B": "falcon",
    "bigscience/bloom": "bloom",
    "EleutherAI/gpt-j-6b": "gptj",
    "Qwen/Qwen-72B": "qwen",
    "databricks/dbrx-instruct": "dbrx",
    "baidu/ERNIE-4.5-21B-A3B-PT": "ernie4_5_moe",
}
_Q_RANK = {"deepseek_v2": None, "glm4_moe_lite": 768, "glm_moe_dsa": 2048}
_GEMMA3_DEFAULTS = {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 262208}
_GDN_VALUE_HEADS = {"Qwen/Qwen3.5-27B": 48, "Qwen/Qwen3.5-397B-A17B": 64}


def model_type(model: Model) -> str | None:
    """The family a catalog model belongs to; None where its config.json cannot be rebuilt from its catalog row."""
    if model.id in _BY_ID:
        return _BY_ID[model.id]
    if model.family == "Qwen3":
        return "qwen3_moe" if model.is_moe else "qwen3"
    return _PLAIN.get(model.family) if not model.is_moe else None


def config_of(model: Model) -> dict[str, Any]:
    """The config.json of a catalog model."""
    kind = model_type(model)
    assert kind is not None
    config: dict[str, Any] = {
        "model_type": kind,
        "hidden_size": model.hidden_size,
        "num_hidden_layers": model.num_layers,
        "num_attention_heads": model.num_attention_heads,
        "num_key_value_heads": model.num_kv_heads,
        "head_dim": model.head_dim,
        "intermediate_size": model.intermediate_size,
        "vocab_size": model.vocab_size,
        "max_position_embeddings": model.context_limit,
        "tie_word_embeddings": model.tied_embeddings,
        "torch_dtype": "float16" if model.native_dtype == "fp16" else "bfloat16",
    }
    if model.native_dtype == "fp8":
        config["quantization_config"] = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    if model.native_dtype == "mxfp4":
        config["quantization_config"] = {"quant_method": "mxfp4"}
    if not model.intermediate_size:
        del config["intermediate_size"]
    config |= _window(model, kind) | _latent(model, kind) | _experts(model, kind)
    return _renamed(config | _delta_net(model), model, kind)


def _window(model: Model, kind: str) -> dict[str, Any]:
    if kind in ("gemma3", "gemma3_text"):
        return {"sliding_window": model.sliding_window, "sliding_window_pattern": 6}
    if kind == "llama4":
        return {"attention_chunk_size": model.sliding_window}
    return {"sliding_window": model.sliding_window} if model.sliding_window else {}


def _latent(model: Model, kind: str) -> dict[str, Any]:
    if not model.kv_lora_rank:
        return {}
    rank = None if model.id.endswith("V2-Lite-Chat") else _Q_RANK.get(kind) or 1536
    index = {"index_n_heads": 32 if kind == "glm_moe_dsa" else 64, "index_head_dim": 128}
    return {
        "kv_lora_rank": model.kv_lora_rank,
        "q_lora_rank": rank,
        "qk_nope_head_dim": model.nope_head_dim,
        "qk_rope_head_dim": model.rope_head_dim,
        "v_head_dim": model.v_head_dim,
    } | (index if model.index_bytes_per_token else {})


def _experts(model: Model, kind: str) -> dict[str, Any]:
    if not model.is_moe:
        return {}
    count, size, shared = model.num_experts, model.expert_intermediate_size, model.shared_experts
    used = {"num_experts_per_tok": model.experts_per_token}
    if kind in ("mixtral", "phimoe", "minimax_m2", "gpt_oss", "dbrx"):
        return used | {"num_local_experts": count, "intermediate_size": size}
    if kind == "llama4":
        step = 2 if count == 128 else 1
        dense = {"intermediate_size": size, "intermediate_size_mlp": model.intermediate_size}
        return used | dense | {"num_local_experts": count, "interleave_moe_layer_step": step}
    if kind.startswith("qwen"):
        width = 20480 if kind == "qwen2_moe" else size * shared
        return used | {"num_experts": count, "moe_intermediate_size": size, "shared_expert_intermediate_size": width}
    if kind == "ernie4_5_moe":
        first = {"moe_layer_start_index": model.first_dense_layers, "moe_num_shared_experts": shared}
        return first | {"moe_num_experts": count, "moe_k": model.experts_per_token, "moe_intermediate_size": size}
    first = {"first_k_dense_replace": model.first_dense_layers, "n_shared_experts": shared}
    return used | first | {"n_routed_experts": count, "moe_intermediate_size": size}


def _delta_net(model: Model) -> dict[str, Any]:
    if not model.linear_layers:
        return {}
    return {
        "full_attention_interval": 4,
        "linear_num_key_heads": 16,
        "linear_key_head_dim": 128,
        "linear_num_value_heads": _GDN_VALUE_HEADS.get(model.id, 32),
        "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4,
    }


def _renamed(config: dict[str, Any], model: Model, kind: str) -> dict[str, Any]:
    """Keys as the older families call them; multimodal models nest; Gemma 3 leaves its defaults out."""
    if kind == "falcon":
        new = model.num_kv_heads > 1
        config |= {"new_decoder_architecture": new, "multi_query": not new, "num_kv_heads": model.num_kv_heads}
        for key in ("num_key_value_heads", "intermediate_size", "head_dim", "max_position_embeddings"):
            del config[key]
    if kind in ("bloom", "gptj"):
        for key in ("num_key_value_heads", "head_dim", "intermediate_size"):
            del config[key]
        names = {"hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head"}
        config = {names.get(key, key): value for key, value in config.items()}
    if kind == "qwen":
        config["intermediate_size"] *= 2
    if kind == "dbrx":
        config = {
            "model_type": kind,
            "d_model": model.hidden_size,
            "n_layers": model.num_layers,
            "n_heads": model.num_attention_heads,
            "vocab_size": model.vocab_size,
            "max_seq_len": model.context_limit,
            "attn_config": {"kv_n_heads": model.num_kv_heads},
            "ffn_config": {
                "ffn_hidden_size": model.expert_intermediate_size,
                "moe_num_experts": model.num_experts,
                "moe_top_k": model.experts_per_token,
            },
        }
    if kind in ("gemma3", "llama4", "qwen3_5", "qwen3_5_moe"):
        if kind == "gemma3":
            config = {key: value for key, value in config.items() if _GEMMA3_DEFAULTS.get(key) != value}
        inner = {key: value for key, value in config.items() if key not in ("model_type", "tie_word_embeddings")}
        config = {
            "model_type": kind,
            "text_config": inner,
            "vision_config": {},
            "tie_word_embeddings": model.tied_embeddings,
        }
    return config


CATALOG = load_catalog()
REBUILT = [model.id for model in CATALOG.models.values() if model_type(model)]

LLAMA_8B: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
Writer = Callable[[Any], Path]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Writes a config.json and returns its directory."""

    def _write(config: Any) -> Path:
        text = config if isinstance(config, str) else json.dumps(config, indent=2)
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
        return tmp_path

    return _write


@pytest.mark.parametrize("model_id", REBUILT)
def test_counts_agree_with_the_catalog(model_id: str, write: Writer) -> None:
    expected = CATALOG.models[model_id]
    model = model_from_config(write(config_of(expected)))
    for field in ("total_params", "active_params", "embed_params", "head_params", "routed_expert_params"):
        assert getattr(model, field) == pytest.approx(getattr(expected, field), rel=0.002, abs=1e5), field
    same = (
        "kv_bytes_full_16bit kv_bytes_sliding_16bit full_attention_layers sliding_layers linear_layers sliding_window "
        "linear_state_bytes index_bytes_per_token num_experts experts_per_token shared_experts first_dense_layers "
        "native_dtype context_limit head_dim legal_tp attention tied_embeddings intermediate_size"
    )
    for field in same.split():
        assert getattr(model, field) == getattr(expected, field), field


def test_most_of_the_catalog_is_rebuilt() -> None:
    kinds = {model_type(CATALOG.models[model_id]) for model_id in REBUILT}
    assert len(REBUILT) >= 90
    assert len({*FAMILIES, *WRAPPERS} & kinds) >= 40


def test_llama_8b_by_hand(write: Writer) -> None:
    model = model_from_config(write(LLAMA_8B))
    embedding = 128256 * 4096
    layer = 4096 * (2 * 4096 + 2 * 1024) + 3 * 4096 * 14336 + 2 * 4096
    assert model.total_params == 2 * embedding + 32 * layer + 4096  # the last norm too: 8,030,261,248 as published
    assert model.kv_bytes_full_16bit == 2 * 32 * 8 * 128 * 2 == 131072
    assert model.legal_tp == (1, 2, 4, 8, 16, 32)
    assert model.attention is Attention.GQA


def test_mpt_7b_by_hand(write: Writer) -> None:
    config = {
        "model_type": "mpt",
        "d_model": 4096,
        "n_heads": 32,
        "n_layers": 32,
        "vocab_size": 50432,
        "max_seq_len": 2048,
    }
    model = model_from_config(write(config))
    assert model.total_params == pytest.approx(6.649e9, rel=0.001)  # the published 6.7B
    assert model.kv_bytes_full_16bit == 2 * 32 * 4096 * 2


def test_kimi_and_mistral_wrappers_read_text_config(write: Writer) -> None:
    for kind in ("mistral3", "kimi_k25"):
        source = "mistralai/Mistral-Nemo-Instruct-2407" if kind == "mistral3" else "moonshotai/Kimi-K2-Instruct"
        inner = config_of(CATALOG.models[source])
        del inner["model_type"]
        model = model_from_config(write({"model_type": kind, "text_config": inner}))
        assert model.total_params == pytest.approx(CATALOG.models[source].total_params, rel=0.002)


def test_gemma_ties_its_embeddings_unless_told(write: Writer) -> None:
    config = LLAMA_8B | {"model_type": "gemma"}
    del config["tie_word_embeddings"]
    assert model_from_config(write(config)).tied_embeddings


def test_layer_types_count_where_they_are_listed(write: Writer) -> None:
    kinds = ["sliding_attention", "full_attention"] * 16
    model = model_from_config(write(LLAMA_8B | {"layer_types": kinds, "sliding_window": 1024}))
    assert (model.full_attention_layers, model.sliding_layers, model.sliding_window) == (16, 16, 1024)
    assert model.kv_bytes_full_16bit == model.kv_bytes_sliding_16bit == 65536


def test_fp8_blocks_limit_tensor_parallelism(write: Writer) -> None:
    minimax = CATALOG.models["MiniMaxAI/MiniMax-M2"]
    assert model_from_config(write(config_of(minimax))).fp8_block_legal_tp == minimax.fp8_block_legal_tp == (1, 2, 4)


@pytest.mark.parametrize(
    ("quantization", "dtype"),
    [
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_method": "gptq", "bits": 4}, "int4"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
    ],
)
def test_native_format_is_that_of_the_checkpoint(quantization: dict[str, Any], dtype: str, write: Writer) -> None:
    assert model_from_config(write(LLAMA_8B | {"quantization_config": quantization})).native_dtype == dtype


def test_a_problem_may_name_a_path(write: Writer) -> None:
    folder = write(LLAMA_8B)
    catalog = with_configs(CATALOG, ["./config.json", "Qwen/Qwen3-8B", "no/such-model"], folder)
    assert catalog.models["./config.json"].id == "./config.json"
    assert len(catalog.models) == len(CATALOG.models) + 1
    assert list(catalog.models) == sorted(catalog.models)


def _refusal(folder: Path) -> str:
    with pytest.raises(CatalogError) as error:
        model_from_config(folder)
    return str(error.value)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (LLAMA_8B | {"model_type": "mamba2"}, "model_type 'mamba2' is refused: it has no attention layer"),
        (LLAMA_8B | {"model_type": "t5"}, "model_type 't5' is refused: it is an encoder-decoder"),
        ({"model_type": "lama"}, "did you mean llama"),
        (LLAMA_8B | {"model_type": "new", "hidden_act": "silu"}, "'new' is refused: it is an encoder"),
        (LLAMA_8B | {"model_type": "novel"}, "whether its MLP has two matrices or three"),
        (
            LLAMA_8B | {"model_type": "novel", "hidden_act": "silu", "mamba_d_state": 16},
            "mamba_d_state speak of a structure that the standard keys do not describe",
        ),
        ({"hidden_size": 8}, "model_type is missing"),
        (LLAMA_8B | {"model_type": 3}, "model_type: 3 is not a word"),
        ([1, 2], "not a JSON object"),
        ('{\n  "model_type": "llama",\n  "x" 1\n}', "config.json:3:7: not valid JSON"),
        ('{"model_type": "llama", "hidden_size": NaN}', "NaN is not a number"),
        ('{"model_type": "llama", "model_type": "qwen2"}', "'model_type' stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ("", "is empty"),
        (LLAMA_8B | {"hidden_size": -1}, "hidden_size: -1 is not a whole number of 1 or more"),
        (LLAMA_8B | {"hidden_size": "4096"}, "hidden_size: '4096' is not a whole number"),
        (LLAMA_8B | {"hidden_size": True}, "hidden_size: True is not a whole number"),
        (LLAMA_8B | {"hidden_size": 10**12}, "is not a whole number"),
        ({"model_type": "llama"}, "vocab_size is missing"),
        (LLAMA_8B | {"num_attention_heads": 33}, "not divisible by num_attention_heads 33"),
        (LLAMA_8B | {"num_key_value_heads": 5}, "not divisible by num_key_value_heads 5"),
        (LLAMA_8B | {"layer_types": ["full_attention"]}, "layer_types lists 1 layers, num_hidden_layers says 32"),
        (LLAMA_8B | {"layer_types": "all"}, "layer_types is not a list of words"),
        (LLAMA_8B | {"tie_word_embeddings": "no"}, "tie_word_embeddings: 'no' is neither true nor false"),
        (LLAMA_8B | {"quantization_config": {"quant_method": "magic"}}, "quant_method 'magic' is not known"),
        (
            LLAMA_8B | {"quantization_config": {"quant_method": "gptq", "bits": 3}},
            "gptq: 3-bit integers are not a format",
        ),
        (
            LLAMA_8B | {"model_type": "mixtral", "num_local_experts": 2, "num_experts_per_tok": 3},
            "num_experts_per_tok 3 is more than the 2 experts",
        ),
    ],
)
def test_refusals_say_what_and_where(config: Any, says: str, write: Writer) -> None:
    assert says in _refusal(write(config))


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    assert "no such file" in _refusal(tmp_path / "absent.json")
    (tmp_path / "config.json").write_bytes(b"\x89PNG\x00\x01")
    assert "config.json:1" in _refusal(tmp_path)


def test_all_missing_keys_are_named_at_once(write: Writer) -> None:
    message = _refusal(write({"model_type": "deepseek_v3"}))
    assert message.count("is missing") >= 10


ODD: list[Any] = [None, "x", -1, 0, [], {}, 1e9, 10**12, 10**8, True, [1, 2], {"a": 1}, [None], {"weight": []}, [["a"]]]


MANGLED = (
    "nvidia--Gemma-4-26B-A4B-NVFP4",
    "nvidia--NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
    "deepseek-ai--DeepSeek-V4-Flash",
    "pytorch--Qwen3-8B-INT4",
)


@pytest.mark.parametrize("name", MANGLED)
def test_no_odd_value_of_any_key_is_more_than_a_refusal(name: str, write: Writer) -> None:
    source = Path(__file__).parents[2] / "data" / "configs" / name / "config.json"
    config = json.loads(source.read_text(encoding="utf-8"))
    for number, (holder, key) in enumerate(_places(config)):
        kept = holder[key]
        holder[key] = ODD[number % len(ODD)]
        try:
            model_from_config(write(config))
        except CatalogError as error:
            assert "config.json" in str(error)
        holder[key] = kept


def _places(value: Any) -> list[tuple[dict[str, Any], str]]:
    """Every key of an object and of those inside it."""
    found = []
    for key, inner in value.items():
        found.append((value, key))
        if isinstance(inner, dict):
            found += _places(inner)
    return found
