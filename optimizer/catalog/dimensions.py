"""The dimensions of a model as its family's ``config.json`` writes them."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.catalog.families import ExpertKeys
from optimizer.catalog.huggingface_json import Config


@dataclass(frozen=True, slots=True)
class Heads:
    """Attention of one kind of layer; widths of keys and values in values a head."""

    count: int
    kv: int
    key: int
    value: int
    shared_projection: bool = False  # keys and values come from one projection, and are cached apart

    @property
    def kv_values(self) -> int:
        """Values cached per token and layer."""
        return self.kv * (self.key + self.value)


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """What every decoder has."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    intermediate: int
    context: int
    full: Heads
    sliding: Heads


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention; zeros without."""

    kv_rank: int = 0
    rope: int = 0
    nope: int = 0
    value: int = 0
    q_rank: int = 0


@dataclass(frozen=True, slots=True)
class Experts:
    """Mixture of experts; zeros without."""

    count: int = 0
    per_token: int = 0
    size: int = 0
    shared: int = 0
    shared_size: int = 0  # of all shared experts together
    dense_size: int = 0  # of the layers without experts
    hidden: int = 0  # the width that experts work at; 0 = the model's


def read_shape(c: Config) -> DecoderShape:
    """Widths, heads, vocabulary, context."""
    hidden = c.integer("hidden_size")
    heads = c.integer("num_attention_heads")
    if c.family.latent:
        head_dim = c.integer("qk_nope_head_dim") + c.integer("qk_rope_head_dim")
    else:
        if c.get("head_dim") is None and hidden % heads:
            message = f"hidden_size {hidden} is not divisible by num_attention_heads {heads}, and head_dim is missing"
            c.error("hidden_size", message, "num_attention_heads")
        head_dim = c.integer("head_dim", max(1, hidden // heads))
    kv_heads = _kv_heads(c, heads)
    if heads % kv_heads:
        message = f"num_attention_heads {heads} is not divisible by num_key_value_heads {kv_heads}"
        c.error("num_key_value_heads", message, "num_attention_heads")
    intermediate = _intermediate(c, hidden)
    full, sliding = _heads_by_kind(c, heads, kv_heads, head_dim)
    return DecoderShape(
        hidden,
        _layer_count(c),
        heads,
        kv_heads,
        head_dim,
        c.integer("vocab_size"),
        intermediate // 2 if c.family.fused_mlp_halves else intermediate,
        c.integer("max_position_embeddings"),
        full,
        sliding,
    )


MOST_LAYERS = 2000
"""More layers than any model has."""


def _layer_count(c: Config) -> int:
    pattern = c.get("hybrid_override_pattern")
    stated = c.get("layers_block_type")
    default = len(pattern) if isinstance(pattern, str) else len(stated) if isinstance(stated, list) else None
    layers = c.integer("num_hidden_layers", default)
    if layers > MOST_LAYERS:
        c.error("num_hidden_layers", f"num_hidden_layers: {layers:,} is more than {MOST_LAYERS:,}")
        return 1
    return layers


def _kv_heads(c: Config, heads: int) -> int:
    if c.family.multi_query and c.flag("multi_query", True) and not c.flag("new_decoder_architecture", False):
        return 1
    if c.kind == "chatglm" and not c.flag("multi_query_attention", False):
        return heads
    blocks = c.get("block_configs")
    if isinstance(blocks, list):
        groups = [_inner(_inner(block, "attention"), "n_heads_in_group") for block in blocks]
        used = sorted({size for size in groups if isinstance(size, int) and size > 0})
        if len(used) != 1:
            c.error("block_configs", "block_configs: attention differs from layer to layer, which is not modelled")
            return 1
        return max(heads // used[0], 1)
    return c.integer("num_key_value_heads", heads)


def _inner(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _intermediate(c: Config, hidden: int) -> int:
    """Width of a dense feed-forward block."""
    if c.get("block_configs") is not None:
        return 0
    default = None if c.family.gated_mlp else c.integer("expansion_ratio", 4) * hidden
    if c.family.experts is ExpertKeys.QWEN or c.get("moe_intermediate_size") is not None:
        default = 0
    if c.has("dense_intermediate_size"):
        return c.integer("dense_intermediate_size")
    width = c.integer("intermediate_size", default, low=0 if default is not None else 1)
    if c.kind.startswith("lfm2") and c.flag("block_auto_adjust_ff_dim", c.kind == "lfm2"):
        multiple = c.integer("block_multiple_of", 256)
        width = int(c.number("block_ffn_dim_multiplier", 1.0) * (2 * width // 3))
        width = multiple * -(-width // multiple)
    return width


def _heads_by_kind(c: Config, heads: int, kv_heads: int, head_dim: int) -> tuple[Heads, Heads]:
    """Attention of the layers that keep every token and of those inside a window."""
    plain = Heads(heads, kv_heads, head_dim, head_dim if c.family.latent else c.integer("v_head_dim", head_dim))
    if c.has("global_head_dim"):
        tied = c.flag("attention_k_eq_v", False)
        wide = c.integer("global_head_dim")
        kv = c.integer("num_global_key_value_heads", kv_heads) if tied else kv_heads
        return Heads(heads, kv, wide, wide, tied), plain
    if c.has("swa_num_key_value_heads") or c.has("swa_head_dim"):
        key = c.integer("swa_head_dim", head_dim)
        count = c.integer("swa_num_attention_heads", heads)
        value = c.integer("swa_v_head_dim", plain.value)
        return plain, Heads(count, c.integer("swa_num_key_value_heads", kv_heads), key, value)
    other = c.section("attention_other_setting")
    if other:
        count_there, kv_there = other.get("num_attention_heads", heads), other.get("num_attention_groups", kv_heads)
        if isinstance(count_there, int) and isinstance(kv_there, int):
            return plain, Heads(count_there, kv_there, head_dim, plain.value)
    return plain, plain


def read_latent(c: Config) -> Latent:
    """Ranks and head widths of latent attention."""
    if not c.family.latent:
        return Latent()
    return Latent(
        c.integer("kv_lora_rank"),
        c.integer("qk_rope_head_dim"),
        c.integer("qk_nope_head_dim"),
        c.integer("v_head_dim"),
        c.integer("q_lora_rank", 0, low=0),
    )


def read_experts(c: Config, shape: DecoderShape) -> Experts:
    """Experts: how many, how wide, how many for each token."""
    keys = c.family.experts
    if keys is ExpertKeys.NONE or (keys is not ExpertKeys.LLAMA4 and c.family.plain and not c.has("num_local_experts")):
        return Experts()
    if keys is ExpertKeys.KEYS and not c.has("num_local_experts"):
        return Experts()
    per_token = c.integer("num_experts_per_tok")
    if keys is ExpertKeys.MIXTRAL:
        size = shape.intermediate
        if c.kind == "flex_olmo" or (c.family.plain and c.has("moe_intermediate_size")):
            size = c.integer("moe_intermediate_size", size)
        shared = c.integer("shared_size", 0, low=0) if c.family.dense_beside_experts else 0
        found = Experts(c.integer("num_local_experts"), per_token, size, int(shared > 0), shared)
    elif keys is ExpertKeys.LLAMA4:
        count, size = c.integer("num_local_experts"), shape.intermediate
        found = Experts(count, per_token, size, 1, size, dense_size=c.integer("intermediate_size_mlp"))
    elif keys is ExpertKeys.QWEN:
        count, size = c.integer("num_experts"), c.integer("moe_intermediate_size")
        shared = c.integer("shared_expert_intermediate_size", 0, low=0)
        found = Experts(count, per_token, size, int(shared > 0), shared)
    elif keys is ExpertKeys.KEYS:
        found = _by_keys(c, shape, per_token)
    else:
        ernie = keys is ExpertKeys.ERNIE
        count = c.integer("moe_num_experts" if ernie else "n_routed_experts")
        size = c.integer("moe_intermediate_size")
        shared = c.integer("moe_num_shared_experts" if ernie else "n_shared_experts", 0, low=0)
        found = Experts(count, per_token, size, shared, shared * size)
    if found.per_token > found.count:
        c.error("num_experts_per_tok", f"num_experts_per_tok {found.per_token} is more than the {found.count} experts")
    return found


def _by_keys(c: Config, shape: DecoderShape, per_token: int) -> Experts:
    """Experts under whatever names the file has for them."""
    size = c.integer("moe_intermediate_size", shape.intermediate or None)
    each = c.integer("shared_size", 0, low=0)
    shared = c.integer("shared_experts", int(each > 0), low=0)
    hidden = c.integer("moe_latent_size", 0, low=0) or c.integer("routed_expert_hidden_size", 0, low=0)
    whole = c.kind == "nemotron_h"  # states the width of all shared experts together
    return Experts(
        c.integer("num_local_experts"),
        per_token,
        size,
        shared,
        (each if whole and each else shared * (each or size)) if shared else 0,
        hidden=hidden,
    )
