"""A Hugging Face ``config.json`` of a known family -> Model: parameter counts and KV bytes from its dimensions."""

from __future__ import annotations

from pathlib import Path

from optimizer.catalog.config_json import Config, read_config
from optimizer.catalog.dimensions import Experts, Latent, Shape, read_experts, read_latent, read_layers, read_shape
from optimizer.catalog.families import ExpertKeys
from optimizer.catalog.types import Attention, Model
from optimizer.documents.scalars import shown
from optimizer.errors import CatalogError

BYTES_16BIT = 2
BYTES_FP32 = 4
FP8_BLOCK = 128
"""Block edge of fp8 checkpoints: a shard of an expert must hold whole blocks."""

TP_SIZES = (1, 2, 4, 5, 7, 8, 10, 16, 20, 32)
"""Tensor-parallel sizes that anybody builds."""

INDEX_BYTES_PER_LAYER = 132
"""Sparse-attention index: 128 fp8 values and a 4-byte scale per token and layer (DeepSeek-V3.2)."""


def read_model(path: Path) -> Model:
    """The model that the config.json at ``path`` (the file or its directory) describes; see ``references``."""
    config = read_config(path)
    model = _model(config)
    if config.findings:
        raise CatalogError(config.findings)
    return model


def _model(c: Config) -> Model:
    shape = read_shape(c)
    latent = read_latent(c)
    experts = read_experts(c, shape)
    layers = read_layers(c, shape)
    routed = experts.layers * experts.count * _mlp(c, shape.hidden, experts.size)
    embed = float(shape.vocabulary * shape.hidden)
    head = 0.0 if c.flag("tie_word_embeddings", c.family.tied) else embed
    attention = _attention_params(c, shape, latent)
    body = (layers.full + layers.sliding) * attention + layers.linear * _delta_net_params(c, shape.hidden)
    body += _mlp_params(c, shape, experts) + 2 * shape.hidden * shape.layers
    total = embed + head + body + routed
    kv_layer = 2 * shape.kv_heads * shape.head_dim * BYTES_16BIT
    if c.family.latent:
        kv_layer = (latent.kv_rank + latent.rope) * BYTES_16BIT
    return Model(
        id=c.path.parent.name or c.path.stem,
        family=c.family.name,
        total_params=total,
        active_params=total - routed * (1 - experts.per_token / experts.count) if experts.count else total,
        embed_params=embed,
        head_params=head,
        routed_expert_params=float(routed),
        num_layers=shape.layers,
        hidden_size=shape.hidden,
        intermediate_size=experts.dense_size or shape.intermediate,
        num_attention_heads=shape.heads,
        num_kv_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        vocab_size=shape.vocabulary,
        attention=_attention_kind(c, shape),
        sliding_window=layers.window,
        full_attention_layers=layers.full,
        sliding_layers=layers.sliding,
        linear_layers=layers.linear,
        kv_lora_rank=latent.kv_rank,
        rope_head_dim=latent.rope,
        nope_head_dim=latent.nope,
        v_head_dim=latent.value,
        kv_bytes_full_16bit=float(layers.full * kv_layer),
        kv_bytes_sliding_16bit=float(layers.sliding * kv_layer),
        linear_state_bytes=float(layers.linear * _delta_net_state(c)),
        index_bytes_per_token=float(INDEX_BYTES_PER_LAYER * shape.layers if c.family.indexer else 0),
        num_experts=experts.count,
        experts_per_token=experts.per_token,
        shared_experts=experts.shared,
        expert_intermediate_size=experts.size,
        first_dense_layers=experts.first_dense,
        native_dtype=_native_dtype(c),
        context_limit=shape.context,
        legal_tp=_legal_tp(c, shape, experts),
        fp8_block_legal_tp=_fp8_block_legal_tp(c, shape, experts),
        licence="",
        source=f"{c.path.name}, counted from its dimensions",
        notes="",
        tied_embeddings=head == 0.0,
    )


def _attention_params(c: Config, shape: Shape, latent: Latent) -> int:
    """Projections of one attention layer."""
    hidden, heads = shape.hidden, shape.heads
    if c.family.latent:
        key = latent.nope + latent.rope
        query = hidden * latent.q_rank + latent.q_rank * heads * key if latent.q_rank else hidden * heads * key
        down = hidden * (latent.kv_rank + latent.rope)
        up = latent.kv_rank * heads * (latent.nope + latent.value)
        return query + down + up + heads * latent.value * hidden + _indexer_params(c, hidden, latent)
    width, kv_width = heads * shape.head_dim, shape.kv_heads * shape.head_dim
    params = hidden * (width * (3 if c.family.gated_attention else 2) + 2 * kv_width)
    params += (width + 2 * kv_width) if c.flag("attention_bias", c.family.qkv_bias) else 0
    params += hidden if c.family.out_bias else 0
    params += heads if c.family.sinks else 0
    return params + (2 * shape.head_dim if c.family.qk_norm else 0)


