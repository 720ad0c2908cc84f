"""The replay in the JSON report: ``simulated`` beside ``predicted`` in each plan, ``rejected`` beside ``plans``.

Both are there only where plans were replayed (and, the latter, where some were rejected).
"""

from __future__ import annotations

from optimizer.plan.types import LatencyMs, Rejection, Replay, ReplayedPromise
from optimizer.report.json_values import Json, Money
from optimizer.workload import workload_of


def replay_document(replay: Replay) -> dict[str, Json]:
    """What the requests of one workload saw."""
    return {
        **_served(replay.workload, replay.length_class),
        "ttft_ms": _latency(replay.ttft_ms),
        "tpot_ms": _latency(replay.tpot_ms),
        "e2e_s": _latency(replay.e2e_s),
        "requests": replay.requests,
        "router": replay.router,
        "promises": [_promise(promise) for promise in replay.promises],
    }


def rejection_document(rejection: Rejection) -> dict[str, Json]:
    """A configuration that left the ranking: both numbers per promise missed, and the smallest repair."""
    group, repaired = rejection.group, rejection.repaired_cents
    return {
        "rank": rejection.rank,
        "round": rejection.round,
        "monthly_cost": Money(rejection.monthly_cents),
        **_served(group.workload, group.length_class),
        "gpu": group.gpu,
        "weight_quant": group.weight_quant,
        "kv_cache": group.kv_cache,
        "tensor_parallel": group.tensor_parallel,
        "pipeline_parallel": group.pipeline_parallel,
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


def _served(part: str, length_class: str) -> dict[str, Json]:
    return {"workload": workload_of(part, length_class), **({"length_class": length_class} if length_class else {})}


def _latency(latency: LatencyMs) -> dict[str, Json]:
    return {"mean": latency.mean, "p50": latency.p50, "p90": latency.p90, "p95": latency.p95, "p99": latency.p99}
