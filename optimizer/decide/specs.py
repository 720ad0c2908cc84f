"""The replica that a printed group stands for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.decide.inputs import Inputs
    from optimizer.performance.types import ReplicaSpec
    from optimizer.plan.types import Group


def spec_of(inputs: Inputs, group: Group) -> ReplicaSpec:
    """The replica of a printed group, as it is predicted and replayed.

    A ``max_num_seqs`` that was decided has room for the planned load and bounds only what is beyond it: what the
    hardware carries there is told with the largest that starts.
    """
    from optimizer.performance.starting import settled
    from optimizer.performance.types import ReplicaSpec

    catalog = inputs.catalog
    launched = ReplicaSpec(
        gpu=catalog.gpus[group.gpu],
        model=catalog.models[group.model],
        engine=catalog.engines[group.engine],
        weight_quant=group.weight_quant,
        kv_cache=group.kv_cache,
        tensor_parallel=group.tensor_parallel,
        pipeline_parallel=group.pipeline_parallel,
        link=group.link,
        gpu_memory_utilization=group.gpu_memory_utilization,
        max_num_seqs=group.max_num_seqs,
        max_num_batched_tokens=group.max_num_batched_tokens,
        max_model_len=group.max_model_len,
        engine_version=inputs.problem.engine.version or "",
        crosses_nodes=group.crosses_nodes,
    )
    if inputs.problem.engine.max_num_seqs is not None:
        return launched
    most = launched.engine.max_num_seqs_on(launched.gpu, launched.engine_version)
    return settled([replace(launched, max_num_seqs=most)])[0]
