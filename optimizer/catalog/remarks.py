"""What a reader has to know of a model before a plan is made for it."""

from __future__ import annotations

from textwrap import wrap

from optimizer.catalog.types import ENCODER, Model

_WIDTH = 98


def remarks(model: Model) -> list[str]:
    """Lines: what reading its configuration found; that images count as tokens and their encoder does not."""
    if model.notes and model.source.startswith("config.json"):
        return wrap(f"{model.id}: {model.notes}", _WIDTH, subsequent_indent="  ")
    if any(part.name == ENCODER for _, parts in model.stored for part in parts):
        sentence = (
            f"{model.id} takes images beside text: their tokens count as input tokens, and the time of the encoder "
            "is not modelled"
        )
        return wrap(sentence, _WIDTH, subsequent_indent="  ")
    return []
