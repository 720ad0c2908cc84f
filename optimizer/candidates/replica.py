"""One replica as it would be set up on a node type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.performance.startup import default_share
from optimizer.performance.types import ReplicaSpec
from optimizer.pricing.types import NodeType

if TYPE_CHECKING:
    from optimizer.catalog.types import Engine, Model


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all candidates of one workload."""

    model: Model
    engine: Engine
    utilization: float | None  # as stated; None: the default of the engine's version on the card
    max_num_seqs: int | None  # as stated; None: the engine's default on the card
    max_num_batched_tokens: int | None
    max_model_len: int
    version: str  # of the engine; empty: not stated


def fits_nodes(node_type: NodeType, tensor_parallel: int, pipeline_parallel: int) -> bool:
    """A replica sits inside one node; or it fills whole nodes, each stage inside one, over a stated fabric."""
    gpus, per_node = tensor_parallel * pipeline_parallel, node_type.gpus_per_node
    if gpus <= per_node:
        return True
    return node_type.fabric_gbps > 0 and gpus % per_node == 0 and per_node % tensor_parallel == 0


def content_of(spec: ReplicaSpec) -> tuple[str | int | bool, ...]:
    """What tells the replicas of one workload apart."""
    return (
        spec.gpu.id,
        str(spec.link),
        spec.weight_quant,
        spec.kv_cache,
        spec.tensor_parallel,
        spec.pipeline_parallel,
        spec.crosses_nodes,
    )


def replica_on(setting: Setting, node_type: NodeType, formats: tuple[str, str], sizes: tuple[int, int]) -> ReplicaSpec:
    (quant, cache), (tp, pp) = formats, sizes
    engine, gpu = setting.engine, node_type.gpu
    return ReplicaSpec(
        gpu=gpu,
        model=setting.model,
        engine=engine,
        weight_quant=quant,
        kv_cache=cache,
        tensor_parallel=tp,
        pipeline_parallel=pp,
        link=node_type.link,
        gpu_memory_utilization=setting.utilization or default_share(engine, gpu, setting.version, tp, pp),
        max_num_seqs=setting.max_num_seqs or engine.max_num_seqs_on(gpu, setting.version),
        max_num_batched_tokens=setting.max_num_batched_tokens or engine.max_num_batched_tokens_on(gpu, setting.version),
        max_model_len=setting.max_model_len,
        engine_version=setting.version,
        crosses_nodes=tp * pp > node_type.gpus_per_node,
    )
