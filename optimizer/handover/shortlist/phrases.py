"""How a plan reads in a cell: words of the text report, joined for one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.report.words import (
    gpu_name,
    interconnect_name,
    kv_name,
    latency_unit,
    limit,
    promise_of,
    quant_name,
    tier_name,
    two_digits,
)

if TYPE_CHECKING:
    from optimizer.plan.types import Group, KeptPromise, NodeLine, Plan, Prediction


def hardware(plan: Plan) -> str:
    """``4x H200 SXM 141GB``; several kinds joined by ``+``."""
    kinds: dict[str, int] = {}
    for node in plan.nodes:
        kinds[node.gpu] = kinds.get(node.gpu, 0) + node.count * node.gpus_per_node
    return " + ".join(f"{count}x {gpu_name(gpu)}" for gpu, count in kinds.items())


def setup(plan: Plan) -> str:
    """Formats and parallelism of every group."""
    several = len({group.workload for group in plan.groups}) > 1
    return "; ".join(f"{group.workload}: {_group(group)}" if several else _group(group) for group in plan.groups)


def _group(group: Group) -> str:
    stages = f" PP{group.pipeline_parallel}" if group.pipeline_parallel > 1 else ""
    split = f"TP{group.tensor_parallel}{stages} x {group.replicas:,}"
    link = interconnect_name(group.interconnect, group.link)
    return f"{quant_name(group.weight_quant)}, {kv_name(group.kv_cache)}, {split}, {link}"


def source(node: NodeLine) -> str:
    """Provider, region, instance and tier of a line."""
    where = " ".join(part for part in (node.provider, node.region, node.instance_type) if part)
    return f"{where}, {tier_name(node.tier, node.commitment_months)}"


def sources(plan: Plan) -> str:
    """Where every node comes from."""
    return "; ".join(f"{node.count}x {source(node)}" for node in plan.nodes)


def kept(plan: Plan) -> list[str]:
    """Each promise: the estimate and its limit."""
    return [_kept(one, promise) for one in plan.predicted for promise in one.promises]


def _kept(of: Prediction, promise: KeptPromise) -> str:
    name = promise_of(promise.metric, promise.percentile, promise.length_class or of.length_class)
    factor, unit = latency_unit(promise.limit_s, promise.estimate_s)
    estimate = f"{name} {two_digits(promise.estimate_s * factor)}"
    return f"{estimate} {unit}" if promise.limit_s is None else f"{estimate} / {limit(promise.limit_s)}"
