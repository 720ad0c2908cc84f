"""Launch files: what they start is what was planned, whatever the names; manifests follow the Kubernetes schemas."""

from __future__ import annotations

import itertools
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

from optimizer.handover.launch import LaunchFile, launch_files
from optimizer.handover.launch.facts import load_facts
from optimizer.handover.launch.server import Server, busiest_layouts, layouts, servers_of
from optimizer.handover.safe_text import bash_line, plain, slug
from optimizer.plan.types import Outcome, Plan, Remainder, StandsAt
from optimizer.planning.inputs import Inputs
from optimizer.vocabulary import Survive

GOLDEN = Path(__file__).parent / "golden" / "launch"
RECORDER = '#!/usr/bin/env bash\nprintf \'%s\\0\' "$0" "$@" > "$RECORD.$$"\n'
SKY_KEYS = {"name", "num_nodes", "resources", "secrets", "setup", "run"}
SKY_RESOURCES = {"infra", "instance_type", "accelerators", "use_spot", "disk_size", "ports"}


def _files(outcome: Outcome, inputs: Inputs, rank: int = 1, version: str | None = None) -> dict[str, LaunchFile]:
    plan = outcome.plans[rank - 1]
    return {f.name: f for f in launch_files(outcome, plan, inputs.catalog, load_facts(), version)}


def _servers(outcome: Outcome, plan: Plan, inputs: Inputs) -> list[Server]:
    return servers_of(outcome, plan, inputs.catalog, load_facts(), None)


def _documents(text: str) -> list[Any]:
    return list(YAML(typ="safe", pure=True).load_all(text))


