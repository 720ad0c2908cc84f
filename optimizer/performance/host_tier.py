"""KV cache in the memory of the host: how much of it a replica gets, and how fast a prefix comes back from there.

Engines write every block through when it is computed (vLLM's offloading connector, SGLang's ``write_through``), so the
host holds what was used last as the cards do, only more of it. A prompt whose prefix lies there waits until it has been
brought in, over the link between the host and each card, before the engine takes it:

    seconds = floor + tokens x bytes of a token on a card / bandwidth

Bandwidth: PCIe by generation and lanes, one way (PCI-SIG: 1 GB/s a lane and direction in generation 3, doubling), times
what is reached of it. 50 of 63 GB/s in a copy alone on one H100 (vLLM blog, Inside vLLM's New KV Offloading Connector,
2026-01-08), 38.5 of 63 on servers of eight H200 that restore and compute at once (llm-d blog, Serving GLM-5.2 agentic
workloads, 2026-07-22): the middle of the two, 44, is within 15 % of either. Grace superchips: 450 GB/s one way over
NVLink-C2C, which two cards of a GB200 share (NVIDIA, GB200 NVL72 and GH200 data sheets); half is counted for all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optimizer.vocabulary import split_version

if TYPE_CHECKING:
    from optimizer.catalog.types import Gpu
    from optimizer.performance.types import ReplicaSpec

GIB = 2.0**30

HOST_SHARE = 0.75
"""Of a node's memory what its replicas may take for KV cache; less ``KEPT_GIB`` for what else runs there."""

KEPT_GIB = 64.0

_LANE_GB_S = {3: 0.985, 4: 1.969, 5: 3.938, 6: 7.563}
"""One lane, one way, by PCIe generation."""

_REACHED = 0.70
_SUPERCHIP_GB_S = 225.0

LOAD_FLOOR_S = 0.01
"""Seconds that any load takes: the engine asks for it in one step and takes the request in a later one (assumed; no
figure is published for host memory)."""

_FIRST_RELEASE = {"vllm": (0, 19), "sglang": (0, 5, 12)}
"""Engines with an option for it, and the first release in which it was read (catalogs/engine_options.csv)."""


def host_gib_of_a_card(node_gib: float, gpus_per_node: int) -> float:
    """GiB of a node's memory for the KV cache of each of its cards, rounded down to a quarter of a power of two (64,
    80, 96, 112, 128, 160, ..), so that nodes with about as much memory are one kind of node."""
    each = (HOST_SHARE * node_gib - KEPT_GIB) / gpus_per_node
    if each < 1.0:
        return 0.0
    quarter = 2.0 ** (math.floor(math.log2(each)) - 2)
    return quarter * math.floor(each / quarter)


def link_gb_s(gpu: Gpu) -> float:
    """What a card takes in from the memory of its host, GB/s; 0 where its link is not known."""
    if gpu.host_arch == "arm64":
        return _SUPERCHIP_GB_S * _REACHED
    return _LANE_GB_S.get(gpu.pcie_gen, 0.0) * gpu.pcie_lanes * _REACHED


def tier_refusal(spec: ReplicaSpec) -> str:
    """Why a replica keeps no KV cache in the memory of its host; empty where it may."""
    model, engine = spec.model, spec.engine
    if model.sliding_window or model.linear_state_bytes:
        return "the model keeps no whole context, which engines bring back from the host for whole contexts alone"
    if spec.attention_dp > 1 or spec.crosses_nodes:
        return "sessions do not stick to one cache behind attention ranks, nor has a replica on several nodes one host"
    first = _FIRST_RELEASE.get(engine.profile)
    if first is None:
        return f"{engine.id} has no option for it that is known here"
    stated = split_version(spec.engine_version)
    if stated and stated < first:
        return f"{engine.id} has no option for it before {'.'.join(map(str, first))}"
    return "" if link_gb_s(spec.gpu) > 0.0 else "the link between host and card is not known"


def load_seconds(spec: ReplicaSpec, bytes_per_token: float) -> float:
    """Seconds to bring one token's KV cache to its cards, ``bytes_per_token`` on each; all cards load at once."""
    return bytes_per_token / (link_gb_s(spec.gpu) * 1e9) if spec.host_kv_gib else 0.0


def host_tokens(spec: ReplicaSpec, bytes_per_token: float) -> float:
    """Tokens that the host holds for a replica; every card keeps its own part of each."""
    return spec.host_kv_gib * GIB / spec.gpus / bytes_per_token
