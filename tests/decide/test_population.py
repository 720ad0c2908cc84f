"""Closed populations decided whole: what they send, what they cost, and that neither more people nor less thought is
ever cheaper."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.decide import solve_problem
from optimizer.plan.types import Outcome
from optimizer.report import render

pytestmark = pytest.mark.cards("l40s_48", "a100_sxm_80", "h100_sxm_80")

CHAT = """
name: think
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {users: {active: 600, think_time_s: 15}}
    tokens: {input: 800, output: 500, context_max: 4096}
    slo: {ttft_ms: 2000, tpot_ms: 50, percentile: 95}
hardware: {gpus: [l40s_48, a100_sxm_80, h100_sxm_80]}
ranking: {top: 2}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("population") / "chat.yaml"
    path.write_text(CHAT)
    return path


def solved(file: Path, *sets: str, simulate: bool = False) -> Outcome:
    return solve_problem(file, sets=sets, simulate=simulate)


def traffic(users: float, think: float, rest: str = "") -> str:
    return f"workloads.chat.traffic={{users: {{active: {users}, think_time_s: {think}}}{rest}}}"


def cost(file: Path, *sets: str) -> int:
    outcome = solved(file, *sets, "ranking.top=1")
    return outcome.plans[0].monthly_cents


def test_six_hundred_people_send_what_waiting_and_thinking_let_them(file: Path) -> None:
    """Replayed: N / (Z + R) within 2 %, never more than 600 in flight, every promise kept."""
    outcome = solved(file, simulate=True)
    for plan in outcome.plans:
        predicted, seen = plan.predicted[0], plan.simulated[0]
        assert predicted.requests_per_second == pytest.approx(600 / (15 + predicted.e2e_s.mean), rel=1e-6)
        assert predicted.requests_per_second == pytest.approx(600 / (15 + seen.e2e_s.mean), rel=0.02)
        assert predicted.concurrency < 600
        assert predicted.requests_per_second >= 600 / (15 + 2 + 499 * 0.05)
        assert seen.kept
    document = json.loads(render(outcome, "json"))
    assert document["load"][0]["users"] == 600
    assert document["load"][0]["inflight"] < 600
    assert document["demand"][0]["stated"]["users"] == 600
    assert document["plans"][0]["unit_costs"]["per_user_month"] == pytest.approx(
        document["plans"][0]["monthly_cost"] / 600, abs=0.01
    )
    text = " ".join(render(outcome, "text").split())
    assert "600 users who think for 15 s before the next question; with #1" in text


@pytest.mark.parametrize("users", [450, 37])
def test_people_who_think_a_second_cost_no_more_than_all_of_them_in_flight_for_ever(file: Path, users: int) -> None:
    assert cost(file, traffic(users, 1)) <= cost(file, f"workloads.chat.traffic={{concurrency: {users}}}")


@settings(max_examples=4, deadline=None)
@given(users=st.integers(1, 3000), more=st.floats(1, 2), think=st.floats(0.5, 200), longer=st.floats(1, 3))
def test_more_people_and_less_thought_are_never_cheaper(file, users, more, think, longer) -> None:
    card = "hardware.gpus=[l40s_48]"
    base = cost(file, traffic(users, think), card)
    assert cost(file, traffic(users * more, think), card) >= base
    assert cost(file, traffic(users, think * longer), card) <= base


def test_peak_and_headroom_multiply_the_people_and_nothing_else(file: Path) -> None:
    stated = solved(file, traffic(600, 15, ", peak_factor: 1.5"), "margins.load_headroom=0.2")
    people = solved(file, traffic(600 * 1.5 * 1.2, 15))
    assert stated.plans[0].monthly_cents == people.plans[0].monthly_cents
    assert stated.plans[0].predicted == people.plans[0].predicted
    demand = stated.demand[0]
    assert [one.users for one in (demand.stated, demand.peak, demand.planned)] == pytest.approx([600, 900, 1080])
    assert "x 1.5 at the peak x 1.2 (load_headroom)" in " ".join(render(stated, "text").split())


def test_without_a_promise_an_answer_may_take_twice_that_of_a_lone_request_and_the_echo_says_so(file: Path) -> None:
    outcome = solved(file, "workloads.chat.slo={}")
    assert "may take twice as long as for a lone request" in " ".join(render(outcome, "text").split())
    for plan in outcome.plans:
        assert plan.predicted[0].requests_per_second == pytest.approx(
            600 / (15 + plan.predicted[0].e2e_s.mean), rel=1e-6
        )


def test_the_most_people_that_a_limit_carries(file: Path) -> None:
    outcome = solved(file, "objective=maximize_load", "hardware.limits.max_gpus=4")
    plan = outcome.plans[0]
    assert plan.load_factor > 1
    assert outcome.loads[0].users == pytest.approx(600 * plan.load_factor)
    assert plan.predicted[0].concurrency < 600 * plan.load_factor
    again = solved(file, traffic(600 * plan.load_factor, 15), "hardware.limits.max_gpus=4")
    assert again.plans


def test_people_share_a_workload_with_other_floors(file: Path) -> None:
    """The larger of several floors, never their sum: each is kept by itself."""
    alone = cost(file, traffic(600, 15))
    assert cost(file, traffic(600, 15, ", requests_per_second: 1, concurrency: 5")) == alone
    assert cost(file, traffic(6, 15, ", requests_per_second: 40")) == cost(
        file, "workloads.chat.traffic={requests_per_second: 40}"
    )


def test_people_follow_a_day_profile(file: Path) -> None:
    profile = "[{name: day, hours_per_month: 230, factor: 1}, {name: night, hours_per_month: 500, factor: 0.2}]"
    outcome = solved(file, traffic(600, 15, f", profile: {profile}"))
    day, night = outcome.plans[0].periods
    assert day.services[0].concurrency < 600
    assert night.services[0].concurrency < 120
    assert night.replicas <= day.replicas
    hours = 230 + 500 * 0.2
    promised = 600 / (15 + 2 + 499 * 0.05) * hours * 3600 * 500
    costs = outcome.plans[0].unit_costs
    assert costs is not None
    assert costs.expected_output_tokens_per_month == pytest.approx(promised)


def test_classes_of_people_may_be_served_apart(file: Path) -> None:
    classes = "[{name: short, input: 200, output: 100, share: 0.8}, {name: long, input: 3000, output: 600, share: 0.2}]"
    outcome = solved(file, f"workloads.chat.tokens={{context_max: 8192, classes: {classes}}}")
    assert outcome.plans
    assert sum(one.concurrency for one in outcome.plans[0].predicted) < 600


def test_an_impossible_problem_of_people_names_ways_out(file: Path) -> None:
    outcome = solved(file, "hardware.limits.max_gpus=1", "hardware.gpus=[l40s_48]")
    paths = {way.change for way in outcome.relaxations}
    assert "hardware.limits.max_gpus" in paths
    assert "workloads.chat.traffic.users.active" in paths
