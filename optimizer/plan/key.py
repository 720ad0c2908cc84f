"""What makes two plans the same for a ranking.

A key is a set of facts about a plan, sorted, each tagged with the name that asked for it. Two plans are the same when
their sets are equal: how many replicas or nodes there are never counts.

- ``configuration``: (workload, gpu, link, weight_quant, kv, tp, pp, attention ranks, expert groups, of pools the
  role, and whether the host keeps KV cache) of every group; no offer, region or tier.
- ``weight_quant``, ``gpu``: of every group.
- ``provider``: of every node line.
- ``node``: the node type of every node line (GPUs per node, GPU, link), whoever sells it.
"""

from __future__ import annotations

from collections.abc import Iterable

from optimizer.plan.types import Group, NodeLine, PlanKey
from optimizer.vocabulary import Role


def plan_key(groups: Iterable[Group], nodes: Iterable[NodeLine], distinct_by: Iterable[str]) -> PlanKey:
    """The key of a plan under ``ranking.distinct_by``."""
    groups, nodes = tuple(groups), tuple(nodes)
    parts: set[tuple[str, ...]] = set()
    for name in distinct_by:
        parts.update((name, *fact) for fact in _facts(name, groups, nodes))
    return PlanKey(tuple(sorted(parts)))


def _facts(name: str, groups: tuple[Group, ...], nodes: tuple[NodeLine, ...]) -> Iterable[tuple[str, ...]]:
    match name:
        case "configuration":
            return (configuration(group) for group in groups)
        case "weight_quant":
            return ((group.weight_quant,) for group in groups)
        case "gpu":
            return ((group.gpu,) for group in groups)
        case "provider":
            return ((node.provider,) for node in nodes)
        case "node":
            return ((str(node.gpus_per_node), node.gpu, str(node.link)) for node in nodes)
    raise ValueError(f"unknown name in distinct_by: {name}")


def configuration(group: Group) -> tuple[str, ...]:
    """What a reader calls one configuration."""
    return (
        group.workload,
        group.gpu,
        str(group.link),
        group.weight_quant,
        group.kv_cache,
        str(group.tensor_parallel),
        str(group.pipeline_parallel),
        str(group.attention_dp),
        str(group.expert_parallel),
        *(() if group.role is Role.SERVE else (str(group.role),)),
        *((group.drafts.words,) if group.drafts else ()),
        *(() if group.host_kv_gib == 0.0 else ("host",)),
    )
