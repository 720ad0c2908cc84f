"""The JSON report: one object, keys and nesting fixed by the contract in docs, the same bytes for the same outcome.

Money has two decimals, other figures six significant digits, non-finite figures are null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from optimizer.ledger import CostLine, LongRun
from optimizer.plan.types import (
    Binding,
    FunnelStep,
    Group,
    LatencyMs,
    NodeLine,
    Outcome,
    Plan,
    PlanPeriod,
    Prediction,
    Proof,
    Relaxation,
    Stress,
)
from optimizer.report import status_of
from optimizer.report.replayed_json import rejection_document, replay_document
from optimizer.units import SHARE_UNITS, significant
from optimizer.workload import workload_of

_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Money:
    """An amount that prints with exactly two decimals."""

    cents: int


Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | float | bool | Money | None"


def render_json(outcome: Outcome) -> str:
    """The whole report as indented JSON with a final newline."""
    return dump(document(outcome))


def dump(value: Json) -> str:
    """Nested values as indented JSON with a final newline."""
    return _dump(value, "") + "\n"


def document(outcome: Outcome) -> dict[str, Json]:
    """The report as nested values, in the order they print."""
    return {
        "problem": {
            "name": outcome.problem_name,
            "path": outcome.problem_path,
            "sha256": outcome.problem_sha256,
        },
        "status": status_of(outcome),
        "load": [
            {
                **_served(load.workload, load.length_class),
                "requests_per_second": load.requests_per_second,
                "output_tokens_per_second": load.output_tokens_per_second,
                "inflight": load.inflight,
                "decided_by": load.decided_by,
            }
            for load in outcome.loads
        ],
        "warnings": list(outcome.warnings),
        "proof": _proof(outcome.proof, outcome.currency),
        "funnel": [_funnel_step(step) for step in outcome.funnel],
        "plans": [plan_document(plan) for plan in outcome.plans],
        **({"rejected": [rejection_document(one) for one in outcome.rejected]} if outcome.rejected else {}),
        **({"single_gpu_kinds": _single_kinds(outcome)} if outcome.single_kinds else {}),
        "relaxations": [_relaxation(relaxation) for relaxation in outcome.relaxations],
        "targets": [
            {
                "gpu": target.gpu,
                "provider": target.provider,
                "wins_below_per_gpu_hour": _cents(target.wins_below_per_gpu_hour),
            }
            for target in outcome.targets
        ],
    }


def _single_kinds(outcome: Outcome) -> list[Json]:
    """The best plan on one kind of GPU alone, and what the first plan saves against it as a share."""
    best = outcome.plans[0].monthly_cents
    return [
        {
            "gpu": one.gpu,
            "gpus": one.gpus,
            "monthly_cost": None if one.monthly_cents is None else Money(one.monthly_cents),
            "saving": None if not one.monthly_cents else 1.0 - best / one.monthly_cents,
        }
        for one in outcome.single_kinds
    ]


def _proof(proof: Proof, currency: str) -> dict[str, Json]:
    in_money = currency in proof.unit
    return {
        "objective": {
            "name": proof.objective,
            "value": _cents(proof.value) if in_money else proof.value,
            "bound": _cents(proof.bound) if in_money else proof.bound,
            "unit": proof.unit,
        },
        "gap": proof.gap,
        "candidates_enumerated": proof.candidates_enumerated,
        "candidates_feasible": proof.candidates_feasible,
        "candidates_screened": proof.candidates_screened,
        "replay_rejected": proof.replay_rejected,
        "prices_from": proof.prices_from,
        "prices_to": proof.prices_to,
        "performance_model": proof.performance_model,
    }


def _funnel_step(step: FunnelStep) -> dict[str, Json]:
    removed = step.cheapest_removed_cents
    return {
        "rule": step.rule,
        "remaining": step.remaining,
        "cheapest_removed_monthly": None if removed is None else Money(removed),
    }


def plan_document(plan: Plan) -> dict[str, Json]:
    """One plan as nested values."""
    return {
        "rank": plan.rank,
        "proven": plan.proven,
        "monthly_cost": Money(plan.monthly_cents),
        "currency": plan.currency,
        "cost_per_million_output_tokens": _cents(plan.cost_per_million_output_tokens),
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
        "long_run": None if plan.long_run is None else _long_run(plan.long_run),
    }


def _long_run(run: LongRun) -> dict[str, Json]:
    compared, api = run.rent_or_buy, run.api
    return {
        "totals": [{"years": years, "cost": Money(cents)} for years, cents in run.totals],
        "mean_load": run.mean_load,
        "cost_per_million_output_tokens_at_mean_load": _cents(run.cost_per_million_at_mean_load),
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
        else {"monthly_cost": Money(api.monthly_cents), "break_even_load_share": api.break_even_share},
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
        **_served(group.workload, group.length_class),
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
        **_served(prediction.workload, prediction.length_class),
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


def _served(part: str, length_class: str) -> dict[str, Json]:
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
        **({"workload": None} if binding.workload is None else _served(binding.workload, binding.length_class)),
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


def _relaxation(relaxation: Relaxation) -> dict[str, Json]:
    """``also`` is there only where further edits must go with this one."""
    together = [_edit(*edit) for edit in relaxation.also]
    edit = _edit(relaxation.change, relaxation.before, relaxation.after)
    return {**edit, **({"also": together} if together else {}), "monthly_cost": Money(relaxation.monthly_cents)}


def _edit(path: str, before: object, after: object) -> dict[str, Json]:
    return {"change": path, "from": _plain(before), "to": _plain(after)}


def _plain(value: object) -> Json:
    """A value of a problem file as JSON; anything that is not a scalar or a list of them becomes text."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)


def _cents(amount: float | None) -> Money | None:
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
