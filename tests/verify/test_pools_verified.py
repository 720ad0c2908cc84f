"""Every rule about a prefill pool and a decode pool: kept, broken, and exactly on its boundary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from optimizer.demand import Metric
from optimizer.plan.types import Plan
from optimizer.planning.inputs import Inputs, read_inputs
from optimizer.verify import verify_plan
from optimizer.verify.case import case_of
from optimizer.verify.pools import pool_capacity
from optimizer.vocabulary import Role

PROBLEM = Path(__file__).parents[2] / "problems" / "rag_disaggregated_unlike.yaml"


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return read_inputs(PROBLEM)


@pytest.fixture(scope="module")
def plan(solved) -> Plan:
    return solved("rag_disaggregated_unlike").plans[0]


def pool(plan: Plan, which: Role, **changes) -> Plan:
    groups = [replace(one, **changes) if one.role is which else one for one in plan.groups]
    return replace(plan, groups=tuple(groups))


def prefill(**changes) -> Callable[[Plan], Plan]:
    return lambda plan: pool(plan, Role.PREFILL, **changes)


def decode(**changes) -> Callable[[Plan], Plan]:
    return lambda plan: pool(plan, Role.DECODE, **changes)


def nodes(*regions: str) -> Callable[[Plan], Plan]:
    return lambda plan: replace(
        plan, nodes=tuple(replace(line, region=region) for line, region in zip(plan.nodes, regions, strict=True))
    )


def promised(plan: Plan, seconds: Callable[[float, float, float], tuple[float, float]]) -> Plan:
    """The replayed TPOT of both pools as told by its value, its margin and its limit."""
    found = []
    for replay in plan.simulated:
        promises = []
        for one in replay.promises:
            if one.metric is Metric.TPOT:
                value, with_margin = seconds(one.simulated_s, one.with_margin_s / one.simulated_s, one.limit_s)
                promises.append(replace(one, simulated_s=value, with_margin_s=with_margin))
            else:
                promises.append(one)
        found.append(replace(replay, promises=tuple(promises)))
    return replace(plan, simulated=tuple(found))


def carries(times: float) -> Callable[[Plan], Plan]:
    def changed(plan: Plan) -> Plan:
        one = plan.predicted[0]
        rate = one.requests_per_second * times
        return replace(plan, predicted=(replace(one, capacity=replace(one.capacity, requests_per_second=rate)),))

    return changed


def same(plan: Plan) -> Plan:
    return plan


CASES: list[tuple[str, str, Callable[[Plan], Plan]]] = [
    ("pool pair", "kept", same),
    ("pool pair", "broken", decode(kv_cache="fp8")),
    ("pool pair", "broken", prefill(tensor_parallel=8)),
    ("pool pair", "broken", prefill(role=Role.DECODE)),
    ("pool pair", "boundary", prefill(tensor_parallel=4)),  # the decode pool's is a multiple of it: once
    ("pool site", "kept", same),
    ("pool site", "broken", nodes("eu-1", "us-1")),
    ("pool site", "broken", nodes("", "")),  # two offers without a region may be far apart
    ("pool site", "boundary", nodes("us-1", "us-1")),
    ("pool transfer", "kept", same),
    ("pool transfer", "broken", prefill(replicas=1)),  # 42 of 35 GB/s
    ("pool transfer", "boundary", prefill(replicas=2)),
    ("pool capacity", "kept", same),
    ("pool capacity", "broken", prefill(replicas=8)),
    ("pool capacity", "broken", decode(replicas=7)),  # 0.63 of at most 0.61
    ("pool capacity", "broken", decode(max_num_seqs=4096)),
    ("pool capacity", "boundary", decode(replicas=8)),  # 0.56 of at most 0.61
    ("pool replays", "kept", same),
    ("pool replays", "broken", lambda plan: promised(plan, lambda value, margin, limit: (value, value))),
    ("pool replays", "broken", lambda plan: promised(plan, lambda value, margin, limit: (limit, limit * margin))),
    ("pool replays", "broken", lambda plan: promised(plan, lambda value, margin, limit: (1e-4, 1e-4 * margin))),
    ("pool replays", "broken", lambda plan: replace(plan, simulated=plan.simulated[:1])),
    ("pool replays", "boundary", lambda plan: promised(plan, lambda value, margin, limit: (limit / margin, limit))),
    ("pool printed", "kept", same),
    ("pool printed", "broken", lambda plan: replace(plan, grade="A")),
    ("pool printed", "broken", carries(0.99)),
    ("pool printed", "boundary", carries(1.0)),
    ("pool printed", "broken", lambda plan: replace(plan, without_pools_cents=plan.monthly_cents - 1)),
    ("pool printed", "boundary", lambda plan: replace(plan, without_pools_cents=plan.monthly_cents)),
]


@pytest.mark.parametrize(("rule", "kind", "changed"), CASES, ids=[f"{rule} {kind}" for rule, kind, _ in CASES])
def test_rule(rule: str, kind: str, changed, plan: Plan, inputs: Inputs) -> None:
    found = verify_plan(inputs.problem, inputs.catalog, inputs.params, changed(plan))
    assert (rule in {one.rule for one in found}) is (kind == "broken"), [str(one) for one in found]


def test_a_plan_with_pools_is_confirmed_whole(plan: Plan, inputs: Inputs) -> None:
    assert verify_plan(inputs.problem, inputs.catalog, inputs.params, plan) == ()


def test_pools_that_nobody_asked_for_are_refused(plan: Plan, inputs: Inputs) -> None:
    off = inputs.with_sets(["engine.disaggregation=off"])
    assert "pool pair" in {one.rule for one in verify_plan(off.problem, inputs.catalog, inputs.params, plan)}


def test_required_pools_are_missed(solved, inputs: Inputs) -> None:
    plain = solved("rag_disaggregated_unlike", "engine.disaggregation=off").plans[0]
    required = inputs.with_sets(["engine.disaggregation=required"])
    found = verify_plan(required.problem, inputs.catalog, inputs.params, plain)
    assert {one.rule for one in found} == {"pool pair"}


def test_saturation_is_told_to_the_worker(plan: Plan, inputs: Inputs) -> None:
    """The fewest prefill workers that the rule takes are those whose share of saturation is just inside 0.9."""

    def used(count: int) -> list[object]:
        case = case_of(inputs.problem, inputs.catalog, inputs.params, pool(plan, Role.PREFILL, replicas=count))
        return [one.found for one in pool_capacity(case)]

    fewest = next(count for count in range(1, 30) if not used(count))
    assert used(fewest - 1)
    assert fewest <= next(one.replicas for one in plan.groups if one.role is Role.PREFILL)
