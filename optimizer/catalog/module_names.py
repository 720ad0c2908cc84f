"""Which modules a quantized checkpoint means when it lists names: exact, by pattern, or by what they contain.

The same module has other names in other checkpoints (``model.layers.0.mlp.gate``, ``backbone.layers.0.mixer.gate``,
``model.language_model.layers.0.block_sparse_moe.gate``): a list is matched against all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from fnmatch import translate

from optimizer.catalog.module import Module, ModulePart

_PREFIXES = ("model.", "", "model.language_model.", "language_model.model.", "language_model.", "backbone.")
_LAYER = re.compile(r"(?:layers|h|blocks)\.(\d+)\.")
_LAYER_OF_EXPRESSION = re.compile(r"(?:layers|h|blocks)\\?\.(\d+)(?:\\\.|\.(?![*+?{]))")
_SEVERAL = ("|", "(?")
"""Signs in an expression that may make it speak of other layers than the first that it names."""

_CONTAINERS = re.compile(
    r"(?:transformer\\?\.encoder\\?\.layers|transformer\\?\.(?:h|blocks)|gpt_neox\\?\.layers|(?:model\\?\.)?decoder\\?\.layers"
    r"|llm\\?\.model\\?\.layers|thinker\\?\.model\\?\.layers|(?:model\\?\.)?text_model\\?\.(?:model\\?\.)?layers)(?=\\?\.)"
)
_PROJECTIONS = (
    (re.compile(r"\b(?:query_key_value|c_attn|W_pack|[wW]qkv)\b"), "qkv_proj"),
    (
        re.compile(r"(?<!linear_)(attn|attention)(\\?\.)(?:attention\\?\.)?(?:c_proj|dense|out_proj|wo)\b"),
        r"\1\2o_proj",
    ),
    (re.compile(r"\b(?:dense_h_to_4h|c_fc_0|c_fc_1|c_fc|fc1)\b"), "gate_up_proj"),
    (re.compile(r"\b(?:dense_4h_to_h|fc2)\b"), "down_proj"),
    (re.compile(r"(mlp|ffn)(\\?\.)c_proj\b"), r"\1\2down_proj"),
    (re.compile(r"\bin_proj_qkvz\b"), "in_proj_qkv"),
    (re.compile(r"\bin_proj_[ab]\b"), "in_proj_ba"),
)
"""Names that older and fused layouts give the layers and projections, as they are called here."""

_HEADS = ("lm_head", "output", "output_layer", "embed_out", "head")
_HEAD_PREFIXES = ("", "model.", "language_model.", "model.language_model.", "transformer.", "llm.", "thinker.")
_BLOCKS = {
    "self_attn": ("self_attn", "attn", "attention", "mixer", "self_attention"),
    "linear_attn": ("linear_attn", "mixer"),
    "mamba": ("mamba", "mixer"),
    "mlp": ("mlp", "mixer", "feed_forward", "block_sparse_moe", "ffn", "moe"),
    "conv": ("conv",),
}
_LEAVES = {
    "q_proj": ("q_proj", "qkv_proj"),
    "k_proj": ("k_proj", "qkv_proj"),
    "v_proj": ("v_proj", "qkv_proj"),
    "gate_proj": ("gate_proj", "gate_up_proj", "w1", "linear_fc1"),
    "up_proj": ("up_proj", "gate_up_proj", "w3"),
    "down_proj": ("down_proj", "w2"),
    "gate": ("gate", "router"),
    "wkv_gate": ("wkv", "wgate"),
}


class NameStyle(Enum):
    """How a method means its names."""

    EXACT = auto()  # the whole name, or a regular expression after "re:"
    WILDCARD = auto()  # shell wildcards over the whole name; without any the module or what is inside it
    CONTAINS = auto()  # some parts of the name in sequence; a star stands for any
    PIECES = auto()  # the same, and a word without dots any piece of a block's name (AutoAWQ: "attn" means self_attn)


class NameList:
    """A list of names as one method means it."""

    def __init__(self, names: Iterable[str], style: NameStyle) -> None:
        listed = [_as_called_here(name) for name in names]
        self._style = style
        self._everything = any(name in ("Linear", "re:.*", "*") for name in listed)
        written = {name.split("layers.", 1)[0] for name in listed if "layers." in name}
        # The list says how this checkpoint calls its layers; without one they may have any prefix.
        self._prefixes = tuple(sorted(written)) if written and written <= set(_PREFIXES) else _PREFIXES
        patterns = [name for name in listed if name.startswith("re:") or any(sign in name for sign in "*?[")]
        words = [name for name in listed if name not in frozenset(patterns)]
        pieces = style is NameStyle.PIECES
        self._pieces = tuple(word for word in words if pieces and "." not in word)
        self._words = frozenset(word.strip(".") for word in words)
        self._listed_names = tuple(listed)
        anywhere: list[str] = []
        by_layer: dict[int, list[str]] = {}
        for name in patterns:
            layer = _layer_of(name)
            (anywhere if layer is None else by_layer.setdefault(layer, [])).append(_pattern(name, style))
        self._anywhere = _either(anywhere)
        self._by_layer = {layer: _either(found) for layer, found in by_layer.items()}

    def __bool__(self) -> bool:
        return bool(self._words or self._by_layer) or self._anywhere is not None

    def mean(self, module: Module) -> bool:
        """Whether the list means a module."""
        if self._everything:
            return True
        patterns = [p for p in (self._anywhere, self._by_layer.get(module.layer)) if p is not None]
        names = names_of(module, self._prefixes)
        return any(pattern.search(name) for name in names for pattern in patterns) or self._listed(names)

    def strangers(self, modules: Sequence[Module], layers: int, experts: int) -> Iterator[str]:
        """Names that speak of attention, a mixer or a feed-forward block of a layer, and mean no module of the model;
        or of some experts of a layer and not of others."""
        named: dict[str, set[str]] = {}
        for name in self._listed_names:
            spoken = _EXPERT.search(name)
            if spoken and not name.startswith("re:"):
                named.setdefault(_EXPERT.sub("experts.", name), set()).add(spoken[1])
        yield from (name for name, numbers in named.items() if len(numbers) != experts)
        suspects = [name for name in self._listed_names if _speaks_of_layers(name, layers)]
        if not suspects:
            return
        called: dict[int, list[str]] = {}
        for module in modules:
            called.setdefault(module.layer, []).extend(names_of(module, self._prefixes))
        everywhere = [name for names in called.values() for name in names]
        runs = frozenset() if self._style is NameStyle.EXACT else frozenset(p for n in everywhere for p in _parts(n))
        known = runs | frozenset(everywhere)
        for name in suspects:
            if name.strip(".") in known or _EXPERT.search(name):
                continue
            layer = _layer_of(name)
            expression = re.compile(_pattern(name, self._style))
            if not any(expression.search(each) for each in (everywhere if layer is None else called.get(layer, ()))):
                yield name

    def _listed(self, names: Iterable[str]) -> bool:
        """Whether a word of the list is one of the names, or some of its parts in sequence where the style says so."""
        if not self._words:
            return False
        if self._style is NameStyle.EXACT:
            return any(name in self._words for name in names)
        if self._pieces and any(
            piece in step for name in names for step in name.split(".")[:-1] for piece in self._pieces
        ):
            return True
        return any(part in self._words for name in names for part in _parts(name))


_EXPERT = re.compile(r"experts\.(\d+)\.")
_INSIDE_LAYERS = re.compile(r"attn|attention|mlp|ffn|feed_forward|experts|mixer|mamba|block_sparse_moe")
_ELSEWHERE = re.compile(
    r"visual|vision|image|audio|speech|video|tower|projector|merger|mtp|draft|eagle|eh_proj|indexer|norm|bias|conv1d|rotary"
    r"|router|\bgate\b|wgate|sinks?\b|A_log|dt_|\bD\b|embed|merge|compressor|lora|adapter|shared_expert_gate|scale|in_proj_ba"
)
"""Encoders, layers for speculation, and what no quantizer takes: names of these need not be known here."""


def _speaks_of_layers(name: str, layers: int) -> bool:
    """Whether a name is of a linear layer inside one of the model's own layers."""
    layer = _layer_of(name)
    return bool(_INSIDE_LAYERS.search(name)) and not _ELSEWHERE.search(name) and (layer is None or layer < layers)


