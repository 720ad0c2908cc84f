"""What a plan buys and what runs on it: node lines and groups of equal replicas."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.vocabulary import Link, Tier


@dataclass(frozen=True, slots=True)
class NodeLine:
    """Nodes of one offer and tier in a plan."""

    offer_id: str
    provider: str
    instance_type: str
    region: str
    gpu: str
    gpus_per_node: int
    link: Link
    count: int
    idle_gpus: int
    spare: int  # of ``count``, kept in reserve
    tier: Tier
    commitment_months: int
    monthly_cents: int  # of all ``count`` nodes
    price_date: str | None
    price_source: str
    original_currency: str
    from_nodes: int = 1  # nodes from which on the offer has this price


@dataclass(frozen=True, slots=True)
class MemoryGib:
    """Memory of the fullest GPU in GiB."""

    weights: float
    kv_cache: float
    activations: float
    overhead: float
    total: float
    usable: float


@dataclass(frozen=True, slots=True)
class Group:
    """Identical replicas serving one workload, or one of its length classes."""

    workload: str  # its name; where a length class is served apart ``workload/class``
    share: int  # of 2520
    model: str
    gpu: str
    gpus_per_node: int
    link: Link
    offer_id: str
    weight_quant: str
    kv_cache: str
    checkpoint: str  # published | quantize_yourself
    tensor_parallel: int
    pipeline_parallel: int
    replicas: int
    interconnect: str  # nvlink | pcie | none
    gpu_memory_utilization: float
    max_num_seqs: int
    max_num_batched_tokens: int
    max_model_len: int
    crosses_nodes: bool
    memory: MemoryGib
    engine: str = ""  # id in catalogs/engines
    recovery: float | None = None  # weight recovery x KV recovery against native precision
    length_class: str = ""  # the class that is served apart; empty: the whole workload
    class_share: float = 1.0  # of the workload's requests that are of the class
