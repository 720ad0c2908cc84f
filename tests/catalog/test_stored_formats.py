"""Every kind of quantization is read for what it is or refused by its name; nothing falls back to a default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from optimizer.catalog import model_from_config
from optimizer.catalog.types import Model, StoredPart
from optimizer.errors import CatalogError
from optimizer.performance.compatibility import tp_refusal

DENSE: dict[str, Any] = {
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
MIXTURE: dict[str, Any] = DENSE | {
    "model_type": "qwen3_moe",
    "num_experts": 64,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 1024,
}
LINEAR = 32 * (4096 * (2 * 4096 + 2 * 1024) + 3 * 4096 * 14336)
"""Parameters of the linear layers of the dense model: what quantizers take."""


def read(folder: Path, config: dict[str, Any], side: dict[str, Any] | None = None) -> Model:
    (folder / "config.json").write_text(json.dumps(config))
    if side is not None:
        (folder / "hf_quant_config.json").write_text(json.dumps(side))
    return model_from_config(folder)


def parts_of(model: Model) -> tuple[StoredPart, ...]:
    """The parts of the one checkpoint that a configuration describes."""
    ((_, parts),) = model.stored
    return parts


def ct(bits: int, kind: str, group: int | None, layout: str, **more: Any) -> dict[str, Any]:
    weights = {"num_bits": bits, "type": kind, "group_size": group, "symmetric": True}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {
        "quant_method": "compressed-tensors",
        "format": layout,
        "ignore": ["lm_head"],
        "config_groups": groups,
    } | more


READ = [
    (ct(8, "float", None, "float-quantized"), "fp8", 8.0),
    (ct(8, "float", None, "naive-quantized"), "fp8", 8.0),
    (ct(8, "int", None, "int-quantized"), "int8", 8.0),
    (ct(8, "int", None, "naive-quantized"), "int8", 8.0),
    (ct(8, "int", 128, "pack-quantized"), "int8", 8.125),
    (ct(4, "int", 128, "pack-quantized"), "int4", 4.125),
    (ct(4, "float", 16, "nvfp4-pack-quantized"), "nvfp4", 4.5),
    (ct(4, "float", 32, "mxfp4-pack-quantized"), "mxfp4", 4.25),
    ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", 8.0 + 32 / 128**2),
    ({"quant_method": "fp8"}, "fp8", 8.0),
    ({"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["lm_head"]}, "fp8", 8.0),
    ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "int4", 4.15625),
    ({"quant_method": "gptq", "bits": 8, "group_size": 128}, "int8", 8.1875),
    ({"quant_method": "gptq", "bits": 4, "group_size": -1}, "int4", 4.0),
    ({"quant_method": "gptq_marlin", "bits": 4, "group_size": 32}, "int4", 4.625),
    ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}, "int4", 4.15625),
    ({"quant_method": "awq_marlin", "bits": 4, "group_size": 64, "zero_point": True}, "int4", 4.3125),
    ({"quant_method": "auto-round", "bits": 4, "group_size": 128, "data_type": "int"}, "int4", 4.15625),
    ({"quant_method": "auto-round", "bits": 8, "group_size": 128, "data_type": "int"}, "int8", 8.1875),
    ({"quant_method": "auto-round", "bits": 4, "group_size": 16, "data_type": "nv_fp4"}, "nvfp4", 4.5),
    ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8", 8.0),
    ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "int4", 4.5),
    ({"quant_method": "torchao", "quant_type": {"default": {"_type": "Int8WeightOnlyConfig"}}}, "int8", 8.0),
    ({"quant_method": "torchao", "quant_type": "int4wo", "quant_type_kwargs": {"group_size": 64}}, "int4", 4.3125),
    ({"quant_method": "torchao", "quant_type": {"default": {"_type": "Float8WeightOnlyConfig"}}}, "fp8", 8.0),
    ({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}}, "int4", 4.5),
    ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "int8"}}}, "int8", 8.0),
    ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4", "group_size": 32}}}, "mxfp4", 4.25),
    ({"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]}, "nvfp4", 4.5),
    ({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8", 8.0),
    ({"quant_method": "modelopt", "quant_algo": "W4A16_AWQ", "group_size": 128}, "int4", 4.125),
]  # fmt: skip


@pytest.mark.parametrize(("section", "kind", "bits"), READ, ids=[f"{i}-{row[1]}" for i, row in enumerate(READ)])
def test_every_kind_is_read_for_what_it_is(section: dict[str, Any], kind: str, bits: float, tmp_path: Path) -> None:
    model = read(tmp_path, DENSE | {"quantization_config": section})
    assert model.native_dtype == kind
    wide = 2.0 * (model.total_params - LINEAR)
    assert sum(part.bytes for part in parts_of(model)) == pytest.approx(wide + LINEAR * bits / 8)


REFUSED = [
    ({"quant_method": "exl2", "bits": 4}, "quant_method 'exl2' is not known"),
    ({"quant_method": "gguf"}, "quant_method 'gguf' is not known"),
    ({"bits": 4}, "quant_method '' is not known"),
    ({"quant_method": "gptq", "bits": 3}, "3-bit integers"),
    ({"quant_method": "gptq"}, "bits None is not a number"),
    (ct(2, "int", 128, "pack-quantized"), "2-bit integers"),
    (ct(6, "float", None, "float-quantized"), "6-bit floats"),
    (ct(4, "int", 128, "marlin-24"), "sparse weights"),
    (ct(4, "complex", 128, "pack-quantized"), "weights of type 'complex'"),
    ({"quant_method": "compressed-tensors", "format": "float-quantized"}, "config_groups is missing"),
    ({"quant_method": "modelopt", "quant_algo": "NVFP5"}, "quant_algo 'NVFP5' is not known"),
    ({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}, "without quantized_layers"),
    ({"quant_method": "modelopt"}, "quant_algo is missing"),
    ({"quant_method": "bitsandbytes"}, "neither load_in_4bit nor load_in_8bit"),
    ({"quant_method": "torchao", "quant_type": "uint2"}, "quant_type 'uint2' is not known"),
    ({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 2}}}, "2-bit integers"),
    ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "int3"}}}, "dtype 'int3'"),
    ({"quant_method": "auto-round", "bits": 4, "data_type": "nf"}, "data_type 'nf' is not known"),
    ({"quant_method": "fp8", "fmt": "e5m2"}, "fmt 'e5m2' is not known"),
    (
        {"quant_method": "quark", "global_quant_config": {"weight": [{"dtype": "int8"}, {"dtype": "int4"}]}},
        "in stages (int8, int4)",
    ),
    (
        {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "int8"}},
         "layer_type_quant_config": {"Linear": {}}},
        "layer_type_quant_config is not read",
    ),
    ({"quant_method": "torchao", "quant_type": "int8wo", "include_input_output_embeddings": True}, "embeddings below"),
    ({"quant_method": "torchao", "quant_type": "int8_dynamic_activation_int4_weight"}, "is not known"),
    (ct(8, "float", None, "float-quantized", ignore=["model.layers.0.self_attn.query_proj"]), "query_proj'"),
    (
        {"quant_method": "gptq", "bits": 4, "group_size": 128, "modules_not_quantized": ["self_attn"]},
        "modules_not_quantized is not a key of this method",
    ),
    (
        {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION",
         "quantized_layers": {"model.embed_tokens": {"quant_algo": "NVFP4"}}},
        "embeddings below 16 bit (model.embed_tokens)",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("section", "says"), REFUSED)
def test_what_is_not_understood_is_refused_by_name(section: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as error:
        read(tmp_path, DENSE | {"quantization_config": section})
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("section", "wide"),
    [
        ({"quant_method": "fp8", "modules_to_not_convert": ["self_attn", "lm_head"]}, "attention"),
        (ct(4, "int", 128, "pack-quantized", ignore=["re:.*self_attn.*", "lm_head"]), "attention"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["model.layers.*.self_attn*"]}, "attention"),
        ({"quant_method": "mxfp4"}, "attention"),
    ],
)
def test_attention_of_mixtures_may_stay_wide(section: dict[str, Any], wide: str, tmp_path: Path) -> None:
    formats = {p.name: p.format for p in parts_of(read(tmp_path, MIXTURE | {"quantization_config": section}))}
    assert formats[wide] == formats["routers and gates"] == formats["output head"] == "bf16"
    assert formats["routed experts"] != "bf16"


def test_single_layers_are_told_apart(tmp_path: Path) -> None:
    ignore = ["lm_head", "model.layers.0.mlp.down_proj", "model.layers.31.mlp.down_proj"]
    model = read(tmp_path, DENSE | {"quantization_config": ct(8, "float", None, "float-quantized", ignore=ignore)})
    wide = next(part for part in parts_of(model) if part.name == "dense MLP" and part.format == "bf16")
    assert (wide.layers, wide.params) == (2, 2 * 4096 * 14336)


def test_mixed_precision_is_read_layer_by_layer(tmp_path: Path) -> None:
    layers = {
        f"model.layers.{i}.mlp.{m}_proj": {"quant_algo": "NVFP4"} for i in range(32) for m in ("gate", "up", "down")
    }
    layers |= {f"model.layers.{i}.self_attn.{m}_proj": {"quant_algo": "FP8"} for i in range(32) for m in "qkvo"}
    side = {"quantization": {"quant_algo": "MIXED_PRECISION", "quantized_layers": layers, "kv_cache_quant_algo": "FP8"}}
    model = read(tmp_path, DENSE, side)
    assert {p.name: p.format for p in parts_of(model) if p.format != "bf16"} == {
        "attention": "fp8",
        "dense MLP": "nvfp4",
    }
    assert (model.native_dtype, model.kv_in_checkpoint) == ("nvfp4", "fp8")


def test_the_index_beside_is_compared(tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 16_060_522_496}, "weight_map": {}}))
    assert "agrees within 0.0%" in read(tmp_path, DENSE).notes
    plain = DENSE | {"model_type": "solar", "hidden_act": "silu"}
    index.write_text(json.dumps({"metadata": {"total_size": 20_000_000_000}, "weight_map": {}}))
    assert "20.00 GB" in read(tmp_path, DENSE).notes
    with pytest.raises(CatalogError, match=r"model\.safetensors\.index\.json beside says 20\.00 GB"):
        read(tmp_path, plain)


ATTENTION, MLP, HEAD = 4096 * (2 * 4096 + 2 * 1024), 3 * 4096 * 14336, 128256 * 4096
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "lm_head": False}
INT4, INT8_32 = 4 + 20 / 128, 8 + 24 / 32
STAGED = [{"dtype": "fp8_e4m3", "qscheme": "per_tensor"}, {"dtype": "int4", "qscheme": "per_channel"}]


def bits_of(attention: float, mlp: float, head: float = 16.0) -> float:
    """Average bits of the linear layers of the dense model, whose output head counts beside them."""
    return (32 * (ATTENTION * attention + MLP * mlp) + HEAD * (head - 16.0)) / LINEAR


SAID = [
    # The first expression that means a module decides; a head is quantized only where lm_head says so (Qwen3.6 GPTQ).
    (GPTQ | {"dynamic": {"-:.*attn.*": {}, "lm_head": {}}}, bits_of(16, INT4)),
    (GPTQ | {"lm_head": True, "dynamic": {"lm_head": {"bits": 8, "group_size": 32}}}, bits_of(INT4, INT4, INT8_32)),
    (GPTQ | {"dynamic": {r"+:.*\.mlp\..*": {"bits": 8, "group_size": 32}}}, bits_of(INT4, INT8_32)),
    (GPTQ | {"dynamic": {r"-:.*\.layers\.1\d\..*": {}}}, bits_of(*[(10 * 16 + 22 * INT4) / 32] * 2)),
    (GPTQ | {"dynamic": {r"-:.*layers\.1\..*|.*layers\.5\..*": {}}}, bits_of(*[(2 * 16 + 30 * INT4) / 32] * 2)),
    (GPTQ | {"modules_in_block_to_quantize": [["self_attn.q_proj", "self_attn.k_proj"], ["self_attn.v_proj",
             "self_attn.o_proj"]]}, bits_of(INT4, 16)),
    (ct(8, "float", None, "float-quantized", ignore=[]), bits_of(8, 8, 8)),
    (ct(8, "float", None, "float-quantized", ignore=["lm_head", r"re:.*layers\.1\d\.mlp.*"]),
     bits_of(8, (10 * 16 + 22 * 8) / 32)),
    (ct(4, "int", 128, "pack-quantized", ignore=["lm_head", "transformer.h.0.attn.c_attn", "transformer.h.0.mlp.c_fc"]),
     bits_of(4.125, 4.125) + 4096 * (4096 + 2 * 1024 + 2 * 14336) * (16 - 4.125) / LINEAR),
    ({"quant_method": "compressed-tensors", "config_groups": {}, "kv_cache_scheme": {"num_bits": 8, "type": "float"}},
     16.0),
    ({"quant_method": "awq", "bits": 4, "group_size": 128, "modules_to_not_convert": ["attn"]}, bits_of(16, INT4)),
    ({"quant_method": "quark", "global_quant_config": {"weight": STAGED}, "exclude": ["lm_head"]}, 4.0),
    ({"quant_method": "awq", "bits": 4, "group_size": 128, "modules_to_not_convert": ["gate"]}, bits_of(INT4, INT4)),
    (ct(8, "float", None, "float-quantized", ignore=["transformer.output_layer"]), bits_of(8, 8)),
    ({"load_in_8bit": True}, 8.0),
]  # fmt: skip


@pytest.mark.parametrize(("section", "bits"), SAID, ids=range(len(SAID)))
def test_modules_are_stored_as_their_rules_say(section: dict[str, Any], bits: float, tmp_path: Path) -> None:
    model = read(tmp_path, DENSE | {"quantization_config": section})
    wide = 2.0 * (model.total_params - LINEAR)
    assert sum(part.bytes for part in parts_of(model)) == pytest.approx(wide + LINEAR * bits / 8)


def test_projections_of_experts_are_told_apart(tmp_path: Path) -> None:
    quantized = ct(4, "int", 128, "pack-quantized", ignore=["lm_head", "re:.*experts.*down_proj"])
    model = read(tmp_path, MIXTURE | {"quantization_config": quantized})
    sizes = {p.format: p.params for p in parts_of(model) if p.name == "routed experts"}
    assert sizes["int4"] == 2 * sizes["bf16"] == 32 * 64 * 2 * 4096 * 1024
    some = ["lm_head", *(f"model.layers.0.mlp.experts.{i}.down_proj" for i in range(32))]
    with pytest.raises(CatalogError, match="some experts of a layer only"):
        read(tmp_path, MIXTURE | {"quantization_config": ct(4, "int", 128, "pack-quantized", ignore=some)})


def test_older_side_files_are_read_and_foreign_layouts_refused(tmp_path: Path) -> None:
    for name, said in (
        ("quantize_config.json", {"bits": 4, "group_size": 128, "desc_act": False}),
        ("quant_config.json", {"zero_point": True, "q_group_size": 128, "w_bit": 4, "version": "GEMM"}),
    ):
        beside = tmp_path / name
        beside.write_text(json.dumps(said))
        assert read(tmp_path, DENSE).native_dtype == "int4"
        beside.unlink()
    for foreign, says in (
        ({"quantization": {"group_size": 64, "bits": 4}}, "MLX"),
        ({"quantize": "w8a8"}, "MindIE"),
        ({"torch_dtype": "float8_e4m3fn"}, "torch_dtype 'float8_e4m3fn'"),
    ):
        with pytest.raises(CatalogError, match=says):
            read(tmp_path, DENSE | foreign)
    (tmp_path / "quant_model_description.json").write_text(json.dumps({"model_quant_type": "W8A8"}))
    with pytest.raises(CatalogError, match=r"quant_model_description\.json beside"):
        read(tmp_path, DENSE)


def test_a_stated_null_has_no_default(tmp_path: Path) -> None:
    inside = DENSE | {"model_type": "mistral", "sliding_window": None}
    model = read(tmp_path, {"model_type": "mistral3", "text_config": inside})
    assert (model.sliding_window, model.kv_bytes_full_16bit) == (0, 2 * 2 * 32 * 1024)
    del inside["sliding_window"]
    assert read(tmp_path, {"model_type": "mistral3", "text_config": inside}).sliding_window == 4096


def test_shards_hold_whole_groups_and_blocks(tmp_path: Path) -> None:
    """29,568 / 8 = 3,696 is no multiple of 128: why vLLM refuses such checkpoints and publishers pad them to 29,696."""
    awq = {"quant_method": "awq", "bits": 4, "group_size": 128}
    dense = DENSE | {"hidden_size": 8192, "num_hidden_layers": 2, "num_attention_heads": 64}
    bare = read(tmp_path, dense | {"intermediate_size": 29568, "quantization_config": awq})
    assert (bare.legal_tp, bare.group_legal_tp) == ((1, 2, 4, 8, 16, 32), (("int4", (1,)),))
    assert "at most 1" in tp_refusal(bare, "int4", 8)
    assert not tp_refusal(bare, "bf16", 8)
    padded = read(tmp_path, dense | {"intermediate_size": 29696, "quantization_config": awq})
    assert padded.group_legal_tp == (("int4", (1, 2, 4, 8)),)
    assert not tp_refusal(padded, "int4", 8)
    block = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    shared = MIXTURE | {
        "num_attention_heads": 32,
        "shared_expert_intermediate_size": 512,
        "moe_intermediate_size": 1024,
    }
    cut = read(tmp_path, shared | {"model_type": "qwen2_moe", "quantization_config": block})
    assert cut.fp8_block_legal_tp == (1, 2, 4)
    wide = {"quant_method": "fp8", "weight_block_size": [128, 128], "modules_to_not_convert": ["shared_expert"]}
    assert read(tmp_path, shared | {"model_type": "qwen2_moe", "quantization_config": wide}).fp8_block_legal_tp == (
        1,
        2,
        4,
        8,
    )
