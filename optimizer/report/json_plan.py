"""One plan as JSON: what to buy, what runs on it, what its users see, what it costs."""

from __future__ import annotations

from optimizer.ledger import CostLine, LongRun
from optimizer.plan.types import Binding, Group, LatencyMs, NodeLine, Plan, PlanPeriod, Prediction, Stress
from optimizer.report.json_values import Json, Money, in_money
from optimizer.report.replayed_json import replay_document
from optimizer.units import SHARE_UNITS
from optimizer.workload import workload_of


def plan_document(plan: Plan) -> dict[str, Json]:
    """One plan as nested values."""
    return {
        "rank": plan.rank,
        "proven": plan.proven,
        "monthly_cost": Money(plan.monthly_cents),
        "currency": plan.currency,
        "cost_per_million_output_tokens": in_money(plan.cost_per_million_output_tokens),
        "gpus": plan.gpus,
        "load_factor": plan.load_factor,
        "grade": plan.grade,
        "tie_with": plan.tie_with,
        "nodes": [_node(node) for node in plan.nodes],
        "groups": [_group(group) for group in plan.groups],
        "predicted": [_prediction(prediction) for prediction in plan.predicted],
        **({"simulated": [replay_document(replay) for replay in plan.simulated]} if plan.simulated else {}),
        **({"periods": [period_document(period, plan) for period in plan.periods]} if plan.periods else {}),
        "binding": [_binding(binding) for binding in plan.binding],
        "cost_lines": [_cost_line(line) for line in plan.cost_lines],
        "excludes": list(plan.excludes),
        "spare_node_costs": Money(plan.spare_node_cents),
        "stress": [_stress(stress) for stress in plan.stress],
        "owed": {
            "now": Money(plan.owed.now_cents),
            "by_month": [Money(cents) for cents in plan.owed.by_month_cents],
        },
        **({"recoverable_tax_monthly": Money(plan.recoverable_tax_cents)} if plan.recoverable_tax_cents else {}),
        "long_run": None if plan.long_run is None else _long_run(plan.long_run),
    }


def _long_run(run: LongRun) -> dict[str, Json]:
    compared, api = run.rent_or_buy, run.api
    return {
        "totals": [{"years": years, "cost": Money(cents)} for years, cents in run.totals],
        "mean_load": run.mean_load,
        "cost_per_million_output_tokens_at_mean_load": in_money(run.cost_per_million_at_mean_load),
        "rent_or_buy": None
        if compared is None
        else {
            "bought": [{"offer_id": offer, "tier": tier} for offer, tier in compared.bought],
            "rented": [{"offer_id": offer, "tier": tier} for offer, tier in compared.rented],
            "purchase_price": Money(compared.price_cents),
            "running_monthly": Money(compared.running_cents),
            "rent_monthly": Money(compared.rent_cents),
            "break_even_months": compared.months,
        },
        "api": None
        if api is None
        else {
            "monthly_cost": None if api.own_cents is None else Money(api.own_cents),
            "break_even_load_share": api.break_even_share,
            "low_monthly": None if api.low_cents is None else Money(api.low_cents),
            "high_monthly": None if api.high_cents is None else Money(api.high_cents),
        },
    }


def period_document(period: PlanPeriod, plan: Plan) -> dict[str, Json]:
    """What a plan runs in one period of the day profile."""
    return {
        "name": period.name,
        "hours_per_month": period.hours_per_month,
        "starts_per_month": period.starts_per_month,
        "gpus": period.gpus,
        "monthly_cost_by_use": Money(period.monthly_cents),
        "replicas": [
            {"workload": group.workload, "gpu": group.gpu, "replicas": replicas}
            for group, replicas in zip(plan.groups, period.replicas, strict=True)
        ],
        "nodes": [
            {"offer_id": node.offer_id, "tier": str(node.tier), "count": number}
            for node, number in zip(plan.nodes, period.nodes, strict=True)
        ],
        "workloads": [
            {
                "workload": service.workload,
                "factor": service.factor,
                "requests_per_second": service.requests_per_second,
                "output_tokens_per_second": service.output_tokens_per_second,
                "concurrency": service.concurrency,
                "ttft_ms_p95": service.ttft_p95_ms,
                "tpot_ms_p95": service.tpot_p95_ms,
            }
            for service in period.services
        ],
    }


