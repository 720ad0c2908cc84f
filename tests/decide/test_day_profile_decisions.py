"""The day profile in whole decisions: objectives, units of load, starts, kept replicas; the check confirms each."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from optimizer.decide import solve_problem
from optimizer.plan.types import Optimal, Plan
from optimizer.vocabulary import Tier

pytestmark = pytest.mark.cards("a100_sxm_80")

PROBLEM = Path(__file__).parents[2] / "problems" / "day_profile.yaml"
TWO = "[{name: day, hours_per_month: 240, factor: 1}, {name: night, hours_per_month: 490, factor: %s}]"


@cache
def first(*sets: str) -> Plan:
    sets = ("ranking.top=1", "hardware.gpus=[a100_sxm_80]", *sets)
    outcome = solve_problem(PROBLEM, sets=sets, simulate=False)
    assert isinstance(outcome, Optimal)
    return outcome.plans[0]


def replicas(plan: Plan) -> list[int]:
    return [sum(period.replicas) for period in plan.periods]


@pytest.mark.parametrize("objective", ["minimize_gpus", "minimize_ttft", "minimize_tpot"])
def test_every_objective_follows_the_profile(objective: str) -> None:
    plan = first(f"objective={objective}")
    assert replicas(plan) == sorted(replicas(plan), reverse=True)
    assert plan.gpus == plan.periods[0].gpus
    assert sum(line.monthly_cents for line in plan.cost_lines) == plan.monthly_cents >= first().monthly_cents


@pytest.mark.parametrize("traffic", ["requests_per_second: 10, ", ""])
def test_the_most_load_that_a_budget_carries_through_the_day(traffic: str) -> None:
    stated = f"workloads.chat.traffic={{{traffic}profile: {TWO % 0.5}}}"
    plan = first("objective=maximize_load", "budget.monthly=60000", stated)
    assert plan.monthly_cents <= 6_000_000
    day, night = (period.services[0] for period in plan.periods)
    assert day.concurrency > night.concurrency
    assert plan.predicted[0].concurrency == pytest.approx(day.concurrency)


def test_requests_in_flight_follow_the_profile_too() -> None:
    plan = first(f"workloads.chat.traffic={{concurrency: 300, profile: {TWO % 0.25}}}")
    day, night = plan.periods
    assert night.services[0].concurrency == pytest.approx(75, abs=plan.groups[0].replicas)
    assert day.replicas > night.replicas


def test_a_night_without_load_runs_what_is_kept_and_no_more() -> None:
    off = first(f"workloads.chat.traffic={{requests_per_second: 30, profile: {TWO % 0}}}", "payment.tiers=[on_demand]")
    assert off.periods[1].nodes == (0,)
    assert off.periods[1].services[0].ttft_p95_ms is None
    kept = first(
        f"workloads.chat.traffic={{requests_per_second: 30, min_replicas: 3, profile: {TWO % 0}}}",
        "payment.tiers=[on_demand]",
    )
    assert kept.periods[1].replicas == (3,)
    assert kept.monthly_cents > off.monthly_cents


def test_kept_replicas_count_without_a_profile_as_well() -> None:
    size = "engine.tensor_parallel=[4]"
    few = first(size, "workloads.chat.traffic={requests_per_second: 1}")
    more = first(size, "workloads.chat.traffic={requests_per_second: 1, min_replicas: 5}")
    assert few.groups[0].replicas < 5 <= more.groups[0].replicas  # a paid node is filled
    assert more.monthly_cents > few.monthly_cents


def test_nodes_run_on_through_a_valley_that_is_shorter_than_a_start() -> None:
    """Starting for twelve hours costs more than eight hours of running on."""
    valley = (
        "workloads.chat.traffic={requests_per_second: 30, profile: [{name: a, hours_per_month: 365, factor: 1}, "
        "{name: b, hours_per_month: 243, factor: 0.3}, {name: c, hours_per_month: 122, factor: 1}]}"
    )
    sets = (valley, "payment.tiers=[on_demand]")
    assert first(*sets).periods[1].gpus < first(*sets).gpus
    assert first(*sets, "payment.startup_minutes=720").periods[1].gpus == first(*sets).gpus


def test_spot_is_dearer_by_what_interruptions_cost() -> None:
    sets = ("hardware.providers=null", "payment.tiers=[spot]", "payment.startup_minutes=0")
    plain, uplifted = first(*sets, "payment.spot_uplift_percent=0"), first(*sets, "payment.spot_uplift_percent=50")
    assert {node.tier for node in plain.nodes} == {Tier.SPOT}
    assert uplifted.monthly_cents == pytest.approx(1.5 * plain.monthly_cents, rel=1e-4)
    assert any("carries 50 % for interruptions" in note for note in uplifted.notes)


def test_more_permission_never_costs_more() -> None:
    tiers = ["on_demand", "reserved_1y", "reserved_3y", "spot"]
    costs = [first(f"payment.tiers=[{', '.join(tiers[:n])}]").monthly_cents for n in range(1, 5)]
    assert costs == sorted(costs, reverse=True)
