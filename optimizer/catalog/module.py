"""One module of a model: its name in checkpoints, what it is, how many parameters it has."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from optimizer.catalog.types import ENCODER as ENCODER_PART


class ModulePart(StrEnum):
    """What a module is; the value is how a reader calls it."""

    EMBEDDING = "input embedding"
    HEAD = "output head"
    ATTENTION = "attention"
    MIXER = "layers without attention"
    DENSE = "dense MLP"
    EXPERTS = "routed experts"
    SHARED = "shared experts"
    ROUTER = "routers and gates"
    NORMS = "norms and tables"
    ENCODER = ENCODER_PART


NEVER_QUANTIZED = frozenset({ModulePart.EMBEDDING, ModulePart.ROUTER, ModulePart.NORMS})
"""Parts that no engine keeps below 16 bit, whatever a file says of its linear layers."""


@dataclass(frozen=True, slots=True)
class Module:
    """Some weights that are stored alike."""

    name: str  # behind the prefix of the model: layers.3.self_attn.q_proj
    part: ModulePart
    params: int
    linear: bool = True  # a matrix that quantizers take
    layer: int = -1  # -1: outside the layers
