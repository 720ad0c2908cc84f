"""Kubernetes manifests of a prefill pool and a decode pool: a StatefulSet each, and the router that knows every worker.

Workers of a StatefulSet keep their names, so that a router which is told its workers at the start finds them again:
``NAME-0.NAME`` is the first one (Kubernetes, "StatefulSet", stable network identity). No further operator is needed.
Field meanings: Kubernetes API reference (apps/v1 StatefulSet and Deployment, v1 Service).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimizer.handover.launch.kubernetes import labels_of, metadata, pod, unexpanded
from optimizer.handover.launch.pools import BOOTSTRAP, ROUTER_PORT, behind_a_router, router_lines
from optimizer.handover.launch.server import PORT
from optimizer.handover.safe_text import Value, render_yaml, slug
from optimizer.report.serve_commands import engine_family
from optimizer.vocabulary import Role

if TYPE_CHECKING:
    from optimizer.handover.launch.server import Server

_PACKAGES = {"vllm": "vllm-router", "sglang": "sglang-router"}
"""The router's package on PyPI; TensorRT-LLM's is part of its server."""

_PYTHON = "python:3.12-slim"
_WAIT = """
import os, time, urllib.request

for worker in f"{os.environ['PREFILL']} {os.environ['DECODE']}".split():
    while True:
        try:
            urllib.request.urlopen(f"http://{worker}/health", timeout=5)
            break
        except OSError:
            time.sleep(5)
""".strip()
"""Weights take minutes: the router starts when every worker answers, as it would take a silent one for dead."""


def why_no_manifests(servers: Sequence[Server]) -> str:
    """Why pools get no manifests; empty where they do."""
    if any(one.serve is None for one in servers):
        return "no Kubernetes manifests of the pools, as a worker has no server command"
    if any(one.image is None for one in servers):
        return "no Kubernetes manifests of the pools, as no public image of the engine is in catalogs/launch/images.csv"
    if any(one.nodes > 1 for one in servers):
        return "no Kubernetes manifests of the pools, as a worker spans several nodes"
    return ""


def pool_manifest(server: Server, origin: str) -> str:
    """One pool: its workers, and the headless Service that gives each a name."""
    comment = f"{origin}\nkubectl create secret generic hf-token --from-literal=token=...   # where the model is gated"
    comment += "\nWorkers check no key and hand caches over by RDMA: keep them inside the cluster, on the fabric."
    comment += "" if server.pinned else "\nThe image tag floats: pin the version that you confirmed with the benchmark."
    return render_yaml([_workers(server), _names(server)], comment)


def _workers(server: Server) -> Value:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(server),
        "spec": {
            "replicas": server.group.replicas,
            "serviceName": server.name,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": labels_of(server)},
            "template": {"metadata": {"labels": labels_of(server)}, "spec": _worker(server)},
        },
    }


def _worker(server: Server) -> Value:
    """The pod of a worker, with where the others reach it."""
    family = engine_family(server.group.engine)
    handing = ["--disaggregation-bootstrap-port", str(BOOTSTRAP)] if family == "sglang" and _before(server) else []
    address: Value = {
        "name": "VLLM_NIXL_SIDE_CHANNEL_HOST",
        "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}},
    }  # its port is the default: every pod has an address of its own
    env = [address] if family == "vllm" else []
    return pod(server, [*server.command(PORT), *handing], serves=True, env=env)


def _before(server: Server) -> bool:
    return server.group.role is Role.PREFILL


def _names(server: Server) -> Value:
    """Names for the workers from the moment they start, so that the router's wait can ask them."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(server),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": labels_of(server),
            "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
        },
    }


def router_name(servers: Sequence[Server]) -> str:
    """The router's Deployment and Service."""
    return slug(f"{behind_a_router(servers).name} router", [one.name for one in servers])


def router_manifest(servers: Sequence[Server], origin: str) -> str:
    """The router and the Service that clients talk to."""
    name = router_name(servers)
    labels: dict[str, Value] = {"app.kubernetes.io/name": name}
    about: Value = {"name": name, "labels": {**labels, "app.kubernetes.io/part-of": "llm-deployment"}}
    deployment: Value = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": about,
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": _router(servers)},
        },
    }
    service: Value = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": about,
        "spec": {"selector": labels, "ports": [{"name": "http", "port": ROUTER_PORT, "targetPort": "http"}]},
    }
    comment = f"{origin}\nOne router, as two would each see half of what the workers do. It checks no API key: put a"
    comment += " gateway in front that does.\nWorkers are named here: change PREFILL and DECODE with their numbers."
    return render_yaml([deployment, service], comment)


def _router(servers: Sequence[Server]) -> Value:
    family = engine_family(servers[0].group.engine)
    package = _PACKAGES.get(family)
    image = _PYTHON if package else servers[0].image
    install = [f"pip install --no-cache-dir {package}"] if package else []
    script = "\n".join(["set -euo pipefail", *install, *router_lines(servers)])
    workers: Value = [
        {"name": name, "value": " ".join(_addresses(servers, role))}
        for name, role in (("PREFILL", Role.PREFILL), ("DECODE", Role.DECODE))
    ]
    port: Value = {"name": "http", "containerPort": ROUTER_PORT}
    ready: Value = {"tcpSocket": {"port": "http"}, "periodSeconds": 10}
    wait: Value = {"name": "workers-answer", "image": image, "command": ["python3", "-c", _WAIT], "env": workers}
    container: Value = {
        "name": "router",
        "image": image,
        "command": ["bash", "-c", unexpanded(script)],
        "env": workers,
        "ports": [port],
        "readinessProbe": ready,
    }
    return {"initContainers": [wait], "containers": [container]}


def _addresses(servers: Sequence[Server], role: Role) -> list[str]:
    """Host and port of every worker of a pool."""
    return [
        f"{one.name}-{number}.{one.name}:{PORT}"
        for one in servers
        if one.group.role is role
        for number in range(one.group.replicas)
    ]
