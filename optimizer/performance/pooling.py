"""Prefill and decode workers: which replicas can be one, which pairs exchange caches, and over what.

A request's KV cache goes from the worker that read its prompt to the one that writes its answer: inside one node over
its switched links, else over the network that both nodes state. Every GPU sends and receives over its share of its
node's network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.performance.accuracy import factor_in, is_wide_pcie, named_band
from optimizer.performance.architecture import is_latent
from optimizer.performance.memory import memory_table
from optimizer.performance.rates import link_bandwidth
from optimizer.vocabulary import POOL_ENGINES, Link

if TYPE_CHECKING:
    from optimizer.demand import Metric
    from optimizer.performance.types import Grade, ReplicaSpec

TRANSFER_SHARE = 0.7
"""Share of the one-way bandwidth of a link or network that sending caches reaches (moe_serving.md, section 6)."""

RATE_SHARE = 0.9
"""Share of the rate at which a pool saturates that arrivals may take, as of replicas."""

POOL_VENDORS = ("nvidia",)
"""Cards whose disaggregated serving was measured."""


def worker_refusal(spec: ReplicaSpec) -> str:
    """Why a replica is neither a prefill nor a decode worker; empty: it may be either."""
    if spec.engine.profile not in POOL_ENGINES:
        return f"{spec.engine.id} has no prefill and decode workers"
    if spec.gpu.vendor not in POOL_VENDORS:
        return f"pools were measured on NVIDIA cards, not on {spec.gpu.id}"
    if spec.pipeline_parallel > 1 or spec.crosses_nodes:
        return "a worker of a pool sits inside one node, without pipeline stages"
    if is_wide_pcie(spec):
        return "four or more GPUs over PCIe are no worker of a pool: their host's topology is not known"
    if float(memory_table([spec]).kv.per_sequence[0]) > 0:
        return f"{spec.model.id} keeps a state per sequence, which connectors do not send"
    return ""


def pair_refusal(prefill: ReplicaSpec, decode: ReplicaSpec) -> str:
    """Why a prefill worker cannot hand over to a decode worker; empty: it can.

    Both hold the same weights and cache format. Tensor parallelism may differ where the decode worker's is a multiple
    (vLLM documentation, "NixlConnector Compatibility Matrix"); of MLA, whose cache every GPU holds whole, it is alike.
    """
    if prefill.weight_quant != decode.weight_quant:
        return "both pools hold the same weights"
    if prefill.kv_cache != decode.kv_cache:
        return "a cache is sent as it stands, so both pools need the same format"
    one, other = prefill.tensor_parallel, decode.tensor_parallel
    if is_latent(prefill.model) and one != other:
        return "tensor parallelism of both pools is the same for multi-head latent attention"
    if other % one:
        return "tensor parallelism of the decode pool is a multiple of that of the prefill pool"
    return ""


def may_share_node(spec: ReplicaSpec) -> bool:
    """Whether pools inside one node exchange caches over its own links: all its GPUs hang on one switch."""
    return spec.link is Link.NVSWITCH


def network_refusal(spec: ReplicaSpec, fabric_gbps: float) -> str:
    """Why a worker cannot exchange caches with other nodes; empty: it can."""
    if not fabric_gbps:
        return "no network between nodes is stated (network_gbps), over which a KV cache would be sent"
    if not spec.gpu.datacenter_licensed:
        return f"GeForce drivers refuse RDMA into the memory of {spec.gpu.id}"
    return ""


def sent_bytes_per_token(spec: ReplicaSpec) -> float:
    """Bytes of KV cache of a prompt token that each GPU of a worker's rank sends or receives."""
    kv = memory_table([spec]).kv
    return float(kv.per_token[0] + kv.per_window_token[0])


def network_seconds_per_token(spec: ReplicaSpec, fabric_gbps: float, gpus_per_node: int) -> float:
    """Seconds that a worker's rank sends or receives for each prompt token, over its GPUs' share of the node's network.

    ``fabric_gbps`` is of the node, in Gb/s (10^9 bits).
    """
    of_gpu = TRANSFER_SHARE * fabric_gbps * 1e9 / 8.0 / gpus_per_node
    return sent_bytes_per_token(spec) / of_gpu


def link_seconds_per_token(prefill: ReplicaSpec) -> float:
    """The same inside one node, over the links of its GPUs."""
    return sent_bytes_per_token(prefill) / (TRANSFER_SHARE * link_bandwidth(prefill))


def pool_error_factor(metric: Metric, grade: Grade, quantile: float) -> float:
    """Truth / prediction at a quantile, of disaggregated serving; the end-to-end time takes the band of TPOT."""
    return factor_in(named_band("ttft_pools" if metric == "ttft" else "tpot_pools", grade), quantile)


def pool_throughput_factor(grade: Grade, quantile: float) -> float:
    """Truth / prediction of the rate at which pools saturate that is exceeded with probability ``quantile``."""
    return min(factor_in(named_band("throughput_pools", grade), 1.0 - quantile), 1.0)
