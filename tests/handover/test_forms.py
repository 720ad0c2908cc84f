"""Forms for KEDA, KServe and Dynamo: every field was read, pods are Kubernetes' own, and what starts was replayed."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from optimizer.handover.launch import launch_files
from optimizer.handover.launch.facts import load_facts
from optimizer.handover.launch.fields import release_with
from optimizer.handover.launch.server import Server, servers_of
from optimizer.plan.deployment import Drafting
from optimizer.plan.types import Outcome, PlanPeriod
from optimizer.planning.inputs import Inputs
from optimizer.vocabulary import Role, Router

with (Path(__file__).parents[2] / "data" / "launch_fields.csv").open(encoding="utf-8") as stream:
    READ = {(row["kind"], row["api_version"], row["path"]): row["type"] for row in csv.DictReader(stream)}
TYPES = {bool: "boolean", int: "integer", str: "string", dict: "object", list: "list"}
OWN = {"apps/v1", "v1", "policy/v1"}


def _fields(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every field below a value; items of a list share the path of the list with ``[]``."""
    yield path, value
    for name, item in value.items() if isinstance(value, dict) else ():
        yield from _fields(f"{path}.{name}", item)
    for item in value if isinstance(value, list) else ():
        yield from (pair for pair in _fields(f"{path}[]", item) if pair[0] != f"{path}[]")


def _pod_is_sound(pod: Any) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod}
    deployment = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    whole = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": deployment}
    kubernetes_validate.validate(whole, "1.30", strict=True)


def _is_read(document: Any) -> None:
    """Every field of a document exists in what was read of its kind and version, with its type."""
    kind, version = document["kind"], document["apiVersion"]
    opaque: list[str] = []
    for path, value in _fields("spec", document["spec"]):
        if any(path.startswith((f"{one}.", f"{one}[")) for one in opaque):
            continue
        stated = READ[kind, version, path]
        if stated == "pod":
            _pod_is_sound(value)
        if stated in ("pod", "map", "metadata"):
            opaque.append(path)
            assert isinstance(value, dict)
        else:
            assert TYPES[type(value)] == stated, path


def _written(outcome: Outcome, inputs: Inputs, version: str | None = None) -> tuple[dict[str, Any], str]:
    """The documents of every manifest by file, each checked against what was read, and the page."""
    files = launch_files(outcome, outcome.plans[0], inputs.catalog, load_facts(), version)
    found: dict[str, Any] = {}
    for file in files:
        if not file.name.endswith(
            ("kubernetes.yaml", "operations.yaml", "autoscaling.yaml", "kserve.yaml", "dynamo.yaml")
        ):
            continue
        for document in YAML(typ="safe", pure=True).load_all(file.text):
            if document["apiVersion"] in OWN:
                kubernetes_validate.validate(document, "1.30", strict=True)
            else:
                _is_read(document)
                found[file.name] = document
    page = files[0].text
    assert " has no field " not in page and "the fields of" not in page
    return found, page


def _changed(outcome: Outcome, **changes: Any) -> Outcome:
    first = outcome.plans[0]
    plan = replace(
        first, groups=(replace(first.groups[0], **{"weight_quant": "bf16", "published_as": "x/y"} | changes),)
    )
    return replace(outcome, plans=(plan,))


def _servers(outcome: Outcome, inputs: Inputs, version: str | None = None) -> list[Server]:
    return servers_of(outcome, outcome.plans[0], inputs.catalog, load_facts(), version)


def _pools(outcome: Outcome, engine: str = "vllm", of_prefill: Any = None, **of_both: Any) -> Outcome:
    """A decode pool of two servers on two cards each, three prefill workers on one card each before it."""
    first = outcome.plans[0]
    base = replace(first.groups[0], engine=engine, weight_quant="bf16", published_as="x/y", **of_both)
    decode = replace(base, role=Role.DECODE, replicas=2)
    prefill = replace(base, role=Role.PREFILL, replicas=3, tensor_parallel=1, max_num_seqs=16, **(of_prefill or {}))
    nodes = (*first.nodes, replace(first.nodes[0], gpu=prefill.gpu, offer_id="before"))
    plan = replace(first, groups=(prefill, decode), nodes=nodes)
    return replace(outcome, plans=(plan,))


