"""What keeps a deployment inside what was proven: a disruption budget, and alert rules with the thresholds for scaling.

Field meanings: Kubernetes API reference (policy/v1 PodDisruptionBudget), Prometheus Operator (monitoring.coreos.com/v1
PrometheusRule). Metrics as vLLM and SGLang document them; of another engine none are known here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.demand import Metric
from optimizer.handover.safe_text import Value, plain, render_yaml
from optimizer.report.serve_commands import engine_family
from optimizer.report.words import promise_of
from optimizer.units import SHARE_UNITS
from optimizer.vocabulary import Role

if TYPE_CHECKING:
    from optimizer.handover.launch.server import Server


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """Names of an engine's metrics."""

    running: str
    waiting: str
    kv: str
    ttft: str
    tpot: str
    e2e: str


_METRICS = {
    "vllm": EngineMetrics(
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
        "vllm:time_to_first_token_seconds",
        "vllm:request_time_per_output_token_seconds",
        "vllm:e2e_request_latency_seconds",
    ),
    "sglang": EngineMetrics(
        "sglang:num_running_reqs",
        "sglang:num_queue_reqs",
        "sglang:token_usage",
        "sglang:time_to_first_token_seconds",
        "sglang:inter_token_latency_seconds",
        "sglang:e2e_request_latency_seconds",
    ),
}

FULL = 0.95
"""Share of the KV cache from which requests begin to wait for room."""

_FOR = "5m"


def metrics_of(server: Server) -> EngineMetrics | None:
    """The metrics of a server's engine; None where none that count requests are known."""
    return _METRICS.get(engine_family(server.group.engine))


def operations(server: Server, origin: str) -> str:
    """The budget, and alert rules where the engine's metrics are known."""
    labels: dict[str, Value] = {"app.kubernetes.io/name": server.name}
    budget: Value = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": server.name, "labels": labels},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}},
    }
    metrics = metrics_of(server)
    documents = [budget] if metrics is None else [budget, _rules(server, metrics)]
    return render_yaml(documents, f"{origin}\nAlert rules need the Prometheus Operator and a PodMonitor of port http.")


def _rules(server: Server, metrics: EngineMetrics) -> Value:
    pods = f'pod=~"{server.name}-.*"'
    rules: list[Value] = []

    def rule(name: str, expression: str, summary: str) -> None:
        rules.append(
            {
                "alert": name,
                "expr": expression,
                "for": _FOR,
                "labels": {"severity": "warning", "service": server.name},
                "annotations": {"summary": summary},
            }
        )

    most = proven_in_flight(server)
    role = server.group.role
    if most is not None and role is not Role.PREFILL:  # a prefill worker passes requests on
        running = f"avg({metrics.running}{{{pods}}} + {metrics.waiting}{{{pods}}})"
        ranks = server.group.attention_dp  # each counts its own
        each = most // ranks
        place = "each" if ranks == 1 else f"each of its {ranks} attention ranks"
        rule("MoreInFlightThanProven", f"{running} > {each}", f"add a server: above {each} in flight on {place}")
    rule("RequestsWait", f"min({metrics.waiting}{{{pods}}}) > 0", "every server has a queue: add a server")
    rule("KvCacheFull", f"max({metrics.kv}{{{pods}}}) > {FULL:g}", "requests wait for room in the KV cache")
    names = {Metric.TTFT: metrics.ttft, Metric.TPOT: metrics.tpot, Metric.E2E: metrics.e2e}
    for bracket in server.experiment.brackets:
        if bracket.limit_s is None or bracket.length_class:
            continue
        if role is not Role.SERVE and (role is Role.PREFILL or bracket.metric is not Metric.TPOT):
            continue  # of two pools a worker sees a part of each wait; only the gap between tokens is the decode pool's
        buckets = f"sum by (le) (rate({names[bracket.metric]}_bucket{{{pods}}}[{_FOR}]))"
        named = promise_of(bracket.metric, bracket.percentile, "")
        rule(
            "Promise" + "".join(part.capitalize() for part in named.replace(".", "").split()),
            f"histogram_quantile({bracket.percentile / 100.0:g}, {buckets}) > {bracket.limit_s:g}",
            f"{named} is above what was promised",
        )
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": server.name, "annotations": {"workload": plain(server.group.workload)}},
        "spec": {"groups": [{"name": server.name, "rules": rules}]},
    }


def proven_in_flight(server: Server) -> int | None:
    """Requests in flight on one server up to which every promise is predicted to hold; None where that has no end."""
    group = server.group
    held = server.prediction.capacity.concurrency * group.share / SHARE_UNITS / group.replicas
    return math.floor(held) if math.isfinite(held) and held >= 1 else None
