"""Which modules a quantized checkpoint means when it lists names: exact, by pattern, or by what they contain.

The same module has other names in other checkpoints (``model.layers.0.mlp.gate``, ``backbone.layers.0.mixer.gate``,
``model.language_model.layers.0.block_sparse_moe.gate``): a list is matched against all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from fnmatch import translate

from optimizer.catalog.module import Module, ModulePart

_PREFIXES = ("model.", "", "model.language_model.", "language_model.model.", "language_model.", "backbone.")
_LAYER = re.compile(r"(?:layers|h|blocks)[.\\\]]+(\d+)(?=[.\\])")
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


class NameList:
    """A list of names as one method means it."""

    def __init__(self, names: Iterable[str], style: NameStyle) -> None:
        listed = list(names)
        self._style = style
        self._everything = any(name in ("Linear", "re:.*", "*") for name in listed)
        written = {name.split("layers.", 1)[0] for name in listed if "layers." in name}
        # The list says how this checkpoint calls its layers; without one they may have any prefix.
        self._prefixes = tuple(sorted(written)) if written and written <= set(_PREFIXES) else _PREFIXES
        patterns = [name for name in listed if name.startswith("re:") or any(sign in name for sign in "*?[")]
        self._words = frozenset(name.strip(".") for name in listed) - frozenset(patterns)
        anywhere: list[str] = []
        by_layer: dict[int, list[str]] = {}
        for name in patterns:
            layer = _LAYER.search(name)
            (anywhere if layer is None else by_layer.setdefault(int(layer[1]), [])).append(_pattern(name, style))
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

    def _listed(self, names: Iterable[str]) -> bool:
        """Whether a word of the list is one of the names, or some of its parts in sequence where the style says so."""
        if not self._words:
            return False
        if self._style is NameStyle.EXACT:
            return any(name in self._words for name in names)
        return any(part in self._words for name in names for part in _parts(name))


def _parts(name: str) -> Iterator[str]:
    """Every run of the dotted parts of a name."""
    steps = name.split(".")
    for start in range(len(steps)):
        for end in range(start + 1, len(steps) + 1):
            yield ".".join(steps[start:end])


def names_of(module: Module, prefixes: tuple[str, ...] = _PREFIXES) -> list[str]:
    """The names that checkpoints give a module, behind the prefixes given."""
    if module.part is ModulePart.HEAD:
        return ["lm_head", "model.lm_head", "language_model.lm_head", "output", "head"]
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
    if rest[-1] == "experts":
        blocks = blocks if len(rest) > 1 else ("",)
        tails = ["experts.0.gate_proj", "experts.0.up_proj", "experts.gate_up_proj", "experts.0.w1", "experts"]
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
