"""The dimensions of a model as its family's ``config.json`` writes them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from optimizer.catalog.config_json import Config
from optimizer.catalog.families import ExpertKeys, Window


@dataclass(frozen=True, slots=True)
class Shape:
    """What every decoder has."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    intermediate: int
    context: int


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
    layers: int = 0
    first_dense: int = 0
    dense_size: int = 0  # of the layers without experts


@dataclass(frozen=True, slots=True)
class Layers:
    """Layers by kind of attention, and the window in tokens."""

    full: int
    sliding: int
    linear: int
    window: int


def read_shape(c: Config) -> Shape:
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
    kv_heads = 1 if _multi_query(c) else c.integer("num_key_value_heads", heads)
    if heads % kv_heads:
        message = f"num_attention_heads {heads} is not divisible by num_key_value_heads {kv_heads}"
        c.error("num_key_value_heads", message, "num_attention_heads")
    default = None if c.family.gated_mlp else c.integer("expansion_ratio", 4) * hidden
    if c.family.experts is ExpertKeys.QWEN:
        default = 0
    intermediate = c.integer("intermediate_size", default)
    return Shape(
        hidden,
        c.integer("num_hidden_layers"),
        heads,
        kv_heads,
        head_dim,
        c.integer("vocab_size"),
        intermediate // 2 if c.family.fused_mlp_halves else intermediate,
        c.integer("max_position_embeddings"),
    )


def _multi_query(c: Config) -> bool:
    """Falcon: one KV head, unless the newer decoder states how many."""
    return c.family.name == "Falcon" and c.flag("multi_query", True) and not c.flag("new_decoder_architecture", False)


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


def read_experts(c: Config, shape: Shape) -> Experts:
    """Experts and the layers that have them."""
    keys = c.family.experts
    if keys is ExpertKeys.NONE:
        return Experts()
    per_token = c.integer("num_experts_per_tok")
    layers = shape.layers
    if keys is ExpertKeys.MIXTRAL:
        found = Experts(c.integer("num_local_experts"), per_token, shape.intermediate, layers=layers)
    elif keys is ExpertKeys.LLAMA4:
        count, size = c.integer("num_local_experts"), shape.intermediate
        with_experts = layers // c.integer("interleave_moe_layer_step", 1)
        dense = c.integer("intermediate_size_mlp")
        found = Experts(count, per_token, size, 1, size, with_experts, dense_size=dense)
    elif keys is ExpertKeys.QWEN:
        count, size = c.integer("num_experts"), c.integer("moe_intermediate_size")
        shared = c.integer("shared_expert_intermediate_size", 0, low=0)
        with_experts = layers // c.integer("decoder_sparse_step", 1)
        found = Experts(count, per_token, size, int(shared > 0), shared, with_experts)
    else:
        ernie = keys is ExpertKeys.ERNIE
        count = c.integer("moe_num_experts" if ernie else "n_routed_experts")
        size = c.integer("moe_intermediate_size")
        shared = c.integer("moe_num_shared_experts" if ernie else "n_shared_experts", 0, low=0)
        first = c.integer("moe_layer_start_index" if ernie else "first_k_dense_replace", 0, low=0)
        found = Experts(count, per_token, size, shared, shared * size, layers - first, first)
    if found.per_token > found.count:
        c.error("num_experts_per_tok", f"num_experts_per_tok {found.per_token} is more than the {found.count} experts")
    return replace(found, layers=max(0, found.layers))


def read_layers(c: Config, shape: Shape) -> Layers:
    """Layers of full, sliding and linear attention, and the window in tokens."""
    kinds = c.words("layer_types")
    chunked = c.family.window is Window.CHUNKED
    window = c.integer("attention_chunk_size" if chunked else "sliding_window", 0, low=0)
    if kinds:
        if len(kinds) != shape.layers:
            message = f"layer_types lists {len(kinds)} layers, num_hidden_layers says {shape.layers}"
            c.error("layer_types", message, "num_hidden_layers")
        linear = kinds.count("linear_attention")
        sliding = kinds.count("sliding_attention") + kinds.count("chunked_attention")
    else:
        interval = c.integer("full_attention_interval", 4)
        linear = shape.layers - shape.layers // interval if c.family.delta_net else 0
        sliding = _sliding_layers(c, shape, window)
    if not window or window >= shape.context:
        sliding = 0
    return Layers(shape.layers - sliding - linear, sliding, linear, window if sliding else 0)


def _sliding_layers(c: Config, shape: Shape, window: int) -> int:
    rule, layers = c.family.window, shape.layers
    if rule is Window.ALL and window:
        return layers
    if rule is Window.ALTERNATE:
        return (layers + 1) // 2
    if rule is Window.PATTERN:
        return layers - layers // c.integer("sliding_window_pattern")
    if rule is Window.CHUNKED:
        return layers - layers // 4
    if rule is Window.UPPER and c.flag("use_sliding_window", False):
        return max(0, layers - c.integer("max_window_layers", layers, low=0))
    return 0
