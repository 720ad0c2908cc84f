"""Kubernetes manifests: a Deployment per workload (a LeaderWorkerSet where a server spans nodes) and its Service.

Field meanings: Kubernetes API reference (apps/v1 Deployment, v1 Service), LeaderWorkerSet API (leaderworkerset.x-k8s.io
/v1); multi-node start as in vLLM's and SGLang's own LeaderWorkerSet examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimizer.handover.launch.server import PORT
from optimizer.handover.launch.wide import as_worker, joins_ranks, to_head
from optimizer.handover.safe_text import Value, bash_line, plain, render_yaml
from optimizer.vocabulary import Role

if TYPE_CHECKING:
    from optimizer.handover.launch.server import Server

OWN_LABEL = "llm-deployment-optimizer/gpu"
"""Node label asked for where the vendor's own label of a card is not established."""

GFD_LABEL = "nvidia.com/gpu.product"
API_SECRET = "llm-api-key"
"""Secret that holds the key which clients send."""

_KEYED = {"vllm": "VLLM_API_KEY", "vllm-ascend": "VLLM_API_KEY", "sglang": "LLM_API_KEY"}
"""Variable that holds the key by engine: vLLM reads it by itself, SGLang is given it; /health needs none."""

_HEALTH = "/health"
_START_MINUTES = 60
_MULTINODE_ENGINES = ("vllm", "sglang")


def can_span_nodes(server: Server) -> bool:
    """Whether we know how to start it: on one node always, on several with vLLM and SGLang."""
    return server.nodes == 1 or server.group.engine in _MULTINODE_ENGINES


def manifest(server: Server, origin: str) -> str:
    """The manifests of one workload as YAML; ``origin`` says which plan they come from."""
    workload = _leader_worker_set(server) if server.nodes > 1 else _deployment(server)
    comment = f"{origin}\nkubectl create secret generic hf-token --from-literal=token=...   # where the model is gated"
    if takes_key(server):
        comment += f"\nkubectl create secret generic {API_SECRET} --from-literal=key=...   # bearer token of clients"
    comment += "" if server.pinned else "\nThe image tag floats: pin the version that you confirmed with the benchmark."
    return render_yaml([workload, _service(server)], comment)


def node_selector(server: Server) -> dict[str, Value]:
    """Nodes with this card."""
    label = server.accelerator.kubernetes_label
    return {GFD_LABEL: label} if label and server.vendor == "nvidia" else {OWN_LABEL: server.group.gpu}


def metadata(server: Server) -> dict[str, Value]:
    """Name, labels, and which model in which format it is."""
    return {
        "name": server.name,
        "labels": {**labels_of(server), "app.kubernetes.io/part-of": "llm-deployment"},
        "annotations": {
            "llm-deployment-optimizer/workload": plain(server.group.workload),
            "llm-deployment-optimizer/model": plain(server.group.model),
            "llm-deployment-optimizer/weights": server.group.weight_quant,
        },
    }


def labels_of(server: Server) -> dict[str, Value]:
    """What tells the pods of a server from others."""
    return {"app.kubernetes.io/name": server.name}


def _deployment(server: Server) -> Value:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(server),
        "spec": {
            "replicas": server.group.replicas,
            "selector": {"matchLabels": labels_of(server)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "template": {
                "metadata": {"labels": labels_of(server)},
                "spec": pod(server, server.command(PORT), serves=True),
            },
        },
    }


def _leader_worker_set(server: Server) -> Value:
    leader, worker = _across(server)
    serving = {**labels_of(server), "role": "leader"}
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": metadata(server),
        "spec": {
            "replicas": server.group.replicas,
            "leaderWorkerTemplate": {
                "size": server.nodes,
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": {"metadata": {"labels": serving}, "spec": pod(server, leader, serves=True)},
                "workerTemplate": {
                    "metadata": {"labels": labels_of(server)},
                    "spec": pod(server, worker, serves=False),
                },
            },
        },
    }


