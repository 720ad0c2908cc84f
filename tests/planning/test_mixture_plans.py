"""Plans of mixtures: which shape wins where, that nothing cheaper keeps its promises, and that verification knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from optimizer.decide import decide
from optimizer.fleet.funnel import configuration_allowed
from optimizer.fleet.instance import slot_facts
from optimizer.fleet.lower_bounds import UsableOptions
from optimizer.plan.types import Infeasible, Outcome, Plan
from optimizer.planning.inputs import Inputs, read_inputs
from optimizer.planning.replicas_replayed import Replayer, Trial, replica_of
from optimizer.planning.sequences import ROOM
from optimizer.problem import parts_of
from optimizer.simulate.draws import poisson, stream
from optimizer.simulate.fleet import serve
from optimizer.units import ceil_guarded
from optimizer.verify import verify_plan
from optimizer.vocabulary import Router
from optimizer.whatif.case import Case, open_case

pytestmark = pytest.mark.cards("h200_sxm_141", "h100_sxm_80")

CASES = {
    "many users, patient": ("deepseek-ai/DeepSeek-V3", "{requests_per_second: 20}", 100),
    "few users, in a hurry": ("deepseek-ai/DeepSeek-V3", "{concurrency: 8}", 25),
}

TEXT = """
name: a mixture of experts
workloads:
  - name: chat
    model: MODEL
    traffic: TRAFFIC
    tokens: {input: 500, output: 300, context_max: 8192}
    slo: {ttft_ms: 3000, tpot_ms: TPOT, percentile: 95}
hardware: {gpus: [h200_sxm_141]}
engine: {weight_quant: [fp8], kv_cache: [auto], pipeline_parallel: [1]}
ranking: {top: 3, distinct_by: [configuration]}
"""

SMALL = """
name: a small mixture on a few cards
workloads:
  - name: chat
    model: Qwen/Qwen3-30B-A3B
    traffic: TRAFFIC
    tokens: {input: 900, output: 250, context_max: 8192}
    slo: {ttft_ms: {p95: 1500}, tpot_ms: {p95: 60}}
