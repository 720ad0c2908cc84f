"""Plans whose replicas fill several nodes: where they win, what the fabric changes, that verification knows them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from optimizer.catalog import load_catalog
from optimizer.decide import decide
from optimizer.handover.launch import launch_files
from optimizer.handover.launch.facts import load_facts
from optimizer.plan.types import Outcome, Plan
from optimizer.planning.inputs import Inputs, read_inputs
from optimizer.report.json_report import render_json
from optimizer.verify import verify_plan

TEXT = """
name: a mixture on quoted nodes
workloads:
  - name: chat
    model: deepseek-ai/DeepSeek-V3
    traffic: {requests_per_second: 20}
    tokens: {input: 2000, output: 600, context_max: 32768}
    slo: {ttft_ms: {p95: 3000}, tpot_ms: {p95: 50}}
hardware: {providers: [supplier], gpus: [h200_sxm_141]}
offers:
  - {id: nodes, provider: supplier, gpu: h200_sxm_141, gpus_per_node: 8, nvlink: yes, price_per_hour: 30, stock: 40}
engine: {weight_quant: [fp8], kv_cache: [auto], pipeline_parallel: [1], tensor_parallel: [1, 2, 8]}
ranking: {top: 1}
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    path = tmp_path_factory.mktemp("wide") / "problem.yaml"
    path.write_text(TEXT)
    return read_inputs(path)


@pytest.fixture(scope="module")
def wide(inputs: Inputs) -> Inputs:
    return inputs.with_sets(["offers.nodes.network_gbps=3200"])


@pytest.fixture(scope="module")
def outcome(wide: Inputs) -> Outcome:
    return decide(wide)


@pytest.fixture(scope="module")
def plan(outcome: Outcome) -> Plan:
    return outcome.plans[0]


def test_fewer_replicas_cost_less_by_all_the_nodes_that_they_span(wide: Inputs) -> None:
    """A replica of two nodes fewer costs two nodes less, not one."""
    (plan,) = decide(wide.with_sets(["workloads.chat.traffic.requests_per_second=45"]), tested=False).plans
    (group,), (node,), (one,) = plan.groups, plan.nodes, plan.minimality
    spanned = group.tensor_parallel * group.attention_dp // node.gpus_per_node
    assert spanned > 1
    assert one.fewer is not None
    per_node = plan.monthly_cents / node.count
    assert one.fewer.monthly_cents == pytest.approx(per_node * spanned * one.fewer.replicas)


def test_ranks_over_nodes_win_where_a_node_has_little_room(plan: Plan) -> None:
    (group,) = plan.groups
    assert group.ranks_over_nodes
    assert group.gpus in (16, 32, 64) and group.expert_parallel == group.gpus
    assert sum(node.count for node in plan.nodes) == group.replicas * group.gpus // 8
    assert group.interconnect == "nvlink"
    assert plan.grade == "C"


def test_more_fabric_is_never_dearer_and_less_than_400_a_gpu_is_none(inputs: Inputs) -> None:
    best = [
        decide(inputs.with_sets([f"offers.nodes.network_gbps={fabric}"]), simulate=False).plans[0]
        for fabric in ("null", 3199, 3200, 6400)
    ]
    costs = [plan.monthly_cents for plan in best]
    assert costs[0] == costs[1] > costs[2] == costs[3]
    assert [plan.groups[0].ranks_over_nodes for plan in best] == [False, False, True, True]


def test_it_is_replayed_and_verified(wide: Inputs, plan: Plan) -> None:
    assert all(replay.kept for replay in plan.simulated)
    assert not list(verify_plan(wide.problem, wide.catalog, wide.params, plan))


