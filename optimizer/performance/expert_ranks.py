"""Mixtures of experts on several attention ranks: how uneven the work is, what ranks exchange, what they wait for.

A *rank* is one attention engine on ``tensor_parallel`` GPUs with its own batch and cache. ``attention_dp`` ranks run in
lock step and share the routed experts of a layer, dealt to ``expert_parallel`` groups of GPUs. All figures are neutral
(zero) for one rank whose experts are cut and not dealt.

Sources: DeepEP ``docs/legacy.md`` and ``README.md`` (deepseek-ai, H800 and H100 with 400 Gb/s a GPU; the kernel tables
of this page are reproduced within 15 %); vLLM documentation "Expert parallel deployment" and "Data parallel
deployment"; SGLang documentation "Expert parallelism"; TensorRT-LLM documentation "Parallelism".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from optimizer.catalog.types import Model
from optimizer.performance.architecture import moe_layers
from optimizer.performance.parameters import Parameters
from optimizer.performance.rates import link_bandwidth
from optimizer.performance.types import ReplicaSpec
from optimizer.vocabulary import Link

NODE_GPUS = 8
"""GPUs of a node where the card's link does not say how many it joins."""

SWITCHED = frozenset({Link.NVSWITCH, Link.XGMI, Link.HCCS})
"""Links that join all GPUs of a domain."""

DOMAIN_EFFICIENCY = 0.7
"""Share of the one-way link bandwidth that dispatch and combine reach in a domain: DeepEP 153 of 200 GB/s on H800 and
726 of 900 on B200 at 4,096 to 8,192 tokens; the tokens of one step are fewer."""

RDMA_DECODE, RDMA_PROMPT = 45e9, 55e9
"""Bytes per second of a GPU's 400 Gb/s adapter: DeepEP's low-latency kernels send each copy of a token (EP16 to EP256:
39 to 46 GB/s), its bulk kernels one copy a node (EP16 to EP64: 43 to 61)."""

GATHER_RDMA = 40e9
"""The same of collectives: 0.8 of 50 GB/s."""

GATHERED_BYTES = 4.0
"""Bytes per element of a token that all-gather and reduce-scatter move: 16 bit out and back."""

COPIED_BYTES = 3.0
"""Bytes per element of one copy of a token under all-to-all kernels: 8 bit out, 16 bit back (DeepEP)."""

ARITHMETIC_SKEW = 0.35
"""Share of the chance and skew of routing that reaches the arithmetic of the busiest group (set by judgement: large
products saturate less where they are smaller)."""

KEPT_SKEW = 0.0225
"""Squared spread of the load of one expert group per expert that it holds, after load balancing: 0.15 squared."""

RANK_SKEW = 0.3
"""Share of the spread of a sum of lengths by which the fullest rank's cache exceeds the mean (engines send requests to
the rank with the fewest)."""

HIDDEN = 0.85
"""Two-batch overlap: what the longer of exchange and computing hides of the shorter; 0.15 of it stays (kernels of the
two batches share the processors)."""

NODE_CALL_S = 35e-6
"""What an all-reduce takes longer where its tensor group spans nodes: read off eight rows of H100 at TP16, which are
predicted 32 % too fast without it."""

NODE_WIRE = 8 * 50e9 * 0.8
"""Bytes per second between two nodes of eight 400 Gb/s adapters."""

CAPTURED_TOKENS = 512
"""Tokens of the largest step that vLLM replays as a captured graph by default (``vllm/config/vllm.py``)."""

CAPTURED_LAYER_S, EAGER_LAYER_S = 0.38e-3, 1.0e-3
"""Least time of a layer of a hybrid model in a prompt step on vLLM, graph replayed or kernels launched one by one: the
launches of linear attention's prompt kernels. Read off engine steps of Qwen3.6-35B-A3B on vLLM 0.20.1, where 528 tokens
take 2.5 times as long as 496."""

RANKS_FLOOR = 1.25
"""The same with attention data parallelism, whose ranks agree on every step first."""


class Layout(StrEnum):
    """Kinds of sharing the work of a replica: what each asks of engine and fabric is measured apart."""

    TENSOR = "tensor"  # every GPU has a part of every matrix, stages of a pipeline included
    EXPERTS = "experts"  # one attention rank, whose routed experts are dealt to groups of its GPUs
    RANKS = "ranks"  # several attention ranks in one domain of fast links
    WIDE_RANKS = "wide_ranks"  # the same over several domains


def layout_of(spec: ReplicaSpec) -> Layout:
    """How the GPUs of a specification share the work, in kind."""
    if spec.attention_dp > 1:
        return Layout.WIDE_RANKS if spec.expert_gpus > domain_gpus(spec) else Layout.RANKS
    return Layout.EXPERTS if spec.expert_parallel > 1 else Layout.TENSOR


@dataclass(frozen=True, slots=True)
class RankWork:
    """What dealing experts and several attention ranks add to a step; fields as in ``StepCoefficients``."""

    hot_spread: float
    skew_choice: float
    skew_kept: float
    rank_spread: float
    exchange_fixed: float
    exchange_token: float
    exchange_prompt_token: float
    exchange_hidden: float
    floor_captured: float
    floor_eager: float


