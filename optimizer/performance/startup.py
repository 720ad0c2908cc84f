"""What an engine takes of a GPU beside weights and KV cache when it starts, by engine and version.

Sources, and the range each law was seen in:

* vLLM: logs of 0.6.4 to 0.14 on H100 (llm-d-planner, "empirical vLLM memory results", 2026-04-01; vLLM pull request
  10511) and of 0.20 to 0.25 on RTX 3090 and 5090 (club-3090, 2026); ``vllm/v1/worker/gpu_worker.py`` of 0.11, 0.19 and
  0.33: KV = utilization x total - weights - peak of a profiled step - what is not PyTorch's, and from 0.21 on less an
  estimate of the CUDA graphs, which before were captured outside the budget.
* SGLang: ``server_args.py`` of 0.5.12 and ``arg_groups/memory_hook.py`` of 0.5.23: the static fraction holds weights
  and KV; activations and graphs must fit beside it.
* TensorRT-LLM: ``free_gpu_memory_fraction`` is of what is left after weights and buffers (its llmapi documentation);
  LMDeploy's ``cache_max_entry_count`` likewise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from optimizer.catalog.types import Engine, Gpu, version_key
from optimizer.performance.types import ReplicaSpec

GIB = 2.0**30
MIB = 2.0**20

SAMPLER_COPIES = 9.7
"""32-bit logits of max_num_seqs sequences that live at once while vLLM profiles its sampler (penalties, top-p sort and
softmax): 9.6 to 9.9 in nine starts of 0.11 and in one of 0.6.4. The vocabulary is whole on every rank."""

SAMPLER_COPIES_NEW = 2.0
"""Since 0.20: two starts of 0.25.1 with 256 sequences and 248,320 words leave room for no more."""

SAMPLER_NEW_FROM = (0, 20)

CHUNKED_FROM_TOKENS = 32_768
"""The first engine of vLLM (before 0.8) chunks prompts where max_model_len is above this; its profiled step then ends
no prompt and samples nothing (0.7, 131,072 tokens: peak 0.19 GiB with 256 sequences)."""

SECOND_ENGINE_FROM = (0, 8)

NOT_TORCH = 0.13 * GIB
"""Driver context and libraries that PyTorch does not hold, one GPU (0.13 to 0.14 in the same starts)."""

NOT_TORCH_SEVERAL = 0.55 * GIB
"""The same where GPUs talk: NCCL and custom all-reduce buffers (0.54 and 0.55)."""

GRAPHS_INSIDE_FROM = (0, 21)
"""From here on the budget holds an estimate of the CUDA graphs (``VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS``)."""

GRAPH_POOL, GRAPH_EACH = 0.14 * GIB, 0.008 * GIB
"""CUDA graphs: a pool, and so much per captured batch size. Estimates printed at start: 0.17 (5 sizes), 0.58."""

CONTEXT = 0.6 * GIB
"""Driver context and engine buffers of a GPU (shared/data README), where an engine counts what is free, not a total."""

STATIC_COMMUNICATION = 1.6 * GIB
"""SGLang, several GPUs: what NCCL and its all-reduce hold before weights are loaded (4 x H100, Qwen3-235B at 0.93:
367,404 tokens of KV leave 2.2 GiB for this and the context)."""

COMMUNICATION = 0.4 * GIB
"""All-reduce buffers of a GPU in a replica of several (same source)."""

LIVE_HIDDEN, LIVE_INNER = 4.0, 3.0
"""Tensors of a batched token that live at once in a layer: so many of the hidden width (residual, its norm, attention
in and out) and of the MLP's inner width (both halves and their product), 16 bit each."""

GENERIC_OVERHEAD = 2.2 * GIB
"""Engines without a law of their own: 0.6 GiB of context and 1.6 of graphs and workspaces (shared/data README)."""

ALL_TO_ALL = 1.5 * GIB
"""Buffers of all-to-all kernels where more than eight GPUs share the experts (assumed: DeepEP's grow with tokens of a
rank x hidden size x ranks, and recipes leave 1 to 2 GB)."""

NODE_GPUS = 8
"""GPUs that exchange tokens without such buffers: those of one node."""

