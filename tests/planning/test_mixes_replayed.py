"""Two kinds of replica for one workload: as few of each as the replay shows, whatever the closed form asks for."""

from __future__ import annotations

from pathlib import Path

from benchmarks.replayed_optimum import expected_of
from optimizer.decide import decide
from optimizer.fleet.instance import CarriedShares
from optimizer.planning.inputs import read_inputs
from optimizer.planning.replicas_replayed import Replayer, Trial
from optimizer.whatif.case import open_case

SCARCE = """
name: a large card in short supply, a small one beside it
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 70}
    tokens: {input: 900, output: 120, context_max: 4096}
    slo: {ttft_ms: {p95: 1500}, tpot_ms: {p95: 60}}
hardware: {providers: [mine]}
offers:
  - {id: large, provider: mine, gpu: h100_sxm_80, gpus_per_node: 1, currency: USD, price_per_hour: 3.0, stock: 1}
  - {id: small, provider: mine, gpu: l40s_48, gpus_per_node: 1, currency: USD, price_per_hour: 1.1}
engine: {tensor_parallel: [1], pipeline_parallel: [1], kv_cache: [auto], weight_quant: [fp8]}
ranking: {top: 2, distinct_by: [gpu], max_configurations_per_workload: 2}
"""


def test_a_mix_costs_what_brute_force_over_replays_says_and_certifies_it(tmp_path: Path) -> None:
    path = tmp_path / "scarce.yaml"
    path.write_text(SCARCE)
    inputs = read_inputs(path)
    plans = decide(inputs, tested=False).plans
    expected = expected_of(open_case(inputs), Replayer(inputs), mixes=True)
    alone = expected_of(open_case(inputs), Replayer(inputs), mixes=False)
    assert expected is not None and alone is not None
    assert plans[0].monthly_cents == expected < alone
    assert {group.gpu for group in plans[0].groups} == {"h100_sxm_80", "l40s_48"}
    assert sum(group.share for group in plans[0].groups) == 2520
    assert all(replay.kept for plan in plans for replay in plan.simulated)
    for one in (row for plan in plans for row in plan.minimality if row.fewer is not None):
        assert one.fewer is not None
        assert one.fewer.replayed * one.fewer.margin > one.fewer.limit
    without = decide(inputs.with_sets(["ranking.max_configurations_per_workload=1"]), tested=False).plans
    assert without[0].monthly_cents == alone


def test_fewer_replicas_never_carry_more_and_more_are_bounded_by_none() -> None:
    known = CarriedShares(("a",), ((2, 700), (4, 1500)))
    assert [known.most(count) for count in (1, 2, 3, 4, 5)] == [700, 700, 1500, 1500, 2520]
    assert known.enough >= 2 * 2520 // 700


IN_STEP = """
name: requests alike in length, held in flight
workloads:
  - name: first
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {concurrency: 1200}
    tokens: {input: 2500, output: 250, context_max: 8192}
    slo: {ttft_ms: {p95: 800}, tpot_ms: {p95: 80}}
hardware: {providers: [mine]}
offers:
  - {id: h100, provider: mine, gpu: h100_sxm_80, gpus_per_node: 1, nvlink: yes, price_per_hour: 2.35}
  - {id: a100, provider: mine, gpu: a100_sxm_80, gpus_per_node: 1, nvlink: yes, price_per_hour: 1.26}
engine: {tensor_parallel: [1], pipeline_parallel: [1], kv_cache: [auto], weight_quant: [bf16]}
ranking: {top: 1, max_configurations_per_workload: 2}
"""


def test_fewer_in_flight_may_be_slower_and_the_cheapest_is_found_all_the_same(tmp_path: Path) -> None:
    """An A100 keeps its promises with 17 and with 20 requests that run in step, not with 18; brute force over replays
    says $18,994.60 for ten H100 and two A100."""
    path = tmp_path / "in_step.yaml"
    path.write_text(IN_STEP)
    inputs = read_inputs(path)
    replayer = Replayer(inputs)
    spec = next(one.spec for one in open_case(inputs).candidates.candidates if one.spec.gpu.id == "a100_sxm_80")
    kept = [replayer.replay(Trial(0, spec, 1, held / 1200)).kept for held in (17, 18, 20)]
    assert kept == [True, False, True]
    (plan, *_) = decide(inputs, tested=False).plans
    assert plan.monthly_cents == 1_899_460
    assert all(replay.kept for replay in plan.simulated)
