"""``engine.kv_tiers``: prefixes in the memory of hosts as a decision of the plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from optimizer.decide import read_inputs, solve_problem
from optimizer.errors import ProblemError
from optimizer.negotiate.check import check
from optimizer.plan.types import Outcome
from optimizer.report import render
from optimizer.report.screen import render_screen
from optimizer.vocabulary import Tier
from optimizer.whatif.case import open_case

pytestmark = pytest.mark.cards("h200_sxm_141")

LONG_THOUGHTS = """
workloads:
  - name: assistant
    model: meta-llama/Llama-3.1-70B-Instruct
    traffic: {requests_per_second: 3}
    tokens: {input: 6000, output: 250, context_max: 16384, shared_prefix: 0.75, requests_per_prefix: 6,
      prefix_gap_s: 90}
    slo: {ttft_ms: {p50: 900}, tpot_ms: {p95: 60}}
engine: {router: prefix_affinity, weight_quant: [fp8], kv_cache: [auto], tensor_parallel: [2]}
hardware:
  only_owned: yes
  owned:
    - {gpu: h200_sxm_141, gpus_per_node: 2, nodes: 20, monthly_cost: 8000}
    - {gpu: h200_sxm_141, gpus_per_node: 2, nodes: 20, monthly_cost: 9500, host_memory_gib: 1000}
ranking: {top: 1}
payment: {as_of: 2026-11-20}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiers") / "p.yaml"
    path.write_text(LONG_THOUGHTS)
    return path


def answer(file: Path, *sets: str, simulate: bool = False) -> Outcome:
    return solve_problem(file, sets=sets, simulate=simulate)


def test_a_tier_is_taken_where_it_costs_less(file: Path) -> None:
    """Nodes with memory cost a fifth more and carry more: fewer of them do."""
    none, best = answer(file), answer(file, "engine.kv_tiers=any")
    assert none.plans[0].groups[0].host_kv_gib == 0.0
    assert best.plans[0].groups[0].host_kv_gib == 640.0  # two cards, (0.75 x 1000 - 64) / 2 = 343 each, rounded down
    assert best.plans[0].monthly_cents < none.plans[0].monthly_cents


def test_the_replay_finds_what_the_closed_form_says_and_all_is_told(file: Path) -> None:
    outcome = answer(file, "engine.kv_tiers=host", simulate=True)
    (plan,) = outcome.plans
    (told,), (replay,) = plan.predicted, plan.simulated
    assert told.prefix is not None and replay.prefix_hit_rate is not None
    assert replay.prefix_hit_rate == pytest.approx(told.prefix.found, abs=0.05)
    assert replay.host_hit_rate == pytest.approx(told.prefix.host, abs=0.1)
    assert replay.ttft_ms.mean == pytest.approx(told.ttft_ms.mean, rel=0.25)
    shown = json.loads(render(outcome, "json"))["plans"][0]
    assert shown["groups"][0]["kv_tier"] == {"tier": "host", "gib_per_node": 640}
    rates = shown["predicted"][0]["prefix_hit_rate"]
    assert rates["hbm"] + rates["host"] == pytest.approx(replay.prefix_hit_rate, abs=1e-5)
    assert "brought in from the memory of the host" in " ".join(render_screen(outcome).split())


@pytest.mark.parametrize(
    ("memory", "says"),
    [
        ("null", "no node that may be used states host_memory_gib"),
        ("86", "86 GiB is the most that a node has, and KV cache gets 75 % of it less 64 GiB"),
        ("88", None),  # (0.75 x 88 - 64) / 2 = 1 GiB a card, the least
    ],
)
def test_check_says_what_the_answer_will_be_before_it_is_worked_out(file: Path, memory: str, says: str | None) -> None:
    sets = ["engine.kv_tiers=host", f"hardware.owned.1.host_memory_gib={memory}"]
    warnings = [line for line in check(file, sets=sets).remarks if "engine.kv_tiers: host" in line]
    if says is None:
        assert warnings == []
        return
    assert any(says in line for line in warnings)
    with pytest.raises(ProblemError, match=f"^--set engine.kv_tiers=host: .*{says}"):
        answer(file, *sets)
    stated = file.with_name("stated.yaml")
    stated.write_text(LONG_THOUGHTS.replace("router:", "kv_tiers: host, router:"))
    with pytest.raises(ProblemError, match=rf"stated\.yaml:9:20: .*{says}"):
        answer(stated, *sets[1:])


def test_a_node_whose_memory_nobody_states_keeps_none(file: Path) -> None:
    unknown = "hardware.owned.1.host_memory_gib=null"
    with pytest.raises(ProblemError, match="no node that may be used states host_memory_gib"):
        answer(file, "engine.kv_tiers=host", unknown)
    case = open_case(read_inputs(file, sets=["engine.kv_tiers=any", unknown]))
    mine = {option.node_type.key for option in case.options if option.tier is Tier.OWNED}
    assert mine
    assert not any(one.spec.host_kv_gib for one in case.candidates.candidates if one.node_type.key in mine)
    assert any("host_memory_gib" in one for one in case.inputs.problem.warnings)


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (("engine.kv_tiers=remote",), "a remote store is not modelled"),
        (("engine.kv_tiers=[none, remote]",), "a remote store is not modelled"),
        (("engine.kv_tiers=disk",), "none, host, any"),
        (("engine.kv_tiers=any", "workloads.assistant.tokens.prefix_gap_s=null"), "when a prefix is asked for again"),
        (("engine.host_kv_share=0.5",), "three quarters"),
        (("engine.remote_kv_gib=100",), "remote store is not modelled"),
    ],
)
def test_what_is_refused(file: Path, sets: tuple[str, ...], says: str) -> None:
    with pytest.raises(ProblemError, match=says):
        answer(file, *sets)
