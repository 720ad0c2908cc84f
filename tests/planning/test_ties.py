"""Plans at equal money: the better one is listed, paid cards work, none is beaten; names and order decide nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.ties import Asked, beats, idle, same_purchase, twins
from optimizer.decide import answer, decide
from optimizer.plan.types import Plan
from optimizer.planning.inputs import Inputs, read_inputs
from optimizer.planning.same_nodes import fits
from optimizer.whatif import other_winners

pytestmark = pytest.mark.cards("h100_sxm_80", "a100_sxm_80")

SERVER = """
name: one server
workloads:
  - name: {name}
    model: meta-llama/Llama-3.1-70B-Instruct
    traffic: {{concurrency: 16}}
    tokens: {{input: 1024, output: 300, context_max: 8192}}
    slo: {{ttft_ms: {{p95: 2000}}, tpot_ms: {{p95: 60}}}}
hardware: {{gpus: [h100_sxm_80, a100_sxm_80], providers: [mine]}}
offers:
{offers}
engine: {{weight_quant: [fp8, int8, bf16], tensor_parallel: [2, 4, 8], pipeline_parallel: [1, 2]}}
ranking: {{top: 4, distinct_by: [{distinct}]}}
"""
QUOTES = (
    "  - {id: eight, provider: mine, gpu: h100_sxm_80, gpus_per_node: 8, currency: USD, price_per_hour: 16}",
    "  - {id: four, provider: mine, gpu: h100_sxm_80, gpus_per_node: 4, currency: USD, price_per_hour: 16}",
    "  - {id: old, provider: mine, gpu: a100_sxm_80, gpus_per_node: 8, currency: USD, price_per_hour: 16}",
)

Make = Callable[..., Inputs]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(name: str = "chat", quotes: tuple[str, ...] = QUOTES, distinct: str = "gpu") -> Inputs:
        path = tmp_path / "server.yaml"
        path.write_text(SERVER.format(name=name, offers="\n".join(quotes), distinct=distinct))
        return read_inputs(path)

    return made


def content(plan: Plan) -> tuple[object, ...]:
    groups = tuple(
        (g.gpu, g.gpus_per_node, g.weight_quant, g.kv_cache, g.tensor_parallel, g.pipeline_parallel, g.replicas)
        for g in plan.groups
    )
    return (plan.monthly_cents, groups, tuple((node.offer_id, node.count) for node in plan.nodes))


def test_cards_that_are_paid_for_work_and_the_larger_server_at_its_price_is_taken(make: Make) -> None:
    plans = decide(make(), simulate=False).plans
    assert not any(idle(plan) for plan in plans)
    first = next(plan for plan in plans if plan.groups[0].gpu == "h100_sxm_80")
    assert [node.offer_id for node in first.nodes] == ["eight"]
    group = first.groups[0]
    assert group.replicas * group.tensor_parallel * group.pipeline_parallel == 8


def test_at_equal_money_the_better_grade_comes_first(make: Make) -> None:
    plans = decide(make(), simulate=False).plans
    assert len(plans) > 1
    assert len({plan.monthly_cents for plan in plans}) == 1
    assert [plan.grade for plan in plans] == sorted(plan.grade for plan in plans)


@pytest.mark.parametrize("simulate", [False, True])
def test_no_listed_plan_has_a_better_twin(make: Make, simulate: bool) -> None:
    count, found = twins(make(distinct="gpu, weight_quant"), simulate=simulate)
    assert count
    assert not found


def test_a_plan_that_another_beats_is_not_listed_and_the_next_one_is(make: Make) -> None:
    inputs = make(distinct="configuration")
    plans = decide(inputs, simulate=False).plans
    asked = Asked.of(inputs)
    assert not any(beats(one, other, asked) and same_purchase(one, other) for one in plans for other in plans)


def test_the_best_as_published_is_asked_for_where_a_smaller_format_beats_it_on_the_same_nodes(make: Make) -> None:
    """It is not listed then, and the next one that is costs more."""
    dearer = (QUOTES[0], QUOTES[2].replace("price_per_hour: 16", "price_per_hour: 20"))
    inputs = make(quotes=dearer, distinct="gpu, weight_quant").with_sets(["engine.weight_quant=[fp8, bf16]"])
    outcome = decide(inputs, simulate=False)
    alone = decide(inputs.with_sets(["engine.weight_quant=[bf16]"]), simulate=False)
    listed = {(plan.groups[0].gpu, plan.groups[0].weight_quant) for plan in outcome.plans}
    assert ("a100_sxm_80", "bf16") in listed and ("h100_sxm_80", "bf16") not in listed
    published = outcome.others.as_published
    assert published is not None and published.plan is not None
    assert published.plan.monthly_cents == alone.plans[0].monthly_cents
    assert published.plan.groups[0].weight_quant == "bf16"


def test_of_a_large_problem_none_is_named_that_need_not_be_the_best_as_published(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_winners, "PRICED_UP_TO", 0)
    outcome = decide(make(distinct="gpu, weight_quant"), simulate=False)
    assert outcome.plans[0].groups[0].weight_quant != "bf16"
    assert outcome.others.as_published is None


def test_a_question_names_the_plan_that_the_list_puts_first(make: Make) -> None:
    told = answer(make(distinct="gpu, weight_quant"))
    (first,) = told.case.plans(told.case.solve())
    assert content(first) == content(told.outcome.plans[0])


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 1000), name=st.sampled_from(["aaa", "tpot_ms", "zz top"]))
def test_names_and_order_decide_nothing(tmp_path_factory: pytest.TempPathFactory, seed: int, name: str) -> None:
    found = []
    for title, quotes in (("chat", QUOTES), (name, tuple(random.Random(seed).sample(QUOTES, len(QUOTES))))):
        path = tmp_path_factory.mktemp("named") / "server.yaml"
        path.write_text(SERVER.format(name=title, offers="\n".join(quotes), distinct="gpu, weight_quant"))
        found.append([content(plan) for plan in decide(read_inputs(path), simulate=False).plans])
    assert found[0] == found[1]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.lists(st.sampled_from([1, 2, 4, 8]), max_size=12),
    nodes=st.integers(0, 5),
    gpus=st.sampled_from([1, 2, 4, 8]),
)
def test_replicas_of_powers_of_two_fit_where_they_may(sizes: list[int], nodes: int, gpus: int) -> None:
    """Sizes that divide one another never leave a gap: they fit as soon as each fits a node and all fit together."""
    assert fits(sizes, nodes, gpus) is (all(size <= gpus for size in sizes) and sum(sizes) <= nodes * gpus)