hardware: {gpus: [h100_sxm_80]}
engine: {weight_quant: [bf16], kv_cache: [auto], pipeline_parallel: [1], tensor_parallel: [1, 2, 4]}
ranking: {top: 6, distinct_by: [configuration]}
"""


def read(folder: Path, text: str) -> Inputs:
    path = folder / "mixture.yaml"
    path.write_text(text)
    return read_inputs(path)


def stated(name: str) -> str:
    model, traffic, tpot = CASES[name]
    return TEXT.replace("MODEL", model).replace("TRAFFIC", traffic).replace("TPOT", str(tpot))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return read(tmp_path_factory.mktemp("many"), stated("many users, patient"))


@pytest.fixture(scope="module")
def outcome(inputs: Inputs) -> Outcome:
    return decide(inputs)


@pytest.fixture(scope="module")
def of_eight(inputs: Inputs) -> Plan:
    """The best plan of eight attention ranks, one GPU each."""
    return decide(inputs.with_sets(["engine.attention_dp=[8]", "engine.expert_parallel=node"])).plans[0]


def test_attention_ranks_win_where_throughput_is_bought(inputs: Inputs, outcome: Outcome) -> None:
    best = outcome.plans[0]
    (group,) = best.groups
    assert group.attention_dp > 1 and group.tensor_parallel * group.attention_dp == group.expert_parallel == 8
    alone = decide(inputs.with_sets(["engine.expert_parallel=off"])).plans[0]
    assert alone.groups[0].split == "TP8"
    assert best.monthly_cents < alone.monthly_cents
    assert alone.monthly_cents == decide(inputs.with_sets(["engine.attention_dp=[1]"])).plans[0].monthly_cents


def test_tensor_parallelism_wins_where_a_few_requests_are_to_be_fast(tmp_path: Path) -> None:
    few = read(tmp_path, stated("few users, in a hurry"))
    best = decide(few).plans[0]
    assert (best.groups[0].split, best.groups[0].replicas) == ("TP8", 1)
    assert isinstance(decide(few.with_sets(["engine.attention_dp=[8]", "engine.expert_parallel=node"])), Infeasible)


def test_every_plan_is_replayed_rank_by_rank_and_verified(inputs: Inputs, outcome: Outcome) -> None:
    for plan in outcome.plans:
        assert all(replay.kept for replay in plan.simulated)
        assert not list(verify_plan(inputs.problem, inputs.catalog, inputs.params, plan))


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({"attention_dp": 4}, {"parallelism"}),
        ({"expert_parallel": 4}, {"parallelism"}),
        ({"expert_parallel": 1}, {"parallelism"}),
        ({"tensor_parallel": 2}, {"parallelism"}),
        ({"pipeline_parallel": 2}, {"parallelism"}),
        ({"attention_dp": 1, "tensor_parallel": 8}, {"memory"}),
        ({"attention_dp": 0}, {"references"}),
        ({"engine": "tgi"}, {"identity", "parallelism"}),
        ({"link": "pcie"}, {"identity"}),
        ({"max_num_seqs": 100_000}, {"sequences"}),
    ],
)
def test_a_plan_with_another_degree_is_found(
    change: dict[str, Any], rules: set[str], inputs: Inputs, of_eight: Plan
) -> None:
    assert not list(verify_plan(inputs.problem, inputs.catalog, inputs.params, of_eight))
    other = replace(of_eight, groups=(replace(of_eight.groups[0], **change),))
    found = {one.rule for one in verify_plan(inputs.problem, inputs.catalog, inputs.params, other)}
    assert rules <= found


@pytest.mark.parametrize("edit", ["engine.attention_dp=[1, 4]", "engine.expert_parallel=off"])
def test_a_plan_with_a_degree_that_is_not_asked_for_is_found(edit: str, inputs: Inputs, of_eight: Plan) -> None:
    narrowed = inputs.with_sets([edit])
    found = {one.rule for one in verify_plan(narrowed.problem, narrowed.catalog, narrowed.params, of_eight)}
    assert "engine settings" in found


def test_the_replay_is_that_of_as_many_servers_as_there_are_ranks(inputs: Inputs, outcome: Outcome) -> None:
    """Requests dealt to every rank of every replica in turn, each with step times that carry the others."""
    group = outcome.plans[0].groups[0]
    case = open_case(inputs)
    spec = next(
        one.spec for one in case.candidates.candidates
        if (one.spec.split, one.spec.weight_quant, one.spec.kv_cache) == ("DP8 EP8", "fp8", "auto")
    )  # fmt: skip
    trial, lengths = Trial(0, spec, group.replicas, 1.0), parts_of(inputs.problem)[0].lengths
    replica = replica_of(inputs, spec, lengths)
    given = stream(poisson(20.0, 4000), lengths)
    seen = serve(replica.c, replica.open_loop, given, 8 * group.replicas, Router.ROUND_ROBIN)
    told = Replayer(inputs).replay(trial)
    assert told.replicas == group.replicas
    assert told.tpot_ms.mean == pytest.approx(1e3 * float(seen.tpot[1500:3500].mean()), rel=0.05)
    assert set(seen.replica.tolist()) == set(range(8 * group.replicas))


def test_slots_are_those_of_a_rank(inputs: Inputs, outcome: Outcome) -> None:
    """max_num_seqs has room for the requests in flight of one rank, not of the replica."""
    plan = outcome.plans[0]
    each = plan.predicted[0].concurrency / plan.groups[0].replicas / plan.groups[0].attention_dp
    assert each < plan.groups[0].max_num_seqs <= ceil_guarded(ROOM * (each + 2.4 * each**0.5)) + 1


def exhaustive(case: Case, replayer: Replayer) -> Iterator[tuple[object, int]]:
    """The key and the cost of every candidate at the fewest replicas that keep every promise, none inferred."""
    rules = case.candidates.rules
    market = UsableOptions(option for option in case.options if not rules.forbidden_by(option))
    fewest: dict[object, int | None] = {}
    for one in case.candidates.candidates:
        if not (configuration_allowed(one, rules) and market.options(one.node_type)):
            continue
        kind = Trial(0, one.spec, 1, 1.0).key
        if kind not in fewest:
            trials = (Trial(0, one.spec, count, 1.0) for count in range(1, 25))
            within = (trial for trial in trials if replayer.beyond_saturation(trial) is None)
            fewest[kind] = next((trial.replicas for trial in within if replayer.replay(trial).kept), None)
        count = fewest[kind]
        cents = None if count is None else market.cheapest(one.node_type, one.nodes_for(count))
        if cents is not None:
            yield slot_facts(one, rules), cents


@pytest.mark.parametrize("traffic", ["{requests_per_second: 40}", "{concurrency: 300}"])
def test_replaying_every_shape_finds_nothing_cheaper(traffic: str, tmp_path: Path) -> None:
    small = read(tmp_path, SMALL.replace("TRAFFIC", traffic))
    case = open_case(small)
    best: dict[object, int] = {}
    for key, cents in exhaustive(case, Replayer(small)):
        best[key] = min(cents, best.get(key, cents))
    plans = decide(small).plans
    costs = [plan.monthly_cents for plan in plans]
    assert costs[0] == min(best.values())
    assert not Counter(costs) - Counter(best.values())
    assert {cents for cents in best.values() if cents < costs[-1]} <= set(costs)  # what is beaten at its money is left
    assert len({(plan.groups[0].split, plan.groups[0].link) for plan in plans}) == len(plans)
