"""Plans with a prefill and a decode pool as replayed: where unlike cards win, where pools lose or cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from optimizer.decide import solve_problem
from optimizer.errors import ProblemError
from optimizer.fleet.candidate_set import enumerate_candidates
from optimizer.fleet.screening import prepare
from optimizer.fleet.solve import build_model, model_text
from optimizer.plan.types import Outcome, Plan, Unknown
from optimizer.planning.inputs import read_inputs
from optimizer.planning.pool_search import PoolSearch
from optimizer.planning.pools_replayed import PoolTrial
from optimizer.planning.replicas_replayed import ReplayMemory
from optimizer.pricing import node_options
from optimizer.progress import NO_LIMIT
from optimizer.report import render
from optimizer.vocabulary import Role
from optimizer.whatif.case import open_case

UNLIKE = "rag_disaggregated_unlike"
PROBLEM = Path(__file__).parents[2] / "problems" / f"{UNLIKE}.yaml"

AGENTS = """
name: agents with long prompts
workloads:
  - name: agents
    model: Qwen/Qwen3-32B
    traffic: {requests_per_second: 3}
    tokens: {input: 24000, output: 600, context_max: 32768}
    slo: {ttft_ms: {p95: 20000}, tpot_ms: {p95: 80}}
hardware: {gpus: [h100_sxm_80], providers: [supplier]}
engine: {disaggregation: any, weight_quant: [fp8], kv_cache: [auto], tensor_parallel: [2, 4], pipeline_parallel: [1]}
ranking: {top: 1}
offers:
  - {id: node, provider: supplier, gpu: h100_sxm_80, gpus_per_node: 8, nvlink: yes, price_per_hour: 18, region: eu-1,
     network_gbps: 100}
"""


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("agents") / "agents.yaml"
    path.write_text(AGENTS)
    return path


def pool(plan: Plan, role: Role):
    return next(group for group in plan.groups if group.role is role)


def test_pools_on_unlike_cards_win_and_are_proven_to(solved) -> None:
    outcome: Outcome = solved(UNLIKE)
    best, plain = outcome.plans[0], solved(UNLIKE, "engine.disaggregation=off").plans[0]
    assert (pool(best, Role.PREFILL).gpu, pool(best, Role.DECODE).gpu) == ("h100_sxm_80", "h20_96")
    assert best.proven
    assert best.without_pools_cents == plain.monthly_cents > best.monthly_cents
    assert all(replay.kept for replay in best.simulated)
    assert [(row.role, row.replicas) for row in best.minimality] == [
        (group.role, group.replicas) for group in best.groups
    ]
    assert all(row.fewer is not None and row.fewer.monthly_cents < best.monthly_cents for row in best.minimality)


def test_what_serves_only_as_a_pool_is_not_left_out_for_what_it_costs_alone(agents: Path) -> None:
    """`optimize frontier` found no plan at a load that pools carry: each kind alone cost more than they do."""
    case = open_case(read_inputs(agents))
    assert case.cheaper_than(1).candidates.candidates == case.candidates.candidates
    plain = open_case(read_inputs(agents, sets=["engine.disaggregation=off"]))
    assert not plain.cheaper_than(1).candidates.candidates


def test_every_list_is_below_the_cheapest_plan_without_pools(solved) -> None:
    plans = solved(UNLIKE).plans
    plain = min(plan.monthly_cents for plan in plans if not plan.has_pools)
    assert all(plan.monthly_cents < plain for plan in plans if plan.has_pools)


def test_no_pools_leave_paid_cards_idle_or_a_better_pair_unlisted(solved) -> None:
    """At $65,700 the solver took 9 decode workers beside 15; another pair on the same nodes carried more, faster."""
    second = solved(UNLIKE).plans[1]
    assert not any(node.idle_gpus for plan in solved(UNLIKE).plans for node in plan.nodes)
    assert second.monthly_cents == 6_570_000
    assert second.load_factor > 1.2
    assert [group.tensor_parallel for group in second.groups] == [1, 2]


def test_the_screen_names_both_pools(solved) -> None:
    text = render(solved(UNLIKE), "text")
    assert "prefill 16x TP1 H100 SXM, decode 8x TP4 H20 96GB; caches sent over the nodes' network" in (
        " ".join(text.split())
    )
    assert '"role": "prefill"' in render(solved(UNLIKE), "json")


def test_long_prompts_over_a_narrow_network_stay_without_pools(agents: Path) -> None:
    """Each prompt's cache is 6.3 GB: 100 Gb/s carry little more than one of them a second."""
    best = solve_problem(agents).plans[0]
    assert not best.has_pools
    off = solve_problem(agents, sets=["engine.disaggregation=off"]).plans[0]
    assert (best.monthly_cents, best.groups, best.nodes) == (off.monthly_cents, off.groups, off.nodes)
    required = solve_problem(agents, sets=["engine.disaggregation=required"]).plans[0]
    assert required.has_pools
    assert required.monthly_cents > best.monthly_cents


