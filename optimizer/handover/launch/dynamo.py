"""NVIDIA Dynamo's form of a prefill and a decode pool: a DynamoGraphDeployment.

A worker takes the engine's own options and what it is for; the image of a release of Dynamo holds one version of each
engine, so a plan gets the release that holds its version (NVIDIA Dynamo documentation, "Deploy with DGD",
"DynamoComponentDeployment reference", "vLLM configuration", "Compatibility"; its disaggregated examples).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.handover.launch.fields import DynamoRelease, release_with
from optimizer.handover.launch.kubernetes import metadata, node_selector, unexpanded
from optimizer.handover.launch.pools import BOOTSTRAP, ROUTER_PORT, behind_a_router
from optimizer.handover.safe_text import Value, render_yaml
from optimizer.report.serve_commands import model_to_load, serve_words
from optimizer.vocabulary import Role

if TYPE_CHECKING:
    from optimizer.handover.launch.facts import LaunchFacts
    from optimizer.handover.launch.server import Server

_MODULES = {"vllm": "dynamo.vllm", "sglang": "dynamo.sglang"}
_PAGE = 16
"""Tokens of a KV block, as Dynamo's examples of SGLang state it: both pools must agree."""


def why_no_dynamo(servers: Sequence[Server], facts: LaunchFacts) -> str:
    """Why pools have no form for Dynamo; empty where they have one."""
    group = servers[0].group
    if group.engine == "trtllm":
        return (
            "no Dynamo form, as its images hold release candidates of TensorRT-LLM whose options were not read: start "
            "the pools by their own manifests"
        )
    if group.engine not in _MODULES or any(one.serve is None for one in servers):
        return f"no Dynamo form, as Dynamo has no worker for {group.engine} that is known here"
    if any(one.vendor != "nvidia" for one in servers):
        return "no Dynamo form, as its images are for NVIDIA cards"
    if any(one.nodes > 1 for one in servers):
        return "no Dynamo form, as a worker spans several nodes: how ranks find each other there was not read"
    releases = facts.dynamo.get(group.engine, ())
    if release_with(releases, group.engine_version) is None:
        held = ", ".join(f"{one.engine_version} ({one.release})" for one in releases)
        return f"no Dynamo form, as no release that was read holds {group.engine} {group.engine_version}, only {held}"
    return ""


def dynamo_release(servers: Sequence[Server], facts: LaunchFacts) -> DynamoRelease:
    """The release that pools with a form for Dynamo run in."""
    group = servers[0].group
    release = release_with(facts.dynamo[group.engine], group.engine_version)
    assert release is not None
    return release


def dynamo_args(server: Server, release: DynamoRelease) -> list[str]:
    """A worker's options: those of the engine as planned, in the words of the release, and what it is for."""
    group = replace(server.group, engine_version=release.engine_version)
    words = serve_words(group, server.checkpoint)
    assert words is not None
    role = str(group.role)
    if group.engine == "vllm":  # `vllm serve MODEL ...`
        return ["--model", words[2], *words[3:], "--disaggregation-mode", role]
    served = ["--served-model-name", model_to_load(group, server.checkpoint), "--page-size", str(_PAGE)]
    own = ["--skip-tokenizer-init", "--disaggregation-bootstrap-port", str(BOOTSTRAP), "--host", "0.0.0.0"]
    return [*words[words.index("--model-path") :], *served, *own]


def dynamo_engine(server: Server, facts: LaunchFacts) -> tuple[list[str], str]:
    """The engine's own command that a worker's options are those of, and the release of the engine."""
    version = dynamo_release([server], facts).engine_version
    return serve_words(replace(server.group, engine_version=version), server.checkpoint) or [], version


def dynamo_document(servers: Sequence[Server], facts: LaunchFacts) -> Value:
    """Frontend, decode workers and prefill workers."""
    release = dynamo_release(servers, facts)
    whole = behind_a_router(servers)
    frontend: Value = {"containers": [{"name": "main", "image": release.image}]}
    ordered = sorted(servers, key=lambda one: one.group.role is Role.PREFILL)
    workers: list[Value] = [
        {
            "name": str(one.group.role),
            "type": str(one.group.role),
            "replicas": one.group.replicas,
            "podTemplate": {"spec": _pod(one, release)},
        }
        for one in ordered
    ]
    first: Value = {"name": "Frontend", "type": "frontend", "replicas": 1, "podTemplate": {"spec": frontend}}
    return {
        "apiVersion": "nvidia.com/v1beta1",
        "kind": "DynamoGraphDeployment",
        "metadata": metadata(whole),
        "spec": {"components": [first, *workers]},
    }


def _pod(server: Server, release: DynamoRelease) -> dict[str, Value]:
    token: Value = {
        "name": "HF_TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "hf-token", "key": "token", "optional": True}},
    }
    container: Value = {
        "name": "main",
        "image": release.image,
        "command": ["python3", "-m", _MODULES[server.group.engine]],
        "args": [unexpanded(word) for word in dynamo_args(server, release)],
        "env": [token],
        "resources": {"limits": {server.resource: server.gpus}},
    }
    return {
        "nodeSelector": node_selector(server),
        "tolerations": [{"key": server.resource, "operator": "Exists", "effect": "NoSchedule"}],
        "containers": [container],
    }


def dynamo(servers: Sequence[Server], facts: LaunchFacts, origin: str) -> str:
    """The file of both pools."""
    release = dynamo_release(servers, facts)
    engine, stated = servers[0].group.engine, servers[0].group.engine_version
    comment = (
        f"{origin}\nDynamo {release.release} with its operator; its image holds {engine} {release.engine_version}.\n"
        "In place of the `...-kubernetes.yaml` of both pools and of the router: apply one form.\n"
        "kubectl create secret generic hf-token --from-literal=token=...   # where the model is gated\n"
        "Caches are handed over by NIXL: add your cluster's RDMA resource to the limits of both pools.\n"
        "The frontend picks workers by a rule of its own, the replay sends to the least loaded.\n"
        "Keys of clients are for a gateway in front to check.\n"
        f"Clients talk to the frontend's Service at 8000: forward {ROUTER_PORT} to it for the benchmark."
    )
    if not stated:
        comment += f"\nThe problem states no version: the benchmark confirms {engine} {release.engine_version} here."
    return render_yaml([dynamo_document(servers, facts)], comment)
