"""Reading a Hugging Face ``config.json``: every wrong or missing key is a Finding, nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from optimizer.catalog.families import FAMILIES, WRAPPERS, Family
from optimizer.documents.json_file import JsonDocument, parse_json
from optimizer.documents.nodes import Key
from optimizer.documents.paths import is_folder
from optimizer.documents.scalars import shown
from optimizer.documents.suggest import did_you_mean
from optimizer.documents.text_file import decode, read_bytes
from optimizer.errors import CatalogError, Finding

_MAX_DIMENSION = 10**9

ALIASES: Mapping[str, tuple[str, ...]] = {
    "hidden_size": ("n_embd", "d_model"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads"),
    "num_key_value_heads": ("num_kv_heads", "attn_config.kv_n_heads", "n_head_kv"),
    "intermediate_size": ("ffn_hidden_size", "n_inner", "ffn_config.ffn_hidden_size"),
    "max_position_embeddings": ("seq_length", "n_positions", "max_seq_len", "model_max_length"),
    "num_local_experts": ("ffn_config.moe_num_experts", "num_experts"),
    "num_experts_per_tok": ("experts_per_token", "ffn_config.moe_top_k", "num_experts_per_token", "moe_k"),
    "torch_dtype": ("dtype",),
}
"""Other names of a key; a dot steps into a nested object."""


class Config:
    """The keys of one model's configuration. Reading a wrong one notes a Finding and returns a harmless value."""

    def __init__(self, path: Path, document: JsonDocument, inside: str, family: Family) -> None:
        self.path = path
        self.family = family
        self.findings: list[Finding] = []
        self._refused: set[str] = set()
        self._document = document
        self._inside = (inside,) if inside else ()
        self._outer: Mapping[str, object] = document.value
        self._data: Mapping[str, object] = document.value[inside] if inside else document.value

    def error(self, name: str, message: str, *about: str) -> None:
        """Note a defect of a key, at the name it has here; unless one of the keys it is about was refused itself."""
        if self._refused.intersection((name, *about)):
            return
        self._refused.add(name)
        found = next((key for key in (name, *ALIASES.get(name, ())) if _step(self._data, key) is not None), None)
        inside = self._inside if found is not None or self._outer.get(name) is None else ()
        self.findings.append(self._document.finding(message, (*inside, *(found or name).split("."))))

    def get(self, name: str) -> object:
        """A value under its name or an alias, else the family's default, else None."""
        for key in (name, *ALIASES.get(name, ())):
            value = _step(self._data, key)
            if value is not None:
                return value
        value = self.family.defaults.get(name)
        return self._outer.get(name) if value is None and name in _OUTER_KEYS else value

    def integer(self, name: str, default: int | None = None, low: int = 1) -> int:
        """A whole number from ``low`` on; required where there is no default."""
        value = self.get(name)
        if value is None:
            if default is None:
                self.error(name, f"{name} is missing")
            return low if default is None else default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= _MAX_DIMENSION:
            self.error(name, f"{name}: {shown(value)} is not a whole number of {low} or more")
            return low
        return value

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

    def section(self, name: str) -> Mapping[str, object]:
        """A nested object; empty where there is none."""
        value = self.get(name)
        return value if isinstance(value, dict) else {}


_OUTER_KEYS = frozenset({"tie_word_embeddings", "torch_dtype", "quantization_config"})
"""Keys that multimodal models may state outside ``text_config``."""


def read_config(path: Path) -> Config:
    """The configuration at ``path`` (the file, or a directory that holds a config.json). Raises CatalogError."""
    file = path / "config.json" if is_folder(path) else path
    document = _parsed(file)
    kind = document.value.get("model_type")
    if not isinstance(kind, str):
        message = "model_type is missing" if kind is None else f"model_type: {shown(kind)} is not a word"
        hint = "is this a Hugging Face config.json?"
        raise CatalogError([document.finding(message, ("model_type",), hint)])
    inner = document.value.get("text_config")
    if isinstance(inner, dict) and kind in WRAPPERS:
        kind, place = str(inner.get("model_type") or WRAPPERS[kind]), ("text_config", "model_type")
        return Config(file, document, "text_config", _family(document, kind, place))
    return Config(file, document, "", _family(document, WRAPPERS.get(kind, kind), ("model_type",)))


def _family(document: JsonDocument, kind: str, place: tuple[Key, ...]) -> Family:
    if kind not in FAMILIES:
        known = sorted({*FAMILIES, *WRAPPERS})
        hint = did_you_mean(kind, known) or "add the model to models.csv of your own --catalogs directory instead"
        message = f"architecture family {shown(kind)} is not known; known: {', '.join(known)}"
        raise CatalogError([document.finding(message, place, hint)])
    return FAMILIES[kind]


def _parsed(file: Path) -> JsonDocument:
    raw = read_bytes(file, "config.json")
    text = raw if isinstance(raw, Finding) else decode(raw, str(file))
    document = text if isinstance(text, Finding) else parse_json(text, str(file))
    if isinstance(document, Finding):
        raise CatalogError([document])
    if not isinstance(document.value, dict):
        hint = "is this a Hugging Face config.json?"
        raise CatalogError([document.finding("is not a JSON object", (), hint)])
    return document


def _step(data: Mapping[str, object], key: str) -> object:
    value: object = data
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