def _as_called_here(name: str) -> str:
    """A name of a list with the layers and projections called as they are here."""
    found = _CONTAINERS.sub("model.layers", name)
    for pattern, called in _PROJECTIONS:
        found = pattern.sub(called, found)
    return found


def _layer_of(name: str) -> int | None:
    """The one layer that a pattern speaks of; None where it may speak of several."""
    expression = name.startswith("re:")
    if expression and any(sign in name for sign in _SEVERAL):
        return None
    found = (_LAYER_OF_EXPRESSION if expression else _LAYER).search(name)
    return int(found[1]) if found else None


def _parts(name: str) -> Iterator[str]:
    """Every run of the dotted parts of a name."""
    steps = name.split(".")
    for start in range(len(steps)):
        for end in range(start + 1, len(steps) + 1):
            yield ".".join(steps[start:end])


def names_of(module: Module, prefixes: tuple[str, ...] = _PREFIXES) -> list[str]:
    """The names that checkpoints give a module, behind the prefixes given."""
    if module.part is ModulePart.HEAD:
        return [prefix + head for prefix in _HEAD_PREFIXES for head in _HEADS]
    if module.part is ModulePart.ENCODER:
        return [
            f"{prefix}{tower}.layers.0.linear"
            for prefix in ("", "model.")
            for tower in ("visual", "vision_tower", "vision_model", "multi_modal_projector", "mm_projector")
        ]
    if module.layer < 0:
        return [prefix + module.name for prefix in prefixes]
    _, number, *rest = module.name.split(".")
    ends = _variants(rest)
    return [f"{prefix}layers.{number}.{end}" for prefix in prefixes for end in ends]