def _run(script: str, tmp_path: Path, environment: dict[str, str] | None = None) -> list[list[str]]:
    """Run a script with recorders in place of engines; the commands it started."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("vllm", "sglang", "python", "trtllm-serve", "pip"):
        (tools / tool).write_text(RECORDER)
        (tools / tool).chmod(0o755)
    path = tmp_path / "script.sh"
    path.write_text(script, encoding="utf-8")
    result = subprocess.run(
        ["bash", str(path)],
        cwd=tmp_path,
        env={"PATH": f"{tools}:{os.environ['PATH']}", "RECORD": str(tmp_path / "record"), "LC_ALL": "C.UTF-8"}
        | (environment or {}),
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "pwned").exists()
    runs = [path.read_bytes().decode().split("\0")[:-1] for path in sorted(tmp_path.glob("record.*"))]
    return [[Path(words[0]).name, *words[1:]] for words in runs]


@pytest.mark.parametrize(
    ("router", "line"),
    [("round_robin", ""), ("least_outstanding", "least_conn;"), ("prefix_affinity", "hash $$http_x_session_id")],
)
def test_the_balancer_does_what_the_replay_assumed(router: str, line: str, outcome: Outcome, inputs: Inputs) -> None:
    plan = outcome.plans[0]
    routed = replace(plan, simulated=tuple(replace(one, router=router) for one in plan.simulated))
    files = {file.name: file.text for file in launch_files(outcome, routed, inputs.catalog, load_facts())}
    assert "upstream chat {" in files["compose.yaml"]
    assert ("least_conn" in files["compose.yaml"], "hash $$" in files["compose.yaml"]) == (
        router == "least_outstanding",
        router == "prefix_affinity",
    )
    assert line in files["compose.yaml"]


def test_hostile_names_start_exactly_what_was_planned(hostile: Outcome, inputs: Inputs, tmp_path: Path) -> None:
    if "\0" in hostile.plans[0].groups[0].model:  # no program can be given such a name
        hostile = replace(
            hostile,
            plans=(
                replace(hostile.plans[0], groups=(replace(hostile.plans[0].groups[0], model="m"),)),
                hostile.plans[1],
            ),
        )
    files = _files(hostile, inputs)
    server = _servers(hostile, hostile.plans[0], inputs)[0]
    serve = next(file for name, file in files.items() if name.endswith("-serve.sh"))
    assert _run(serve.text, tmp_path) == [server.command(8000)]
    assert server.group.model in server.command(8000)
    for file in files.values():
        assert all(char.isprintable() or char == "\n" for char in file.text), file.name
        assert Path(file.name).name == file.name
        assert file.name.isascii()


def test_hostile_names_in_manifests(hostile: Outcome, inputs: Inputs) -> None:
    for file in _files(hostile, inputs).values():
        if not file.name.endswith("kubernetes.yaml"):
            continue
        deployment, service = _documents(file.text)
        kubernetes_validate.validate(deployment, "1.30", strict=True)
        kubernetes_validate.validate(service, "1.30", strict=True)
        command = deployment["spec"]["template"]["spec"]["containers"][0]["command"]
        planned = _servers(hostile, hostile.plans[0], inputs)[0].command(8000)
        assert [word.replace("$$(", "$(") for word in command] == planned
        assert not any("$(" in word.replace("$$(", "") for word in command)


def test_hostile_names_in_compose(hostile: Outcome, inputs: Inputs) -> None:
    (document,) = _documents(_files(hostile, inputs, rank=1)["compose.yaml"].text)
    servers = [service for name, service in document["services"].items() if name != "balancer"]
    planned = _servers(hostile, hostile.plans[0], inputs)[0].command(8000)
    assert len(servers) == 2
    for service in servers:
        assert "$" not in "".join(service["entrypoint"]).replace("$$", "")
        assert [word.replace("$$", "$") for word in service["entrypoint"]] == planned


def test_hostile_names_in_the_notes(hostile: Outcome, inputs: Inputs) -> None:
    parser = MarkdownIt("commonmark").enable("table")
    tokens = parser.parse(_files(hostile, inputs)["README.md"].text)
    inline = [child.type for token in tokens for child in token.children or ()]
    assert not {"html_block", "html_inline", "link_open", "image"} & {*inline, *(token.type for token in tokens)}
    assert sum(token.type == "heading_open" for token in tokens) == 8
    widths = {tuple(row) for row in _table_widths(tokens)}
    assert all(len(set(widths_of)) == 1 for widths_of in widths)


def _table_widths(tokens: list[Any]) -> list[list[int]]:
    tables: list[list[int]] = []
    for token in tokens:
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append(0)
        elif token.type in ("td_open", "th_open"):
            tables[-1][-1] += 1
    return tables


def test_benchmark_asks_one_server_for_its_share(outcome: Outcome, inputs: Inputs, tmp_path: Path) -> None:
    script = _files(outcome, inputs)["chat-benchmark.sh"].text
    (words,) = _run(script, tmp_path, {"PORT": "9", "RESULT": "a b.json"})
    assert words[:3] == ["vllm", "bench", "serve"]
    options = dict(itertools.pairwise(words))
    assert options["--max-concurrency"] == "50"  # 100 are promised in flight, on two servers
    assert options["--request-rate"] == "3.67"  # only staggers the start: the server finishes 3.33 a second
    assert int(options["--seed"]) > 1_000_000_000
    assert options["--port"] == "9"
    assert options["--result-filename"] == "a b.json"
    assert "TTFT p95: limit 1000 ms; expected 740 ms, 90 % range 500 to 1,100" in script


def test_every_assumed_setting_is_passed(outcome: Outcome, inputs: Inputs) -> None:
    group = outcome.plans[0].groups[0]
    words = _servers(outcome, outcome.plans[0], inputs)[0].command(8000)
    options = dict(itertools.pairwise(words))
    assert options["--tensor-parallel-size"] == str(group.tensor_parallel)
    assert options["--max-model-len"] == str(group.max_model_len)
    assert options["--max-num-seqs"] == str(group.max_num_seqs)
    assert options["--max-num-batched-tokens"] == str(group.max_num_batched_tokens)
    assert options["--gpu-memory-utilization"] == str(group.gpu_memory_utilization)


def _changed(outcome: Outcome, **changes: Any) -> Outcome:
    first = outcome.plans[0]
    groups = (replace(first.groups[0], **changes),)
    return replace(outcome, plans=(replace(first, groups=groups), *outcome.plans[1:]))


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
@pytest.mark.parametrize("kv_cache", ["auto", "fp8"])
def test_engines(engine: str, kv_cache: str, outcome: Outcome, inputs: Inputs, tmp_path: Path) -> None:
    changed = _changed(outcome, engine=engine, kv_cache=kv_cache, pipeline_parallel=2)
    files = _files(changed, inputs, version="1.2.3")
    (words,) = _run(files["chat-serve.sh"].text, tmp_path)
    text = " ".join(words)
    assert "--host 0.0.0.0" in text
    assert words[-2:] == ["--port", "8000"]
    assert ("fp8" in text.replace("--quantization fp8", "") or "llm-api-options" in text) == (kv_cache == "fp8")
    deployment = _documents(files["chat-kubernetes.yaml"].text)[0]
    kubernetes_validate.validate(deployment, "1.30", strict=True)
    pod = deployment["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"].endswith("1.2.3")
    assert pod["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": 4}
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H200"}


def test_engine_without_a_known_command_says_so(outcome: Outcome, inputs: Inputs) -> None:
    files = _files(_changed(outcome, engine="tgi"), inputs)
    assert set(files) == {"README.md", "chat-benchmark.sh", "chat-measurement.csv"}
    assert "no server command" in files["README.md"].text


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_server_across_nodes_is_a_leader_worker_set(engine: str, outcome: Outcome, inputs: Inputs) -> None:
    """LeaderWorkerSet is no part of the Kubernetes schemas: its pods are checked as those of a Deployment."""
    across = _changed(outcome, engine=engine, tensor_parallel=4, pipeline_parallel=2, replicas=1, crosses_nodes=True)
    files = _files(across, inputs)
    workload, service = _documents(files["chat-kubernetes.yaml"].text)
    assert (workload["apiVersion"], workload["kind"]) == ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet")
    template = workload["spec"]["leaderWorkerTemplate"]
    assert set(workload["spec"]) == {"replicas", "leaderWorkerTemplate"}
    assert set(template) == {"size", "restartPolicy", "leaderTemplate", "workerTemplate"}
    assert template["size"] == 2
    for pod in (template["leaderTemplate"], template["workerTemplate"]):
        wrapped = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "x"},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": pod},
        }
        kubernetes_validate.validate(wrapped, "1.30", strict=True)
        assert pod["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": 4}
        command = pod["spec"]["containers"][0]["command"]
        assert command[:2] == ["bash", "-c"]
        assert subprocess.run(["bash", "-n", "-c", command[2]], check=False).returncode == 0
    assert service["spec"]["selector"] == template["leaderTemplate"]["metadata"]["labels"]
    assert "compose.yaml" not in files


def test_skypilot_task_runs_every_server_on_its_cards(outcome: Outcome, inputs: Inputs, tmp_path: Path) -> None:
    plan = outcome.plans[0]
    rented = replace(plan, nodes=tuple(replace(n, provider="aws", instance_type="p5en.48xlarge") for n in plan.nodes))
    files = _files(replace(outcome, plans=(rented,)), inputs)
    (task,) = _documents(files["skypilot-quote-rent.yaml"].text)
    assert set(task) == SKY_KEYS
    assert set(task["resources"]) <= SKY_RESOURCES
    assert task["resources"]["infra"] == "aws"
    assert task["num_nodes"] == 1
    assert task["resources"]["ports"] == ["8000", "8001"]
    runs = _run(task["run"].replace("wait -n", "wait"), tmp_path)
    server = _servers(outcome, plan, inputs)[0]
    assert sorted(runs) == [server.command(8000), server.command(8001)]
    assert "CUDA_VISIBLE_DEVICES=0,1 " in task["run"]
    assert "CUDA_VISIBLE_DEVICES=2,3 " in task["run"]


def test_figures_of_a_rank_and_of_a_server_are_told_apart(outcome: Outcome, inputs: Inputs) -> None:
    dealt = _changed(outcome, tensor_parallel=1, attention_dp=2, expert_parallel=2)
    page = _files(dealt, inputs)["README.md"].text
    assert "requests at once of each rank (max-num-seqs)" in page
    assert "expected per server, all its ranks" in page
    plain = _files(outcome, inputs)["README.md"].text
    assert "| requests at once (max-num-seqs)" in plain and "| expected per server |" in plain


def test_servers_stand_where_the_plan_says(outcome: Outcome, inputs: Inputs) -> None:
    """Half of them at each of two sites, though the first site's nodes would hold them all."""
    plan = outcome.plans[0]
    (group,) = plan.groups
    first = replace(plan.nodes[0], count=2, spare=0, region="here")
    there = replace(first, region="there", offer_id="elsewhere")
    few = replace(plan, nodes=(first, there), groups=(replace(group, replicas=2),))
    at = tuple(StandsAt(first.provider, region, 1) for region in ("here", "there"))
    told = replace(few, remainder=(Remainder(group.workload, Survive.SITE, 1, 1, None, places=at),))
    for one, regions in ((told, {"here", "there"}), (few, {"here"})):
        laid = busiest_layouts(one, _servers(outcome, one, inputs))
        assert {layout.line.region for layout in laid if layout.placed} == regions


