"""Autoscaling of a workload's servers on Kubernetes: a KEDA ScaledObject that asks Prometheus.

It moves between two numbers that the plan holds: the least and the most servers of any period of the day profile. A
plan for one load needs all its servers all the time, so it gets none: fewer of them were not replayed, and a server of
a smaller fleet gets the same share of requests in a rougher order.

KEDA makes the HorizontalPodAutoscaler (autoscaling/v2) itself: with metrics of type AverageValue it holds
``ceil(value / threshold)`` servers, the most that any trigger asks for (Kubernetes, "Horizontal Pod Autoscaling"; KEDA,
"ScaledObject specification" and "Prometheus" scaler). Waiting requests count among those in flight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.handover.launch.operations import FULL, metrics_of, proven_in_flight
from optimizer.handover.safe_text import Value, plain, render_yaml
from optimizer.report.words import plural

if TYPE_CHECKING:
    from optimizer.handover.launch.server import Server
    from optimizer.plan.types import Plan

_PROMETHEUS = "http://prometheus-operated.monitoring.svc:9090"
"""Where the Prometheus Operator's own Service is, in a namespace that every cluster names itself."""

_STEADY_S = 600
"""Seconds that fewer servers must be enough before one stops: it takes minutes to come back."""

_LOST = 3
"""Readings that may fail before all servers of the plan are held."""


def numbers(plan: Plan, position: int) -> tuple[int, int]:
    """The least and the most servers of the group at ``position`` that the plan holds in any period; at least one."""
    counts = [period.replicas[position] for period in plan.periods] or [plan.groups[position].replicas]
    return max(min(counts), 1), max(counts)


def why_not_scaled(server: Server, plan: Plan, position: int) -> str:
    """Why a workload gets no autoscaling; empty where it does."""
    least, most = numbers(plan, position)
    if metrics_of(server) is None:
        return f"{server.name}: no autoscaling, as no metrics of {server.group.engine} that count requests are known"
    if not plan.periods:
        needed = "its server is" if most == 1 else f"all its {most} servers are"
        return (
            f"{server.name}: no autoscaling, as the problem states one load, for which {needed} needed: with a day "
            "profile (`traffic.profile`) the plan says how many are enough in quiet hours"
        )
    if least == most:
        return f"{server.name}: no autoscaling, as every period needs {plural(most, 'server')}"
    if proven_in_flight(server) is None:
        return f"{server.name}: no autoscaling, as the plan sets no end to what a server may hold in flight"
    return ""


def scaled_object(server: Server, plan: Plan, position: int) -> Value:
    """The ScaledObject of a workload that is scaled."""
    metrics, held = metrics_of(server), proven_in_flight(server)
    assert metrics is not None and held is not None
    least, most = numbers(plan, position)
    pods = f'{{pod=~"{server.name}-.*"}}'
    ranks = server.group.attention_dp  # each counts its own requests, and has a cache of its own
    spread = f" / {ranks}" if ranks > 1 else ""
    triggers = [
        _trigger("in-flight", f"sum({metrics.running}{pods}) + sum({metrics.waiting}{pods})", str(held)),
        _trigger("kv-cache", f"sum({metrics.kv}{pods}){spread}", f"{FULL:g}"),
        _trigger("queue", f"sum(min_over_time({metrics.waiting}{pods}[5m])){spread}", "1"),
    ]
    across = server.nodes > 1
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": server.name, "labels": {"app.kubernetes.io/name": server.name}},
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "leaderworkerset.x-k8s.io/v1" if across else "apps/v1",
                "kind": "LeaderWorkerSet" if across else "Deployment",
                "name": server.name,
            },
            "minReplicaCount": least,
            "maxReplicaCount": most,
            "fallback": {"failureThreshold": _LOST, "replicas": most},
            "advanced": {
                "horizontalPodAutoscalerConfig": {
                    "behavior": {"scaleDown": {"stabilizationWindowSeconds": _STEADY_S}},
                },
            },
            "triggers": triggers,
        },
    }


def _trigger(name: str, query: str, threshold: str) -> Value:
    """Without an answer a trigger fails, so that ``fallback`` holds the planned number."""
    return {
        "type": "prometheus",
        "name": name,
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": _PROMETHEUS,
            "query": query,
            "threshold": threshold,
            "ignoreNullValues": "false",
        },
    }


def autoscaling(server: Server, plan: Plan, position: int, origin: str) -> str:
    """The file, with what holds and what does not."""
    least, most = numbers(plan, position)
    periods = ", ".join(f"{plain(period.name)} {period.replicas[position]}" for period in plan.periods)
    comment = (
        f"{origin}\nKEDA, for what `{server.name}-kubernetes.yaml` starts.\n"
        "Set serverAddress to the Prometheus that scrapes the pods.\n"
        f"Servers by period, as planned: {periods}. Never fewer than {least}, as no quieter hour was planned for, and\n"
        f"never more than {most}, as the plan pays for no more. In between a server is added above "
        f"{proven_in_flight(server)} in flight on each: up to\n"
        f"there every promise is predicted to hold on {most}; numbers between those of the periods were not replayed.\n"
        "A server takes minutes to start. Where load rises faster, start it before the hour (minReplicaCount), or\n"
        "promises are late. Leave `replicas` out of the manifest when you apply it again, or it sets the number back.\n"
        "Nodes start and stop only by an autoscaler of nodes; those paid by the month cost the same."
    )
    return render_yaml([scaled_object(server, plan, position)], comment)
