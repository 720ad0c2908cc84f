"""The encoder of a model that takes images or sound: what engines load of it beside the language model.

A vision transformer is counted from its widths: four projections and an MLP a layer, the patches, and the merger that
makes tokens of them. Where the file does not say enough the encoder is left out, and a note says so.
"""

from __future__ import annotations

from collections.abc import Mapping

from optimizer.catalog.huggingface_json import Config

_SECTIONS = {
    "image": ("vision_config", "vision_tower_config", "vit_config", "visual", "vision_encoder"),
    "audio": ("audio_config", "audio_encoder", "speech_config"),
}
_TOKENS = {
    "image": ("image_token_id", "image_token_index", "vision_start_token_id", "media_placeholder_token_id"),
    "audio": ("audio_token_id", "audio_token_index"),
    "video": ("video_token_id", "video_token_index"),
}


def modalities(c: Config) -> tuple[str, ...]:
    """What a model takes beside text: image, audio, video."""
    places = (c.outer, _thinker(c))
    return tuple(
        kind
        for kind in ("image", "audio", "video")
        if any(
            place.get(key) not in (None, {}, False)
            for place in places
            for key in (*_SECTIONS.get(kind, ()), *_TOKENS.get(kind, ()))
        )
    )


def encoder_params(c: Config, hidden: int) -> int:
    """Parameters of the encoders; 0 where there is none or its file does not say."""
    total = 0
    for kind, names in _SECTIONS.items():
        for place in (c.outer, _thinker(c)):
            section = next((value for name in names if isinstance(value := place.get(name), dict) and value), None)
            if section is None:
                continue
            counted = _transformer(section, hidden)
            if not counted:
                c.note(f"the {kind} encoder is not counted: the file does not state its widths")
            total += counted
            break
    return total


def _thinker(c: Config) -> Mapping[str, object]:
    inner = c.outer.get("thinker_config")
    return inner if isinstance(inner, dict) else {}


def _transformer(section: Mapping[str, object], hidden: int) -> int:
    width = _first(section, "hidden_size", "embed_dim", "d_model", "vt_hidden_size", "hidden_dim", "width")
    layers = _first(section, "num_hidden_layers", "depth", "encoder_layers", "vt_num_hidden_layers", "layers")
    if not width or not layers:
        return 0
    inner = _first(section, "intermediate_size", "encoder_ffn_dim", "vt_intermediate_size")
    ratio = section.get("mlp_ratio")
    if not inner:
        inner = int(width * ratio) if isinstance(ratio, int | float) and ratio > 0 else 4 * width
    matrices = 3 if section.get("hidden_act") in ("silu", "swiglu") or section.get("use_swiglu_ffn") is True else 2
    gemma = str(section.get("model_type", "")).startswith("gemma4")
    each = 4 * width * width + (3 if gemma else matrices) * width * inner
    patch = _first(section, "patch_size") or 14
    channels = _first(section, "in_channels", "num_channels", "in_chans") or 3
    patches = channels * patch * patch * (_first(section, "temporal_patch_size") or 1) * width
    merge = (_first(section, "spatial_merge_size") or 1) ** 2
    out = _first(section, "out_hidden_size", "output_dim") or hidden
    merger = (merge * width) ** 2 + merge * width * out if merge > 1 else width * out
    deep = section.get("deepstack_visual_indexes")
    return layers * each + patches + merger * (1 + (len(deep) if isinstance(deep, list) else 0))


def _first(section: Mapping[str, object], *names: str) -> int:
    return next((value for name in names if isinstance(value := section.get(name), int) and value > 0), 0)
