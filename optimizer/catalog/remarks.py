"""What a reader has to know of a model before a plan is made for it."""

from __future__ import annotations

from textwrap import wrap

from optimizer.catalog.types import ENCODER, Model

_WIDTH = 80


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


_TRAINED = 32_768
_FACTOR = 4
_FROM_PARAMETERS = {"Qwen2.5": 7e9, "Qwen3": 0.0}
"""Families whose model cards (Qwen, 2024-09 and 2025-04) raise the context by YaRN x4, from this size on."""


def longer_context(model: Model) -> str:
    """How the publisher raises the context limit of a model, with the flag that does; empty where no card says so."""
    family = model.family
    least = _FROM_PARAMETERS.get(family)
    if least is None or model.total_params < least or model.context_limit >= _FACTOR * _TRAINED:
        return ""
    block = f'{{"rope_type": "yarn", "factor": {_FACTOR}.0, "original_max_position_embeddings": {_TRAINED}}}'
    return (
        f'its publisher raises that to {_FACTOR * _TRAINED:,} by YaRN: put "rope_scaling": {block} into its '
        f"config.json and name that file here, or start vLLM with --hf-overrides and SGLang with "
        "--json-model-override-args and the same block; short prompts lose a little accuracy"
    )
