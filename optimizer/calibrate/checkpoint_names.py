"""Which model of the catalog a repository id holds, and in which weight format.

A listed checkpoint is known; another id is read by the words that publishers end its name with. What is left over must
be the name of one model of the catalog, so that nothing is guessed from a likeness.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from optimizer.catalog.types import Catalog

_FORMATS: tuple[tuple[str, str], ...] = (
    (r"nvfp4|fp4", "nvfp4"),
    (r"mxfp4", "mxfp4"),
    (r"fp8", "fp8"),
    (r"(?:quantized\.)?w8a8|int8|smoothquant", "int8"),
    (r"(?:quantized\.)?w4a16|awq(?:-int4|-4bit)?|gptq-int4|gptq-4bit|gptq|int4", "int4"),
)
"""Endings of repository names and the format they stand for (RedHatAI, nvidia, amd, Qwen and others name theirs so)."""

_EXTRAS = r"(?:-(?:dynamic|block|static|kv|preview|ptpc|v\d+|g128|marlin|asym|sym))*"
"""Words behind a format that leave it what it is."""

_UNKNOWN = re.compile(r"gguf|exl[23]|bnb|gptq-int8|gptq-8bit|w8a16|w4a8|w4afp8|int8-int4|mlx", re.IGNORECASE)
"""Formats that the performance model does not have."""


@dataclass(frozen=True, slots=True)
class Named:
    """A repository id in the words of the catalog; ``weight_quant`` is blank for weights as published."""

    model: str
    weight_quant: str


def named(repository: str, catalog: Catalog) -> Named | None:
    """What a repository id holds; None where the catalog and the naming rules do not tell."""
    if repository in catalog.models:
        return Named(repository, "")
    wanted = repository.lower()
    for (model, quant), rows in catalog.checkpoints.items():
        if any(row.checkpoint.lower() == wanted for row in rows):
            return Named(model, quant)
    same = [model for model in catalog.models if model.lower() == wanted]
    return Named(same[0], "") if len(same) == 1 else _by_rule(repository, catalog)


def format_in(repository: str) -> str:
    """The weight format that the end of a repository's name states; blank where it states none that is known."""
    return _split(repository)[1]


def _by_rule(repository: str, catalog: Catalog) -> Named | None:
    base, quant = _split(repository)
    if not quant:
        return None
    models = [model for model in catalog.models if _plain(model) == _plain(base)]
    return Named(models[0], quant) if len(models) == 1 else None


def _split(repository: str) -> tuple[str, str]:
    """The name before the format's words, and the format."""
    name = repository.rpartition("/")[2]
    if _UNKNOWN.search(name):
        return name, ""
    for words, quant in _FORMATS:
        found = re.search(rf"[-_.](?:{words}){_EXTRAS}$", name, re.IGNORECASE)
        if found is not None:
            return name[: found.start()], quant
    return name, ""


def _plain(model: str) -> str:
    """A model's name without its publisher, and without the ``Meta-`` that some copies of Llama keep."""
    return model.rpartition("/")[2].lower().removeprefix("meta-")
