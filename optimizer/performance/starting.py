"""Whether a replica starts, and the least change that makes it start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimizer.performance.compatibility import legal_tp
from optimizer.performance.memory import GIB, MemoryTable, memory_table, most_sequences
from optimizer.performance.startup import Start, most_sequences_of_a_step, most_share, start_of
from optimizer.performance.types import ReplicaSpec


@dataclass(frozen=True, slots=True)
class Starting:
    """What one GPU of a replica holds at start; bytes. ``reason`` is empty where it starts."""

    weights: float
    start: Start
    kv: float  # room for KV as the engine would report it; negative where weights do not fit
    kv_tokens: int  # of one rank group, in sequences of the longest context
    reason: str
    least_change: str  # empty where it starts, or where nothing that was tried helps

    @property
    def starts(self) -> bool:
        """Whether the engine starts."""
        return not self.reason


def starting(spec: ReplicaSpec) -> Starting:
    """A replica at start under its engine's law."""
    table = memory_table([spec])
    weights, kv = float(table.weights[0]), float(table.kv_budget[0])
    need = float(table.kv.sequence(float(spec.max_model_len))[0])
    tokens = int(kv / need * spec.max_model_len) if need > 0 and kv > 0 else 0
    reason = _refusal(spec, table, kv, need)
    change = _least_change(spec) if reason else ""
    return Starting(weights, start_of(spec, weights), kv, tokens, reason, change)


def refusal_at_start(spec: ReplicaSpec) -> str:
    """Why the engine refuses to start a replica; empty where it starts."""
    table = memory_table([spec])
    return _refusal(spec, table, float(table.kv_budget[0]), float(table.kv.sequence(float(spec.max_model_len))[0]))


def largest_max_num_seqs(spec: ReplicaSpec) -> int:
    """The largest max_num_seqs up to the one asked at which a replica starts; 0 where none does."""
    if not refusal_at_start(spec):
        return spec.max_num_seqs
    low, high = 0, spec.max_num_seqs
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _starts_with(spec, middle) else (low, middle)
    return low


def settled(specs: Sequence[ReplicaSpec]) -> list[ReplicaSpec]:
    """Replicas with the largest max_num_seqs up to their own at which the engine starts; as they are where none does.

    One table for all, one more for those that are refused, and a search only for those that another number mends.
    """
    if not specs:
        return []
    refused = [
        index
        for index, (no, spec) in enumerate(zip(_no_room(specs), specs, strict=True))
        if no or spec.model.linear_layers or _too_many_for_a_step(spec)
    ]
    single = [replace(specs[index], max_num_seqs=1) for index in refused]
    found = list(specs)
    for index, hopeless in zip(refused, _no_room(single), strict=True):
        most = 0 if hopeless else largest_max_num_seqs(specs[index])
        if most:
            found[index] = replace(specs[index], max_num_seqs=most)
    return found


def _no_room(specs: Sequence[ReplicaSpec]) -> list[bool]:
    """Whether one request of the longest context does not fit, of each replica."""
    if not specs:
        return []
    table = memory_table(specs)
    longest = np.array([float(spec.max_model_len) for spec in specs])
    return [bool(no) for no in table.kv.sequence(longest) > table.kv_budget]


def _starts_with(spec: ReplicaSpec, sequences: int) -> bool:
    return not refusal_at_start(replace(spec, max_num_seqs=sequences))


def _too_many_for_a_step(spec: ReplicaSpec) -> bool:
    most = most_sequences_of_a_step(spec)
    return most is not None and spec.max_num_seqs > most