def test_without_a_stated_network_pools_stay_on_one_node(agents: Path, tmp_path: Path) -> None:
    path = tmp_path / "alone.yaml"
    path.write_text(AGENTS.replace(",\n     network_gbps: 100", "").replace("any", "required"))
    outcome = solve_problem(path)
    assert not outcome.plans  # three requests a second are more than one node takes
    small = solve_problem(path, sets=["workloads.agents.traffic.requests_per_second=0.2"]).plans[0]
    assert small.has_pools
    assert sum(line.count for line in small.nodes) == 1
    assert pool(small, Role.PREFILL).offer_id == pool(small, Role.DECODE).offer_id  # both share it


def test_more_workers_of_either_pool_keep_what_fewer_keep(agents: Path) -> None:
    inputs = read_inputs(agents)
    options = node_options(inputs.problem, inputs.catalog)
    candidates = enumerate_candidates(inputs.problem, inputs.catalog, options, inputs.params)
    racing = [one for one in candidates.candidates if one.spec.weight_quant == "fp8" and one.spec.kv_cache == "auto"]
    racing = [one for one in racing if one.node_type.fabric_gbps == 100 and one.spec.tensor_parallel == 4]
    search = PoolSearch(inputs, candidates, racing, options, ReplayMemory(), NO_LIMIT)
    known = next(one for one in search.pairs if not one.pair.inside)
    trial = PoolTrial(known.pair, *known.least)
    latencies = [
        max(one.with_margin_s / one.limit_s for one in search.replayer.replay(more).promises)
        for more in (trial, replace(trial, prefill=trial.prefill + 2), replace(trial, decode=trial.decode + 4))
    ]
    assert latencies[1] <= latencies[0]
    assert latencies[2] <= latencies[0] * 1.001


def test_every_rule_of_pools_has_a_row(agents: Path) -> None:
    few = "workloads.agents.traffic.requests_per_second=0.2"
    inputs = read_inputs(agents, sets=["engine.disaggregation=required", few])
    options = node_options(inputs.problem, inputs.catalog)
    candidates = enumerate_candidates(inputs.problem, inputs.catalog, options, inputs.params)
    racing = [one for one in candidates.candidates if one.spec.weight_quant == "fp8"]
    search = PoolSearch(inputs, candidates, racing, options, ReplayMemory(), NO_LIMIT)
    search.pairs[0].missed.append(search.pairs[0].least)
    asked = replace(candidates, pools=search.rows(10_000_000, None))
    text = model_text(build_model(prepare(asked, options, screens=True).instance))
    rows = ("one_pair", "worker", "capacity.prefill", "capacity.decode", "missed", "inside", "one_site", "pays")
    for row in (*(f"pools.{name}" for name in rows), "one_candidate[0]", "rule:engine.disaggregation"):
        assert row in text, row


@pytest.mark.parametrize(
    "edit",
    [
        "objective=minimize_gpus",
        "engine.name=tgi",
        "workloads.agents.tokens.shared_prefix=0.5",
        "workloads.agents.traffic.min_replicas=2",
        "ranking.max_configurations_per_workload=2",
    ],
)
def test_required_pools_are_refused_where_none_are_planned(agents: Path, edit: str) -> None:
    with pytest.raises(ProblemError, match="disaggregation is required, but"):
        read_inputs(agents, sets=["engine.disaggregation=required", edit])


def test_any_says_where_pools_are_left_out(agents: Path) -> None:
    outcome = solve_problem(agents, sets=["workloads.agents.traffic.min_replicas=1"])
    assert any("any leaves pools out here" in warning for warning in outcome.warnings)
    assert not outcome.plans[0].has_pools


def test_required_pools_need_replays(agents: Path) -> None:
    with pytest.raises(ProblemError, match="needs replays"):
        solve_problem(agents, sets=["engine.disaggregation=required"], simulate=False)


def test_pools_that_the_time_did_not_suffice_for_are_not_called_impossible() -> None:
    outcome = solve_problem(PROBLEM, sets=["engine.disaggregation=required"], time_limit=1.0)
    assert isinstance(outcome, Unknown)
