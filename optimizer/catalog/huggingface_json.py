"""Reading a Hugging Face ``config.json``: every wrong or missing key is a Finding, nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from optimizer.catalog.families import Family
from optimizer.errors import CatalogError, Finding
from optimizer.files.json_file import JsonDocument, parse_json
from optimizer.files.nodes import shown
from optimizer.files.text_file import decode, is_file, read_bytes

_MAX_DIMENSION = 10**9

MAX_CONFIG_BYTES = 16 << 20
"""Largest configuration file read: 16 MiB. Lists of excluded modules make some of them long."""

ALIASES: Mapping[str, tuple[str, ...]] = {
    "hidden_size": ("n_embd", "d_model", "n_embed", "model_dim"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads"),
    "num_key_value_heads": (
        "num_kv_heads", "attn_config.kv_n_heads", "n_head_kv", "multi_query_group_num", "num_attention_groups",
    ),
    "head_dim": ("attention_head_dim", "kv_channels"),
    "intermediate_size": ("ffn_hidden_size", "n_inner", "ffn_config.ffn_hidden_size", "block_ff_dim", "ffn_dim"),
    "vocab_size": ("padded_vocab_size",),
    "max_position_embeddings": ("seq_length", "n_positions", "max_seq_len", "model_max_length", "n_ctx"),
    "num_local_experts": (
        "ffn_config.moe_num_experts", "num_experts", "n_routed_experts", "moe_num_experts", "num_moe_experts",
        "moe_num_primary_experts", "num_total_experts",
    ),
    "num_experts_per_tok": (
        "experts_per_token", "ffn_config.moe_top_k", "num_experts_per_token", "moe_k", "top_k_experts", "moe_topk",
        "moe_top_k", "num_selected_experts", "num_experts_per_topk", "moe_num_active_primary_experts",
    ),
    "moe_intermediate_size": ("moe_ffn_hidden_size", "expert_ffn_hidden_size", "expert_intermediate_size"),
    "shared_experts": (
        "n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts",
        "moe_num_shared_expert",
    ),
    "shared_size": (
        "moe_shared_expert_intermediate_size", "shared_expert_intermediate_size", "share_expert_dim",
        "shared_intermediate_size",
    ),
    "first_k_dense_replace": ("num_dense_layers", "moe_layer_start_index", "moe_start_layer_index", "n_dense_layers"),
    "hidden_act": ("hidden_activation", "activation_function", "mlp_hidden_act", "act_fn", "hidden_act_fn"),
    "torch_dtype": ("dtype",),
    "sliding_window": ("sliding_window_size",),
    "hybrid_layer_pattern": ("sliding_window_layout",),
    "sliding_window_pattern": ("_sliding_window_pattern", "global_attn_every_n_layers"),
}  # fmt: skip
"""Other names of a key; a dot steps into a nested object."""

_OUTER_KEYS = frozenset({"tie_word_embeddings", "torch_dtype", "quantization_config"})
"""Keys that models with an encoder may state outside the part that describes the language model."""


class Config:
    """The keys of one model's configuration. Reading a wrong one notes a Finding and returns a harmless value."""

    def __init__(
        self,
        path: Path,
        document: JsonDocument,
        inside: tuple[str, ...],
        family: Family,
        kind: str,
        defaults: Mapping[str, object],
    ) -> None:
        self.path = path
        self.family = family
        self.kind = kind
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.outer: Mapping[str, object] = document.value
        self._refused: set[str] = set()
        self._document = document
        self._inside = inside
        self._data = inner_part(document.value, inside)
        self._defaults = {**family.defaults, **defaults}

    @property
    def folder(self) -> Path:
        """Where the file lies."""
        return self.path.parent

    @property
    def data(self) -> Mapping[str, object]:
        """The part that describes the language model."""
        return self._data

    def note(self, sentence: str) -> None:
        """Remember what a reader of the result has to know."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def error(self, name: str, message: str, *about: str) -> None:
        """Note a defect of a key, at the name it has here; unless one of the keys it is about was refused itself."""
        if self._refused.intersection((name, *about)):
            return
        self._refused.add(name)
        found = next((key for key in (name, *ALIASES.get(name, ())) if _step(self._data, key) is not None), None)
        inside = self._inside if found is not None or self.outer.get(name) is None else ()
        self.findings.append(self._document.finding(message, (*inside, *(found or name).split("."))))

    def get(self, name: str) -> object:
        """A value under its name or an alias, else the family's default, else None; a stated null has no default."""
        keys = (name, *ALIASES.get(name, ()))
        for key in keys:
            value = _step(self._data, key)
            if value is not None:
                return value
        value = None if any(key in self._data for key in keys) else self._defaults.get(name)
        return self.outer.get(name) if value is None and name in _OUTER_KEYS else value

    def has(self, name: str) -> bool:
        """Whether a key says something."""
        return self.get(name) not in (None, 0, False, "", [], {})

    def integer(self, name: str, default: int | None = None, low: int = 1) -> int:
        """A whole number from ``low`` on; required where there is no default. A list of equal ones is one of them."""
        value = self.get(name)
        if value is None:
            if default is None:
                self.error(name, f"{name} is missing")
            return low if default is None else default
        if isinstance(value, list) and value and all(item == value[0] for item in value):
            value = value[0]
        if isinstance(value, list):
            self.error(name, f"{name} differs from layer to layer, which is not modelled")
            return low
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= _MAX_DIMENSION:
            self.error(name, f"{name}: {shown(value)} is not a whole number of {low} or more")
            return low
        return value

    def number(self, name: str, default: float) -> float:
        """A positive number."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
            self.error(name, f"{name}: {shown(value)} is not a positive number")
            return default
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        """true or false."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.error(name, f"{name}: {shown(value)} is neither true nor false")
            return default
        return value

    def words(self, name: str) -> tuple[str, ...]:
        """A list of words; empty where there is none."""
        value = self.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.error(name, f"{name} is not a list of words")
            return ()
        return tuple(value)

    def numbers(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers; empty where there is none."""
        value = self.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, int) for item in value):
            self.error(name, f"{name} is not a list of whole numbers")
            return ()
        return tuple(int(item) for item in value)

    def section(self, name: str) -> Mapping[str, object]:
        """A nested object; empty where there is none."""
        value = self.get(name)
        return value if isinstance(value, dict) else {}

    def beside(self, name: str) -> Mapping[str, object] | None:
        """The JSON object in a file of the same folder; None where there is no such file. A bad one is a Finding."""
        file = self.folder / name
        if not is_file(file):
            return None
        document = _document(file, name)
        if isinstance(document, Finding):
            self.findings.append(document)
            return None
        if not isinstance(document.value, dict):
            self.findings.append(document.finding("is not a JSON object"))
            return None
        return document.value


def parse_config(file: Path) -> JsonDocument:
    """The JSON object of a configuration file. Raises CatalogError."""
    document = _document(file, "config.json")
    if isinstance(document, Finding):
        raise CatalogError([document])
    if not isinstance(document.value, dict):
        hint = "is this a Hugging Face config.json?"
        raise CatalogError([document.finding("is not a JSON object", (), hint)])
    return document


def inner_part(value: Mapping[str, object], inside: tuple[str, ...]) -> Mapping[str, object]:
    """The object at a path of keys; empty where there is none."""
    for key in inside:
        step = value.get(key)
        value = step if isinstance(step, dict) else {}
    return value


def _document(file: Path, kind: str) -> JsonDocument | Finding:
    raw = read_bytes(file, kind, MAX_CONFIG_BYTES)
    text = raw if isinstance(raw, Finding) else decode(raw, str(file))
    return text if isinstance(text, Finding) else parse_json(text, str(file), infinity=True)


def _step(data: Mapping[str, object], key: str) -> object:
    value: object = data
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
