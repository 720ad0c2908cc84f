"""What each layer of a model holds: which attention or mixer, which feed-forward block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from optimizer.catalog.dimensions import DecoderShape, Experts
from optimizer.catalog.families import ExpertKeys, Mixing, SlidingLayers
from optimizer.catalog.huggingface_json import Config


class Attends(Enum):
    """How a layer attends."""

    NOT = auto()
    FULL = auto()  # to every token
    WINDOW = auto()  # to the last tokens, or inside its chunk


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer."""

    attends: Attends = Attends.FULL
    mixes: bool = False  # has the family's mixer (a state space, linear attention or convolution)
    keeps: bool = True  # keeps keys and values of its own (False: reads those of an earlier layer)
    dense: int = 0  # width of the dense feed-forward block
    experts: bool = False
    ratio: int = 1  # tokens per kept entry (compressed attention)


@dataclass(frozen=True, slots=True)
class Layers:
    """All layers, and the window in tokens (0 without)."""

    each: tuple[Layer, ...]
    window: int

    def count(self, attends: Attends) -> int:
        """Layers that attend so and keep keys and values."""
        return sum(layer.attends is attends and layer.keeps for layer in self.each)

    @property
    def mixing(self) -> int:
        """Layers that keep a state per sequence."""
        return sum(layer.mixes for layer in self.each)

    @property
    def experts(self) -> int:
        """Layers with experts."""
        return sum(layer.experts for layer in self.each)


_KINDS = {
    "full_attention": Layer(),
    "attention": Layer(),
    "global_attention": Layer(),
    "global": Layer(),
    "full": Layer(),
    "sliding_attention": Layer(Attends.WINDOW),
    "local_attention": Layer(Attends.WINDOW),
    "chunked_attention": Layer(Attends.WINDOW),
    "linear_attention": Layer(Attends.NOT, mixes=True),
    "mamba": Layer(Attends.NOT, mixes=True),
    "mamba2": Layer(Attends.NOT, mixes=True),
    "conv": Layer(Attends.NOT, mixes=True),
    "hybrid": Layer(mixes=True),
}
_LETTERS = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}


def read_layers(c: Config, shape: DecoderShape, experts: Experts) -> Layers:
    """Every layer with its attention and its feed-forward block."""
    if c.get("use_cla") is True:
        c.error("use_cla", "use_cla: layers that share the KV cache of others (cla_share_factor) are not modelled")
    chunked = c.family.window is SlidingLayers.CHUNKED
    window = c.integer("attention_chunk_size" if chunked else "sliding_window", 0, low=0)
    if c.get("use_sliding_window") is False and not c.words("layer_types"):
        window = 0
    blocks = _single_blocks(c, shape, experts)
    if blocks:
        return Layers(blocks, 0)
    mixers = _mixers(c, shape, window)
    if not window or window >= shape.context:
        mixers = [replace(m, attends=Attends.FULL) if m.attends is Attends.WINDOW else m for m in mixers]
    shared = c.integer("num_kv_shared_layers", 0, low=0)
    each = tuple(
        replace(mixer, dense=dense, experts=has, keeps=index < shape.layers - shared)
        for index, (mixer, (dense, has)) in enumerate(zip(mixers, _feeds(c, shape, experts), strict=True))
    )
    windowed = any(layer.attends is Attends.WINDOW for layer in each) or any(layer.ratio != 1 for layer in each)
    return Layers(each, window if windowed else 0)


def _single_blocks(c: Config, shape: DecoderShape, experts: Experts) -> tuple[Layer, ...]:
    """Nemotron: each layer is one block only, a mixer, attention, an MLP or experts; or is pruned to its own widths."""
    pattern, blocks = c.get("hybrid_override_pattern"), c.get("block_configs")
    if isinstance(blocks, list):
        return _pruned(c, shape, blocks)
    kinds = c.words("layers_block_type") if c.kind == "nemotron_h" else ()
    if isinstance(pattern, str):
        unknown = sorted(set(pattern) - set(_LETTERS))
        if unknown:
            c.error("hybrid_override_pattern", f"hybrid_override_pattern: {unknown[0]!r} is not one of M, *, -, E")
        kinds = tuple(_LETTERS.get(letter, "mlp") for letter in pattern)
    if not kinds:
        return ()
    if len(kinds) != shape.layers:
        c.error("hybrid_override_pattern", f"the pattern lists {len(kinds)} layers, not {shape.layers}")
    made = {
        "mamba": Layer(Attends.NOT, mixes=True),
        "attention": Layer(),
        "mlp": Layer(Attends.NOT, dense=shape.intermediate),
        "moe": Layer(Attends.NOT, experts=experts.count > 0),
    }
    strange = sorted(set(kinds) - set(made))
    if strange:
        c.error("layers_block_type", f"layers_block_type: {strange[0]!r} is not known")
        return ()
    return tuple(made[kind] for kind in kinds)


