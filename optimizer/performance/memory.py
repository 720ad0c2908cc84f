"""Memory of one replica: weights, KV cache, activations and overheads on its fullest GPU.

All in bytes; everything lives inside ``gpu_memory_utilization`` x the memory the driver reports. Formulas: design.md
section 4; overheads: shared/data README ("Memory beside weights and KV": 0.6 GiB context and NCCL, 1.7 GiB activations
and graphs, 0.4 GiB more when several GPUs talk). Vectorised: a table holds one
column per fact and one row per specification.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optimizer.catalog.types import Model
from optimizer.performance.architecture import kv_bytes, moe_layers
from optimizer.performance.formats import BITS
from optimizer.performance.lengths import moments_of
from optimizer.performance.types import MemoryBill, ReplicaSpec
from optimizer.workload import Lengths

Array = npt.NDArray[np.float64]

GIB = 2.0**30
MIB = 2.0**20

CONTEXT_BYTES = 0.6 * GIB
"""Driver context and engine buffers of a GPU (shared/data README)."""

GRAPH_BYTES = 1.6 * GIB
"""Captured CUDA graphs, their pool and workspaces; with the two terms below 1.7 to 1.85 GiB for 70B (same source)."""

COMMUNICATION_BYTES = 0.4 * GIB
"""All-reduce buffers of a GPU in a replica of several (same source)."""

ACTIVATION_BYTES_PER_TOKEN_AND_WIDTH = 2.0
"""The 16-bit residual stream of a batched token; other live tensors share the graph pool above."""

LOGIT_BYTES, LOGIT_ROWS = 4.0, 256
"""32-bit logits of up to 256 sequences (the usual largest captured batch), sharded over the tensor-parallel ranks."""

PLANNED_SHARE = 0.9
"""Share of the KV blocks that planned load may occupy (design.md section 3, "KV")."""


@dataclass(frozen=True, slots=True)
class KvNeed:
    """KV bytes on the fullest GPU as a function of context: per token, per token inside a window, per sequence."""

    per_token: Array
    per_window_token: Array
    window: Array
    per_sequence: Array

    def sequence(self, context: float | Array) -> Array:
        """Bytes of one sequence holding ``context`` tokens."""
        inside = np.minimum(context, self.window)
        return self.per_token * context + self.per_window_token * inside + self.per_sequence


@dataclass(frozen=True, slots=True)
class MemoryTable:
    """Bytes on the fullest GPU, one row per specification."""

    weights: Array
    activations: Array
    overhead: Array
    usable: Array
    kv: KvNeed

    @property
    def kv_budget(self) -> Array:
        """Bytes left for KV; negative where the weights do not fit."""
        return self.usable - self.weights - self.activations - self.overhead


@dataclass(frozen=True, slots=True)
class WeightParts:
    """Weights of a whole replica in bytes, by where they sit."""

    embedding: float
    head: float
    experts: float  # routed
    rest: float
    wider: float  # what the published checkpoint takes beyond that
    rest_is_wide: bool  # whether ``rest`` is stored at 16 bit whatever the format

    @property
    def total(self) -> float:
        """Checkpoint size."""
        return self.embedding + self.head + self.experts + self.rest + self.wider


def weight_parts(model: Model, weight_quant: str) -> WeightParts:
    """Weights = 16 bit x (embedding + head) + rest x bits / 8; mxfp4 on routed experts only, the rest 16 bit.

    Where a published checkpoint is larger, its size is a fact. Of a 4-bit mixture what it takes beyond the formula is
    the part besides the experts at 16 bit, where it covers half of that or more (checkpoints of Qwen3.5 and Kimi keep
    all but the experts at 16 bit); the remainder is told apart: vision towers, prediction heads, padding.
    """
    bits = BITS[weight_quant]
    params = model.total_params - model.embed_params - model.head_params - model.routed_expert_params
    ends = 2.0 * model.embed_params, 2.0 * model.head_params
    experts = model.routed_expert_params * bits / 8.0
    rest = params * (BITS["bf16"] if weight_quant == "mxfp4" else bits) / 8.0
    surplus = max(dict(model.published_bytes).get(weight_quant, 0.0) - sum(ends) - experts - rest, 0.0)
    widening = params * BITS["bf16"] / 8.0 - rest
    four_bit = model.is_moe and weight_quant in ("int4", "nvfp4")
    wide = min(surplus, widening) if four_bit and surplus >= 0.5 * widening else 0.0
    return WeightParts(
        *ends, experts, rest + wide, wider=surplus - wide, rest_is_wide=weight_quant == "mxfp4" or wide > 0
    )


def weight_bytes(model: Model, weight_quant: str) -> float:
    """Checkpoint size of a model in a format."""
    return weight_parts(model, weight_quant).total


def memory_table(specs: Sequence[ReplicaSpec]) -> MemoryTable:
    """Memory of many specifications at once."""
    parts: dict[tuple[int, str], WeightParts] = {}  # by model and format: the same for every card and split
    rows = np.array([_row(spec, parts) for spec in specs], dtype=np.float64).reshape(-1, 8).T
    weights, activations, overhead, usable, per_token, per_window, window, per_sequence = rows
    return MemoryTable(weights, activations, overhead, usable, KvNeed(per_token, per_window, window, per_sequence))


def memory_bills(specs: Sequence[ReplicaSpec], lengths: Lengths) -> list[MemoryBill]:
    """Memory bills of many specifications; ``kv_tokens`` counts tokens of sequences of the planned resident length."""
    table = memory_table(specs)
    resident = moments_of(lengths).resident
    tokens = np.maximum(PLANNED_SHARE * table.kv_budget / table.kv.sequence(resident) * resident, 0.0)
    short = table.kv.per_token + table.kv.per_window_token
    columns = (
        table.weights, table.activations, table.overhead, table.usable, table.kv_budget, short, np.floor(tokens),
    )  # fmt: skip
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [MemoryBill(w, a, o, u, kv, per_token, int(held)) for w, a, o, u, kv, per_token, held in rows]


def memory_bill(spec: ReplicaSpec, lengths: Lengths) -> MemoryBill:
    """Memory bill of one specification."""
    return memory_bills([spec], lengths)[0]


def stage_share(model: Model, stages: int) -> float:
    """Layers of the fullest pipeline stage as a share of all: ceil(layers / p) / layers."""
    return -(-model.num_layers // stages) / model.num_layers


def _row(spec: ReplicaSpec, parts: dict[tuple[int, str], WeightParts]) -> tuple[float, ...]:
    model, tp = spec.model, spec.tensor_parallel
    key = (id(model), spec.weight_quant)
    if key not in parts:
        parts[key] = weight_parts(model, spec.weight_quant)
    activations = (
        ACTIVATION_BYTES_PER_TOKEN_AND_WIDTH * spec.max_num_batched_tokens * model.hidden_size
        + LOGIT_BYTES * min(spec.max_num_seqs, LOGIT_ROWS) * model.vocab_size / tp
    )
    overhead = CONTEXT_BYTES + GRAPH_BYTES + (COMMUNICATION_BYTES if spec.gpus > 1 else 0.0)
    usable = spec.gpu_memory_utilization * spec.gpu.memory_mib * MIB
    return (_weights_per_gpu(spec, parts[key]), activations, overhead, usable, *kv_need_of(spec))


def _weights_per_gpu(spec: ReplicaSpec, parts: WeightParts) -> float:
    """Weights on the fullest GPU. With several stages the first holds the embedding and the last the head."""
    model, stages = spec.model, spec.pipeline_parallel
    layers = -(-model.num_layers // stages)
    experts = parts.experts * min(layers / max(moe_layers(model), 1), 1.0) / max(spec.expert_parallel, 1)
    ends = parts.embedding + parts.head if stages == 1 else max(parts.embedding, parts.head or parts.embedding)
    return (experts + (parts.rest + parts.wider) * layers / model.num_layers + ends) / spec.tensor_parallel


def kv_need_of(spec: ReplicaSpec) -> tuple[float, float, float, float]:
    """KV bytes on the fullest GPU: per token, per token inside the window, the window, per sequence.

    An fp8 cache halves K and V, not the states of linear layers, which divide over the ranks.
    """
    model, tp = spec.model, spec.tensor_parallel
    layers = stage_share(model, spec.pipeline_parallel)
    stored = kv_bytes(model, tp, spec.kv_cache)
    return (
        (stored.full + stored.index) * layers,
        stored.sliding * layers,
        float(model.sliding_window or model.context_limit),
        model.linear_state_bytes / tp * layers,
    )
