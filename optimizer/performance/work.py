"""What one GPU of a replica has to do in a step: bytes, operations and calls, from the model and parallelism alone."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.catalog.types import Model
from optimizer.performance.architecture import is_latent, is_sparse, kv_bytes, moe_layers
from optimizer.performance.formats import kernel_format
from optimizer.performance.memory import WeightParts, weight_parts
from optimizer.performance.types import ReplicaSpec

SPARSE_ATTENTION_TOKENS = 2048
"""Keys each query attends to under DeepSeek sparse attention (V3.2 technical report: top-k 2048)."""

INDEX_FLOPS_PER_PAIR = 2.0 * 32 * 128
"""Scoring one key for one query by the sparse-attention indexer: 32 heads of 128, on every rank (same report)."""

LARGE = 1e30


@dataclass(frozen=True, slots=True)
class Work:
    """What one GPU does in a step, over the whole depth of the model (1/tp of it where it is sharded)."""

    dense_bytes: float
    expert_bytes: float
    dense_flops: float  # per token
    expert_flops: float  # per token
    experts: int
    experts_per_token: int
    head_bytes: float
    layers: int
    moe_layers: int
    gemms: int
    kv_bytes: float  # per token, full-attention layers, this GPU
    kv_flops: float  # per token of KV and sequence (latent attention computes in the compressed space)
    kv_window_bytes: float
    window: float
    state_bytes: float  # per sequence: states read and written; beside sparse attention the windows of sliding layers
    attention_layers: int
    pair_flops: float
    pair_window_flops: float
    hidden: int
    dense_format: str
    expert_format: str


def part_formats(spec: ReplicaSpec, stored: WeightParts) -> tuple[str, str]:
    """Kernels of the always-used weights and of the routed experts, by what memory stores of each."""
    model, kernel = spec.model, kernel_format(spec.gpu, spec.weight_quant)
    dense = "bf16" if stored.rest_is_wide else kernel
    return dense, "fp8_block" if kernel == "fp8" and model.is_moe and has_scale_blocks(model) else kernel


def has_scale_blocks(model: Model) -> bool:
    """Whether the published fp8 weights carry a scale per block: models trained in fp8 and those the catalog marks."""
    return model.native_dtype == "fp8" or bool(model.fp8_block_legal_tp)


def work_of(spec: ReplicaSpec) -> Work:
    """Bytes, operations and calls of one step on one GPU of the replica."""
    model, tp, ep = spec.model, spec.tensor_parallel, max(spec.expert_parallel, 1)
    stored = weight_parts(model, spec.weight_quant)
    dense_format, routed_format = part_formats(spec, stored)
    body = model.total_params - model.embed_params - model.head_params - model.routed_expert_params
    head = model.head_params or model.embed_params  # tied: the embedding is the head
    active_routed = model.routed_expert_params * model.experts_per_token / max(model.num_experts, 1)
    # expert parallel ranks share all experts and work off each other's tokens: bytes fall, operations do not
    shard = tp * ep
    kv, sparse, latent = kv_bytes(model, tp, spec.kv_cache), is_sparse(model), is_latent(model)
    heads = model.num_attention_heads / tp
    width = model.nope_head_dim + model.rope_head_dim + model.v_head_dim if latent else 2 * model.head_dim
    layers_full = model.full_attention_layers
    pair = 2.0 * heads * width * layers_full
    latent_width = 2 * model.kv_lora_rank + model.rope_head_dim
    return Work(
        dense_bytes=stored.rest / tp + stored.everywhere,
        expert_bytes=stored.experts / shard,
        dense_flops=2.0 * body / tp,
        expert_flops=2.0 * active_routed / tp,
        experts=model.num_experts,
        experts_per_token=model.experts_per_token,
        head_bytes=2.0 * head / tp,
        layers=model.num_layers,
        moe_layers=moe_layers(model),
        gemms=gemm_calls(model),
        kv_bytes=kv.index if sparse else kv.full,
        kv_flops=2.0 * heads * latent_width * layers_full if latent and not sparse else 0.0,
        kv_window_bytes=kv.full if sparse else kv.sliding,
        window=float(SPARSE_ATTENTION_TOKENS if sparse else model.sliding_window or LARGE),
        state_bytes=2.0 * model.linear_state_bytes / tp + (kv.sliding * model.sliding_window if sparse else 0.0),
        attention_layers=model.num_layers,
        pair_flops=INDEX_FLOPS_PER_PAIR * model.num_layers if sparse else pair,
        pair_window_flops=pair if sparse else 2.0 * heads * width * model.sliding_layers,
        hidden=model.hidden_size,
        dense_format=dense_format,
        expert_format=routed_format,
    )


def gemm_calls(model: Model) -> int:
    """Matrix products of a step besides the fused experts.

    Attention takes two (query-key-value, output); latent attention five (two down, one up, two absorbed, output);
    linear attention four (two in, gate, output). Dense feed-forward takes two, a mixture its router and two where
    experts are shared.
    """
    attention = 5 if is_latent(model) else 2
    dense_layers = model.num_layers - moe_layers(model)
    mixture = 3 if model.shared_experts else 1
    full_layers = model.num_layers - model.linear_layers
    return attention * full_layers + 4 * model.linear_layers + 2 * dense_layers + mixture * moe_layers(model)