def _refusal(spec: ReplicaSpec, table: MemoryTable, kv: float, need: float) -> str:
    if _too_many_for_a_step(spec):
        tokens = f"{spec.max_num_batched_tokens:,}"
        return f"max_num_seqs {spec.max_num_seqs:,} exceeds max_num_batched_tokens {tokens}, one token a sequence"
    if spec.gpu_memory_utilization > most_share(spec):
        return (
            f"a share of {spec.gpu_memory_utilization:g} of the card's {spec.gpu.total_mib / 1024:.2f} GiB leaves too "
            f"little beside it ({_BESIDE.get(spec.engine.profile, 'the context of the driver')}): "
            f"at most {int(1000 * most_share(spec)) / 1000:g}"
        )
    weights, usable = float(table.weights[0]), float(table.usable[0])
    if kv <= 0:
        rest = float(table.activations[0] + table.overhead[0])
        return (
            f"no room for the KV cache: weights {weights / GIB:.2f} GiB and {rest / GIB:.2f} GiB for the step at start "
            f"exceed the {usable / GIB:.2f} GiB that may be used"
        )
    if need > kv:
        return (
            f"one request of {spec.max_model_len:,} tokens needs {need / GIB:.2f} GiB of KV cache "
            f"and {kv / GIB:.2f} GiB are left"
        )
    blocks = most_sequences(spec)
    if blocks is not None and spec.max_num_seqs > blocks:
        return f"max_num_seqs {spec.max_num_seqs:,} exceeds the {blocks:,} blocks for the state of its mixing layers"
    return ""


def _least_change(spec: ReplicaSpec) -> str:
    for words, changed in _changes(spec):
        if not refusal_at_start(changed):
            return words
    return ""


def _changes(spec: ReplicaSpec) -> Iterator[tuple[str, ReplicaSpec]]:
    """Changes to try, the one that costs least first."""
    sequences = largest_max_num_seqs(spec)
    if sequences:
        yield f"--max-num-seqs {sequences}", replace(spec, max_num_seqs=sequences)
    if spec.gpu_memory_utilization > most_share(spec):
        less = int(100 * most_share(spec)) / 100
        yield f"--gpu-memory-utilization {less:g}", replace(spec, gpu_memory_utilization=less)
    share = HIGHEST_SHARE
    if spec.gpu_memory_utilization < share:
        raised = replace(spec, gpu_memory_utilization=share)
        both = largest_max_num_seqs(raised)
        if both == spec.max_num_seqs:
            yield f"--gpu-memory-utilization {share:g}", raised
        elif both:
            words = f"--gpu-memory-utilization {share:g} --max-num-seqs {both}"
            yield words, replace(raised, max_num_seqs=both)
    context = _longest_context(spec)
    if context:
        yield f"--context {context}", replace(spec, max_model_len=context)
    if spec.kv_cache == "auto" and "fp8" in spec.engine.kv_caches and spec.gpu.supports_fp8:
        yield "--kv fp8", replace(spec, kv_cache="fp8")
    for degree in sorted(legal_tp(spec.model, spec.weight_quant)):
        if degree > spec.tensor_parallel:
            yield f"--tp {degree}", replace(spec, tensor_parallel=degree)


def _longest_context(spec: ReplicaSpec) -> int:
    """The longest context in whole blocks of 16 tokens of which one request fits; 0 where it would serve nobody."""
    table = memory_table([spec])
    room, low, high = float(table.kv_budget[0]), 0, spec.max_model_len // BLOCK
    while high - low > 1:
        middle = (low + high) // 2
        fits = float(table.kv.sequence(float(middle * BLOCK))[0]) <= room
        low, high = (middle, high) if fits else (low, middle)
    return low * BLOCK if low * BLOCK >= SHORTEST else 0


BLOCK = 16
"""Tokens of a block of KV cache (vLLM's default)."""

HIGHEST_SHARE = 0.95
"""The share of memory that is still advised: beyond it small allocations of the driver and of others fail."""

_BESIDE = {"sglang": "a step at full load, CUDA graphs, the context of the driver"}
"""What an engine must hold beside the share that is stated, where that is not the driver's context alone."""

SHORTEST = 1024
"""A context below this serves nobody."""
