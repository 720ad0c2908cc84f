"""A card that no catalog has, and nodes of 72 cards in one NVLink domain."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.decide import read_inputs, solve_problem
from optimizer.errors import ProblemError
from optimizer.plan.types import Outcome

pytestmark = pytest.mark.cards("h100_sxm_80", "l40s_48")

BASE = """
workloads:
  - name: chat
    model: {model}
    traffic: {{requests_per_second: {rate}}}
    tokens: {{input: 1000, output: 200, context_max: 4096}}
    slo: {{ttft_ms: {{p95: 2000}}, tpot_ms: {{p95: 50}}}}
hardware: {{gpus: [{gpu}]{more}}}
offers: [{{id: q, provider: maker, gpu: {gpu}, gpus_per_node: {size}, nvlink: yes, price_per_hour: 1}}]
ranking: {{top: 2, distinct_by: [configuration]}}
"""
SMALL, MIDDLE = "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-70B-Instruct"
LARGE = "meta-llama/Llama-3.1-405B-Instruct"


def written(folder: Path, **values: object) -> Path:
    path = folder / "problem.yaml"
    path.write_text(BASE.format(**{"model": SMALL, "rate": 40, "size": 8, "more": "", **values}))
    return path


def custom(folder: Path, card: str, gpu: str = "h30", **values: object) -> Outcome:
    more = f", custom: [{{id: h30, sibling: h100_sxm_80{card}}}]"
    return solve_problem(written(folder, gpu=gpu, more=more, **values), simulate=False)


def test_a_card_that_states_nothing_is_its_sibling_with_grade_c(tmp_path: Path) -> None:
    own = custom(tmp_path, "").plans[0]
    like = solve_problem(written(tmp_path, gpu="h100_sxm_80"), sets=["margins.confidence=0.5"], simulate=False).plans[0]
    again = solve_problem(
        written(tmp_path, gpu="h30", more=", custom: [{id: h30, sibling: h100_sxm_80}]"),
        sets=["margins.confidence=0.5"],
        simulate=False,
    ).plans[0]
    assert own.grade == "C" and own.groups[0].gpu == "h30"
    assert any("card of your own" in note for note in own.notes)
    assert again.groups[0].memory == like.groups[0].memory
    assert again.predicted[0].tpot_ms == like.predicted[0].tpot_ms  # with what was fitted to the sibling alone too
    assert again.predicted[0].ttft_ms == like.predicted[0].ttft_ms
    assert again.monthly_cents == like.monthly_cents


def test_what_a_card_states_counts(tmp_path: Path) -> None:
    before = read_inputs(written(tmp_path, gpu="h30", more=", custom: [{id: h30, sibling: h100_sxm_80}]"))
    card = ", memory_marketed_gb: 160, memory_bandwidth_gb_s: 6700, tdp_w: 1400, node_overhead_w_per_gpu: 0"
    more = f", custom: [{{id: h30, sibling: h100_sxm_80{card}}}]"
    after = read_inputs(written(tmp_path, gpu="h30", more=more))
    one, two = before.catalog.gpus["h30"], after.catalog.gpus["h30"]
    assert two.memory_mib == pytest.approx(2 * one.memory_mib, abs=1) and two.memory_is_fallback
    assert (two.bandwidth_gb_s, two.bf16_tflops, two.tdp_w) == (6700, one.bf16_tflops, 1400)
    slow, fast = (custom(tmp_path, extra).plans[0].predicted[0] for extra in ("", card))
    assert fast.tpot_ms.p50 < slow.tpot_ms.p50
    same = after.with_sets(["budget.monthly=100000"])
    assert same.catalog.gpus["h30"] is two


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (", custom: [{id: h100_sxm_80, sibling: a100_sxm_80}]", "there is a card 'h100_sxm_80' already"),
        (", custom: [{id: h30, sibling: h101}]", "unknown GPU 'h101'"),
        (", custom: [{id: h30, sibling: h100_sxm_80}, {id: h30, sibling: h100_sxm_80}]", "already"),
        (", custom: [{id: h30, sibling: h100_sxm_80, link: nvlink9}]", "expected one of nvswitch"),
    ],
)
def test_a_card_of_ones_own_has_a_name_of_its_own_and_a_known_sibling(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(ProblemError) as error:
        read_inputs(written(tmp_path, gpu="h100_sxm_80", more=more))
    assert message in str(error.value)


PLACED = {1: (SMALL, 72), 4: (MIDDLE, 18), 8: (LARGE, 9), 16: (LARGE, 4), 32: (LARGE, 2)}


@pytest.mark.parametrize("size", PLACED)
def test_replicas_of_every_size_find_their_place_in_a_node_of_72(tmp_path: Path, size: int) -> None:
    """As many as floor(72 / size) in one NVLink domain; one more takes another node, which is then filled."""
    model, per_node = PLACED[size]
    path = written(tmp_path, gpu="gb200_186", size=72, model=model, rate=1)
    sets = (f"engine.tensor_parallel=[{size}]", "engine.pipeline_parallel=[1]", "ranking.top=1")
    for replicas, nodes in ((per_node, 1), (per_node + 1, 2)):
        kept = f"workloads.chat.traffic.min_replicas={replicas}"
        plan = solve_problem(path, sets=[*sets, kept], simulate=False).plans[0]
        group, node = plan.groups[0], plan.nodes[0]
        assert (group.tensor_parallel, node.count, node.gpus_per_node) == (size, nodes, 72)
        assert replicas <= group.replicas == per_node * nodes
        assert group.interconnect == ("none" if size == 1 else "nvlink")
        assert node.idle_gpus == 72 * nodes - size * group.replicas