def _variants(rest: list[str]) -> list[str]:
    """The names of a module behind its layer."""
    blocks = _BLOCKS.get(rest[0], (rest[0],))
    tails = [".".join(rest[1:])]
    if "experts" in rest:
        blocks = blocks if rest[0] != "experts" else ("",)
        leaves = _LEAVES[rest[-1]]
        tails = [f"experts.{inner}{leaf}" for leaf in leaves for inner in ("0.", "")] + ["experts"]
    elif rest[-1] in _LEAVES and len(rest) > 1:
        heads = [".".join(rest[1:-1])]
        heads += [heads[0].replace("shared_experts", "shared_expert")] if "shared_experts" in heads[0] else []
        tails = [".".join(filter(None, (head, leaf))) for head in heads for leaf in _LEAVES[rest[-1]]]
    return [".".join(filter(None, (block, tail))) for block in blocks for tail in tails]


def _either(patterns: list[str]) -> re.Pattern[str] | None:
    """One expression for several."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns)) if patterns else None


def _pattern(name: str, style: NameStyle) -> str:
    """A list entry as a regular expression to search a name with. One that is none means itself."""
    if name.startswith("re:"):
        try:
            re.compile(name[3:])
        except re.error:
            return re.escape(name[3:])
        return r"\A(?:" + name[3:] + ")"
    if style is NameStyle.EXACT:
        return r"\A" + re.escape(name) + r"\Z"
    if style is NameStyle.WILDCARD:
        return r"\A" + translate(name)
    body = r"[^.]+".join(re.escape(piece) for piece in name.strip(".").split("*"))
    return r"(?:\A|\.)" + body + r"(?:\Z|\.)"