def _by_day(outcome: Outcome, *replicas: int, **changes: Any) -> Outcome:
    changed = _changed(outcome, replicas=max(replicas), **changes)
    periods = tuple(PlanPeriod(f"p{n}\n", 300.0, 30.0, 8, (n,), (9,), 0, ()) for n in replicas)
    return replace(changed, plans=(replace(changed.plans[0], periods=periods),))


# KEDA


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
@pytest.mark.parametrize("nodes", [1, 2])
def test_scaled_between_the_periods_of_the_day(engine: str, nodes: int, outcome: Outcome, inputs: Inputs) -> None:
    spread = {"tensor_parallel": 4, "pipeline_parallel": 2, "crosses_nodes": True} if nodes == 2 else {}
    found, page = _written(_by_day(outcome, 6, 2, 4, engine=engine, **spread), inputs)
    spec = found["chat-autoscaling.yaml"]["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"], spec["fallback"]["replicas"]) == (2, 6, 6)
    assert spec["scaleTargetRef"]["kind"] == ("LeaderWorkerSet" if nodes == 2 else "Deployment")
    asked = {one["name"]: one["metadata"] for one in spec["triggers"]}
    assert asked["in-flight"]["threshold"] == "23"  # 138.2 held by six servers
    assert (asked["kv-cache"]["threshold"], asked["queue"]["threshold"]) == ("0.95", "1")
    names = {"vllm": "vllm:num_requests_running", "sglang": "sglang:num_running_reqs"}
    assert f'sum({names[engine]}{{pod=~"chat-.*"}})' in asked["in-flight"]["query"]
    assert "chat-autoscaling.yaml" in page and "no autoscaling" not in page


def test_attention_ranks_share_what_one_server_holds(outcome: Outcome, inputs: Inputs) -> None:
    """Each rank counts its own: in flight they add up to the server's, shares of caches do not."""
    found, _ = _written(_by_day(outcome, 2, 1, tensor_parallel=1, attention_dp=2, expert_parallel=2), inputs)
    asked = {one["name"]: one["metadata"] for one in found["chat-autoscaling.yaml"]["spec"]["triggers"]}
    assert asked["in-flight"]["threshold"] == "69" and not asked["in-flight"]["query"].endswith("/ 2")
    assert asked["kv-cache"]["query"].endswith(" / 2") and asked["queue"]["query"].endswith(" / 2")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, "the problem states one load, for which all its 2 servers are needed"),
        ({"replicas": 1}, "the problem states one load, for which its server is needed"),
        ({"engine": "trtllm"}, "no metrics of trtllm that count requests are known"),
    ],
)
def test_no_autoscaling_where_nothing_less_was_planned(
    changes: dict[str, Any], why: str, outcome: Outcome, inputs: Inputs
) -> None:
    found, page = _written(_changed(outcome, **changes), inputs)
    assert "chat-autoscaling.yaml" not in found
    assert f"chat: no autoscaling, as {why}" in page


def test_no_autoscaling_where_every_period_needs_the_same(outcome: Outcome, inputs: Inputs) -> None:
    found, page = _written(_by_day(outcome, 3, 3), inputs)
    assert "chat-autoscaling.yaml" not in found and "every period needs 3 servers" in page


# KServe


def _started(container: Any, kserve: list[str]) -> list[str]:
    """What vLLM is given: KServe's own options, then ``args``, which its shell reads once more."""
    args = [word.replace("$$(", "$(") for word in container["args"]]
    script = "eval \"printf '%s\\0' $@\""
    run = subprocess.run(["bash", "-c", script, "--", *args], capture_output=True, check=True)
    return [*kserve, *run.stdout.decode().split("\0")[:-1]]


def _options(words: list[str]) -> dict[str, str]:
    """Each option with what follows it."""
    pairs = zip(words, [*words[1:], "--"], strict=True)
    return {word: "" if value.startswith("--") else value for word, value in pairs if word.startswith("--")}


