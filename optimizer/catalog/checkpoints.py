"""Which published checkpoint of a model to load in a weight format."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog, Checkpoint

_AMD = "amd"
_OWN_ENGINE = {"trtllm": ("modelopt", "fp8 block")}
"""Engines that load few ways of quantizing: TensorRT-LLM what NVIDIA ModelOpt writes, and FP8 in blocks."""


def checkpoint_for(
    catalog: Catalog, model: str, weight_quant: str, engine: str, vendor: str = "nvidia"
) -> Checkpoint | None:
    """The one to load with an engine (its profile) on cards of a vendor; None where none is known that it loads.

    The model's own weights come first, then what was made for the vendor's cards (AMD quantizes with Quark), what the
    engine was seen with, and what the model's publisher made.
    """
    rows = [row for row in catalog.checkpoints.get((model, weight_quant), ()) if _loads(row, model, engine)]
    publisher = model.partition("/")[0]

    def order(row: Checkpoint) -> tuple[bool, bool, bool, bool, bool]:
        maker = row.checkpoint.partition("/")[0]
        foreign = (maker == _AMD) != (vendor == _AMD) and row.checkpoint != model
        return (row.checkpoint != model, foreign, engine not in row.engines, not row.engines, maker != publisher)

    return min(rows, key=order, default=None)


def _loads(row: Checkpoint, model: str, engine: str) -> bool:
    """Whether an engine loads a checkpoint, as far as is known."""
    if row.checkpoint == model or engine in row.engines or engine not in _OWN_ENGINE:
        return True
    return row.method.startswith(_OWN_ENGINE[engine])
