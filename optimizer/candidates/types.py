"""One possible replica, on one kind of node, with what it carries."""

from __future__ import annotations

from dataclasses import dataclass, field

from optimizer.performance.types import Grade, MemoryBill, OperatingPoint, ReplicaSpec
from optimizer.plan.deployment import Drafting
from optimizer.pricing.types import NodeType
from optimizer.vocabulary import NVLINK_CLASS, Link, Role


@dataclass(frozen=True, slots=True)
class PoolWorker:
    """What one worker of a pool carries, whatever the other pool is: bounds that every plan keeps."""

    requests_per_second: float  # at most, below saturation and, where it decodes, inside the promise of TPOT
    sent_per_second: float  # requests whose caches its share of the node's network carries; 0: none is stated
    slots: int  # requests that it decodes at once; 0 of a prefill worker


@dataclass(frozen=True, slots=True)
class Candidate:
    """A replica configuration for one workload (or length class) on one node type, with its operating points."""

    workload: int  # index into the parts of the problem: workloads, each followed by the classes it may be split into
    node_type: NodeType
    spec: ReplicaSpec
    bill: MemoryBill
    points: tuple[OperatingPoint, ...]
    grade: Grade
    recovery: float  # weight recovery x KV recovery against native precision
    role: Role = Role.SERVE
    worker: PoolWorker | None = None  # of a pool
    drafts: Drafting | None = None  # how the specification drafts, with its sources
    key: tuple[str | int | float, ...] = field(init=False, compare=False, repr=False)
    """Content key: orders candidates and names them in a plan, whatever order the catalog came in."""

    def __post_init__(self) -> None:
        """The key is asked for so often that it is made once."""
        spec = self.spec
        key = (
            self.workload,
            *self.node_type.key,
            spec.weight_quant,
            spec.kv_cache,
            spec.tensor_parallel,
            spec.pipeline_parallel,
            spec.attention_dp,
            spec.expert_parallel,
            *(() if self.role is Role.SERVE else (str(self.role),)),
            *(() if spec.speculation is None else (spec.method, spec.drafted)),
            *(() if spec.host_kv_gib == 0.0 else ("host",)),
        )
        object.__setattr__(self, "key", key)

    @property
    def replicas_per_node(self) -> int:
        """Replicas that one node holds; 0 where a replica fills several nodes."""
        return self.node_type.gpus_per_node // self.spec.gpus

    @property
    def nodes_per_replica(self) -> int:
        """Whole nodes that one replica fills; 0 where it sits inside a node."""
        return 0 if self.replicas_per_node else self.spec.gpus // self.node_type.gpus_per_node

    def nodes_for(self, replicas: int) -> int:
        """Nodes that so many replicas need when nothing else is on them."""
        per_node = self.replicas_per_node
        return -(-replicas // per_node) if per_node else replicas * self.nodes_per_replica

    @property
    def experts(self) -> str:
        """How routed experts lie on the GPUs of the replica: ``dealt``, ``dealt over nodes``, ``cut``, or ``whole`` (on
        one GPU, or none)."""
        if self.spec.expert_parallel > 1:
            return "dealt over nodes" if self.nodes_per_replica else "dealt"
        return "cut" if self.spec.model.is_moe and self.spec.gpus > 1 else "whole"

    @property
    def interconnect(self) -> str:
        """How the GPUs of the replica reach each other: ``none`` (one GPU), ``nvlink`` or ``pcie``."""
        if self.spec.gpus == 1:
            return "none"
        return "nvlink" if self.in_nvlink_domain else "pcie"

    @property
    def ranks_over_nodes(self) -> bool:
        """Whether attention ranks fill several nodes: each node is a domain of switched links, a network joins them."""
        return self.spec.attention_dp > 1 and self.nodes_per_replica > 0

    @property
    def in_nvlink_domain(self) -> bool:
        """Whether a replica on several GPUs sits inside one NVLink domain: a bridge joins two GPUs, a board a node."""
        link = self.node_type.link
        domain = 2 if link is Link.NVLINK_PAIR else self.node_type.gpus_per_node
        return link in NVLINK_CLASS and self.spec.gpus <= domain

    @property
    def has_unmeasured_topology(self) -> bool:
        """TP >= 4 over PCIe: computed with a pessimistic host topology, so ranked with care (design section 4)."""
        link = self.node_type.link
        slow = link not in NVLINK_CLASS or link is Link.NVLINK_PAIR
        return slow and self.spec.tensor_parallel >= 4
