"""Rules about the day profile: each kept by a real plan, broken by a lie, and exactly on its boundary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from optimizer.decide import Inputs, read_inputs
from optimizer.plan.costs import UnitCosts
from optimizer.plan.types import Plan, PlanPeriod
from optimizer.verify import verify_plan
from optimizer.verify.rules import PERIOD_RULES, PERIOD_SERVICE_RULES
from optimizer.whatif.case import open_case

PROBLEM = Path(__file__).parents[2] / "problems" / "day_profile.yaml"
QUICK = ("hardware.gpus=[a100_sxm_80]", "ranking.top=1")


@cache
def solved(*sets: str) -> tuple[Inputs, Plan]:
    case = open_case(read_inputs(PROBLEM, sets=(*QUICK, *sets)))
    return case.inputs, case.plans(case.solve())[0]


def costs(plan: Plan) -> UnitCosts:
    assert plan.unit_costs
    return plan.unit_costs


def broken(inputs: Inputs, plan: Plan) -> set[str]:
    return {found.rule for found in verify_plan(inputs.problem, inputs.catalog, inputs.params, plan)}


def in_period(plan: Plan, index: int, **changes: Any) -> Plan:
    periods = list(plan.periods)
    periods[index] = replace(periods[index], **changes)
    return replace(plan, periods=tuple(periods))


def service(plan: Plan, index: int, **changes: Any) -> Plan:
    (one,) = plan.periods[index].services
    return in_period(plan, index, services=(replace(one, **changes),))


def fewer(numbers: tuple[int, ...]) -> tuple[int, ...]:
    return (numbers[0] - 1, *numbers[1:])


def more(numbers: tuple[int, ...]) -> tuple[int, ...]:
    return (*numbers[:-1], numbers[-1] + 1)


def night(plan: Plan) -> PlanPeriod:
    return plan.periods[2]


LIES: list[tuple[str, Callable[[Plan], Plan]]] = [
    ("references", lambda plan: replace(plan, periods=())),
    ("references", lambda plan: in_period(plan, 0, nodes=())),
    ("periods", lambda plan: in_period(plan, 0, hours_per_month=239.0)),
    ("periods", lambda plan: in_period(plan, 0, starts_per_month=1.0)),
    ("periods", lambda plan: in_period(plan, 0, name="noon")),
    ("periods", lambda plan: in_period(plan, 0, replicas=fewer(plan.periods[0].replicas))),
    ("periods", lambda plan: in_period(plan, 0, nodes=fewer(plan.periods[0].nodes))),
    ("periods", lambda plan: in_period(plan, 2, nodes=more(night(plan).nodes))),
    ("period counts", lambda plan: in_period(plan, 1, gpus=1)),
    ("period counts", lambda plan: replace(plan, gpus=plan.gpus + 1)),
    (
        "period counts",
        lambda plan: replace(plan, nodes=tuple(replace(n, idle_gpus=n.idle_gpus + 1) for n in plan.nodes)),
    ),
    ("period bill", lambda plan: in_period(plan, 0, monthly_cents=plan.periods[0].monthly_cents + 100)),
    ("period services", lambda plan: service(plan, 2, factor=1.0)),
    ("period services", lambda plan: service(plan, 2, requests_per_second=1.0)),
    ("period services", lambda plan: service(plan, 2, output_tokens_per_second=1.0)),
    ("period services", lambda plan: service(plan, 2, concurrency=1.0)),
    ("period services", lambda plan: service(plan, 2, ttft_p95_ms=1.0)),
    ("period services", lambda plan: service(plan, 2, tpot_p95_ms=None)),
    ("period services", lambda plan: in_period(plan, 2, services=())),
    ("poisson", lambda plan: in_period(plan, 2, replicas=fewer(night(plan).replicas))),
    ("saturation", lambda plan: in_period(plan, 2, replicas=(1,))),
    ("load factor", lambda plan: in_period(plan, 1, replicas=fewer(plan.periods[1].replicas))),
    ("packing", lambda plan: in_period(plan, 1, replicas=(11,))),
    ("always served", lambda plan: in_period(plan, 2, replicas=(1,))),
    ("always served", lambda plan: in_period(plan, 2, replicas=(0,))),
    ("node lines", lambda plan: replace(plan, nodes=tuple(replace(n, monthly_cents=1) for n in plan.nodes))),
    ("ledger", lambda plan: replace(plan, cost_lines=plan.cost_lines[1:])),
    ("unit costs", lambda plan: replace(plan, unit_costs=replace(costs(plan), per_million_output_tokens=1.0))),
]


@pytest.mark.parametrize(("rule", "lie"), LIES, ids=[f"{rule} {i}" for i, (rule, _) in enumerate(LIES)])
def test_a_lie_is_found(rule: str, lie: Callable[[Plan], Plan]) -> None:
    inputs, plan = solved()
    assert rule in broken(inputs, lie(plan))


def test_the_plan_itself_keeps_every_rule() -> None:
    inputs, plan = solved()
    assert not broken(inputs, plan)
    assert plan.periods[0].replicas > night(plan).replicas


def test_every_rule_of_the_periods_is_broken_by_some_lie() -> None:
    rules = {rule.__name__.replace("_", " ") for rule in (*PERIOD_RULES, *PERIOD_SERVICE_RULES)}
    below = {"inflight", "population", "kv cache"}  # kv: the first test of rules
    assert rules - below <= {rule for rule, _ in LIES}


def test_requests_in_flight_hold_in_every_period() -> None:
    inputs, plan = solved(
        "workloads.chat.traffic={concurrency: 1200, profile: [{name: day, hours_per_month: 240, factor: 1}, "
        "{name: night, hours_per_month: 490, factor: 0.5}]}"
    )
    assert not broken(inputs, plan)
    assert "inflight" in broken(inputs, in_period(plan, 1, replicas=fewer(plan.periods[1].replicas)))


def test_people_hold_in_every_period() -> None:
    inputs, plan = solved(
        "workloads.chat.traffic={users: {active: 2400, think_time_s: 20}, profile: [{name: day, hours_per_month: 240, "
        "factor: 1}, {name: night, hours_per_month: 490, factor: 0.5}]}"
    )
    assert not broken(inputs, plan)
    assert plan.periods[0].services[0].concurrency < 2400
    assert plan.periods[1].services[0].concurrency < 1200
    assert "population" in broken(inputs, in_period(plan, 1, replicas=(1,)))


@pytest.mark.parametrize(("limit", "edge"), [("max_gpus", 48), ("max_nodes", 6), ("max_power_kw", None)])
def test_a_limit_holds_in_the_busiest_period_and_may_be_reached(limit: str, edge: int | None) -> None:
    inputs, plan = solved()
    power = sum(
        n * line.gpus_per_node * (inputs.catalog.gpus[line.gpu].tdp_w + inputs.catalog.gpus[line.gpu].node_overhead_w)
        for n, line in zip(plan.periods[0].nodes, plan.nodes, strict=True)
    )
    value = power / 1000 if edge is None else {"max_gpus": plan.gpus, "max_nodes": sum(plan.periods[0].nodes)}[limit]
    for at, held in ((value, True), (value * 0.99 if edge is None else value - 1, False)):
        tight = inputs.with_sets([f"hardware.limits.{limit}={at}"])
        rule = limit.replace("_", " ").removesuffix(" kw")
        assert (rule not in {m.rule for m in verify_plan(tight.problem, tight.catalog, tight.params, plan)}) is held


def test_a_quota_holds_in_the_busiest_period_and_may_be_reached() -> None:
    inputs, plan = solved()
    for at, held in ((plan.gpus, True), (plan.gpus - 1, False)):
        tight = inputs.with_sets([f"hardware.quota=[{{provider: aws, gpu: a100_sxm_80, max_gpus: {at}}}]"])
        assert ("quota" not in broken(tight, plan)) is held


def test_spare_nodes_stand_by_in_every_period() -> None:
    inputs, plan = solved("margins.spare_nodes=1")
    assert not broken(inputs, plan)
    bare = solved()[1]
    assert [sum(period.nodes) - 1 for period in plan.periods] == [sum(period.nodes) for period in bare.periods]
    some = next(index for index, count in enumerate(night(plan).nodes) if count)
    lost = in_period(plan, 2, nodes=tuple(n - (index == some) for index, n in enumerate(night(plan).nodes)))
    assert "spare nodes" in broken(inputs, lost)
