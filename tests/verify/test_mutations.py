"""Break each field of a valid plan in turn: verification finds every one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any

import pytest

from optimizer.plan.costs import ApiComparison, ApiSeller, CostLine, LongRun, RentOrBuy, UnitCosts
from optimizer.plan.deployment import Drafting
from optimizer.plan.types import (
    Binding,
    Capacity,
    Group,
    KeptPromise,
    LatencyMs,
    MemoryGib,
    NodeLine,
    Plan,
    PlanKey,
    Prediction,
)

NOT_RECOMPUTED = {
    "Plan.rank",  # of the list: verify_ranking
    "Plan.proven",  # a statement of the solver
    "Plan.tie_with",  # of the list: verify_ranking
    "Plan.notes",  # prose
    "Plan.also",  # other plans
    "Plan.stress",  # other solves
    "Plan.minimality",  # empty where plans are not replayed: test_every_rule
    "Plan.remainder",  # empty where nothing may be gone either: test_every_rule
    "Plan.experiments",  # likewise: tests/handover/test_experiment.py
    "Plan.simulated",  # a second opinion of its own: tests/decide/test_replay.py
    "Plan.load_factor",  # a claim of at least so much: its edges are in test_every_rule
    "Capacity.concurrency",  # likewise
    "Capacity.requests_per_second",  # likewise
    "Prediction.grade_reasons",  # prose: more of it is not wrong
}
"""What a plan says that is not a promise of the plan alone."""

SERVER = {
    "id": "server",
    "provider": "dealer",
    "gpu": "h100_sxm_80",
    "gpus_per_node": 4,
    "tier": "purchase",
    "purchase_price": 120_000.0,
    "currency": "USD",
}
"""The same node as ``acme-4x``, bought."""

LONG_RUN = (LongRun, RentOrBuy, ApiComparison, ApiSeller)

ABSENT = {"Group.drafts": Drafting("eagle3", 2, 0.7, "somebody/head", "somebody, 2026")}
"""What is put where a plan of this page has nothing."""

NESTED = {"memory", "capacity", "ttft_ms", "tpot_ms", "e2e_s"}
"""Fields whose own fields are broken one by one."""


def other(value: object) -> object:
    """A different value of the same kind."""
    if isinstance(value, tuple):
        numbers = bool(value) and isinstance(value[0], float)
        return (value[0] * 2, *value[1:]) if numbers else value[:-1] if value else ("x",)
    for kind, change in CHANGES:
        if isinstance(value, kind):
            return change(value)
    raise TypeError(type(value))


CHANGES = (
    (bool, lambda value: not value),
    (Enum, lambda value: next(member for member in type(value) if member is not value)),
    (int, lambda value: value + 1),
    (float, lambda value: value * 1.01 + 0.011),
    (str, lambda value: value + "x"),
    (PlanKey, lambda _: PlanKey((("gpu", "other"),))),
    (type(None), lambda _: "x"),
)


def mutants(item: Any, path: str = "") -> Iterator[tuple[str, object]]:
    """(field, mutant) for every field, nested dataclasses and the first of a tuple of them included."""
    kind = type(item).__name__
    for field in fields(item):
        value, name = getattr(item, field.name), f"{kind}.{field.name}"
        if is_dataclass(value) and not isinstance(value, PlanKey):
            yield from ((inner, replace(item, **{field.name: new})) for inner, new in mutants(value, name))
            continue
        if isinstance(value, tuple) and value and is_dataclass(value[0]):
            for inner, new in mutants(value[0], name):
                yield inner, replace(item, **{field.name: (new, *value[1:])})
        if name not in NOT_RECOMPUTED:
            yield name, replace(item, **{field.name: ABSENT[name] if name in ABSENT else other(value)})


def test_every_field_of_a_plan_is_checked(world, has, gets):
    problem = world.problem(
        margins={"spare_nodes": 1},
        payment={"extras_monthly": 10.0, "api_price": {"input_per_million": 0.6, "output_per_million": 0.9}},
        offers=(SERVER,),
    )
    plan = world.plan(problem, [has(quant="fp8")], [gets(count=2, spare=1)])
    assert not world.broken(problem, plan)
    seen = dict.fromkeys(name for name, _ in mutants(plan))
    missed = [name for name, mutant in mutants(plan) if not world.broken(problem, mutant)]
    assert missed == [], ", ".join(missed)
    for kind in (
        Plan,
        NodeLine,
        Group,
        MemoryGib,
        Prediction,
        LatencyMs,
        Capacity,
        KeptPromise,
        Binding,
        CostLine,
        UnitCosts,
        *LONG_RUN,
    ):
        expected = {f"{kind.__name__}.{field.name}" for field in fields(kind)} - NOT_RECOMPUTED
        nested = {
            name
            for name in expected
            if name.split(".")[1] in {"memory", "capacity", "unit_costs", "long_run", "rent_or_buy", "api", "owed"}
            or name.endswith(("_ms", "e2e_s"))
        }
        assert expected - nested <= set(seen), kind


CLASSES = (
    {"name": "short", "input": 200.0, "output": 150.0, "share": 0.8, "context_max": 2048},
    {"name": "long", "input": 6000.0, "output": 250.0, "share": 0.2, "context_max": 8192},
)


@pytest.mark.parametrize("served", [("chat",), ("chat/short", "chat/long")])
def test_every_field_of_a_plan_with_length_classes_is_checked(world, has, gets, served):
    price = {"api_price": {"input_per_million": 0.6, "output_per_million": 0.9}}
    problem = world.problem(
        tokens={"classes": CLASSES}, slo={"ttft_ms": {"p95": 5000.0}}, payment=price, offers=(SERVER,)
    )
    plan = world.plan(problem, [has(replicas=1, workload=name) for name in served], [gets()])
    assert not world.broken(problem, plan)
    missed = [name for name, mutant in mutants(plan) if not world.broken(problem, mutant)]
    assert missed == [], ", ".join(missed)


@pytest.mark.parametrize("part", ["nodes", "groups", "predicted", "cost_lines"])
def test_a_plan_with_a_part_missing_is_refused(world, has, gets, part):
    problem = world.problem()
    plan = world.plan(problem, [has()], [gets()])
    assert world.broken(problem, replace(plan, **{part: ()}))


def test_a_plan_with_a_node_too_many_is_refused(world, has, gets):
    problem = world.problem()
    plan = world.plan(problem, [has()], [gets(), gets("beta-4x")])
    assert not world.broken(problem, plan)  # idle but honest
    assert world.broken(problem, replace(plan, nodes=plan.nodes[:1]))
