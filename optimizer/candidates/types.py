"""What the candidates room hands to the fleet model."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.performance.types import Grade, MemoryBill, OperatingPoint, ReplicaSpec
from optimizer.pricing.types import NodeType


@dataclass(frozen=True, slots=True)
class Candidate:
    """A replica configuration for one workload on one node type, with its operating points."""

    workload: int  # index into problem.workloads
    node_type: NodeType
    spec: ReplicaSpec
    bill: MemoryBill
    points: tuple[OperatingPoint, ...]
    grade: Grade
    recovery: float  # weight recovery x KV recovery against native precision

    @property
    def key(self) -> tuple[str | int | float, ...]:
        """Content key: orders candidates and names them in a plan, whatever order the catalog came in."""
        spec = self.spec
        return (
            self.workload,
            *self.node_type.key,
            spec.weight_quant,
            spec.kv_cache,
            spec.tensor_parallel,
            spec.pipeline_parallel,
        )
