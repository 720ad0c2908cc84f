"""Layers that predict several tokens ahead (multi-token prediction): loaded only where speculation uses them.

Each is one more layer like the last that attends, and a projection of two hidden states into one; embedding and head
are the model's own (vLLM ``models/deepseek_mtp.py``, ``qwen3_5_mtp.py``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from optimizer.catalog.huggingface_json import Config
from optimizer.catalog.module import Module, ModulePart
from optimizer.catalog.stored_formats import WIDE, Quantization, Stored
from optimizer.catalog.types import Model, StoredPart

DRAFT = "layers for speculation"


def draft_parts(
    c: Config, hidden: int, layers: int, counted: Sequence[Module], quantization: Quantization
) -> tuple[StoredPart, ...]:
    """The multi-token-prediction layers of a configuration, by the bits they are stored at; empty where it has none."""
    count = c.integer("num_nextn_predict_layers", 0, low=0) or c.integer("mtp_num_hidden_layers", 0, low=0)
    if not count:
        count = c.integer("num_mtp_modules", 0, low=0) * c.integer("mtp_transformer_layers", 1, low=0)
    attending = [module.layer for module in counted if module.part is ModulePart.ATTENTION]
    if not count or not attending:
        return ()
    wide = '"mtp' in json.dumps(c.section("quantization_config"), default=str)
    sizes: dict[Stored, int] = {WIDE: 2 * hidden * hidden}
    for module in counted:
        if module.layer == max(attending):
            name = module.name.replace(f"layers.{module.layer}.", f"layers.{layers}.", 1)
            stored = WIDE if wide else quantization.of(replace(module, name=name, layer=layers))
            sizes[stored] = sizes.get(stored, 0) + module.params
    return tuple(
        StoredPart(DRAFT, count, float(count * params), stored.bits, stored.format) for stored, params in sizes.items()
    )


def with_draft(model: Model, weight_quant: str) -> Model:
    """The model with its layers for speculation loaded beside a checkpoint in a format; as it is without any."""
    stored = tuple((quant, (*parts, *model.draft) if quant == weight_quant else parts) for quant, parts in model.stored)
    return replace(model, stored=stored)