def _node(node: NodeLine) -> dict[str, Json]:
    return {
        "offer_id": node.offer_id,
        "provider": node.provider,
        "instance_type": node.instance_type,
        "region": node.region,
        "gpu": node.gpu,
        "gpus_per_node": node.gpus_per_node,
        "link": str(node.link),
        "count": node.count,
        "idle_gpus": node.idle_gpus,
        "tier": str(node.tier),
        "commitment_months": node.commitment_months,
        "monthly_cost": Money(node.monthly_cents),
        "price_date": node.price_date,
        "price_source": node.price_source,
        "original_currency": node.original_currency,
    }


def _group(group: Group) -> dict[str, Json]:
    memory = group.memory
    return {
        **served(group.workload, group.length_class),
        "share": group.class_share * group.share / SHARE_UNITS,
        "model": group.model,
        "gpu": group.gpu,
        "offer_id": group.offer_id,
        "weight_quant": group.weight_quant,
        "kv_cache": group.kv_cache,
        "checkpoint": group.checkpoint,
        "tensor_parallel": group.tensor_parallel,
        "pipeline_parallel": group.pipeline_parallel,
        "replicas": group.replicas,
        "interconnect": group.interconnect,
        "max_num_seqs": group.max_num_seqs,
        "max_model_len": group.max_model_len,
        "memory_gib_per_gpu": {
            "weights": memory.weights,
            "kv_cache": memory.kv_cache,
            "activations": memory.activations,
            "overhead": memory.overhead,
            "total": memory.total,
            "usable": memory.usable,
        },
    }


def _prediction(prediction: Prediction) -> dict[str, Json]:
    capacity = prediction.capacity
    return {
        **served(prediction.workload, prediction.length_class),
        "ttft_ms": _latency(prediction.ttft_ms),
        "tpot_ms": _latency(prediction.tpot_ms),
        "e2e_s": _latency(prediction.e2e_s),
        "concurrency": prediction.concurrency,
        "output_tokens_per_second": prediction.output_tokens_per_second,
        "requests_per_second": prediction.requests_per_second,
        "capacity": {
            "concurrency": capacity.concurrency,
            "output_tokens_per_second": capacity.output_tokens_per_second,
            "requests_per_second": capacity.requests_per_second,
        },
        "interval": {
            "ttft_ms": list(prediction.ttft_interval_ms),
            "tpot_ms": list(prediction.tpot_interval_ms),
        },
        "grade": prediction.grade,
        "upper_bound": prediction.upper_bound,
        **_of_classes(prediction),
    }


def served(part: str, length_class: str) -> dict[str, Json]:
    """The workload and, of a length class, its name: the key is there for classes only."""
    return {"workload": workload_of(part, length_class), **({"length_class": length_class} if length_class else {})}


def _of_classes(prediction: Prediction) -> dict[str, Json]:
    """What the requests of each length class of a mix are promised and may expect, in seconds."""
    promises: list[Json] = [
        {
            "promise": promise.path,
            "length_class": promise.length_class,
            "percentile": promise.percentile,
            "estimate": promise.estimate_s,
            "interval": [promise.low_s, promise.high_s],
            "limit": promise.limit_s,
        }
        for promise in prediction.promises
        if promise.length_class
    ]
    return {"promises": promises} if promises else {}


def _latency(latency: LatencyMs) -> dict[str, Json]:
    return {"mean": latency.mean, "p50": latency.p50, "p90": latency.p90, "p95": latency.p95, "p99": latency.p99}


def _binding(binding: Binding) -> dict[str, Json]:
    return {
        "promise": binding.promise,
        **({"workload": None} if binding.workload is None else served(binding.workload, binding.length_class)),
        "value": binding.value,
        "limit": binding.limit,
        "unit": binding.unit,
        "slack": binding.slack,
    }


def _cost_line(line: CostLine) -> dict[str, Json]:
    return {
        "name": line.name,
        "quantity": line.quantity,
        "unit": line.unit,
        "unit_price": line.unit_price,
        "monthly": Money(line.monthly_cents),
    }


def _stress(stress: Stress) -> dict[str, Json]:
    cents = stress.monthly_cents
    return {"what": stress.what, "holds": stress.holds, "monthly_cost": None if cents is None else Money(cents)}
