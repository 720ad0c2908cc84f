"""Facts of a model's architecture that memory, time and gates all need: each is asked here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.catalog.types import Attention, Model


@dataclass(frozen=True, slots=True)
class KvBytes:
    """KV bytes of one token on one tensor-parallel rank, over all layers."""

    full: float  # layers that keep every token
    sliding: float  # layers that keep a window, while the token is inside it
    index: float  # index of sparse attention, of every token


def is_latent(model: Model) -> bool:
    """Whether KV is a latent vector that every tensor-parallel rank keeps whole (MLA, alone or in a hybrid)."""
    return model.attention is Attention.MLA or model.kv_lora_rank > 0


def is_sparse(model: Model) -> bool:
    """Whether queries attend to the keys that an index picks (DeepSeek sparse attention)."""
    return model.index_bytes_per_token > 0


def kv_bytes(model: Model, tensor_parallel: int, kv_cache: str) -> KvBytes:
    """What a rank stores of a token, and reads of it for every token that attends to it.

    Heads divide over the ranks until each holds one (then they are repeated); latent (MLA) caches and sparse-attention
    indexes are whole on every rank. An fp8 cache halves K and V, not indexes.
    """
    heads = 1.0 if is_latent(model) else max(1.0 / tensor_parallel, 1.0 / max(model.num_kv_heads, 1))
    width = 0.5 if kv_cache == "fp8" else 1.0
    return KvBytes(
        model.kv_bytes_full_16bit * heads * width,
        model.kv_bytes_sliding_16bit * heads * width,
        model.index_bytes_per_token,
    )


def moe_layers(model: Model) -> int:
    """Layers that route tokens to experts."""
    return max(model.num_layers - model.first_dense_layers, 1) if model.is_moe else 0


def uneven_share(experts: int, groups: int) -> float:
    """Routed experts of the fullest of some groups against an even share; copies fill the rest where they do not
    divide (256 experts on 72 groups: 4 each, 32 of them redundant)."""
    return -(-experts // groups) * groups / experts if experts else 1.0