def test_kserve_starts_what_was_planned(outcome: Outcome, inputs: Inputs) -> None:
    drafts = Drafting("eagle3", 3, 0.7, "x/it's $(head)", "a card")
    changed = _changed(outcome, kv_cache="fp8", drafts=drafts)
    (server,) = _servers(changed, inputs)
    found, page = _written(changed, inputs)
    spec = found["chat-kserve.yaml"]["spec"]
    assert spec["model"] == {"uri": "hf://x/y", "name": "x/y"}
    assert spec["router"] == {"route": {}, "gateway": {}}  # in turn, as replayed
    assert (spec["replicas"], spec["parallelism"]) == (2, {"tensor": 2})
    assert "worker" not in spec and "prefill" not in spec
    (container,) = spec["template"]["containers"]
    assert container["image"] == server.image
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 2}
    assert spec["template"]["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H200"}
    planned = list(server.serve or ())
    assert planned[:3] == ["vllm", "serve", "x/y"]
    assert _options(_started(container, ["--tensor-parallel-size", "2"])) == _options(planned[3:])
    assert "chat-kserve.yaml" in page


def test_another_router_asks_for_the_scheduler(outcome: Outcome, inputs: Inputs) -> None:
    changed = _changed(outcome)
    plan = changed.plans[0]
    routed = replace(plan, simulated=tuple(replace(one, router=Router.LEAST_OUTSTANDING) for one in plan.simulated))
    found, _ = _written(replace(changed, plans=(routed,)), inputs)
    assert found["chat-kserve.yaml"]["spec"]["router"]["scheduler"] == {}


def test_kserve_spreads_attention_ranks_over_nodes_as_planned(outcome: Outcome, inputs: Inputs) -> None:
    shape = {"tensor_parallel": 2, "attention_dp": 4, "expert_parallel": 8}
    changed = _changed(outcome, crosses_nodes=True, replicas=1, **shape)
    (server,) = _servers(changed, inputs)
    spec = _written(changed, inputs)[0]["chat-kserve.yaml"]["spec"]
    assert server.nodes == 2
    assert spec["parallelism"] == {"tensor": 2, "data": 4, "dataLocal": 2, "expert": True}
    own = ["--tensor-parallel-size", "2", "--data-parallel-size", "4", "--data-parallel-size-local", "2"]
    for pod in (spec["template"], spec["worker"]):
        (container,) = pod["containers"]
        assert container["resources"]["limits"] == {"nvidia.com/gpu": 4}
        started = _started(container, [*own, "--enable-expert-parallel"])
        assert _options(started) == _options(list(server.serve or ())[3:])
    assert "startupProbe" not in spec["worker"]["containers"][0]  # KServe probes the one that serves


def test_kserve_has_both_pools_of_vllm(outcome: Outcome, inputs: Inputs) -> None:
    pooled = _pools(outcome)
    before, after = _servers(pooled, inputs)
    spec = _written(pooled, inputs)[0]["chat-kserve.yaml"]["spec"]
    assert "scheduler" in spec["router"]  # which picks a worker of each pool
    for server, part in ((before, spec["prefill"]), (after, spec)):
        assert (part["replicas"], part["parallelism"]["tensor"]) == (
            server.group.replicas, server.group.tensor_parallel,
        )  # fmt: skip
        (container,) = part["template"]["containers"]
        assert container["resources"]["limits"] == {"nvidia.com/gpu": server.gpus}
        tensor = ["--tensor-parallel-size", str(server.group.tensor_parallel)]
        started = _options(_started(container, tensor))
        assert started == _options(list(server.serve or ())[3:])
        assert "NixlConnector" in started["--kv-transfer-config"]
        assert started["--max-num-seqs"] == str(server.group.max_num_seqs)
        assert "VLLM_NIXL_SIDE_CHANNEL_HOST" in {one["name"] for one in container["env"]}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"engine": "sglang"}, "its configurations start vLLM, not sglang"),
        ({"published_as": "/srv/weights"}, "have no name on the Hugging Face hub"),
        (
            {"tensor_parallel": 4, "pipeline_parallel": 2, "crosses_nodes": True},
            "by attention ranks alone, not by stages",
        ),
    ],
)
def test_kserve_says_what_it_cannot(changes: dict[str, Any], why: str, outcome: Outcome, inputs: Inputs) -> None:
    found, page = _written(_changed(outcome, **changes), inputs)
    assert "chat-kserve.yaml" not in found
    assert "chat: no KServe form, as" in page and why in page