def _indexer_params(c: Config, hidden: int, latent: Latent) -> int:
    """Lightning indexer of sparse attention: queries from the latent, one key, a weight per head."""
    if not c.family.indexer:
        return 0
    heads, dim = c.integer("index_n_heads"), c.integer("index_head_dim")
    return latent.q_rank * heads * dim + hidden * (dim + heads)


def _delta_net_params(c: Config, hidden: int) -> int:
    """Gated delta-net layer: query, key, value, gate and output projections, two scalars per head, convolution."""
    if not c.family.delta_net:
        return 0
    keys = c.integer("linear_num_key_heads") * c.integer("linear_key_head_dim")
    heads = c.integer("linear_num_value_heads")
    values = heads * c.integer("linear_value_head_dim")
    mixing = c.integer("linear_conv_kernel_dim", 4) * (2 * keys + values)
    return hidden * (2 * keys + 3 * values + 2 * heads) + mixing + 2 * heads


def _delta_net_state(c: Config) -> int:
    """Bytes per sequence and layer: the fp32 recurrent state and the 16-bit convolution window."""
    if not c.family.delta_net:
        return 0
    key, value = c.integer("linear_key_head_dim"), c.integer("linear_value_head_dim")
    heads = c.integer("linear_num_value_heads")
    channels = 2 * c.integer("linear_num_key_heads") * key + heads * value
    return heads * key * value * BYTES_FP32 + channels * (c.integer("linear_conv_kernel_dim", 4) - 1) * BYTES_16BIT


def _mlp(c: Config, hidden: int, size: int) -> int:
    """Parameters of one feed-forward block or expert."""
    matrices = 3 if c.family.gated_mlp else 2
    return matrices * hidden * size + ((matrices - 1) * size + hidden if c.family.mlp_bias else 0)


def _mlp_params(c: Config, shape: Shape, experts: Experts) -> int:
    """All feed-forward parameters but the routed experts: dense layers, shared experts, routers."""
    dense = (shape.layers - experts.layers) * _mlp(c, shape.hidden, experts.dense_size or shape.intermediate)
    shared = _mlp(c, shape.hidden, experts.shared_size) if experts.shared_size else 0
    gate = shape.hidden if c.family.experts is ExpertKeys.QWEN and experts.shared_size else 0
    return dense + experts.layers * (shared + gate + shape.hidden * experts.count)


def _attention_kind(c: Config, shape: Shape) -> Attention:
    if c.family.latent:
        return Attention.MLA
    if c.family.delta_net:
        return Attention.HYBRID
    return Attention.MHA if shape.kv_heads == shape.heads else Attention.GQA


def _native_dtype(c: Config) -> str:
    quantization = c.section("quantization_config")
    method = str(quantization.get("quant_method", ""))
    if method in ("fp8", "mxfp4"):
        return method
    if method in ("awq", "gptq", "compressed-tensors", "auto-round"):
        if quantization.get("bits", 4) == 4 and "float" not in str(quantization.get("format", "")):
            return "int4"
        c.error("quantization_config", f"quantization_config: {method} in another format than int4 is not known")
    elif method:
        message = f"quantization_config: quant_method {shown(method)} is not known; known: fp8, mxfp4, awq, gptq"
        c.error("quantization_config", message)
    return "fp16" if c.get("torch_dtype") == "float16" else "bf16"


def _legal_tp(c: Config, shape: Shape, experts: Experts) -> tuple[int, ...]:
    """Sizes that divide the heads and the feed-forward widths; KV heads are split evenly or replicated evenly."""
    widths = {experts.size, experts.dense_size or shape.intermediate} - {0}

    def splits(t: int) -> bool:
        kv = c.family.latent or shape.kv_heads % t == 0 or t % shape.kv_heads == 0
        return kv and shape.heads % t == 0 and all(width % t == 0 for width in widths)

    return tuple(t for t in TP_SIZES if splits(t))


def _fp8_block_legal_tp(c: Config, shape: Shape, experts: Experts) -> tuple[int, ...]:
    """Sizes at which a shard of an expert of a block-quantized fp8 checkpoint still holds whole blocks."""
    if not experts.count or "weight_block_size" not in c.section("quantization_config"):
        return ()
    legal = _legal_tp(c, shape, experts)
    whole = tuple(t for t in legal if experts.size // t % FP8_BLOCK == 0)
    return () if whole == legal else whole