VLLM_LIKE = frozenset({"vllm"})
STATIC = frozenset({"sglang"})
OF_WHAT_IS_LEFT = frozenset({"trtllm", "lmdeploy"})


@dataclass(frozen=True, slots=True)
class Start:
    """Bytes of one GPU at start, beside its weights. ``usable`` is what weights, KV and the rest may take together."""

    activations: float  # the peak of the profiled step
    overhead: float  # context, communication buffers; CUDA graphs where the budget holds them
    graphs: float  # CUDA graphs, wherever they are counted
    usable: float
    total: float  # as CUDA reports it


def start_of(spec: ReplicaSpec, weights: float) -> Start:
    """The start-up law of a replica's engine and version, for the weights on its fullest GPU."""
    start = _law(spec, weights)
    if spec.attention_dp > 1 and spec.expert_gpus > NODE_GPUS:
        return replace(start, overhead=start.overhead + ALL_TO_ALL)
    return start


def _law(spec: ReplicaSpec, weights: float) -> Start:
    total = spec.gpu.total_mib * MIB
    profile = spec.engine.profile
    graphs = GRAPH_POOL + GRAPH_EACH * graph_sizes(spec)
    if profile in VLLM_LIKE:
        return _vllm(spec, total, graphs)
    if profile in STATIC:
        return _static(spec, total, graphs)
    if profile in OF_WHAT_IS_LEFT:
        return _of_what_is_left(spec, total, graphs, weights)
    talk = COMMUNICATION if _talks(spec) else 0.0
    usable = spec.gpu_memory_utilization * total
    return Start(forward_peak(spec), GENERIC_OVERHEAD + talk, graphs, usable, total)


def _vllm(spec: ReplicaSpec, total: float, graphs: float) -> Start:
    """Utilization x total; graphs inside from 0.21 on, before beside it, where they must fit too."""
    version = version_key(spec.engine_version)
    inside = not version or version >= GRAPHS_INSIDE_FROM
    overhead = NOT_TORCH_SEVERAL if _talks(spec) else NOT_TORCH
    usable = spec.gpu_memory_utilization * total
    peak = max(forward_peak(spec), sampler_peak(spec))
    if inside:
        return Start(peak, overhead + graphs, graphs, usable, total)
    return Start(peak, overhead, graphs, min(usable, total - graphs), total)


def _static(spec: ReplicaSpec, total: float, graphs: float) -> Start:
    """The fraction of what is free at start holds weights and KV; the rest of the card must hold all else."""
    taken, peak = _taken(spec), _static_peak(spec)
    static = spec.gpu_memory_utilization * (total - taken)
    usable = min(static + peak + taken + graphs, total)
    return Start(peak, taken + graphs, graphs, usable, total)


def _taken(spec: ReplicaSpec) -> float:
    """What a process of SGLang holds before it loads weights."""
    return CONTEXT + (STATIC_COMMUNICATION if _talks(spec) else 0.0)


def _static_peak(spec: ReplicaSpec) -> float:
    return max(forward_peak(spec), logits(spec))


def _of_what_is_left(spec: ReplicaSpec, total: float, graphs: float, weights: float) -> Start:
    """The fraction of what is free after weights and buffers holds the KV cache."""
    taken = CONTEXT + (COMMUNICATION if _talks(spec) else 0.0)
    peak = max(forward_peak(spec), logits(spec))
    left = total - weights - peak - taken
    usable = weights + peak + taken + (spec.gpu_memory_utilization * left if left > 0 else left)
    return Start(peak, taken, graphs, usable, total)


def most_share(spec: ReplicaSpec) -> float:
    """The largest share of memory with which the engine starts. vLLM's second engine refuses more than is free when it
    has its driver context (``vllm/v1/worker/gpu_worker.py``: "Free memory on device ... is less than desired");
    SGLang's static part must leave room for a step and its graphs."""
    version, total = version_key(spec.engine_version), spec.gpu.total_mib * MIB
    if spec.engine.profile in STATIC:
        free = total - _taken(spec)
        return (free - _static_peak(spec) - GRAPH_POOL - GRAPH_EACH * graph_sizes(spec)) / free
    if spec.engine.profile not in VLLM_LIKE or (version and version < SECOND_ENGINE_FROM):
        return 1.0
    return 1.0 - CONTEXT / total


