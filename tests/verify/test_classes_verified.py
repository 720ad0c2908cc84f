"""Length classes in the solver-free check: served apart or mixed, each keeps its own promises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimizer.performance import error_factor, grade_of
from optimizer.problem import parts_of

APART = ("chat/short", "chat/long")


def classes(short: dict | None = None, long: dict | None = None, **tokens) -> dict:
    return {
        "classes": (
            {"name": "short", "input": 200.0, "output": 150.0, "share": 0.8, "context_max": 2048, "slo": short or {}},
            {"name": "long", "input": 6000.0, "output": 250.0, "share": 0.2, "context_max": 8192, "slo": long or {}},
        ),
        **tokens,
    }


def problem_of(world, **of_tokens):
    return world.problem(tokens=classes(**of_tokens), slo={"ttft_ms": {"p95": 3000.0}, "tpot_ms": 100.0})


def apart(world, has, gets, problem):
    """Short ones on two L40S, long ones on one H100 of four."""
    groups = [has("acme-4x-pcie", replicas=2, workload=APART[0]), has(replicas=1, workload=APART[1])]
    return world.plan(problem, groups, [gets("acme-4x-pcie"), gets()])


def test_classes_apart_and_mixed_are_confirmed(world, has, gets):
    problem = problem_of(world)
    assert not world.broken(problem, apart(world, has, gets, problem))
    assert not world.broken(problem, world.plan(problem, [has()], [gets()]))


def test_a_class_may_be_shared_like_a_workload(world, has, gets):
    problem = problem_of(world)
    groups = [has(replicas=1, workload=APART[0], share=1260), has(replicas=1, workload=APART[0], share=1260)]
    plan = world.plan(problem, [*groups, has(replicas=1, workload=APART[1])], [gets()])
    assert not world.broken(problem, plan)
    assert "shares" in world.broken(problem, replace(plan, groups=plan.groups[1:]))


@pytest.mark.parametrize("served", [[APART[0]], [APART[1]], ["chat", APART[0]], ["chat", *APART], []])
def test_a_workload_is_served_whole_or_every_class_of_it(world, has, gets, served):
    problem = problem_of(world)
    names = served or ["chat"]
    plan = world.plan(problem, [has(replicas=1, workload=name) for name in names], [gets()])
    if not served:
        assert not world.broken(problem, plan)
    else:
        assert "shares" in world.broken(problem, plan)


def test_what_may_not_be_split_is_served_whole(world, has, gets):
    problem, permitted = problem_of(world, split_classes=False), problem_of(world)
    plan = apart(world, has, gets, permitted)
    assert "references" in world.broken(problem, plan)
    assert not world.broken(problem, world.plan(problem, [has()], [gets()]))


@pytest.mark.parametrize(("factor", "kept"), [(1.05, True), (1.0001, True), (0.95, False)])
@pytest.mark.parametrize(("number", "length_class"), [(0, "short"), (1, "long")])
@pytest.mark.parametrize("mixed", [False, True])
def test_every_class_keeps_its_own_ttft(world, has, gets, factor, kept, number, length_class, mixed):
    """The limit of one class a little above, on and below what its requests see; the other class does not care."""
    problem = problem_of(world)
    plan = world.plan(problem, [has()], [gets()]) if mixed else apart(world, has, gets, problem)
    promised = [p for one in plan.predicted for p in one.promises if p.metric == "ttft"][number]
    group = plan.groups[0 if mixed else number]
    spec = world.spec(problem, group)
    known = (grade_of(spec, world.params)[0], problem.margins.confidence, spec.engine.profile)
    reached = promised.estimate_s * 1e3 * error_factor(promised.metric, *known)
    limit = {"ttft_ms": {"p95": reached * factor}}
    stated = problem_of(world, **{length_class: limit})
    again = world.plan(stated, [has()], [gets()]) if mixed else apart(world, has, gets, stated)
    broken = world.broken(stated, again)
    assert not broken if kept else {"poisson", "bindings"} & broken


def test_the_long_ones_wait_longer_in_the_same_queue(world, has, gets):
    plan = world.plan(problem_of(world), [has()], [gets()])
    short, long = (p.estimate_s for p in plan.predicted[0].promises if p.metric == "ttft")
    assert short < 0.5 * long


def test_load_and_share_of_a_class(world):
    """2 requests/s, 16 in flight: 80 % of the arrivals are short, and 0.8 x 150 of 170 tokens are written for them."""
    problem = problem_of(world)
    whole, short, long = parts_of(problem)
    assert (whole.load.requests_per_second, whole.load.inflight) == (2.0, 16.0)
    assert short.load.requests_per_second == pytest.approx(1.6)
    assert short.load.inflight == pytest.approx(16 * 120 / 170)
    assert short.load.inflight + long.load.inflight == pytest.approx(16.0)
    assert long.load.requests_per_second == pytest.approx(0.4)
