"""Which family a configuration belongs to, and which part of the file describes its language model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from optimizer.catalog.families import (
    CLASS_DEFAULTS,
    FAMILIES,
    INNER_KEYS,
    PLAIN,
    REFUSED,
    SAME_AS,
    WRAPPERS,
    ExpertKeys,
    Family,
    Mixing,
    SlidingLayers,
    family_of,
)
from optimizer.catalog.huggingface_json import Config, inner_part, parse_config
from optimizer.errors import CatalogError
from optimizer.files.json_file import JsonDocument
from optimizer.files.nodes import Key, shown
from optimizer.files.text_file import is_folder, suggest

_ODD = re.compile(
    r"mamba|ssm|rwkv|retention|recurrent|conv_|conv$|_conv|linear_attn|lightning|kda|compress|altup|laurel"
    r"|per_layer_input|cross_attention|cross_attn|encoder_layers|decoder_layers|is_encoder_decoder|hash_layers|engram"
    r"|cla_share|kv_shared|share_kv|block_configs|hybrid|zero_expert|ngram|moe_latent|loop_|recycl|diffusion|mask_token"
    r"|attention_chunk|(?:global|local|full)_(?:attn|attention)_(?:layers|interval|freq|idx|ind)|window_(?:layout|size)"
    r"|(?:attn|attention|window)_pattern|attn_window|local_window|sliding_layers|(?:global|local)_layers"
)
"""Keys that speak of a structure which the standard keys do not describe."""

_NOTHING: tuple[object, ...] = (None, False, 0, "", "none", [], {})
_GATED = frozenset({"silu", "swiglu", "swish", "swigluoai", "geglu", "reglu", "glu", "silu_and_mul", "situ"})
_PLAIN_ACTIVATIONS = frozenset({"relu", "relu2", "squared_relu", "relu_squared", "xielu"})


def read_config(path: Path) -> Config:
    """The configuration at ``path`` (the file, or a folder that holds a config.json). Raises CatalogError."""
    file = path / "config.json" if is_folder(path) else path
    document = parse_config(file)
    kind = document.value.get("model_type")
    if not isinstance(kind, str):
        message = "model_type is missing" if kind is None else f"model_type: {shown(kind)} is not a word"
        hint = "is this a Hugging Face config.json?"
        raise CatalogError([document.finding(message, ("model_type",), hint)])
    inside = _inside(document.value)
    outer = kind
    if inside:
        inner = inner_part(document.value, inside)
        stated = inner.get("model_type")
        kind = str(stated or WRAPPERS.get(kind) or kind)
        if isinstance(stated, str) and family_of(stated) is None and outer in WRAPPERS and stated not in REFUSED:
            kind = WRAPPERS[outer]
        kind = WRAPPERS.get(kind, kind) if family_of(kind) is None else kind
    elif family_of(kind) is None:
        kind = WRAPPERS.get(kind, kind)
    place = (*inside, "model_type")
    family, known = _family(document, kind, place, inner_part(document.value, inside))
    defaults = CLASS_DEFAULTS.get(kind, {}) if inside else {}
    config = Config(file, document, inside, family, SAME_AS.get(kind, kind), defaults)
    if not known:
        near = suggest(kind, [*FAMILIES, *PLAIN])
        like = f" (did you mean {near[0]}?)" if near else ""
        config.note(f"model_type {shown(kind)} is not known{like}: read by the standard keys alone, grade C")
    elif family.plain:
        config.note(f"{family.name} ({kind}) is read by its keys; nobody checked its counts: grade C")
    return config


def _inside(value: Mapping[str, object]) -> tuple[str, ...]:
    """The keys that lead to the language model of a model with an encoder; empty where it is the file itself."""
    for key in INNER_KEYS:
        inner = value.get(key)
        if isinstance(inner, dict):
            deeper = inner.get("text_config")
            return (key, "text_config") if isinstance(deeper, dict) else (key,)
    return ()


def _family(
    document: JsonDocument, kind: str, place: tuple[Key, ...], data: Mapping[str, object]
) -> tuple[Family, bool]:
    found = family_of(kind)
    if found is not None:
        return found, True
    if kind in REFUSED:
        raise CatalogError([document.finding(f"model_type {shown(kind)} is refused: {REFUSED[kind]}", place)])
    return _by_keys(document, kind, place, data), False


def _by_keys(document: JsonDocument, kind: str, place: tuple[Key, ...], data: Mapping[str, object]) -> Family:
    """A family by what its keys say. What they do not describe is refused by name. Raises CatalogError."""
    hint = "add the model to models.csv of your own --catalogs directory instead"
    delta_net = isinstance(data.get("linear_num_value_heads"), int)
    odd = [key for key, value in data.items() if _ODD.search(key) and not _said_nothing(value)]
    odd = [key for key in odd if not (delta_net and key.startswith("linear_")) and key not in _PATTERNS]
    if delta_net:
        odd = [key for key in odd if key != "full_attention_interval"]
    latent = isinstance(data.get("kv_lora_rank"), int)
    if not latent and "hidden_size" not in data and not any(key in data for key in ("n_embd", "d_model")):
        near = suggest(kind, [*FAMILIES, *PLAIN, *WRAPPERS])
        told = f"did you mean {near[0]}?" if near else hint
        message = (
            f"architecture family {shown(kind)} is not known, and the standard keys (hidden_size, ...) are missing"
        )
        raise CatalogError([document.finding(message, place, told)])
    if odd:
        message = (
            f"architecture family {shown(kind)} is not known, and {', '.join(sorted(odd)[:4])} "
            "speak of a structure that the standard keys do not describe"
        )
        raise CatalogError([document.finding(message, place, hint)])
    gated = _gated(data)
    if gated is None:
        message = (
            f"architecture family {shown(kind)} is not known, and its activation "
            "does not tell whether its MLP has two matrices or three"
        )
        raise CatalogError([document.finding(message, place, hint)])
    return Family(
        kind,
        experts=ExpertKeys.KEYS,
        window=_window_rule(data),
        latent=latent,
        mixing=Mixing.DELTA_NET if delta_net else Mixing.NONE,
        gated_mlp=gated,
        indexer=isinstance(data.get("index_n_heads"), int),
        tied=True,
        plain=True,
    )


_PATTERNS = ("sliding_window_pattern", "_sliding_window_pattern", "global_attn_every_n_layers")


def _window_rule(data: Mapping[str, object]) -> SlidingLayers:
    """Which layers slide where the file does not list them: every one, unless a key of another family says which."""
    if any(not _said_nothing(data.get(key)) for key in _PATTERNS):
        return SlidingLayers.PATTERN
    return SlidingLayers.UPPER if data.get("max_window_layers") is not None else SlidingLayers.ALL


def _said_nothing(value: object) -> bool:
    """Whether a key leaves its structure out."""
    return any(value is nothing or (value == nothing and type(value) is type(nothing)) for nothing in _NOTHING)


def _gated(data: Mapping[str, object]) -> bool | None:
    for key in ("hidden_act", "hidden_activation", "activation_function", "mlp_hidden_act", "act_fn"):
        activation = data.get(key)
        if isinstance(activation, str):
            if activation in _GATED:
                return True
            return False if activation in _PLAIN_ACTIVATIONS else None
    return None