def test_bought_nodes_have_no_task(outcome: Outcome, inputs: Inputs) -> None:
    files = _files(outcome, inputs, rank=2)
    assert not [name for name in files if name.startswith("skypilot")]
    assert "bought or owned: nothing to launch" in files["README.md"].text


def test_reserve_is_listed_and_empty(outcome: Outcome, inputs: Inputs) -> None:
    nodes = layouts(outcome.plans[0].nodes, _servers(outcome, outcome.plans[0], inputs))
    assert [(layout.count, len(layout.placed)) for layout in nodes] == [(1, 2), (1, 0)]
    assert "none: in reserve" in _files(outcome, inputs)["README.md"].text


@given(sizes=st.lists(st.tuples(st.sampled_from([1, 2, 4, 8]), st.integers(1, 9)), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_placement_uses_each_card_once(sizes: list[tuple[int, int]], outcome: Outcome, inputs: Inputs) -> None:
    first = outcome.plans[0]
    server = _servers(outcome, first, inputs)[0]
    servers = [
        replace(server, name=f"s{i}", group=replace(server.group, tensor_parallel=tp, replicas=count, gpus_per_node=8))
        for i, (tp, count) in enumerate(sizes)
    ]
    total = sum(tp * count for tp, count in sizes)
    line = replace(first.nodes[0], gpus_per_node=8, count=-(-total // 8))
    cards = [
        (number, index, card)
        for number, layout in enumerate(layouts([line], servers))
        for index in range(layout.count)
        for placed in layout.placed
        for card in placed.gpus
    ]
    assert len(cards) == len(set(cards)) == total


def test_same_outcome_same_bytes(outcome: Outcome, inputs: Inputs) -> None:
    assert _files(outcome, inputs) == _files(outcome, inputs)


def test_golden(outcome: Outcome, inputs: Inputs) -> None:
    """Set UPDATE_GOLDEN=1 to write them anew, then read the difference."""
    files = _files(outcome, inputs)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.mkdir(parents=True, exist_ok=True)
        for file in files.values():
            (GOLDEN / file.name).write_text(file.text, encoding="utf-8")
    assert {path.name for path in GOLDEN.iterdir()} == set(files)
    for file in files.values():
        assert (GOLDEN / file.name).read_text(encoding="utf-8") == file.text


@pytest.mark.parametrize("word", ["", "a b", "'", '"', "$(x)", "a\nb", "\u202e", "\x01f", "!", "*", "~", "\\n", "é"])
def test_bash_word_is_exact(word: str) -> None:
    printed = subprocess.run(
        ["bash", "-c", f"printf %s {bash_line([word])}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert printed.stdout.decode() == word


def test_names() -> None:
    assert slug("Chat (8B)!") == "chat-8b"
    assert slug("中文", fallback="workload") == "workload"
    assert slug("42") == "group-42"
    assert slug("a", ["a", "a-2"]) == "a-3"
    assert plain("a\u202eb\nc\x00d") == "ab c d"
