"""Manifests of a prefill and a decode pool: what they start is what was planned, and the router knows every worker."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from optimizer.handover.launch import launch_files
from optimizer.handover.launch.facts import load_facts
from optimizer.handover.launch.pools import router_words
from optimizer.handover.launch.server import doubts_of, servers_of
from optimizer.plan.types import Outcome
from optimizer.planning.inputs import Inputs
from optimizer.vocabulary import Role

OF_WORKERS = {"kubernetes.yaml", "operations.yaml"}


def _pools(outcome: Outcome, engine: str = "vllm", **of_prefill: Any) -> Outcome:
    """The plan's servers as a decode pool of two, with three prefill workers on one card each before it."""
    first = outcome.plans[0]
    decode = replace(
        first.groups[0], engine=engine, role=Role.DECODE, replicas=2, weight_quant="bf16", published_as="x/y"
    )
    prefill = replace(decode, role=Role.PREFILL, replicas=3, tensor_parallel=1, **of_prefill)
    plan = replace(first, groups=(prefill, decode), experiments=(*first.experiments, *first.experiments))
    return replace(outcome, plans=(plan,))


def _texts(outcome: Outcome, inputs: Inputs) -> dict[str, str]:
    return {file.name: file.text for file in launch_files(outcome, outcome.plans[0], inputs.catalog, load_facts())}


def _documents(text: str) -> list[Any]:
    return list(YAML(typ="safe", pure=True).load_all(text))


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
def test_both_pools_and_their_router(engine: str, outcome: Outcome, inputs: Inputs) -> None:
    pooled = _pools(outcome, engine)
    texts = _texts(pooled, inputs)
    servers = servers_of(pooled, pooled.plans[0], inputs.catalog, load_facts(), None)
    for server in servers:
        workers, names = _documents(texts[f"{server.name}-kubernetes.yaml"])
        for document in (workers, names):
            kubernetes_validate.validate(document, "1.30", strict=True)
        spec = workers["spec"]
        assert (workers["kind"], spec["replicas"], spec["serviceName"]) == (
            "StatefulSet", server.group.replicas, names["metadata"]["name"],
        )  # fmt: skip
        assert names["spec"]["clusterIP"] == "None"
        assert names["spec"]["selector"] == spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
        (container,) = spec["template"]["spec"]["containers"]
        assert container["resources"]["limits"] == {"nvidia.com/gpu": server.gpus}
        assert container["command"][: len(server.command(8000))] == server.command(8000)
        known = {one["name"] for one in container["env"]}
        assert ("VLLM_NIXL_SIDE_CHANNEL_HOST" in known) == (engine == "vllm")
        assert ("--kv-transfer-config" in container["command"]) == (engine == "vllm")
        bootstrap = "--disaggregation-bootstrap-port" in container["command"]
        assert bootstrap == (engine == "sglang" and server.group.role is Role.PREFILL)
        assert not [one for one in doubts_of(server, load_facts()) if "does not know" in one]
        options = load_facts().options
        assert engine == "trtllm" or not list(options.doubts(container["command"], server.group.engine_version))
    router, service = _documents(texts["chat-router-kubernetes.yaml"])
    for document in (router, service):
        kubernetes_validate.validate(document, "1.30", strict=True)
    (container,) = router["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one["value"].split() for one in container["env"]}
    assert told == {
        "PREFILL": [f"chat-prefill-{number}.chat-prefill:8000" for number in range(3)],
        "DECODE": [f"chat-decode-{number}.chat-decode:8000" for number in range(2)],
    }
    assert service["spec"]["ports"][0]["port"] == 8200  # where the benchmark looks
    script = container["command"][2].replace("$$(", "$(")
    assert subprocess.run(["bash", "-n", "-c", script], check=False).returncode == 0
    assert " ".join((router_words(servers) or [])[:2]) in script
    (wait,) = router["spec"]["template"]["spec"]["initContainers"]
    assert wait["env"] == container["env"]
    compile(wait["command"][2], "wait", "exec")


def test_a_pool_is_watched_for_what_its_workers_see(outcome: Outcome, inputs: Inputs) -> None:
    """The wait for a first token passes both pools, so no worker's figure is that promise."""
    texts = _texts(_pools(outcome), inputs)
    alerts = {}
    for pool in ("prefill", "decode"):
        budget, rules = _documents(texts[f"chat-{pool}-operations.yaml"])
        kubernetes_validate.validate(budget, "1.30", strict=True)
        assert budget["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/name": f"chat-{pool}"}
        alerts[pool] = {one["alert"] for one in rules["spec"]["groups"][0]["rules"]}
    assert alerts["prefill"] == {"RequestsWait", "KvCacheFull"}
    assert alerts["decode"] == {"MoreInFlightThanProven", "RequestsWait", "KvCacheFull", "PromiseTpotP95"}


def test_pools_without_an_image_say_so(outcome: Outcome, inputs: Inputs) -> None:
    texts = _texts(_pools(outcome, "tgi"), inputs)
    assert not [name for name in texts if name.rpartition("-")[2] in OF_WORKERS]
    assert "no Kubernetes manifests of the pools, as a worker has no server command" in texts["README.md"]
    across = _texts(_pools(outcome, gpus_per_node=1, crosses_nodes=True, pipeline_parallel=2), inputs)
    assert not [name for name in across if name.rpartition("-")[2] in OF_WORKERS]
    assert "a worker spans several nodes" in across["README.md"]