def _across(server: Server) -> tuple[list[str], list[str]]:
    """Commands of leader and workers. The shell reads the addresses that LeaderWorkerSet puts into the pod."""
    command = server.command(PORT)
    if server.group.engine == "sglang":
        place = (
            '--dist-init-addr "$LWS_LEADER_ADDRESS:20000" --nnodes "$LWS_GROUP_SIZE" --node-rank "$LWS_WORKER_INDEX"'
        )
        start = ["bash", "-c", f"exec {bash_line(command)} {place}"]
        return start, start
    if joins_ranks(server):
        everywhere = f"exec {bash_line(command)}{to_head('LWS_LEADER_ADDRESS')}"
        others = f"{everywhere} {as_worker(server, 'LWS_WORKER_INDEX')}"
        return ["bash", "-c", everywhere], ["bash", "-c", others]
    helper = "/vllm-workspace/examples/online_serving/multi-node-serving.sh"
    serve = bash_line([*command, "--distributed-executor-backend", "ray"])
    leader = f'bash {helper} leader --ray_cluster_size="$LWS_GROUP_SIZE" && exec {serve}'
    worker = f'exec bash {helper} worker --ray_address="$LWS_LEADER_ADDRESS"'
    return ["bash", "-c", leader], ["bash", "-c", worker]


def pod(server: Server, command: list[str], *, serves: bool, env: Sequence[Value] = ()) -> dict[str, Value]:
    """The pod of one server, or of its part on one of several nodes; ``env`` are variables of its own."""
    gpus = server.group.gpus_per_node if server.nodes > 1 else server.gpus
    token: Value = {
        "name": "HF_TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "hf-token", "key": "token", "optional": True}},
    }
    container: dict[str, Value] = {
        "name": "server",
        "image": server.image,
        "command": [*(unexpanded(word) for word in command), *_given_key(server)],
        "env": [token, *(_api_key(server) if serves else ()), *env],
        "resources": {"limits": {server.resource: gpus}},
        "volumeMounts": [
            {"name": "shm", "mountPath": "/dev/shm"},
            {"name": "models", "mountPath": "/root/.cache/huggingface"},
        ],
    }
    if server.group.ranks_over_nodes:  # memory that adapters read and write stays where it is
        container["securityContext"] = {"capabilities": {"add": ["IPC_LOCK"]}}
    if serves:
        port: Value = {"name": "http", "containerPort": PORT}
        container |= {"ports": [port], **_probes()}
    tolerated: Value = {"key": server.resource, "operator": "Exists", "effect": "NoSchedule"}
    return {
        "nodeSelector": node_selector(server),
        **(_spread(server) if server.nodes == 1 else {}),
        "tolerations": [tolerated],
        "containers": [container],
        "volumes": [
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}},
            {"name": "models", "emptyDir": {}},
        ],
    }


def _spread(server: Server) -> dict[str, Value]:
    """Servers on as many nodes as there are, so that one node gone takes as few as possible with it."""
    constraint: dict[str, Value] = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels_of(server)},
    }
    return {"topologySpreadConstraints": [constraint]}


def takes_key(server: Server) -> bool:
    """Whether clients have to send a key."""
    if server.group.role is not Role.SERVE:  # workers answer their router, whose handling of keys is not established
        return False
    return server.group.engine in _KEYED and (server.nodes == 1 or server.group.engine != "sglang")


def _api_key(server: Server) -> list[Value]:
    """The key that clients have to send, from a secret; vLLM reads it from its environment."""
    if not takes_key(server):
        return []
    return [{"name": _KEYED[server.group.engine], "valueFrom": {"secretKeyRef": {"name": API_SECRET, "key": "key"}}}]


def _given_key(server: Server) -> list[str]:
    """Kubernetes puts the key into the command of an engine that reads none by itself."""
    given = server.group.engine == "sglang" and takes_key(server)
    return ["--api-key", f"$({_KEYED[server.group.engine]})"] if given else []


def unexpanded(word: str) -> str:
    """Kubernetes expands ``$(NAME)`` in commands; ``$$(`` stands for a plain ``$(``."""
    return word.replace("$(", "$$(")


def _probes() -> dict[str, Value]:
    """Loading weights takes minutes: the start-up probe waits, then the others watch."""
    check: Value = {"path": _HEALTH, "port": "http"}
    return {
        "startupProbe": {"httpGet": check, "periodSeconds": 10, "failureThreshold": _START_MINUTES * 6},
        "readinessProbe": {"httpGet": check, "periodSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {"httpGet": check, "periodSeconds": 15, "failureThreshold": 6, "timeoutSeconds": 10},
    }


def _service(server: Server) -> Value:
    selector = labels_of(server) | ({"role": "leader"} if server.nodes > 1 else {})
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(server),
        "spec": {
            "selector": selector,
            "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
        },
    }
