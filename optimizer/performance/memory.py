"""Memory of one replica: weights as loaded, KV cache, and what its engine takes at start, on its fullest GPU.

All in bytes. Weights: the published checkpoint part by part where it is known, else the formula of design.md section 4.
What an engine takes beside weights and KV is in ``startup``, by engine and version. Vectorised: a table holds one
column per fact and one row per specification.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from optimizer.catalog.types import ENCODER, Model, StoredPart
from optimizer.demand import Lengths
from optimizer.performance.architecture import kv_bytes, moe_layers, uneven_share
from optimizer.performance.formats import BITS
from optimizer.performance.lengths import moments_of
from optimizer.performance.speculation import MTP, draft_quant
from optimizer.performance.startup import OF_WHAT_IS_LEFT, start_of, state_blocks
from optimizer.performance.types import MemoryBill, ReplicaSpec

Array = npt.NDArray[np.float64]

GIB = 2.0**30


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
    everywhere: float = 0.0  # routers and norms: whole on every rank
    encoder: float = 0.0  # of images or sound, sharded like the rest, on the first stage
    wider: float = 0.0  # what the published checkpoint takes beyond the formula
    padding: float = 1.0  # how much larger experts are in memory than in the file
    rest_is_wide: bool = False  # whether ``rest`` is stored at 16 bit whatever the format

    @property
    def total(self) -> float:
        """Checkpoint size, layers for speculative decoding left out."""
        ends = self.embedding + self.head + self.encoder
        return ends + self.experts + self.rest + self.everywhere + self.wider


_PLACES = {
    "input embedding": "embedding",
    "output head": "head",
    "routed experts": "experts",
    "routers and gates": "everywhere",
    "norms and tables": "everywhere",
    ENCODER: "encoder",
}


def stored_parts(model: Model, weight_quant: str) -> tuple[StoredPart, ...]:
    """A published checkpoint in a format, part by part; empty where none is known."""
    return next((parts for quant, parts in model.stored if quant == weight_quant), ())


def weight_parts(model: Model, weight_quant: str) -> WeightParts:
    """Weights as a published checkpoint stores them, part by part; else by the formula.

    Formula: 16 bit x (embedding + head) + rest x bits / 8; mxfp4 on routed experts only, the rest 16 bit. Where a
    published checkpoint is larger, its size is a fact. Of a 4-bit mixture what it takes beyond the formula is the part
    besides the experts at 16 bit, where it covers half of that or more (checkpoints of Qwen3.5 and Kimi keep all but
    the experts at 16 bit); the remainder is told apart: prediction heads, padding.
    """
    parts = stored_parts(model, weight_quant)
    if parts:
        sizes: dict[str, float] = {}
        for part in parts:
            place = _PLACES.get(part.name, "rest")
            sizes[place] = sizes.get(place, 0.0) + part.bytes
        return WeightParts(
            embedding=sizes.get("embedding", 0.0),
            head=sizes.get("head", 0.0),
            experts=sizes.get("experts", 0.0),
            rest=sizes.get("rest", 0.0),
            everywhere=sizes.get("everywhere", 0.0),
            encoder=sizes.get("encoder", 0.0),
            padding=max((_padding(model, part) for part in parts if part.name == "routed experts"), default=1.0),
            rest_is_wide=_is_wide(parts, weight_quant),
        )
    bits = BITS[weight_quant]
    rest_params = model.total_params - model.embed_params - model.head_params - model.routed_expert_params
    found = WeightParts(
        embedding=2.0 * model.embed_params,
        head=2.0 * model.head_params,
        experts=model.routed_expert_params * bits / 8.0,
        rest=rest_params * (BITS["bf16"] if weight_quant == "mxfp4" else bits) / 8.0,
        encoder=max((p.bytes for _, stored in model.stored for p in stored if p.name == ENCODER), default=0.0),
    )
    surplus = max(dict(model.published_bytes).get(weight_quant, 0.0) - found.total, 0.0)
    widening = rest_params * BITS["bf16"] / 8.0 - found.rest
    four_bit = model.is_moe and weight_quant in ("int4", "nvfp4")
    wide = min(surplus, widening) if four_bit and surplus >= 0.5 * widening else 0.0
    is_wide = weight_quant == "mxfp4" or wide > 0
    return replace(found, rest=found.rest + wide, wider=surplus - wide, rest_is_wide=is_wide)


MXFP4_TILE = 256
"""Rows of an mxfp4 expert are padded to whole tiles when loaded (vLLM ``quantization/mxfp4.py``): gpt-oss 2,880 ->
3,072, which makes 13.47 GiB of its 12.8 GiB checkpoint (measured, 0.11)."""

_WIDE_BITS = 12.0
"""Stored bits per weight on average from which on the part besides the experts counts as kept at 16 bit."""


def _padding(model: Model, part: StoredPart) -> float:
    """How much larger experts are in memory than in the file."""
    if part.format != "mxfp4" or not model.hidden_size:
        return 1.0
    return -(-model.hidden_size // MXFP4_TILE) * MXFP4_TILE / model.hidden_size


def _is_wide(parts: Sequence[StoredPart], weight_quant: str) -> bool:
    """Whether a checkpoint in a narrower format keeps most of what is besides its experts at 16 bit."""
    rest = [part for part in parts if _PLACES.get(part.name, "rest") == "rest"]
    params = sum(part.params for part in rest)
    narrow = weight_quant != "bf16" and params > 0
    return narrow and 8.0 * sum(part.bytes for part in rest) / params > _WIDE_BITS


def weight_bytes(model: Model, weight_quant: str) -> float:
    """Checkpoint size of a model in a format."""
    return weight_parts(model, weight_quant).total


def memory_table(specs: Sequence[ReplicaSpec]) -> MemoryTable:
    """Memory of many specifications at once."""
    known = _Alike()
    rows = np.array([known.row(spec) for spec in specs], dtype=np.float64).reshape(-1, 8).T
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


class _Alike:
    """What rows of one table have in common, worked out once; models, cards, engines and drafts by identity."""

    def __init__(self) -> None:
        self._parts: dict[object, WeightParts] = {}  # the same for every card and split
        self._weights: dict[object, tuple[float, float]] = {}  # the same for every card; and a draft's KV per token
        self._needs: dict[object, tuple[float, ...]] = {}
        self._starts: dict[object, tuple[float, ...]] = {}

    def row(self, spec: ReplicaSpec) -> tuple[float, ...]:
        """Weights, activations, overhead, usable memory and the needs of the KV cache, in bytes."""
        model, quant, split = id(spec.model), spec.weight_quant, (spec.tensor_parallel, spec.pipeline_parallel)
        drafts = spec.speculation and spec.speculation.content
        of_weights = (model, quant, split, spec.attention_dp, spec.expert_parallel, drafts)
        known = self._weights.get(of_weights)
        if known is None:
            parts = self._parts.get((model, quant))
            if parts is None:
                parts = self._parts[model, quant] = weight_parts(spec.model, quant)
            of_drafts, draft_token = _draft_per_gpu(spec)
            known = self._weights[of_weights] = (_weights_per_gpu(spec, parts) + of_drafts, draft_token)
        weights, draft_token = known
        of_need = (model, split, spec.kv_cache, states_of(spec))
        need = self._needs.get(of_need)
        if need is None:
            need = self._needs[of_need] = kv_need_of(spec)
        law_reads = weights if spec.engine.profile in OF_WHAT_IS_LEFT else 0.0
        of_start = (
            id(spec.gpu), id(spec.engine), of_weights[2:], spec.engine_version, spec.max_num_seqs, spec.max_model_len,
            spec.max_num_batched_tokens, spec.gpu_memory_utilization, model, law_reads,
        )  # fmt: skip
        start = self._starts.get(of_start)
        if start is None:
            law = start_of(spec, weights)
            start = self._starts[of_start] = (law.activations, law.overhead, law.usable)
        per_token, *others = need
        return (weights, *start, per_token + draft_token, *others)


def _draft_per_gpu(spec: ReplicaSpec) -> tuple[float, float]:
    """Weights of what drafts on a GPU, and its KV bytes per token; prediction layers share embedding and head."""
    if spec.speculation is None:
        return 0.0, 0.0
    draft = spec.speculation.draft
    found = weight_parts(draft, draft_quant(spec.speculation, spec.weight_quant))
    if spec.speculation.method == MTP:
        found = replace(found, embedding=0.0, head=0.0)
    own = replace(spec, model=draft, pipeline_parallel=1, speculation=None)
    return _weights_per_gpu(own, found), kv_need_of(own)[0]


def most_sequences(spec: ReplicaSpec) -> int | None:
    """Sequences whose recurrent state fits a hybrid model's replica, which bounds max_num_seqs; None for others."""
    return state_blocks(spec, float(memory_table([spec]).kv_budget[0]), states_of(spec))


def _weights_per_gpu(spec: ReplicaSpec, parts: WeightParts) -> float:
    """Weights on the fullest GPU. With several stages the first holds the embedding and the last the head."""
    model, stages = spec.model, spec.pipeline_parallel
    layers = -(-model.num_layers // stages)
    routed = parts.padding * parts.experts * min(layers / max(moe_layers(model), 1), 1.0)
    experts = routed / spec.attention_dp * uneven_share(model.num_experts, spec.expert_parallel)
    ends = parts.embedding + parts.head if stages == 1 else max(parts.embedding, parts.head or parts.embedding)
    share = layers / model.num_layers
    sharded = experts + (parts.rest + parts.wider) * share + ends + parts.encoder
    return sharded / spec.tensor_parallel + parts.everywhere * share


def states_of(spec: ReplicaSpec) -> int:
    """Recurrent states kept of a sequence: beside the last one that after each drafted token, as a rejected draft has
    to be taken back (vLLM ``MambaSpec.num_speculative_blocks``)."""
    return 1 + spec.drafted


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
        states_of(spec) * model.linear_state_bytes / tp * layers,
    )
