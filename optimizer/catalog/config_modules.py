"""The weights of a model, module by module, under the names that checkpoints give them.

Quantized checkpoints say by such names what they leave at 16 bit, so a size is right only where names are matched.
Counts follow the modelling code of each family in Hugging Face transformers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from optimizer.catalog.config_layers import Attends, Layer, Layers
from optimizer.catalog.config_mixers import mixer_modules
from optimizer.catalog.dimensions import DecoderShape, Experts, Heads, Latent
from optimizer.catalog.families import ExpertKeys
from optimizer.catalog.huggingface_json import Config
from optimizer.catalog.module import Module, ModulePart


@dataclass(frozen=True, slots=True)
class Body:
    """Everything that the modules are counted from."""

    shape: DecoderShape
    latent: Latent
    experts: Experts
    layers: Layers


def modules(c: Config, body: Body) -> Iterator[Module]:
    """Every weight of the language model: its parts with their names and parameters."""
    shape = body.shape
    embed = shape.vocabulary * shape.hidden
    yield Module("embed_tokens", ModulePart.EMBEDDING, embed, linear=False)
    if c.family.positions:
        width = c.integer("max_position_embeddings") * shape.hidden
        yield Module("embed_positions", ModulePart.NORMS, width, linear=False)
    yield from _per_layer_inputs(c, shape)
    for index, layer in enumerate(body.layers.each):
        prefix = f"layers.{index}."
        for module in _layer(c, body, layer):
            yield Module(prefix + module.name, module.part, module.params, module.linear, index)
    yield Module("norm", ModulePart.NORMS, shape.hidden, linear=False)
    if not c.flag("tie_word_embeddings", c.family.tied):
        yield Module("lm_head", ModulePart.HEAD, embed)


def _per_layer_inputs(c: Config, shape: DecoderShape) -> Iterator[Module]:
    """Gemma 4 E2B and E4B: a table of small embeddings for every layer."""
    width = c.integer("hidden_size_per_layer_input", 0, low=0)
    if width:
        rows = c.integer("vocab_size_per_layer_input", shape.vocabulary)
        yield Module("embed_tokens_per_layer", ModulePart.NORMS, rows * width * shape.layers, linear=False)
        yield Module("per_layer_model_projection", ModulePart.DENSE, shape.hidden * width * shape.layers)


def _layer(c: Config, body: Body, layer: Layer) -> Iterator[Module]:
    shape, hidden = body.shape, body.shape.hidden
    if layer.attends is not Attends.NOT:
        if c.family.latent:
            yield from _latent_attention(c, body)
        elif c.kind == "deepseek_v4":
            yield from _compressed_attention(c, shape, layer)
        else:
            yield from _attention(c, shape, shape.sliding if layer.attends is Attends.WINDOW else shape.full, layer)
    if layer.mixes:
        yield from mixer_modules(c, shape)
    if layer.dense:
        width = layer.dense * (2 if c.flag("use_double_wide_mlp", False) and not layer.keeps else 1)
        yield from _feed(c, "mlp", hidden, width, ModulePart.DENSE)
    if layer.experts:
        yield from _expert_modules(c, body)
    per_layer = c.integer("hidden_size_per_layer_input", 0, low=0)
    if per_layer:
        yield Module("per_layer_input_gate", ModulePart.DENSE, 2 * hidden * per_layer)
    yield Module("input_layernorm", ModulePart.NORMS, 2 * hidden, linear=False)


def _attention(c: Config, shape: DecoderShape, heads: Heads, layer: Layer) -> Iterator[Module]:
    """Query, key, value and output projections of one attention layer."""
    family, hidden = c.family, shape.hidden
    gated = c.flag("attn_output_gate", family.gated_attention)
    query, keys, values = heads.count * heads.key, heads.kv * heads.key, heads.kv * heads.value
    bias = c.flag("attention_bias", c.flag("qkv_bias", family.qkv_bias))
    yield Module("self_attn.q_proj", ModulePart.ATTENTION, hidden * query * (2 if gated else 1) + query * bias)
    if layer.keeps:
        yield Module("self_attn.k_proj", ModulePart.ATTENTION, hidden * keys + keys * bias)
        if not heads.shared_projection:
            yield Module("self_attn.v_proj", ModulePart.ATTENTION, hidden * values + values * bias)
    yield Module(
        "self_attn.o_proj", ModulePart.ATTENTION, heads.count * heads.value * hidden + hidden * family.out_bias
    )
    extra = (heads.count if family.sinks else 0) + (2 * heads.key if family.qk_norm else 0)
    if extra:
        yield Module("self_attn.norms", ModulePart.NORMS, extra, linear=False)
    sparse = c.section("sparse_attention_config")
    width, index_heads = sparse.get("sparse_index_dim"), sparse.get("sparse_num_index_heads")
    if isinstance(width, int) and isinstance(index_heads, int) and layer.experts:
        yield Module("self_attn.index_proj", ModulePart.ATTENTION, hidden * width * (index_heads + 1))


def _latent_attention(c: Config, body: Body) -> Iterator[Module]:
    """Projections of multi-head latent attention, with the index of sparse attention where the family has one."""
    latent, hidden, heads = body.latent, body.shape.hidden, body.shape.heads
    key = latent.nope + latent.rope
    if latent.q_rank:
        yield Module("self_attn.q_a_proj", ModulePart.ATTENTION, hidden * latent.q_rank)
        yield Module("self_attn.q_b_proj", ModulePart.ATTENTION, latent.q_rank * heads * key)
    else:
        yield Module("self_attn.q_proj", ModulePart.ATTENTION, hidden * heads * key)
    yield Module("self_attn.kv_a_proj_with_mqa", ModulePart.ATTENTION, hidden * (latent.kv_rank + latent.rope))
    up = latent.kv_rank * heads * (latent.nope + latent.value)
    yield Module("self_attn.kv_b_proj", ModulePart.ATTENTION, up)
    yield Module("self_attn.o_proj", ModulePart.ATTENTION, heads * latent.value * hidden)
    if c.flag("mla_use_output_gate", False):
        yield Module("self_attn.g_proj", ModulePart.ATTENTION, hidden * heads * latent.value)
    if c.family.indexer:
        yield from _indexer(c, hidden, latent.q_rank)


def _indexer(c: Config, hidden: int, q_rank: int) -> Iterator[Module]:
    """Lightning indexer of sparse attention: queries from the latent, one key, a weight per head."""
    heads, dim = c.integer("index_n_heads"), c.integer("index_head_dim")
    yield Module("self_attn.indexer.wq_b", ModulePart.ATTENTION, q_rank * heads * dim)
    yield Module("self_attn.indexer.wk", ModulePart.ATTENTION, hidden * dim)
    yield Module("self_attn.indexer.weights_proj", ModulePart.ROUTER, hidden * heads)


def _compressed_attention(c: Config, shape: DecoderShape, layer: Layer) -> Iterator[Module]:
    """DeepSeek-V4: one latent for keys and values, a grouped low-rank output projection, a compressor per layer."""
    hidden, width = shape.hidden, shape.head_dim
    q_rank, o_rank, groups = c.integer("q_lora_rank"), c.integer("o_lora_rank"), c.integer("o_groups")
    yield Module("self_attn.q_a_proj", ModulePart.ATTENTION, hidden * q_rank)
    yield Module("self_attn.q_b_proj", ModulePart.ATTENTION, q_rank * shape.heads * width)
    yield Module("self_attn.kv_proj", ModulePart.ATTENTION, hidden * width)
    yield Module("self_attn.o_a_proj", ModulePart.ATTENTION, shape.heads * width * o_rank)
    yield Module("self_attn.o_b_proj", ModulePart.ATTENTION, groups * o_rank * hidden)
    if layer.ratio > 1:
        twice = 4 if layer.ratio <= COMPRESSED_WITH_INDEX else 2
        yield Module("self_attn.compressor.wkv_gate", ModulePart.ROUTER, twice * hidden * width)
    if 1 < layer.ratio <= COMPRESSED_WITH_INDEX:
        yield from _indexer(c, hidden, q_rank)
        dim = c.integer("index_head_dim")
        yield Module("self_attn.indexer.compressor.wkv_gate", ModulePart.ROUTER, 4 * hidden * dim)


COMPRESSED_WITH_INDEX = 4
"""DeepSeek-V4 keeps an index only where it compresses up to so many tokens into one."""


def _feed(c: Config, name: str, hidden: int, size: int, part: ModulePart) -> Iterator[Module]:
    bias = c.flag("mlp_bias", c.family.mlp_bias) and part is not ModulePart.SHARED
    if c.family.gated_mlp:
        yield Module(f"{name}.gate_proj", part, hidden * size + size * bias)
    yield Module(f"{name}.up_proj", part, hidden * size + size * bias)
    yield Module(f"{name}.down_proj", part, hidden * size + hidden * bias)


def _expert_modules(c: Config, body: Body) -> Iterator[Module]:
    """Routed experts of a layer, each projection of all of them as one module, the shared ones, the router."""
    experts, hidden = body.experts, body.shape.hidden
    width = experts.hidden or hidden
    apart = c.kind.startswith("gemma4")  # beside the MLP, not in it
    for module in _feed(c, "experts" if apart else "mlp.experts", width, experts.size, ModulePart.EXPERTS):
        yield Module(module.name, module.part, experts.count * module.params)
    if experts.hidden:
        yield Module("mlp.latent_proj", ModulePart.SHARED, 2 * hidden * width)
    if experts.shared_size:
        yield from _feed(c, "mlp.shared_experts", hidden, experts.shared_size, ModulePart.SHARED)
        if c.family.experts is ExpertKeys.QWEN:
            yield Module("mlp.shared_expert_gate", ModulePart.ROUTER, hidden)
    yield Module("router" if apart else "mlp.gate", ModulePart.ROUTER, hidden * experts.count)


def kv_bytes_16bit(c: Config, body: Body) -> tuple[float, float, float]:
    """KV bytes per token over the layers that keep every token, over those with a window, and of the sparse index."""
    shape, latent, layers = body.shape, body.latent, body.layers
    full, window = layers.count(Attends.FULL), layers.count(Attends.WINDOW)
    if c.kind == "deepseek_v4":
        entries = sum(1.0 / layer.ratio for layer in layers.each if layer.ratio > 0)
        indexed = sum(1.0 / layer.ratio for layer in layers.each if 1 < layer.ratio <= COMPRESSED_WITH_INDEX)
        each = 2 * shape.head_dim
        return entries * each, float(each * shape.layers), indexed * INDEX_BYTES_PER_LAYER
    if c.family.latent:
        index = INDEX_BYTES_PER_LAYER * full if c.family.indexer else 0
        return float(2 * full * (latent.kv_rank + latent.rope)), 0.0, float(index)
    return float(2 * full * shape.full.kv_values), float(2 * window * shape.sliding.kv_values), 0.0


INDEX_BYTES_PER_LAYER = 132
"""Sparse-attention index: 128 fp8 values and a 4-byte scale per token and layer (DeepSeek-V3.2)."""