def _pruned(c: Config, shape: DecoderShape, blocks: Sequence[object]) -> tuple[Layer, ...]:
    """Layers of a model pruned by neural architecture search (DeciLM, Nemotron Super and Ultra)."""
    found = []
    for block in blocks:
        parts = block if isinstance(block, dict) else {}
        attention, feed = parts.get("attention") or {}, parts.get("ffn") or {}
        odd = [key for key in ("replace_with_linear", "sparsify", "window_length") if attention.get(key)]
        odd += [key for key in ("replace_with_linear", "sparsify", "moe") if feed.get(key)]
        if odd:
            c.error("block_configs", f"block_configs: {odd[0]} is not modelled")
        width = feed.get("intermediate_size") or 0
        multiplier = feed.get("ffn_mult")
        if not feed.get("no_op") and not width and isinstance(multiplier, int | float):
            width = 256 * -(-int(2 * multiplier * shape.hidden / 3) // 256)
        attends = Attends.NOT if attention.get("no_op") else Attends.FULL
        found.append(Layer(attends, dense=0 if feed.get("no_op") else int(width)))
    if len(found) != shape.layers:
        c.error("block_configs", f"block_configs lists {len(found)} layers, num_hidden_layers says {shape.layers}")
    return tuple(found)


def _mixers(c: Config, shape: DecoderShape, window: int) -> list[Layer]:
    """Attention or mixer of each layer, as the file lists it or as its family lays it out."""
    kinds = c.words("layer_types")
    if kinds:
        return _listed(c, shape, kinds)
    found = _hybrid(c, shape)
    if found is not None:
        return found
    ratios = c.numbers("compress_ratios")[: shape.layers]
    if ratios:
        return [Layer(ratio=ratio) for ratio in ratios] + [Layer(ratio=0)] * (shape.layers - len(ratios))
    pattern = c.get("hybrid_layer_pattern")
    if isinstance(pattern, list):
        if len(pattern) != shape.layers:
            c.error("hybrid_layer_pattern", f"hybrid_layer_pattern lists {len(pattern)} layers, not {shape.layers}")
            return [Layer()] * shape.layers
        return [Layer(Attends.WINDOW) if slides else Layer() for slides in pattern]
    sliding = _sliding_layers(c, shape, window)
    return [Layer(Attends.WINDOW)] * sliding + [Layer()] * (shape.layers - sliding)


def _listed(c: Config, shape: DecoderShape, kinds: Sequence[str]) -> list[Layer]:
    if len(kinds) != shape.layers:
        message = f"layer_types lists {len(kinds)} layers, num_hidden_layers says {shape.layers}"
        c.error("layer_types", message, "num_hidden_layers")
        return [Layer()] * shape.layers
    unknown = sorted(set(kinds) - set(_KINDS))
    if unknown:
        c.error("layer_types", f"layer_types: {unknown[0]!r} is not known; known: {', '.join(_KINDS)}")
        return [Layer()] * shape.layers
    layers = [_KINDS[kind] for kind in kinds]
    if c.family.mixing is Mixing.NONE and any(layer.mixes for layer in layers):
        c.error("layer_types", f"layer_types: {c.kind} has layers without attention, which are not modelled for it")
    return layers


def _hybrid(c: Config, shape: DecoderShape) -> list[Layer] | None:
    """Layers of families that mix attention with something else; None for all others."""
    if c.family.mixing is Mixing.NONE:
        return None
    if c.kind == "falcon_h1":
        return [Layer(mixes=True)] * shape.layers
    attending, mixer = _attending(c, shape.layers), Layer(Attends.NOT, mixes=True)
    return [Layer() if index in attending else mixer for index in range(shape.layers)]


def _attending(c: Config, layers: int) -> frozenset[int]:
    """The layers of a hybrid that attend, under whatever name the file lists them."""
    everywhere, found = range(layers), None
    flags, indices = c.numbers("attn_type_list"), c.get("attn_layer_indices") or c.get("full_attn_idxs")
    if c.family.mixing is Mixing.KIMI_DELTA:
        full = c.section("linear_attn_config").get("full_attn_layers")
        found = [index for index in everywhere if index + 1 in full] if isinstance(full, list) else None
    elif flags:
        found = [index for index, flag in enumerate(flags) if flag] if len(flags) == layers else None
    elif isinstance(indices, list):
        found = [index for index in everywhere if index in indices]
    elif c.has("attn_layer_period"):
        period, offset = c.integer("attn_layer_period"), c.integer("attn_layer_offset", 0, low=0)
        found = [index for index in everywhere if index % period == offset]
    elif c.family.mixing is Mixing.DELTA_NET:
        interval = c.integer("full_attention_interval", 4)
        found = [index for index in everywhere if (index + 1) % interval == 0]
    if found is None:
        c.error("layer_types", f"layer_types is missing: {c.kind} does not say which layers attend")
    return frozenset(found or everywhere)


def _sliding_layers(c: Config, shape: DecoderShape, window: int) -> int:
    """How many layers have a window, where the file does not list them."""
    rule, layers, found = c.family.window, shape.layers, 0
    if rule is SlidingLayers.ALL and window:
        found = layers
    elif rule is SlidingLayers.ALTERNATE:
        found = (layers + 1) // 2
    elif rule is SlidingLayers.PATTERN and (window or c.family.name.startswith("Gemma")):
        pattern = c.get("sliding_window_pattern")
        if isinstance(pattern, str) and pattern:
            found = sum(pattern[index % len(pattern)] == "L" for index in range(layers))
        else:
            found = layers - layers // c.integer("sliding_window_pattern")
    elif rule is SlidingLayers.CHUNKED:
        found = layers - layers // 4
    elif rule is SlidingLayers.UPPER and c.flag("use_sliding_window", False):
        found = max(0, layers - c.integer("max_window_layers", layers, low=0))
    return found


def _feeds(c: Config, shape: DecoderShape, experts: Experts) -> list[tuple[int, bool]]:
    """Width of the dense block of each layer (0 without) and whether it has experts."""
    dense = experts.dense_size or shape.intermediate
    if not experts.count:
        wide = dense or c.integer("shared_size", 0, low=0)
        return [(wide, False)] * shape.layers
    beside = dense if c.family.dense_beside_experts and not experts.shared_size else 0
    return [(beside, True) if has else (dense, False) for has in _with_experts(c, shape)]


def _with_experts(c: Config, shape: DecoderShape) -> list[bool]:
    """Which layers have experts, under whatever name the file says so."""
    layers, keys = shape.layers, c.family.experts
    if keys is ExpertKeys.LLAMA4:
        listed = c.numbers("moe_layers")
        step = c.integer("interleave_moe_layer_step", 1)
        return [(i in listed) if listed else (i + 1) % step == 0 for i in range(layers)]
    frequency, kinds = c.get("moe_layer_freq"), c.get("mlp_layer_types")
    for name, listed_values, is_moe in (("moe_layer_freq", frequency, 1), ("mlp_layer_types", kinds, "sparse")):
        if isinstance(listed_values, list):
            if len(listed_values) < layers:
                c.error(name, f"{name} lists {len(listed_values)} layers, num_hidden_layers says {layers}")
                return [True] * layers
            return [value == is_moe for value in listed_values[:layers]]
    enumerated = c.get("moe_layers_enum")
    if isinstance(enumerated, str) and enumerated:
        chosen = {int(word) for word in enumerated.split(",") if word.strip().isdigit()}
        return [index in chosen for index in range(layers)]
    if c.has("expert_layer_period"):
        period, offset = c.integer("expert_layer_period"), c.integer("expert_layer_offset", 0, low=0)
        return [index % period == offset for index in range(layers)]
    first = c.integer("first_k_dense_replace", 0, low=0)
    last = c.integer("moe_layer_end_index", layers - 1, low=-1)
    last = layers - 1 if last < 0 else last
    dense = c.numbers("mlp_only_layers")
    step = c.integer("decoder_sparse_step", 1) if c.get("decoder_sparse_step") is not None else _every(c, frequency)
    return [first <= i <= last and i not in dense and _on_step(c, i, step) for i in range(layers)]


def _every(c: Config, frequency: object) -> int:
    if isinstance(frequency, int) and not isinstance(frequency, bool):
        return max(frequency, 1)
    return c.integer("moe_layer_interval", 1)


def _on_step(c: Config, index: int, step: int) -> bool:
    """Layers are counted from one where the key is decoder_sparse_step or moe_layer_interval, from zero else."""
    return index % step == 0 if c.get("moe_layer_freq") is not None else (index + 1) % step == 0
