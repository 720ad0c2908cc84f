"""KServe's form of a plan: an LLMInferenceService of its servers, or of a prefill and a decode pool.

KServe's own configurations start vLLM: they set the model, ports, certificates and, of a server over nodes, addresses
and degrees from ``parallelism``, and append the container's ``args``, which a shell reads once more (KServe v0.20.0,
"LLMInferenceService", shipped configurations). So ``args`` are the plan's options, quoted for that shell, less those
that ``parallelism`` states. Configurations for one node read tensor parallelism alone; ``worker`` asks for several
nodes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimizer.handover.launch.kubernetes import metadata, node_selector, unexpanded
from optimizer.handover.safe_text import Value, bash_word, render_yaml, slug
from optimizer.report.serve_commands import model_to_load
from optimizer.vocabulary import Role, Router

if TYPE_CHECKING:
    from optimizer.handover.launch.server import Server

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_START_TRIES = 360
"""Times ten seconds that weights may take to load, as in the other manifests: an hour. KServe grants ten minutes."""

_FOR_ONE_NODE = {"--tensor-parallel-size": 1}
_FOR_RANKS = _FOR_ONE_NODE | {"--data-parallel-size": 1, "--data-parallel-size-local": 1, "--enable-expert-parallel": 0}
"""Options that KServe writes from ``parallelism``, with how many words follow each."""


def why_no_kserve(servers: Sequence[Server]) -> str:
    """Why a workload has no form for KServe; empty where it has one."""
    first = servers[0]
    names = " and ".join(one.name for one in servers)
    if first.group.engine != "vllm" or any(one.serve is None or one.image is None for one in servers):
        return f"{names}: no KServe form, as its configurations start vLLM, not {first.group.engine} as planned here"
    models = {model_to_load(one.group, one.checkpoint) for one in servers}
    if len(models) > 1:
        return f"{names}: no KServe form, as both pools of an LLMInferenceService load one checkpoint, here two"
    if not _HUB_NAME.fullmatch(models.pop()):
        return f"{names}: no KServe form, as weights that have no name on the Hugging Face hub have to be stored first"
    if any(one.nodes > 1 and not one.group.ranks_over_nodes for one in servers):
        return (
            f"{names}: no KServe form, as v0.20.0 spreads a server over nodes by attention ranks alone, not by stages"
        )
    return ""


def kserve_document(servers: Sequence[Server], router: Router) -> Value:
    """The LLMInferenceService of a workload: of one kind of server, or of a prefill and a decode pool."""
    main = next(one for one in servers if one.group.role is not Role.PREFILL)
    before = next((one for one in servers if one.group.role is Role.PREFILL), None)
    model = model_to_load(main.group, main.checkpoint)
    picks = before is not None or router is not Router.ROUND_ROBIN
    about = metadata(main) | {"name": kserve_name(servers)}
    return {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": about,
        "spec": {
            "model": {"uri": f"hf://{model}", "name": model},
            "router": {"route": {}, "gateway": {}, **({"scheduler": {}} if picks else {})},
            **_workload(main),
            **({"prefill": _workload(before)} if before is not None else {}),
        },
    }


def kserve_name(servers: Sequence[Server]) -> str:
    """The service of a workload; both pools are one."""
    main = next(one for one in servers if one.group.role is not Role.PREFILL)
    return main.name if main.group.role is Role.SERVE else slug(main.group.workload, fallback="workload")


def _workload(server: Server) -> dict[str, Value]:
    """One kind of server: how many, how spread, its pods."""
    return {
        "replicas": server.group.replicas,
        "parallelism": _parallelism(server),
        "template": _pod(server, serves=True),
        **({"worker": _pod(server, serves=False)} if server.nodes > 1 else {}),
    }


def _parallelism(server: Server) -> dict[str, Value]:
    group = server.group
    stated: dict[str, Value] = {"tensor": group.tensor_parallel}
    if server.nodes > 1:
        stated |= {"data": group.attention_dp, "dataLocal": group.gpus_per_node // group.tensor_parallel}
        stated |= {"expert": group.expert_parallel > 1}
    return stated


def kserve_args(server: Server) -> list[str]:
    """The plan's options as words, less those that ``parallelism`` states."""
    assert server.serve is not None
    written = _FOR_RANKS if server.nodes > 1 else _FOR_ONE_NODE
    kept: list[str] = []
    skipped = 0
    for word in server.serve[3:]:  # after `vllm serve MODEL`
        if skipped:
            skipped -= 1
        elif word in written:
            skipped = written[word]
        else:
            kept.append(word)
    return kept


def kserve_adds(server: Server) -> list[str]:
    """What KServe's configuration adds to the command, as options of the engine."""
    ranks = ["--data-parallel-address", "--data-parallel-rpc-port", "--data-parallel-start-rank", "--headless"]
    return ["vllm", "serve", "--served-model-name", *(ranks if server.nodes > 1 else [])]


def _pod(server: Server, *, serves: bool) -> dict[str, Value]:
    """What the plan says of a pod; KServe's configuration says the rest. It probes those that serve."""
    env: list[Value] = [
        {
            "name": "HF_TOKEN",
            "valueFrom": {"secretKeyRef": {"name": "hf-token", "key": "token", "optional": True}},
        }
    ]
    if server.group.role is not Role.SERVE:
        env.append({"name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}})
    gpus = server.group.gpus_per_node if server.nodes > 1 else server.gpus
    container: dict[str, Value] = {
        "name": "main",
        "image": server.image,
        "args": [unexpanded(bash_word(word)) for word in kserve_args(server)],
        "env": env,
        "resources": {"limits": {server.resource: gpus}, "requests": {server.resource: gpus}},
        "securityContext": {"runAsNonRoot": False},  # the engine's own image runs as root
        **({"startupProbe": {"failureThreshold": _START_TRIES}} if serves else {}),
    }
    return {
        "nodeSelector": node_selector(server),
        "tolerations": [{"key": server.resource, "operator": "Exists", "effect": "NoSchedule"}],
        "containers": [container],
        "volumes": [{"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}}],
    }


def kserve(servers: Sequence[Server], router: Router, origin: str) -> str:
    """The file of a workload."""
    pooled = len(servers) > 1
    comment = (
        f"{origin}\nKServe v0.20.0 with LLMInferenceService; for several nodes the LeaderWorkerSet operator too.\n"
        "In place of the `...-kubernetes.yaml` of this workload: apply one of the two.\n"
        "Gated models: `template.serviceAccountName` names a service account whose secret holds HF_TOKEN; drafts that\n"
        "vLLM loads by itself read the secret hf-token. The servers check no key: the gateway has to."
    )
    if pooled:
        comment += (
            "\nCaches are handed over by RDMA: add your cluster's RDMA resource to the limits of both pools. KServe's\n"
            "scheduler picks a worker of each pool by its own scores; the replay sends to the least loaded."
        )
    elif router is not Router.ROUND_ROBIN:
        comment += "\nKServe's scheduler picks a server by queue, cache and prefix; the replay did by " + router + "."
    if any(one.nodes > 1 and one.group.ranks_over_nodes for one in servers):
        comment += "\nExperts over nodes exchange tokens by RDMA: add your cluster's RDMA resource to the limits."
    if not servers[0].pinned:
        comment += "\nThe image tag floats: pin the version that you confirmed with the benchmark."
    return render_yaml([kserve_document(servers, router)], comment)
