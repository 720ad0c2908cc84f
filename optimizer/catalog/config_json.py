"""Reading a Hugging Face ``config.json``: every wrong or missing key is a Finding, nothing is guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from optimizer.catalog.families import FAMILIES, WRAPPERS, Family
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

    def __init__(self, path: Path, data: Mapping[str, object], outer: Mapping[str, object], family: Family) -> None:
        self.path = path
        self.family = family
        self.findings: list[Finding] = []
        self._data = data
        self._outer = outer

    def error(self, message: str, hint: str | None = None) -> None:
        """Note a defect."""
        self.findings.append(Finding(message, str(self.path), hint=hint))

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
                self.error(f"{name} is missing")
            return low if default is None else default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= _MAX_DIMENSION:
            self.error(f"{name}: {value!r} is not a whole number of {low} or more")
            return low
        return value

    def flag(self, name: str, default: bool) -> bool:
        """true or false."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.error(f"{name}: {value!r} is neither true nor false")
            return default
        return value

    def words(self, name: str) -> tuple[str, ...]:
        """A list of words; empty where there is none."""
        value = self.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.error(f"{name} is not a list of words")
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
    file = path / "config.json" if path.is_dir() else path
    data = _parsed(file)
    kind = data.get("model_type")
    if not isinstance(kind, str):
        message = "model_type is missing" if kind is None else f"model_type: {kind!r} is not a word"
        raise CatalogError([Finding(message, str(file), hint="is this a Hugging Face config.json?")])
    inner = data.get("text_config")
    if isinstance(inner, dict) and kind in WRAPPERS:
        kind = str(inner.get("model_type") or WRAPPERS[kind])
        return Config(file, inner, data, _family(file, kind))
    return Config(file, data, data, _family(file, WRAPPERS.get(kind, kind)))


def _family(file: Path, kind: str) -> Family:
    if kind not in FAMILIES:
        known = sorted({*FAMILIES, *WRAPPERS})
        hint = did_you_mean(kind, known) or "add the model to models.csv of your own --catalogs directory instead"
        message = f"architecture family {kind!r} is not known; known: {', '.join(known)}"
        raise CatalogError([Finding(message, str(file), hint=hint)])
    return FAMILIES[kind]


def _parsed(file: Path) -> dict[str, object]:
    raw = read_bytes(file, "config.json")
    if isinstance(raw, Finding):
        raise CatalogError([Finding(raw.message, raw.file, raw.line, raw.column)])
    text = decode(raw, str(file))
    if isinstance(text, Finding):
        raise CatalogError([text])
    try:
        data = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise CatalogError([Finding(f"not valid JSON: {error.msg}", str(file), error.lineno, error.colno)]) from None
    except (ValueError, RecursionError) as error:
        message = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise CatalogError([Finding(f"not a usable config.json: {message}", str(file))]) from None
    if not isinstance(data, dict):
        raise CatalogError([Finding("not a JSON object", str(file), hint="is this a Hugging Face config.json?")])
    return data


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is not a number")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice")
        found[key] = value
    return found


def _step(data: Mapping[str, object], key: str) -> object:
    value: object = data
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
