"""What a month's bill is spread over: the volume of the stated load, the same for every plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.pricing import Volume, expected_volume, unit_costs
from optimizer.problem import Problem, load_problem

HOUR, MONTH = 3600.0, 730.0
FILE = """
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 10}
    tokens: {input: 1000, output: 200, context_max: 4096}
    slo: {ttft_ms: {p95: 1000}, tpot_ms: {p95: 50}}
hardware: {gpus: [l40s_48, h100_sxm_80]}
ranking: {top: 1}
"""
PROFILE = "profile: [{name: day, hours_per_month: 230, factor: 1.5}, {name: night, hours_per_month: 500, factor: 0.2}]"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("units") / "chat.yaml"
    path.write_text(FILE)
    return path


def read(file: Path, traffic: str, *sets: str) -> Problem:
    return load_problem(file, sets=[f"workloads.chat.traffic={{{traffic}}}", *sets])


@pytest.mark.parametrize(
    ("traffic", "sets", "requests"),
    [
        ("requests_per_second: 10", (), 10 * MONTH * HOUR),
        ("requests_per_second: 10", ("payment.mean_load=0.4",), 4 * MONTH * HOUR),
        ("requests_per_second: 10", ("payment.hours_per_month=200",), 10 * 200 * HOUR),
        ("requests_per_second: 10, peak_factor: 3", ("margins.load_headroom=0.5",), 10 * MONTH * HOUR),
        ("output_tokens_per_second: 900, concurrency: 60", (), 900 / 200 * MONTH * HOUR),
        ("users: {active: 500, requests_per_user_per_hour: 36}", (), 500 * 36 * MONTH),
        ("users: {active: 500, think_time_s: 30}", (), 500 / (30 + 1 + 199 * 0.05) * MONTH * HOUR),
        ("users: {active: 500, think_time_s: 30}, peak_factor: 2", (), 500 / (30 + 1 + 199 * 0.05) * MONTH * HOUR),
        ("users: {active: 5, think_time_s: 30}", ("workloads.chat.slo={e2e_s: 8}",), 5 / 38 * MONTH * HOUR),
        ("concurrency: 60", (), 60 / (1 + 199 * 0.05) * MONTH * HOUR),
        ("concurrency: 60", ("workloads.chat.slo={tpot_ms: 40}",), 60 / (199 * 0.04) * MONTH * HOUR),
        (f"requests_per_second: 10, {PROFILE}", (), 10 * (230 * 1.5 + 500 * 0.2) * HOUR),
        (f"requests_per_second: 10, {PROFILE}", ("payment.mean_load=0.4",), 10 * (230 * 1.5 + 500 * 0.2) * HOUR),
        ("batch: {requests: 4000, within_hours: 8, runs_per_month: 30}", ("workloads.chat.slo={}",), 4000 * 30),
    ],
)
def test_the_expected_volume_by_hand(file: Path, traffic: str, sets: tuple[str, ...], requests: float) -> None:
    """Peak factor and headroom do not count; what a plan makes of it (here a lie) does not either."""
    volume = expected_volume(read(file, traffic, *sets), {"chat": 1e6})
    assert volume.requests == pytest.approx(requests)
    assert volume.input_tokens == pytest.approx(requests * 1000)
    assert volume.output_tokens == pytest.approx(requests * 200)


@pytest.mark.parametrize("traffic", ["users: {active: 500, think_time_s: 30}", "concurrency: 60"])
def test_where_nothing_bounds_the_response_a_plan_tells_what_it_makes_of_its_load(file: Path, traffic: str) -> None:
    problem = read(
        file, f"{traffic}, peak_factor: 2", "workloads.chat.slo={ttft_ms: 1000}", "margins.load_headroom=0.5"
    )
    assert expected_volume(problem, {"chat": 12.0}).requests == pytest.approx(12.0 / 3 * MONTH * HOUR)


def test_users_are_those_stated_and_there_are_none_where_a_workload_has_none(file: Path, tmp_path: Path) -> None:
    volume = expected_volume(read(file, "users: {active: 500, think_time_s: 30}, peak_factor: 2"), {})
    assert volume.users == 500
    both = tmp_path / "both.yaml"
    second = FILE.partition("workloads:\n")[2].partition("hardware")[0].replace("chat", "rag")
    both.write_text(FILE.replace("hardware", f"{second}hardware", 1))
    assert expected_volume(load_problem(both), {}).users is None


def test_a_bill_over_nothing_costs_nothing_a_unit() -> None:
    costs = unit_costs(1_000_000, Volume(0.0, 0.0, 0.0, None, {}))
    assert (costs.per_million_output_tokens, costs.per_request, costs.per_user_month) == (None, None, None)
    costs = unit_costs(1_000_000, Volume(2e6, 4e9, 1e9, 50.0, {"chat": 2e6}))
    assert costs.per_million_output_tokens == 10.0
    assert costs.per_million_input_tokens == 2.5
    assert (costs.per_request, costs.per_user_month) == (0.005, 200.0)