def test_an_option_that_kserve_adds_to_an_older_engine_is_named(outcome: Outcome, inputs: Inputs) -> None:
    facts = load_facts()
    known = {name: dict(options) for name, options in facts.options.options.items()}
    del known["vllm serve"]["--headless"]
    poorer = replace(facts, options=replace(facts.options, options=known))
    across = _changed(outcome, crosses_nodes=True, tensor_parallel=2, attention_dp=4, expert_parallel=8)
    page = launch_files(across, across.plans[0], inputs.catalog, poorer)[0].text
    assert "chat-kserve.yaml: vllm serve 0.33.0 does not know --headless" in page


# Dynamo


@pytest.mark.parametrize(("engine", "version"), [("vllm", "0.28.0"), ("vllm", None), ("sglang", "0.5.16")])
def test_dynamo_runs_both_pools_in_the_release_of_the_engine(
    engine: str, version: str | None, outcome: Outcome, inputs: Inputs
) -> None:
    pooled = _pools(outcome, engine)
    servers = {str(one.group.role): one for one in _servers(pooled, inputs, version)}
    release = release_with(load_facts().dynamo[engine], version or "")
    assert release is not None
    found, page = _written(pooled, inputs, version)
    components = {one["type"]: one for one in found["chat-dynamo.yaml"]["spec"]["components"]}
    assert set(components) == {"frontend", "prefill", "decode"}
    assert components["frontend"]["replicas"] == 1
    for role, server in servers.items():
        part = components[role]
        assert part["replicas"] == server.group.replicas
        (container,) = part["podTemplate"]["spec"]["containers"]
        assert container["image"] == release.image
        assert container["command"] == ["python3", "-m", f"dynamo.{engine}"]
        assert container["resources"]["limits"] == {"nvidia.com/gpu": server.gpus}
        given = _options(container["args"])
        assert given["--disaggregation-mode"] == role
        group = server.group
        if engine == "vllm":
            assert (given["--model"], given["--tensor-parallel-size"]) == ("x/y", str(group.tensor_parallel))
            assert given["--max-num-seqs"] == str(group.max_num_seqs)
            assert "NixlConnector" in given["--kv-transfer-config"]
        else:
            assert (given["--model-path"], given["--tp-size"]) == ("x/y", str(group.tensor_parallel))
            assert given["--max-running-requests"] == str(group.max_num_seqs)
            assert given["--disaggregation-transfer-backend"] == "nixl"
        if version:  # the same options as in the script
            assert set(_options(list(server.serve or ()))) <= set(given)
    assert "chat-dynamo.yaml: " not in page  # every option exists in the engine of the release


@pytest.mark.parametrize(
    ("engine", "version", "changes", "why"),
    [
        ("vllm", "0.33.0", {}, "no release that was read holds vllm 0.33.0, only 0.23.0 (1.3.1), 0.26.0 (1.4.2)"),
        ("trtllm", None, {}, "release candidates of TensorRT-LLM whose options were not read"),
        ("vllm", None, {"crosses_nodes": True, "gpus_per_node": 1, "pipeline_parallel": 2}, "spans several nodes"),
        ("vllm", None, {"gpu": "mi300x_192"}, "its images are for NVIDIA cards"),
    ],
)
def test_dynamo_says_what_it_cannot(
    engine: str, version: str | None, changes: dict[str, Any], why: str, outcome: Outcome, inputs: Inputs
) -> None:
    found, page = _written(_pools(outcome, engine, changes), inputs, version)
    assert "chat-dynamo.yaml" not in found
    assert "no Dynamo form, as" in page and why in page


def test_pools_are_not_scaled_and_it_says_so(outcome: Outcome, inputs: Inputs) -> None:
    found, page = _written(_pools(outcome), inputs)
    assert not [name for name in found if "autoscaling" in name]
    assert "no autoscaling of the pools" in page


def test_a_field_that_was_not_read_is_named() -> None:
    known = load_facts().fields
    document: Any = {"apiVersion": "nvidia.com/v1beta1", "kind": "DynamoGraphDeployment", "metadata": {}}
    wrong = {**document, "spec": {"components": [{"name": 3, "extraPodSpec": {}}]}}
    assert list(known.doubts(wrong)) == [
        "spec.components[].name of DynamoGraphDeployment nvidia.com/v1beta1 is string, not integer",
        "DynamoGraphDeployment nvidia.com/v1beta1 has no field spec.components[].extraPodSpec",
    ]
    (told,) = known.doubts({**document, "apiVersion": "nvidia.com/v9", "spec": {}})
    assert "DynamoGraphDeployment nvidia.com/v9 were not read" in told