def rank_work(spec: ReplicaSpec, params: Parameters) -> RankWork:
    """What a specification's ranks add to a step."""
    model, e, d = spec.model, spec.expert_parallel, spec.attention_dp
    choice = kept = hot = 0.0
    if e > 1:
        largest = 2.0 * math.log(e)  # squared: the largest of e normal draws lies sqrt(2 ln e) spreads out
        per_group = max(model.num_experts / e, 1.0)
        hot = math.sqrt(largest / per_group)
        choice = ARITHMETIC_SKEW**2 * largest * e / (d * model.experts_per_token)
        kept = ARITHMETIC_SKEW**2 * largest * KEPT_SKEW * e / per_group
    fixed, token, prompt = _exchange(spec, params)
    captured, eager = _prompt_floor(spec)
    return RankWork(
        hot, choice, kept, RANK_SKEW * math.sqrt(2.0 * math.log(d)), fixed, token, prompt,
        HIDDEN if spec.overlap else 0.0, captured, eager,
    )  # fmt: skip


def domain_gpus(spec: ReplicaSpec) -> int:
    """GPUs that the fast link joins around one of a replica's: 72 of an NVL72 rack, 8 of a node."""
    return spec.gpu.link_domain_gpus if spec.link in SWITCHED else NODE_GPUS


def uses_all_to_all(spec: ReplicaSpec) -> bool:
    """Whether tokens go to their experts one by one, else to every rank.

    vLLM gathers (its default backend) inside a domain and needs all-to-all kernels beyond it or for overlap; the others
    send where experts are dealt.
    """
    if spec.expert_parallel == 1:
        return False
    if spec.engine.profile != "vllm":
        return True
    return spec.overlap or spec.expert_gpus > domain_gpus(spec)


def _exchange(spec: ReplicaSpec, params: Parameters) -> tuple[float, float, float]:
    """Seconds of a step's exchanges: fixed, per decoded token of the own rank, per prompt token of it."""
    if spec.attention_dp == 1:
        return 0.0, 0.0, 0.0
    gpus, layers, domain = spec.expert_gpus, moe_layers(spec.model), domain_gpus(spec)
    near = spec if spec.link in SWITCHED or gpus <= 2 else replace(spec, link=Link.PCIE)
    rate = link_bandwidth(near) * DOMAIN_EFFICIENCY
    fixed = params.first("exchange_sync_us", f"engine:{spec.engine.profile}") * 1e-6 * math.log2(gpus)
    hidden = float(spec.model.hidden_size)
    if not uses_all_to_all(spec):
        others = GATHERED_BYTES * hidden * (spec.attention_dp - 1)
        each = others / (rate if gpus <= domain else GATHER_RDMA)
        return layers * fixed, layers * each, layers * each
    e, k = spec.expert_parallel, spec.model.experts_per_token
    own = COPIED_BYTES * hidden / spec.tensor_parallel  # the GPUs of a rank send a share of its tokens each
    inside = own * distinct_ranks(e, k) * min(domain / gpus, 1.0) / rate
    if gpus <= domain:
        return layers * fixed, layers * inside, layers * inside
    nodes = gpus / domain
    copies = k * (1.0 - domain / gpus)
    bulk = nodes * (1.0 - (1.0 - 1.0 / nodes) ** k) * (1.0 - 1.0 / nodes)
    decode, prompt = own * copies / RDMA_DECODE, own * bulk / RDMA_PROMPT
    return layers * fixed, layers * (inside + decode), layers * (inside + prompt)


def distinct_ranks(groups: int, experts_per_token: int) -> float:
    """Groups other than the own one that a token's experts lie in, on average: each is sent one copy."""
    return groups * (1.0 - (1.0 - 1.0 / groups) ** experts_per_token) * (groups - 1) / groups


def nodes_of_a_rank(spec: ReplicaSpec) -> float:
    """Nodes that one tensor-parallel group spans."""
    return max(spec.tensor_parallel / domain_gpus(spec), 1.0)


def node_reduce(spec: ReplicaSpec) -> tuple[float, float]:
    """Seconds that one all-reduce takes longer as its tensor group spans nodes: fixed, per token."""
    nodes = nodes_of_a_rank(spec)
    if nodes <= 1.0:
        return 0.0, 0.0
    return NODE_CALL_S, 2.0 * (nodes - 1.0) / nodes * 2.0 * spec.model.hidden_size / NODE_WIRE


def _prompt_floor(spec: ReplicaSpec) -> tuple[float, float]:
    """Least duration of a prompt step: of hybrid models on vLLM, replayed and launched one by one."""
    if not is_hybrid(spec.model) or spec.engine.profile != "vllm":
        return 0.0, 0.0
    layers = spec.model.num_layers * (RANKS_FLOOR if spec.attention_dp > 1 else 1.0)
    return layers * CAPTURED_LAYER_S, layers * EAGER_LAYER_S


def is_hybrid(model: Model) -> bool:
    """Whether some layers keep a state in place of a cache."""
    return model.linear_layers > 0
