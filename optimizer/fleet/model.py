"""Builds the CP-SAT model of an instance: every rule by name, none hidden."""

from __future__ import annotations

from optimizer.errors import InternalError
from optimizer.fleet import (
    rules_decisions,
    rules_limits,
    rules_nodes,
    rules_orders,
    rules_periods,
    rules_ranking,
    rules_service,
)
from optimizer.fleet.instance import Instance, is_latency_objective
from optimizer.fleet.variables import Variables


def build_model(instance: Instance, *, elastic: bool = False) -> Variables:
    """Variables of a new model with every rule stated and no objective yet."""
    from optimizer.fleet.cpsat import CpModel

    v = Variables(CpModel(), instance, elastic)
    _service(v)
    _decisions(v)
    _nodes(v)
    _limits(v)
    if not elastic:
        rules_ranking.facts(v)
    problem = v.cp.validate()
    if problem:
        raise InternalError(f"the fleet model is not valid: {problem}")
    return v


def _service(v: Variables) -> None:
    rules_service.one_candidate(v)
    rules_service.replicas_follow(v)
    rules_service.min_replicas(v)
    if v.instance.rules.objective == "maximize_load":
        rules_service.capacity_at_factor(v)
    else:
        rules_service.capacity(v)
    rules_service.latency(v)
    if is_latency_objective(v.instance.rules):
        rules_service.worst_latency(v)


def _decisions(v: Variables) -> None:
    rules_decisions.channel(v)
    rules_decisions.allowed_gpus(v)
    rules_decisions.licences(v)
    rules_decisions.nvlink(v)
    rules_decisions.weight_quants(v)
    rules_decisions.kv_caches(v)
    rules_decisions.parallel_sizes(v)
    rules_decisions.quality(v)
    rules_decisions.gpu_kinds(v)


def _nodes(v: Variables) -> None:
    rules_nodes.in_use(v)
    rules_nodes.packing(v)
    if len(v.periods) == 1:
        rules_nodes.no_empty_nodes(v)
    else:
        rules_periods.no_idle_renting(v)
    rules_nodes.spans_one_offer(v)
    rules_nodes.offer_rules(v)


def _limits(v: Variables) -> None:
    rules_limits.max_gpus(v)
    rules_limits.max_nodes(v)
    rules_limits.max_power(v)
    rules_limits.budget(v)
    rules_limits.stock(v)
    rules_limits.quota(v)
    rules_orders.order_sizes(v)
    rules_orders.provider_share(v)


def model_text(v: Variables) -> str:
    """The model as protobuf text, as ``--save-model`` writes it."""
    return str(v.cp.proto)
