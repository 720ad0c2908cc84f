"""What one GPU of a replica has to do in a step: bytes, operations and calls, from the model and parallelism alone."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.catalog.types import Attention, Gpu, Model
from optimizer.performance.types import ReplicaSpec

BITS = {"bf16": 16.0, "fp8": 8.03, "fp8_block": 8.03, "int8": 8.03, "int4": 4.16, "nvfp4": 4.5, "mxfp4": 4.25}
"""Stored bits per weight, scales included (design.md section 4)."""

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
    state_bytes: float
    attention_layers: int
    pair_flops: float
    pair_window_flops: float
    hidden: int
    dense_format: str
    expert_format: str


def expert_format(gpu: Gpu, quant: str) -> str:
    """Kernel family of the routed experts: MXFP4 computes at 8 bit where the card has 4-bit units, else at 16 bit."""
    if quant != "mxfp4":
        return quant
    return "mxfp4_a8" if gpu.supports_fp4 else "mxfp4_a16"


def part_formats(model: Model, gpu: Gpu, quant: str) -> tuple[str, str]:
    """Formats of the always-used weights and of the routed experts.

    Four-bit checkpoints of mixture-of-experts models quantize the routed experts only (published NVFP4, MXFP4 and
    W4A16 checkpoints; ``catalogs`` lists their sizes), the rest stays at 16 bit. AMD's MXFP4 checkpoints likewise.
    """
    if model.is_moe and quant in ("nvfp4", "mxfp4", "int4"):
        return "bf16", expert_format(gpu, quant)
    routed = "fp8_block" if quant == "fp8" and model.is_moe and has_scale_blocks(model) else expert_format(gpu, quant)
    return expert_format(gpu, quant), routed


def has_scale_blocks(model: Model) -> bool:
    """Whether the published fp8 weights carry a scale per block: models trained in fp8 and those the catalog marks."""
    return model.native_dtype == "fp8" or bool(model.fp8_block_legal_tp)


def work_of(spec: ReplicaSpec) -> Work:
    """Bytes, operations and calls of one step on one GPU of the replica."""
    model, tp, ep = spec.model, spec.tensor_parallel, max(spec.expert_parallel, 1)
    dense_format, routed_format = part_formats(model, spec.gpu, spec.weight_quant)
    body = model.total_params - model.embed_params - model.head_params - model.routed_expert_params
    head = model.head_params or model.embed_params  # tied: the embedding is the head
    if not model.head_params:
        body = model.total_params - model.embed_params - model.routed_expert_params
    active_routed = model.routed_expert_params * model.experts_per_token / max(model.num_experts, 1)
    # expert parallel ranks share all experts and work off each other's tokens: bytes fall, operations do not
    shard = tp * ep
    kv_share = 1.0 if model.attention is Attention.MLA else max(1.0 / tp, 1.0 / model.num_kv_heads)
    kv_scale = kv_share * (0.5 if spec.kv_cache == "fp8" else 1.0)
    sparse = model.index_bytes_per_token > 0
    full = model.kv_bytes_full_16bit
    kv_full = model.index_bytes_per_token * kv_share if sparse else full * kv_scale
    kv_window = full * kv_scale if sparse else model.kv_bytes_sliding_16bit * kv_scale
    latent = model.attention is Attention.MLA
    heads = model.num_attention_heads / tp
    width = model.nope_head_dim + model.rope_head_dim + model.v_head_dim if latent else 2 * model.head_dim
    layers_full = model.full_attention_layers
    pair = 2.0 * heads * width * layers_full
    latent_width = 2 * model.kv_lora_rank + model.rope_head_dim
    moe_layers = model.num_layers - model.first_dense_layers if model.is_moe else 0
    return Work(
        dense_bytes=body * _bits(dense_format) / 8 / tp,
        expert_bytes=model.routed_expert_params * _bits(routed_format) / 8 / shard,
        dense_flops=2.0 * body / tp,
        expert_flops=2.0 * active_routed / tp,
        experts=model.num_experts,
        experts_per_token=model.experts_per_token,
        head_bytes=2.0 * head / tp,
        layers=model.num_layers,
        moe_layers=moe_layers,
        gemms=gemm_calls(model, moe_layers),
        kv_bytes=kv_full,
        kv_flops=2.0 * heads * latent_width * layers_full if latent and not sparse else 0.0,
        kv_window_bytes=kv_window,
        window=float(SPARSE_ATTENTION_TOKENS if sparse else model.sliding_window or LARGE),
        state_bytes=2.0 * model.linear_state_bytes / tp,
        attention_layers=model.num_layers,
        pair_flops=INDEX_FLOPS_PER_PAIR * model.num_layers if sparse else pair,
        pair_window_flops=pair if sparse else 2.0 * heads * width * model.sliding_layers,
        hidden=model.hidden_size,
        dense_format=dense_format,
        expert_format=routed_format,
    )


def gemm_calls(model: Model, moe_layers: int) -> int:
    """Matrix products of a step besides the fused experts.

    Attention takes two (query-key-value, output); latent attention five (two down, one up, two absorbed, output);
    linear attention four (two in, gate, output). Dense feed-forward takes two, a mixture its router and two where
    experts are shared.
    """
    attention = 5 if model.attention is Attention.MLA else 2
    dense_layers = model.num_layers - moe_layers
    mixture = 3 if model.shared_experts else 1
    full_layers = model.num_layers - model.linear_layers
    return attention * full_layers + 4 * model.linear_layers + 2 * dense_layers + mixture * moe_layers


def _bits(fmt: str) -> float:
    return BITS["mxfp4"] if fmt.startswith("mxfp4") else BITS[fmt]
