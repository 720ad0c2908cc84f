"""One plan as JSON: what to buy, what runs on it, what its users see, what it costs.

JSON as we print it: money with two decimals, six significant digits, the same bytes for the same values.

The replay in the JSON report: ``simulated`` beside ``predicted`` in each plan, ``rejected`` beside ``plans``.

Both are there only where plans were replayed (and, the latter, where some were rejected).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from optimizer.demand import Metric, workload_of
from optimizer.plan.costs import CostLine, LongRun, UnitCosts
from optimizer.plan.deployment import Drafting
from optimizer.plan.types import (
    Binding,
    Group,
    LatencyMs,
    Minimality,
    NodeLine,
    Plan,
    PlanPeriod,
    Prediction,
    Rejection,
    Remainder,
    Replay,
    ReplayedPromise,
    Stress,
)
from optimizer.report.prefixes import hits_of
from optimizer.report.seen import SeenLatency, seen_by
from optimizer.units import SHARE_UNITS, significant


def plan_document(plan: Plan) -> dict[str, Json]:
    """One plan as nested values."""
    return {
        "rank": plan.rank,
        "proven": plan.proven,
        "monthly_cost": Money(plan.monthly_cents),
        "currency": plan.currency,
        "price_evidence": None if plan.price_evidence is None else str(plan.price_evidence),
        "cost_per_million_output_tokens": in_money(plan.cost_per_million_output_tokens),
        "unit_costs": None if plan.unit_costs is None else _unit_costs(plan.unit_costs),
        "gpus": plan.gpus,
        "load_factor": plan.load_factor,
        "grade": plan.grade,
        "tie_with": plan.tie_with,
        "nodes": [_node(node) for node in plan.nodes],
        "groups": [_group(group) for group in plan.groups],
        "predicted": [_prediction(prediction, plan) for prediction in plan.predicted],
        **({"without_pools_monthly_cost": _without_pools(plan)} if plan.has_pools else {}),
        **({"simulated": [replay_document(replay) for replay in plan.simulated]} if plan.simulated else {}),
        **({"minimality": [_minimality(one) for one in plan.minimality]} if plan.minimality else {}),
        **({"remaining": [_remaining(one) for one in plan.remainder]} if plan.remainder else {}),
        "reserve": _reserve(plan),
        **({"periods": [period_document(period, plan) for period in plan.periods]} if plan.periods else {}),
        "binding": [_binding(binding) for binding in plan.binding],
        "cost_lines": [_cost_line(line) for line in plan.cost_lines],
        "excludes": list(plan.excludes),
        "also": [
            {"provider": one.provider, "tier": str(one.tier), "monthly_cost": Money(one.monthly_cents)}
            for one in plan.also
        ],
        "spare_node_costs": Money(plan.spare_node_cents),
        "stress": [_stress(stress) for stress in plan.stress],
        "owed": {
            "now": Money(plan.owed.now_cents),
            "by_month": [Money(cents) for cents in plan.owed.by_month_cents],
        },
        **({"recoverable_tax_monthly": Money(plan.recoverable_tax_cents)} if plan.recoverable_tax_cents else {}),
        "long_run": None if plan.long_run is None else _long_run(plan, plan.long_run),
    }


def _unit_costs(costs: UnitCosts) -> dict[str, Json]:
    """A request costs fractions of a cent, so it has digits instead of cents."""
    return {
        "per_million_output_tokens": in_money(costs.per_million_output_tokens),
        "per_million_input_tokens": in_money(costs.per_million_input_tokens),
        "per_request": costs.per_request,
        "per_user_month": in_money(costs.per_user_month),
        "expected_output_tokens_per_month": costs.expected_output_tokens_per_month,
        "expected_input_tokens_per_month": costs.expected_input_tokens_per_month,
        "expected_requests_per_month": costs.expected_requests_per_month,
    }


def _long_run(plan: Plan, run: LongRun) -> dict[str, Json]:
    compared, api = run.rent_or_buy, run.api
    return {
        "totals": [{"years": years, "cost": Money(cents)} for years, cents in run.totals],
        "mean_load": run.mean_load,
        "cost_per_million_output_tokens_at_mean_load": in_money(plan.cost_per_million_output_tokens),
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
        "price_evidence": None if node.evidence is None else str(node.evidence),
        "price_ranks_until": node.ranks_until,
        "price_remarks": node.price_remarks,
        "stock_note": node.stock_note,
        "host_memory_gib": node.host_memory_gib,
        "network_gbps": node.network_gbps,
        "original_currency": node.original_currency,
    }


def _without_pools(plan: Plan) -> Json:
    return None if plan.without_pools_cents is None else Money(plan.without_pools_cents)


def _drafts(drafts: Drafting) -> dict[str, Json]:
    return {
        "method": drafts.method,
        "tokens": drafts.tokens,
        "acceptance": drafts.acceptance,
        "head": drafts.head,
        "source": drafts.source,
    }


def _group(group: Group) -> dict[str, Json]:
    memory = group.memory
    return {
        **served(group.workload, group.length_class),
        "role": str(group.role),
        "share": group.class_share * group.share / SHARE_UNITS,
        "model": group.model,
        "gpu": group.gpu,
        "offer_id": group.offer_id,
        "weight_quant": group.weight_quant,
        "kv_cache": group.kv_cache,
        "checkpoint": group.checkpoint,
        "tensor_parallel": group.tensor_parallel,
        "pipeline_parallel": group.pipeline_parallel,
        "attention_dp": group.attention_dp,
        "expert_parallel": group.expert_parallel,
        "speculative": None if group.drafts is None else _drafts(group.drafts),
        "kv_tier": {"tier": "host", "gib_per_node": _host_gib(group)} if group.host_kv_gib else None,
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


def _host_gib(group: Group) -> float:
    """GiB that the replicas of a full node take of its memory."""
    return group.host_kv_gib * max(group.gpus_per_node // group.gpus, 1)


def _prediction(prediction: Prediction, plan: Plan) -> dict[str, Json]:
    capacity, latencies = prediction.capacity, list(seen_by(plan, prediction))
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
            **({} if capacity.users is None else {"users": capacity.users}),
        },
        "interval": {"ttft_ms": _bands(latencies, Metric.TTFT), "tpot_ms": _bands(latencies, Metric.TPOT)},
        "prefix_hit_rate": _hits(plan, prediction),
        "grade": prediction.grade,
        "upper_bound": prediction.upper_bound,
        "promises": _promised(latencies, replayed=bool(plan.simulated)),
    }


def _hits(plan: Plan, prediction: Prediction) -> Json:
    """Share of the input tokens found in the prefix cache, by where; null: no such place, or no prefix is shared."""
    hits = hits_of(plan, prediction)
    if hits is None:
        return dict.fromkeys(("hbm", "host", "remote"))
    tiers = any(group.host_kv_gib for group in plan.groups if group.workload == prediction.workload)
    return {"hbm": hits.found - hits.host, "host": hits.host if tiers else None, "remote": None}


def _bands(latencies: Sequence[SeenLatency], metric: Metric) -> dict[str, Json]:
    """Two-sided 90 % band in milliseconds of every percentile that is promised or told; classes have their own."""
    return {
        f"p{one.percentile:g}": [one.low_s * 1e3, one.high_s * 1e3]
        for one in latencies
        if one.metric is metric and not one.length_class and one.estimate_s is not None
    }


def served(part: str, length_class: str) -> dict[str, Json]:
    """The workload and, of a length class, its name: the key is there for classes only."""
    return {"workload": workload_of(part, length_class), **({"length_class": length_class} if length_class else {})}


def _promised(latencies: Sequence[SeenLatency], *, replayed: bool) -> list[Json]:
    """What is promised and may be expected, of a mix class by class, in seconds; ``limit`` null: it is only told."""
    return [
        {
            "promise": one.path or None,
            "metric": str(one.metric),
            **({"length_class": one.length_class} if one.length_class else {}),
            "percentile": one.percentile,
            "estimate": one.estimate_s,
            **({"replayed": one.value_s} if replayed else {}),
            "interval": [one.low_s, one.high_s],
            "limit": one.limit_s,
        }
        for one in latencies
        if one.estimate_s is not None
    ]


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
    about: dict[str, Json] = {} if stress.reached_s is None else {"reached": stress.reached_s, "limit": stress.limit_s}
    carried: dict[str, Json] = {} if stress.load_factor is None else {"load_factor": stress.load_factor}
    return {
        "what": stress.what,
        **about,
        "holds": stress.holds,
        "monthly_cost": None if cents is None else Money(cents),
        **carried,
    }


_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Money:
    """An amount that prints with exactly two decimals."""

    cents: int


@dataclass(frozen=True, slots=True)
class Exact:
    """A number that prints as it was read, with all its digits."""

    value: float


Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | float | bool | Money | Exact | None"


def dump(value: Json) -> str:
    """Nested values as indented JSON with a final newline."""
    return _dump(value, "") + "\n"


def in_money(amount: float | None) -> Money | None:
    """Currency units as money; non-finite or absent figures have none."""
    return Money(math.floor(amount * 100 + 0.5)) if amount is not None and math.isfinite(amount) else None


def _number(value: float) -> str:
    """Six significant digits without trailing zeros; whole numbers stay whole."""
    if not math.isfinite(value):
        return "null"
    rounded = value if isinstance(value, int) or float(value).is_integer() else significant(value, _DIGITS)
    return repr(int(rounded) if float(rounded).is_integer() and abs(rounded) < 2**53 else rounded)


def _dump(value: Json, indent: str) -> str:
    """Indented JSON; written here because ``json`` cannot print money with two decimals."""
    if isinstance(value, Money):
        sign = "-" if value.cents < 0 else ""
        return f"{sign}{abs(value.cents) // 100}.{abs(value.cents) % 100:02d}"
    if isinstance(value, Exact):
        return json.dumps(int(value.value) if value.value.is_integer() else value.value)
    if value is None or isinstance(value, (bool, str)):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return _number(value)
    deeper = indent + "  "
    if isinstance(value, Mapping):
        items = [f"{json.dumps(key)}: {_dump(item, deeper)}" for key, item in value.items()]
        opening, closing = "{", "}"
    else:
        items = [_dump(item, deeper) for item in value]
        opening, closing = "[", "]"
    if not items:
        return opening + closing
    return f"{opening}\n{deeper}" + f",\n{deeper}".join(items) + f"\n{indent}{closing}"


def replay_document(replay: Replay) -> dict[str, Json]:
    """What the requests of one workload saw."""
    return {
        **served(replay.workload, replay.length_class),
        "ttft_ms": _replayed_latency(replay.ttft_ms),
        "tpot_ms": _replayed_latency(replay.tpot_ms),
        "e2e_s": _replayed_latency(replay.e2e_s),
        "requests": replay.requests,
        "router": replay.router,
        "promises": [_promise(promise) for promise in replay.promises],
    }


def _minimality(one: Minimality) -> dict[str, Json]:
    """Why there are no fewer replicas. ``replayed`` and ``limit`` in seconds; of ``saturation`` shares of it."""
    fewer = one.fewer
    return {
        **served(one.workload, one.length_class),
        "role": str(one.role),
        "replicas": one.replicas,
        "fewer": None
        if fewer is None
        else {
            "replicas": fewer.replicas,
            "monthly_cost": Money(fewer.monthly_cents),
            "promise": fewer.promise,
            "replayed": fewer.replayed,
            "margin": fewer.margin,
            "limit": fewer.limit,
            **({} if fewer.left is None else {"left": fewer.left}),
        },
        "reason": one.reason or None,
    }


def _remaining(one: Remainder) -> dict[str, Json]:
    """What is left of a group with any one node or site gone, and whether it keeps every promise; null: not known."""
    nothing = one.replicas == 0 or one.saturated
    places: list[Json] = [{"provider": at.provider, "region": at.region, "replicas": at.replicas} for at in one.places]
    return {
        **served(one.workload, one.length_class),
        "gone": str(one.gone),
        "replicas_lost": one.lost,
        "replicas": one.replicas,
        **({"places": places} if places else {}),
        "holds": False if nothing else None if one.replay is None else one.holds,
        "promises": [] if one.replay is None else [_promise(promise) for promise in one.replay.promises],
    }


def _reserve(plan: Plan) -> dict[str, Json]:
    """Nodes that stand by and serve nobody, apart from those that serve, and what they cost."""
    spare = [node for node in plan.nodes if node.spare]
    return {
        "nodes": [
            {
                "offer_id": node.offer_id,
                "provider": node.provider,
                "tier": str(node.tier),
                "count": node.spare,
                "monthly_cost": Money(node.spare_cents),
            }
            for node in spare
        ],
        "monthly_cost": Money(sum(node.spare_cents for node in spare)),
    }


def rejection_document(rejection: Rejection) -> dict[str, Json]:
    """A configuration that left the ranking: both numbers per promise missed, and the smallest repair."""
    group, repaired = rejection.group, rejection.repaired_cents
    return {
        "rank": rejection.rank,
        "round": rejection.round,
        "monthly_cost": Money(rejection.monthly_cents),
        **served(group.workload, group.length_class),
        "gpu": group.gpu,
        "weight_quant": group.weight_quant,
        "kv_cache": group.kv_cache,
        "tensor_parallel": group.tensor_parallel,
        "pipeline_parallel": group.pipeline_parallel,
        "attention_dp": group.attention_dp,
        "expert_parallel": group.expert_parallel,
        "replicas": group.replicas,
        "missed": [_promise(promise) for promise in rejection.missed],
        "repair": {
            "replicas": rejection.replicas_needed,
            "monthly_cost": None if repaired is None else Money(repaired),
        },
    }


def _promise(promise: ReplayedPromise) -> dict[str, Json]:
    """All figures in seconds."""
    return {
        "promise": promise.path,
        **({"length_class": promise.length_class} if promise.length_class else {}),
        "percentile": promise.percentile,
        "predicted": promise.predicted_s,
        "simulated": promise.simulated_s,
        "interval": [promise.low_s, promise.high_s],
        "narrow": promise.narrow,
        "with_margin": promise.with_margin_s,
        "limit": promise.limit_s,
        "kept": promise.kept,
    }


def _replayed_latency(latency: LatencyMs) -> dict[str, Json]:
    return {"mean": latency.mean, "p50": latency.p50, "p90": latency.p90, "p95": latency.p95, "p99": latency.p99}