def most_sequences_of_a_step(spec: ReplicaSpec) -> int | None:
    """The largest max_num_seqs beside the tokens of a step: vLLM refuses more sequences than tokens
    (``vllm/config/scheduler.py``). None where the engine has no such rule."""
    return spec.max_num_batched_tokens if spec.engine.profile in VLLM_LIKE else None


def default_share(
    engine: Engine, gpu: Gpu, version: str = "", tensor_parallel: int = 1, pipeline_parallel: int = 1
) -> float:
    """The share of memory that an engine takes where its flag is left out.

    SGLang computes it (``server_args.py`` of 0.5.12, ``memory_hook.py`` of 0.5.23): total less, in MiB, 512 + 1.5 x
    max(chunked prefill, 2,048) + 2 x largest decode graph + 128 x GPUs, and at least 10,240 above 60 GiB.
    """
    if engine.profile not in STATIC:
        return engine.memory_share_on(gpu, version)
    chunk = engine.max_num_batched_tokens_on(gpu, version)
    batch = engine.default("graph_batch", gpu, version, tensor_parallel)
    if batch is None:
        return engine.memory_share_on(gpu, version)
    reserve = 512 + 1.5 * max(chunk, 2048) + 2 * batch + 128 * tensor_parallel * pipeline_parallel
    if gpu.total_mib > 60 * 1024:
        reserve = max(reserve, 10_240.0)
    return round((gpu.total_mib - reserve) / gpu.total_mib, 3)


def _talks(spec: ReplicaSpec) -> bool:
    """Whether several GPUs work on a replica's tokens."""
    return spec.gpus > 1


def sampler_peak(spec: ReplicaSpec) -> float:
    """Peak of vLLM's profiled sampler in bytes: copies x max_num_seqs x 4 B x vocabulary, on every rank."""
    version = version_key(spec.engine_version)
    if version and version < SECOND_ENGINE_FROM and spec.max_model_len > CHUNKED_FROM_TOKENS:
        return 0.0
    new = not version or version >= SAMPLER_NEW_FROM
    return (SAMPLER_COPIES_NEW if new else SAMPLER_COPIES) * spec.max_num_seqs * 4.0 * spec.model.vocab_size


def logits(spec: ReplicaSpec) -> float:
    """32-bit logits of max_num_seqs sequences."""
    return 4.0 * spec.max_num_seqs * spec.model.vocab_size


def forward_peak(spec: ReplicaSpec) -> float:
    """Live 16-bit tensors of one layer for a full step of max_num_batched_tokens."""
    model = spec.model
    inner = model.intermediate_size or model.expert_intermediate_size * max(model.experts_per_token, 1)
    width = LIVE_HIDDEN * model.hidden_size + LIVE_INNER * inner / spec.tensor_parallel
    return 2.0 * spec.max_num_batched_tokens * width


def graph_sizes(spec: ReplicaSpec) -> int:
    """Batch sizes that are captured: 1, 2, 4, then every 8th to 256 and every 16th to twice max_num_seqs or the
    engine's limit, 512 (``vllm/config/vllm.py`` of 0.19 and 0.33)."""
    largest = min(2 * spec.max_num_seqs, 512, spec.max_num_batched_tokens)
    small = sum(size <= largest for size in (1, 2, 4))
    return small + min(largest, 256) // 8 + max(largest - 256, 0) // 16


def state_blocks(spec: ReplicaSpec, kv_budget: float, states: int = 1) -> int | None:
    """Sequences whose recurrent state fits: vLLM refuses to start a hybrid model with a larger max_num_seqs.

    Layers are kept in groups of equal length, one page of state or tokens a layer; a block is a page of every layer of
    the smallest group (``vllm/v1/core/kv_cache_utils.py``). A sequence has so many ``states``. None for models without.
    """
    model = spec.model
    if not model.linear_layers or model.linear_state_bytes <= 0 or spec.engine.profile not in VLLM_LIKE:
        return None
    page = model.linear_state_bytes / model.linear_layers / spec.tensor_parallel
    group = min(model.full_attention_layers or model.linear_layers, model.linear_layers) / spec.pipeline_parallel
    return max(int(kv_budget / (page * group * states)), 0)
