"""A Hugging Face ``config.json`` -> Model: parameters, KV bytes and stored bytes counted from its dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from optimizer.catalog.config_family import read_config
from optimizer.catalog.config_layers import Attends, Layer, Layers, read_layers
from optimizer.catalog.config_mixers import state_bytes
from optimizer.catalog.config_modules import Body, kv_bytes_16bit, modules
from optimizer.catalog.context_limit import context_limit
from optimizer.catalog.dimensions import DecoderShape, Experts, read_experts, read_latent, read_shape
from optimizer.catalog.draft_layers import draft_parts
from optimizer.catalog.encoders import encoder_params, modalities
from optimizer.catalog.huggingface_json import Config
from optimizer.catalog.module import Module, ModulePart
from optimizer.catalog.stored_formats import WIDE, Quantization, Stored, read_quantization
from optimizer.catalog.types import Attention, Model, StoredPart
from optimizer.errors import CatalogError

TP_SIZES = (1, 2, 4, 5, 7, 8, 10, 16, 20, 32)
"""Tensor-parallel sizes that anybody builds."""

INDEX_TOLERANCE = 0.03
"""How far the counted bytes may be from those of an index beside before a note says so; encoders and extra layers for
speculative decoding stand in the files too."""


def read_model(path: Path) -> Model:
    """The model that the config.json at ``path`` (the file or its directory) describes; see ``references``."""
    config = read_config(path)
    model = _model(config)
    if config.findings:
        raise CatalogError(config.findings)
    return model


def _model(c: Config) -> Model:
    shape = read_shape(c)
    latent = read_latent(c)
    experts = read_experts(c, shape)
    layers = read_layers(c, shape, experts)
    body = Body(shape, latent, experts, layers)
    counted = list(modules(c, body))
    by_part: dict[ModulePart, int] = {}
    for module in counted:
        by_part[module.part] = by_part.get(module.part, 0) + module.params
    routed, total = by_part.get(ModulePart.EXPERTS, 0), sum(by_part.values())
    embed, head = by_part[ModulePart.EMBEDDING], by_part.get(ModulePart.HEAD, 0)
    quantization = read_quantization(c)
    _known_names(c, quantization, counted, shape.layers, experts.count)
    native, stored = _stored(c, shape, counted, quantization)
    full, window, index = kv_bytes_16bit(c, body)
    active = total - routed * (1 - experts.per_token / experts.count) if experts.count else total
    legal = _legal_tp(c, shape, experts)
    _against_index(c, sum(part.bytes for part in stored))
    taken = modalities(c)
    if taken:
        c.note(
            f"takes {', '.join(taken)} beside text: their tokens count as input tokens, "
            "and the time of the encoder is not modelled"
        )
    return Model(
        id=c.path.parent.name or c.path.stem,
        family=c.family.name,
        total_params=float(total),
        active_params=float(active),
        embed_params=float(embed),
        head_params=float(head),
        routed_expert_params=float(routed),
        num_layers=shape.layers,
        hidden_size=shape.hidden,
        intermediate_size=experts.dense_size or shape.intermediate,
        num_attention_heads=shape.heads,
        num_kv_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        vocab_size=shape.vocabulary,
        attention=_attention_kind(c, shape, layers),
        sliding_window=layers.window,
        full_attention_layers=sum(_keeps_all(layer) for layer in layers.each),
        sliding_layers=shape.layers if c.kind == "deepseek_v4" else layers.count(Attends.WINDOW),
        linear_layers=layers.mixing,
        kv_lora_rank=latent.kv_rank,
        rope_head_dim=latent.rope,
        nope_head_dim=latent.nope,
        v_head_dim=latent.value,
        kv_bytes_full_16bit=full,
        kv_bytes_sliding_16bit=window,
        linear_state_bytes=float(layers.mixing * state_bytes(c, shape)),
        index_bytes_per_token=index,
        num_experts=experts.count,
        experts_per_token=experts.per_token,
        shared_experts=experts.shared,
        expert_intermediate_size=experts.size,
        first_dense_layers=_dense_first(layers),
        native_dtype=native,
        context_limit=context_limit(c),
        legal_tp=legal,
        fp8_block_legal_tp=_block_legal_tp(body, legal, counted, quantization, "fp8"),
        group_legal_tp=tuple(
            (name, found)
            for name in ("int4", "int8")
            if (found := _block_legal_tp(body, legal, counted, quantization, name))
        ),
        licence="",
        source=f"{c.path.name}, counted from its dimensions",
        notes=". ".join(c.notes),
        tied_embeddings=head == 0,
        stored=((native.replace("fp16", "bf16"), stored),),
        draft=draft_parts(c, shape.hidden, shape.layers, counted, quantization),
        plain_keys=c.family.plain,
        modalities=taken,
        kv_in_checkpoint=quantization.kv,
    )


def _known_names(c: Config, quantization: Quantization, counted: Sequence[Module], layers: int, experts: int) -> None:
    """Refuse a quantization that names modules by names which are not known here: their format would be guessed."""
    names = list(dict.fromkeys(quantization.strangers(counted, layers, experts)))
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        c.error(
            "quantization_config",
            f"quantization_config names {names[0]!r}{more}, which is no module of {c.kind} as counted here "
            "(or some experts of a layer only): how its weights are stored would be a guess",
        )


def _stored(
    c: Config, shape: DecoderShape, counted: Sequence[Module], quantization: Quantization
) -> tuple[str, tuple[StoredPart, ...]]:
    """The main format of the weights, and every part with the bits it is stored at."""
    groups: dict[tuple[ModulePart, Stored], list[Module]] = {}
    for module in counted:
        groups.setdefault((module.part, quantization.of(module)), []).append(module)
    encoder = encoder_params(c, shape.hidden)
    if encoder:
        tower = Module("encoder", ModulePart.ENCODER, encoder)
        stored = quantization.of(tower) if quantization.method == "bitsandbytes" else WIDE
        groups.setdefault((ModulePart.ENCODER, stored), []).append(tower)
    parts = tuple(
        StoredPart(
            part.value,
            len({module.layer for module in members if module.layer >= 0}) or 1,
            float(sum(module.params for module in members)),
            stored.bits,
            stored.format,
        )
        for (part, stored), members in sorted(groups.items(), key=lambda item: list(ModulePart).index(item[0][0]))
    )
    sizes: dict[str, float] = {}
    for part in parts:
        if part.format != "bf16":
            sizes[part.format] = sizes.get(part.format, 0.0) + part.params
    if sizes:
        return max(sizes, key=lambda name: sizes[name]), parts
    stated = str(c.get("torch_dtype") or "bfloat16").removeprefix("torch.")
    if stated not in _WIDE_TYPES:
        c.error("torch_dtype", f"torch_dtype {stated!r} without a quantization_config says not how weights are stored")
    return _WIDE_TYPES.get(stated, "bf16"), parts


_WIDE_TYPES = {
    "float16": "fp16", "half": "fp16", "fp16": "fp16", "bfloat16": "bf16", "bf16": "bf16", "auto": "bf16",
    "float32": "bf16", "float": "bf16", "fp32": "bf16", "float64": "bf16",
}  # fmt: skip
"""Types that engines load at 16 bit."""


def _against_index(c: Config, size: float) -> None:
    """Note where an index of the weights beside the file says another size than what was counted."""
    index = c.beside("model.safetensors.index.json")
    metadata = index.get("metadata") if index else None
    total = metadata.get("total_size") if isinstance(metadata, Mapping) else None
    if not isinstance(total, int | float) or isinstance(total, bool) or total <= 0:
        return
    if abs(total / size - 1.0) <= INDEX_TOLERANCE:
        c.note(f"model.safetensors.index.json beside agrees within {abs(total / size - 1.0):.1%}")
    elif c.family.plain:
        c.error(
            "model_type",
            f"{size / 1e9:,.2f} GB were counted from the keys and model.safetensors.index.json beside says "
            f"{total / 1e9:,.2f} GB: the layers of {c.kind} are not what the standard keys describe",
        )
    else:
        c.note(
            f"model.safetensors.index.json beside says {total / 1e9:,.2f} GB, {size / 1e9:,.2f} GB were counted: "
            "the rest may be layers for speculative decoding, or weights stored wider than they are loaded"
        )


def _keeps_all(layer: Layer) -> bool:
    """Whether a layer keeps every token, or one entry for several."""
    return layer.attends is Attends.FULL and layer.keeps and layer.ratio > 0


def _dense_first(layers: Layers) -> int:
    """Layers with a dense block before all those with experts; 0 where the two alternate."""
    dense = len(layers.each) - layers.experts
    return dense if layers.experts and not any(layer.experts for layer in layers.each[:dense]) else 0


def _attention_kind(c: Config, shape: DecoderShape, layers: Layers) -> Attention:
    if layers.mixing or c.kind == "deepseek_v4":
        return Attention.HYBRID
    if c.family.latent:
        return Attention.MLA
    return Attention.MHA if shape.kv_heads == shape.heads else Attention.GQA


def _legal_tp(c: Config, shape: DecoderShape, experts: Experts) -> tuple[int, ...]:
    """Sizes that divide the heads and the feed-forward widths; KV heads are split evenly or replicated evenly."""
    widths = {experts.size, experts.dense_size or shape.intermediate} - {0}

    def splits(t: int) -> bool:
        kv = c.family.latent or shape.kv_heads % t == 0 or t % shape.kv_heads == 0
        return kv and shape.heads % t == 0 and all(width % t == 0 for width in widths)

    return tuple(t for t in TP_SIZES if splits(t))


def _block_legal_tp(
    body: Body, legal: tuple[int, ...], counted: Sequence[Module], quantization: Quantization, format_: str
) -> tuple[int, ...]:
    """Sizes at which a shard still holds whole blocks of scales; empty where that is all of them.

    vLLM refuses others: "is not divisible by weight quantization block" in block-scaled fp8 (``fp8_utils.py``), "the
    input size is not aligned with the quantized weight shape" in groups of integers (``awq.py``, ``gptq.py``), which
    its kernels for experts do without.
    """
    shape, latent, experts = body.shape, body.latent, body.experts
    heads = {shape.heads * latent.value} if latent.value else {h.count * h.value for h in (shape.full, shape.sliding)}
    widths = {
        ModulePart.ATTENTION: heads,
        ModulePart.DENSE: {experts.dense_size or shape.intermediate},
        ModulePart.SHARED: {experts.shared_size},
        ModulePart.EXPERTS: {experts.size} if format_ == "fp8" else set(),
    }
    cut = {
        (width, stored.block)
        for module in counted
        if module.name.endswith(("o_proj", "down_proj")) and module.part in widths
        for stored in (quantization.of(module),)
        if stored.format == format_ and stored.block
        for width in widths[module.part]
    }
    whole = tuple(t for t in legal if t == 1 or all(width % (t * block) == 0 for width, block in cut))
    return () if whole == legal else whole