@pytest.mark.parametrize(
    "change",
    [
        {"attention_dp": 3}, {"expert_parallel": 8}, {"crosses_nodes": False}, {"interconnect": "pcie"},
        {"pipeline_parallel": 2}, {"link": "pcie"}, {"engine_version": "0.25.0"}, {"tensor_parallel": 16},
    ],
)  # fmt: skip
def test_a_plan_with_another_shape_is_found(change: dict[str, Any], wide: Inputs, plan: Plan) -> None:
    other = replace(plan, groups=(replace(plan.groups[0], **change),))
    assert {one.rule for one in verify_plan(wide.problem, wide.catalog, wide.params, other)} & {
        "parallelism", "identity", "engine settings", "placement",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        ("offers.nodes.network_gbps=3199", "parallelism"),
        ("offers.nodes.network_gbps=null", "parallelism"),
        ("engine.version=0.25.0", "parallelism"),
        ("engine.expert_parallel=node", "engine settings"),
        ("hardware.nvlink=required", "nvlink required"),
        ("offers.nodes.stock=1", "stock"),
    ],
)
def test_a_plan_that_another_problem_forbids_is_found(edit: str, rule: str, wide: Inputs, plan: Plan) -> None:
    asked = wide.with_sets([edit])
    assert rule in {one.rule for one in verify_plan(asked.problem, asked.catalog, asked.params, plan)}


def test_fewer_nodes_in_stock_than_a_replica_fills(wide: Inputs) -> None:
    """One node left: no replica over two of them, whatever they cost; the load has to be small enough for one."""
    few = wide.with_sets(["offers.nodes.stock=1", "workloads.chat.traffic.requests_per_second=1"])
    (group,) = decide(few).plans[0].groups
    assert not group.crosses_nodes


def test_why_not_over_nodes_names_the_fabric(inputs: Inputs) -> None:
    from optimizer.negotiate.why_not import why_not

    sets = ["hardware.gpus=[h200_sxm_141, h20_141]"]
    told = why_not(inputs.problem, "h20_141 dp16", catalog=inputs.catalog, sets=sets, simulate=False)
    (reason,) = told.impossible
    assert "need 400 Gb/s for each GPU; the offer states no network between nodes" in reason


def test_the_answer_for_machines_says_the_degrees(outcome: Outcome, plan: Plan) -> None:
    (group,) = json.loads(render_json(outcome))["plans"][0]["groups"]
    planned = plan.groups[0]
    degrees = (planned.tensor_parallel, planned.attention_dp, planned.expert_parallel)
    assert (group["tensor_parallel"], group["attention_dp"], group["expert_parallel"]) == degrees


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_every_node_of_a_replica_is_started(engine: str, outcome: Outcome, plan: Plan) -> None:
    group = replace(plan.groups[0], engine=engine, tensor_parallel=2, attention_dp=8, expert_parallel=16)
    changed = replace(plan, groups=(group,))
    files = {file.name: file.text for file in launch_files(outcome, changed, load_catalog(), load_facts())}
    script, manifest = files["chat-serve.sh"], files["chat-kubernetes.yaml"]
    for text in (script, manifest):
        if engine == "vllm":
            assert "--all2all-backend" in text and "deepep_v2" in text
            assert "--headless --data-parallel-start-rank" in text and "* 4))" in text
            assert "--distributed-executor-backend" not in text and "ray" not in text
        else:
            assert "--nnodes" in text and "--dist-init-addr" in text and "--moe-a2a-backend" in text
    assert "size: 2" in manifest and "IPC_LOCK" in manifest
    assert "400 Gb/s or more for each GPU" in files["README.md"]


def test_the_row_to_measure_is_the_replica_that_was_planned(outcome: Outcome, plan: Plan) -> None:
    files = {file.name: file.text for file in launch_files(outcome, plan, load_catalog(), load_facts())}
    header, row = (line.split(",") for line in files["chat-measurement.csv"].splitlines())
    cells = dict(zip(header, row, strict=True))
    group = plan.groups[0]
    assert (cells["interconnect"], int(cells["nodes"])) == ("nvlink", group.gpus // 8)
    assert int(cells["attention_dp"]) == group.attention_dp
