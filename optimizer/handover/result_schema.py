"""JSON Schema of the result (``optimize FILE --format json`` and ``-o plan.json``), for programs that read it.

Keys that it does not name may come; one that goes or changes its meaning raises ``schema_version``. A key with ``?`` is
there only where it says something.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from optimizer.handover.json_schema import DRAFT
from optimizer.version import SCHEMA_VERSION

Shape: TypeAlias = "str | dict[str, Any] | list[Any]"
"""Names of JSON types or of a part, one or several; keys with their shapes; or a list with the shape of its items."""

_LATENCY = dict.fromkeys(("mean", "p50", "p90", "p95", "p99"), "number|null")
_FIGURES = dict.fromkeys(("requests_per_second", "output_tokens_per_second", "inflight", "users"), "number|null")
_BAND = ["number|null"]
_EDIT = {"change": "string", "from": "any", "to": "any"}
_WAY = {"offer_id": "string", "tier": "string"}

_PARTS: dict[str, dict[str, Any]] = {
    "winner": {"rank": "integer|null", "plan": "plan|null", "monthly_cost": "number|null", "in_stock?": "stock|null"},
    "best": {"rank": "integer|null", "plan": "plan|null"},
    "stock": {"notes": ["string"], "without": "winner|null"},
    "node": {
        "offer_id": "string",
        "provider": "string",
        "instance_type": "string",
        "region": "string",
        "gpu": "string",
        "gpus_per_node": "integer",
        "link": "string",
        "count": "integer",
        "idle_gpus": "integer",
        "tier": "string",
        "commitment_months": "integer",
        "monthly_cost": "number",
        "price_date": "string|null",
        "price_source": "string",
        "price_evidence": "string|null",
        "price_ranks_until": "string|null",
        "price_remarks": "string",
        "stock_note": "string",
        "host_memory_gib": "number|null",
        "network_gbps": "number|null",
        "original_currency": "string",
    },
    "group": {
        "workload": "string",
        "length_class?": "string",
        "role": "string",
        "share": "number",
        "model": "string",
        "gpu": "string",
        "offer_id": "string",
        "weight_quant": "string",
        "kv_cache": "string",
        "checkpoint": "string",
        "tensor_parallel": "integer",
        "pipeline_parallel": "integer",
        "attention_dp": "integer",
        "expert_parallel": "integer",
        "speculative": "drafts|null",
        "kv_tier": "tier|null",
        "replicas": "integer",
        "interconnect": "string",
        "max_num_seqs": "integer",
        "max_model_len": "integer",
        "memory_gib_per_gpu": dict.fromkeys(
            ("weights", "kv_cache", "activations", "overhead", "total", "usable"), "number"
        ),
    },
    "tier": {"tier": "string", "gib_per_node": "number"},
    "drafts": {
        "method": "string",
        "tokens": "integer",
        "acceptance": "number",
        "head": "string",
        "source": "string",
    },
    "promise": {
        "promise": "string|null",
        "length_class?": "string",
        "metric": "string",
        "percentile": "number",
        "estimate": "number|null",
        "replayed?": "number|null",
        "interval": _BAND,
        "limit": "number|null",
    },
    "prediction": {
        "workload": "string",
        "length_class?": "string",
        "ttft_ms": _LATENCY,
        "tpot_ms": _LATENCY,
        "e2e_s": _LATENCY,
        "concurrency": "number|null",
        "output_tokens_per_second": "number|null",
        "requests_per_second": "number|null",
        "capacity": {
            "concurrency": "number|null",
            "output_tokens_per_second": "number|null",
            "requests_per_second": "number|null",
            "users?": "number|null",
        },
        "interval": "object",
        "prefix_hit_rate": dict.fromkeys(("hbm", "host", "remote"), "number|null"),
        "grade": "string",
        "upper_bound": "boolean",
        "promises": ["promise"],
    },
    "replayed_promise": {
        "promise": "string",
        "length_class?": "string",
        "percentile": "number",
        "predicted": "number|null",
        "simulated": "number|null",
        "interval": _BAND,
        "narrow": "boolean",
        "with_margin": "number|null",
        "limit": "number",
        "kept": "boolean",
    },
    "replay": {
        "workload": "string",
        "length_class?": "string",
        "ttft_ms": _LATENCY,
        "tpot_ms": _LATENCY,
        "e2e_s": _LATENCY,
        "requests": "integer",
        "router": "string",
        "promises": ["replayed_promise"],
    },
    "minimality": {
        "workload": "string",
        "length_class?": "string",
        "role": "string",
        "replicas": "integer",
        "fewer": "fewer|null",
        "reason": "string|null",
    },
    "fewer": {
        "replicas": "integer",
        "monthly_cost": "number",
        "promise": "string",
        "replayed": "number|null",
        "margin": "number",
        "limit": "number",
        "left?": "integer",
    },
    "remaining": {
        "workload": "string",
        "length_class?": "string",
        "gone": "string",
        "replicas_lost": "integer",
        "replicas": "integer",
        "places?": [{"provider": "string", "region": "string", "replicas": "integer"}],
        "holds": "boolean|null",
        "promises": ["replayed_promise"],
    },
    "reserve": {
        "nodes": [
            {
                "offer_id": "string",
                "provider": "string",
                "tier": "string",
                "count": "integer",
                "monthly_cost": "number",
            }
        ],
        "monthly_cost": "number",
    },
    "unit_costs": {
        "per_million_output_tokens": "number|null",
        "per_million_input_tokens": "number|null",
        "per_request": "number|null",
        "per_user_month": "number|null",
        "expected_output_tokens_per_month": "number|null",
        "expected_input_tokens_per_month": "number|null",
        "expected_requests_per_month": "number|null",
    },
    "rent_or_buy": {
        "bought": [_WAY],
        "rented": [_WAY],
        "purchase_price": "number",
        "running_monthly": "number",
        "rent_monthly": "number",
        "break_even_months": "integer|null",
    },
    "api_share": {
        "monthly_cost": "number|null",
        "break_even_load_share": "number|null",
        "low_monthly": "number|null",
        "high_monthly": "number|null",
    },
    "long_run": {
        "totals": [{"years": "integer", "cost": "number"}],
        "mean_load": "number",
        "cost_per_million_output_tokens_at_mean_load": "number|null",
        "rent_or_buy": "rent_or_buy|null",
        "api": "api_share|null",
    },
    "plan": {
        "rank": "integer",
        "proven": "boolean",
        "monthly_cost": "number",
        "currency": "string",
        "price_evidence": "string|null",
        "cost_per_million_output_tokens": "number|null",
        "unit_costs": "unit_costs|null",
        "gpus": "integer",
        "load_factor": "number|null",
        "grade": "string",
        "tie_with": "integer|null",
        "nodes": ["node"],
        "groups": ["group"],
        "predicted": ["prediction"],
        "without_pools_monthly_cost?": "number|null",
        "simulated?": ["replay"],
        "minimality?": ["minimality"],
        "remaining?": ["remaining"],
        "reserve": "reserve",
        "periods?": ["object"],
        "binding": [
            {
                "promise": "string",
                "workload": "string|null",
                "length_class?": "string",
                "of?": "string",
                "value": "number|null",
                "limit": "number",
                "unit": "string",
                "slack": "number|null",
            }
        ],
        "cost_lines": [
            {
                "name": "string",
                "quantity": "number",
                "unit": "string",
                "unit_price": "number",
                "monthly": "number",
            }
        ],
        "excludes": ["string"],
        "also": [{"provider": "string", "tier": "string", "monthly_cost": "number"}],
        "spare_node_costs": "number",
        "stress": [
            {
                "what": "string",
                "reached?": "number|null",
                "limit?": "number|null",
                "load_factor?": "number|null",
                "holds": "boolean",
                "monthly_cost": "number|null",
            }
        ],
        "owed": {"now": "number", "by_month": ["number"]},
        "long_run": "long_run|null",
        "recoverable_tax?": "number",
    },
    "api": {
        "plan_monthly": "number",
        "low_monthly": "number|null",
        "high_monthly": "number|null",
        "own_price_monthly": "number|null",
        "expected_load_share": "number|null",
        "break_even_load": "number|null",
        "carried_load": "number|null",
        "never_even_full": "boolean",
        "sellers": [
            {
                "workload": "string",
                "provider": "string",
                "sold_as": "string",
                "monthly_cost": "number",
                "price_date": "string",
                "source": "string",
                "notes": "string",
            }
        ],
        "not_sold": ["string"],
    },
    "quote": {
        "offer_id": "string",
        "provider": "string",
        "gpu": "string",
        "gpus_per_node": "integer",
        "tier": "string",
        "price": "number",
        "currency": "string",
        "unit": "string",
        "tax_percent": "number|null",
        "quote_ref": "string|null",
        "valid_until": "string|null",
        "lead_time_weeks": "number|null",
        "verdict": "string",
        "rank": "integer|null",
        "monthly_cost": "number|null",
        "wins_below": "number|null",
        "rules": ["string"],
        "missed": ["object"],
        "replayed": "boolean",
        "reason": "string",
    },
    "result": {
        "schema_version": "integer",
        "tool_version": "string",
        "problem": {"name": "string", "path": "string", "sha256": "string"},
        "understood": "object",
        "status": "string",
        "load": [
            {
                "workload": "string",
                "length_class?": "string",
                "requests_per_second": "number|null",
                "output_tokens_per_second": "number|null",
                "inflight": "number|null",
                "decided_by": "string",
                "users?": "number",
                "think_time_s?": "number",
                "sessions?": {
                    "turns": "number",
                    "input_tokens": "number",
                    "input_tokens_p95": "number",
                    "output_tokens": "number",
                    "output_tokens_p95": "number",
                    "reachable_hit_rate": "number",
                    "ended_by_context_max": "number",
                    "gap_s": {"mean": "number", "p50": "number", "p90": "number"},
                },
            }
        ],
        "demand": [{"workload": "string", "stated": _FIGURES, "peak": _FIGURES, "planned": _FIGURES}],
        "warnings": ["string"],
        "proof": {
            "objective": {"name": "string", "value": "number|null", "bound": "number|null", "unit": "string"},
            "gap": "number|null",
            "candidates_enumerated": "integer",
            "candidates_feasible": "integer",
            "candidates_screened": "integer",
            "replay_rejected": "integer",
            "replay": {"configurations_replayed": "integer|null", "configurations_bounded": "integer|null"},
            "prices_from": "string|null",
            "prices_to": "string|null",
            "performance_model": "string",
        },
        "funnel": [{"rule": "string", "remaining": "integer", "cheapest_removed_monthly": "number|null"}],
        "plans": ["plan"],
        "api": "api|null",
        "quotes": ["quote"],
        "at_list_prices": "winner|null",
        "best_by_grade": [{"grade": "string", "rank": "integer|null", "plan": "plan|null"}],
        "best_as_published": "best|null",
        "best_surviving_node": "best|null",
        "in_stock": "stock|null",
        "expires": "string|null",
        "winner_after_expiry": "winner|null",
        "rejected?": ["object"],
        "single_gpu_kinds?": [
            {"gpu": "string", "gpus": "integer", "monthly_cost": "number|null", "saving": "number|null"}
        ],
        "relaxations": [{**_EDIT, "also?": [_EDIT], "monthly_cost": "number"}],
        "unpriced": [
            {
                "gpu": "string",
                "gpus_per_node": "integer",
                "nodes": "integer",
                "workloads": ["string"],
                "ask_below_per_node_month": "number|null",
            }
        ],
        "targets": [{"gpu": "string", "provider": "string", "wins_below_per_gpu_hour": "number|null"}],
        "seal?": dict.fromkeys(("problem", "catalogs", "calibration", "code"), "string"),
        "carried?": "object",
        "checksum?": "string",
    },
}

_MEANS = {
    "carried": "Of -o plan.json: the problem with its files, the offers used, the answer whole, for `optimize verify`.",
    "checksum": "SHA-256 of the file up to this key, as the text stands.",
    "seal": "Fingerprints (SHA-256) of the problem, the catalogs, the performance parameters and the program.",
    "status": "optimal, feasible, infeasible or unknown.",
    "slack": "Share of the limit that is left.",
    "inflight": "Requests in flight.",
    "understood": "The problem as it was read, defaults included: its keys are those of the problem file.",
}


def result_schema() -> dict[str, Any]:
    """The schema as a JSON value."""
    parts = {name: _object(keys) for name, keys in _PARTS.items() if name != "result"}
    result = _object(_PARTS["result"])
    result["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    title = "LLM deployment optimizer: result"
    return {"$schema": DRAFT, "title": title, **result, "definitions": dict(sorted(parts.items()))}


def render_result_schema() -> str:
    """The schema as the text of a file."""
    return json.dumps(result_schema(), indent=2, ensure_ascii=False) + "\n"


def _object(keys: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name.rstrip("?"): _described(name.rstrip("?"), shape) for name, shape in keys.items()},
        "required": [name for name in keys if not name.endswith("?")],
    }


def _described(name: str, shape: Shape) -> dict[str, Any]:
    said = {"description": _MEANS[name]} if name in _MEANS else {}
    return {**said, **_schema(shape)}


def _schema(shape: Shape) -> dict[str, Any]:
    if isinstance(shape, dict):
        return _object(shape)
    if isinstance(shape, list):
        return {"type": "array", "items": _schema(shape[0])}
    if shape == "any":
        return {}
    names = shape.split("|")
    if any(name in _PARTS for name in names):
        ways = [{"$ref": f"#/definitions/{name}"} if name in _PARTS else {"type": name} for name in names]
        return ways[0] if len(ways) == 1 else {"anyOf": ways}
    return {"type": names[0] if len(names) == 1 else names}
