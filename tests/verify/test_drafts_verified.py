"""The rule about drafts on a plan that drafts: kept, broken and on its boundary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from optimizer.performance.memory import memory_table
from optimizer.plan.types import Plan
from optimizer.planning.inputs import Inputs, read_inputs
from optimizer.verify import verify_plan
from optimizer.verify.case import case_of
from tests.conftest import PROBLEMS

NAME = "reasoning_speculative"
GIB = 2.0**30


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return read_inputs(PROBLEMS / f"{NAME}.yaml")


@pytest.fixture(scope="module")
def plan(solved) -> Plan:
    return solved(NAME).plans[0]


def drafting(**changes) -> Callable[[Plan], Plan]:
    """The plan with the drafts of its group changed; nothing stated: without any."""

    def changed(plan: Plan) -> Plan:
        (group,) = plan.groups
        assert group.drafts is not None
        return replace(plan, groups=(replace(group, drafts=replace(group.drafts, **changes) if changes else None),))

    return changed


def group(**changes) -> Callable[[Plan], Plan]:
    return lambda plan: replace(plan, groups=(replace(plan.groups[0], **changes),))


CASES: list[tuple[str, str, Callable[[Plan], Plan]]] = [
    ("published drafts", "kept", lambda plan: plan),
    ("published drafts", "broken", drafting(acceptance=0.793)),  # the median, not the low end
    ("published drafts", "broken", drafting(tokens=4)),
    ("published drafts", "broken", drafting(method="eagle3")),  # no head of the model is published
    ("published drafts", "broken", drafting(head="somebody/a-head")),
    ("published drafts", "broken", group(weight_quant="fp8")),
    ("published drafts", "broken", group(pipeline_parallel=2)),
    ("published drafts", "boundary", drafting(tokens=3)),
    ("published drafts", "boundary", drafting(tokens=1)),
]


@pytest.mark.parametrize(("rule", "kind", "changed"), CASES)
def test_rule(rule: str, kind: str, changed, plan: Plan, inputs: Inputs) -> None:
    found = verify_plan(inputs.problem, inputs.catalog, inputs.params, changed(plan))
    assert (rule in {one.rule for one in found}) is (kind == "broken"), [str(one) for one in found]


def test_a_plan_that_drafts_is_confirmed_whole(plan: Plan, inputs: Inputs) -> None:
    assert verify_plan(inputs.problem, inputs.catalog, inputs.params, plan) == ()


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        ("engine.speculative=off", lambda plan: plan),
        ("engine.speculative=required", drafting()),
        ("engine.version=0.10.2", lambda plan: plan),
        ("workloads.coding.task=chat", lambda plan: plan),  # nothing is published of MTP on chat
    ],
)
def test_drafts_that_the_problem_rules_out_are_refused(edit: str, changed, plan: Plan, inputs: Inputs) -> None:
    asked = inputs.with_sets([edit])
    found = verify_plan(asked.problem, asked.catalog, asked.params, changed(plan))
    assert "published drafts" in {one.rule for one in found}


def test_what_drafts_is_in_the_bill(plan: Plan, inputs: Inputs) -> None:
    """Its weights, its own cache and the states that a rejected draft goes back to."""
    spec = case_of(inputs.problem, inputs.catalog, inputs.params, plan).groups[0].spec
    with_drafts, without = memory_table([spec]), memory_table([replace(spec, speculation=None)])
    assert plan.groups[0].memory.weights == pytest.approx(float(with_drafts.weights[0]) / GIB)
    assert float(with_drafts.weights[0]) > float(without.weights[0])
    states = float(with_drafts.kv.per_sequence[0]) / float(without.kv.per_sequence[0])
    assert states == pytest.approx(1 + spec.drafted)
    bare = replace(plan.groups[0].memory, weights=float(without.weights[0]) / GIB)
    found = verify_plan(inputs.problem, inputs.catalog, inputs.params, group(memory=bare)(plan))
    assert "memory" in {one.rule for one in found}
