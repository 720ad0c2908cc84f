"""``traffic.profile``: what it means as a load, and every way it can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.errors import ProblemError
from optimizer.problem import KnownIds, Problem, load_of, load_problem, periods_of
from optimizer.problem.load import stated_factor

BASE = """\
workloads:
  - name: chat
    model: m
    traffic:
      requests_per_second: 10
      profile:
        - {name: day, hours_per_month: 230, factor: 1}
        - {name: night, hours_per_month: 500, factor: 0.2}
    tokens: {input: 1000, output: 200}
    slo: {ttft_ms: 1000}
"""
NIGHTLY = """\
  - name: nightly
    model: m
    traffic:
      batch: {requests: 1000, within_hours: 10, runs_per_month: 30}
      profile:
        - {name: day, hours_per_month: 230, factor: 0}
        - {name: night, hours_per_month: 500, factor: 1}
    tokens: {input: 1000, output: 200}
"""
KNOWN = KnownIds(
    gpus=frozenset({"g"}),
    models={"m": 8192},
    engines=frozenset({"vllm"}),
    providers=frozenset({"p"}),
    currencies=frozenset({"USD"}),
)


def read(tmp_path: Path, text: str = BASE, sets: tuple[str, ...] = ()) -> Problem:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    return load_problem(path, sets=sets, known=KNOWN)


def test_load_is_that_of_the_busiest_period_and_factors_are_against_it(tmp_path: Path) -> None:
    problem = read(tmp_path, BASE.replace("factor: 1}", "factor: 2}"))
    load = load_of(problem.workloads[0], problem)
    assert load.requests_per_second == 20
    assert load.factors == (1.0, 0.1)
    assert load.in_period(1).requests_per_second == pytest.approx(2)
    assert load.in_period(1).factors == ()
    assert stated_factor(problem.workloads[0].traffic, 0) == 2


def test_periods_begin_once_a_day_unless_stated(tmp_path: Path) -> None:
    day, night = periods_of(read(tmp_path, BASE.replace("factor: 1}", "factor: 1, starts_per_month: 22}")))
    assert (day.name, day.hours, day.starts) == ("day", 230, 22)
    assert night.starts == pytest.approx(730 / 24)


def test_without_a_profile_nothing_changes(tmp_path: Path) -> None:
    text = "\n".join(line for line in BASE.splitlines() if "profile" not in line and "hours_per_month" not in line)
    problem = read(tmp_path, text)
    assert periods_of(problem) == ()
    assert load_of(problem.workloads[0], problem).factors == ()
    load = load_of(problem.workloads[0], problem)
    assert load.in_period(0) is load


def test_batch_work_runs_in_its_periods_and_a_workload_without_profile_in_all(tmp_path: Path) -> None:
    steady = NIGHTLY.replace("nightly", "steady").replace(
        "batch: {requests: 1000, within_hours: 10, runs_per_month: 30}", "requests_per_second: 1"
    )
    steady = steady[: steady.index("      profile")] + "    tokens: {input: 1000, output: 200}\n"
    problem = read(tmp_path, BASE + NIGHTLY + steady)
    factors = [load_of(workload, problem).factors for workload in problem.workloads]
    assert factors == [(1.0, 0.2), (0.0, 1.0), (1.0, 1.0)]


def test_batch_work_without_hours_of_its_own_beside_online_workloads_is_warned_of(tmp_path: Path) -> None:
    """Their nodes are paid for all hours then, which may cost more than each in a file of its own."""
    always = NIGHTLY[: NIGHTLY.index("      profile")] + "    tokens: {input: 1000, output: 200}\n"
    (warning,) = [one for one in read(tmp_path, BASE + always).warnings if "traffic.batch" in one]
    assert "beside online workloads nodes are paid for all hours" in warning and "nightly" in warning
    assert not [one for one in read(tmp_path, BASE + NIGHTLY).warnings if "traffic.batch" in one]
    assert not [one for one in read(tmp_path, "workloads:\n" + always).warnings if "traffic.batch" in one]


def test_a_factor_can_be_set_by_the_name_of_its_period(tmp_path: Path) -> None:
    problem = read(tmp_path, sets=("workloads.chat.traffic.profile.night.factor=0.5",))
    assert load_of(problem.workloads[0], problem).factors == (1.0, 0.5)


WRONG = [
    ("hours_per_month: 500", "hours_per_month: 490", "add up to 720 hours, a month has 730", "10 hours are missing"),
    ("hours_per_month: 500", "hours_per_month: 510", "add up to 740 hours, a month has 730", "10 hours are too many"),
    ("name: night", "name: day", "the period 'day' is there twice", "another name"),
    ("factor: 1}", "factor: -1}", "at least 0", None),
    ("factor: 1}", "fctor: 1}", "unknown key 'fctor'", "factor"),
    ("hours_per_month: 230", "hours_per_month: 0", "above 0", None),
]


def messages(tmp_path: Path, text: str) -> str:
    with pytest.raises(ProblemError) as caught:
        read(tmp_path, text)
    return str(caught.value)


@pytest.mark.parametrize(("old", "new", "words", "hint"), WRONG)
def test_what_is_wrong_is_said(tmp_path: Path, old: str, new: str, words: str, hint: str | None) -> None:
    said = messages(tmp_path, BASE.replace(old, new))
    assert words in said
    assert hint is None or hint in said


@pytest.mark.parametrize("hours", ["499.5", "500.5", "500"])
def test_half_an_hour_of_rounding_is_forgiven(tmp_path: Path, hours: str) -> None:
    assert len(periods_of(read(tmp_path, BASE.replace("hours_per_month: 500", f"hours_per_month: {hours}")))) == 2


def test_all_factors_zero(tmp_path: Path) -> None:
    text = BASE.replace("factor: 1}", "factor: 0}").replace("factor: 0.2}", "factor: 0}")
    assert "the factor is 0 in every period" in messages(tmp_path, text)


def test_periods_of_two_workloads_are_the_same(tmp_path: Path) -> None:
    said = messages(tmp_path, BASE + NIGHTLY.replace("hours_per_month: 230", "hours_per_month: 231"))
    assert "the periods differ from those of workload 'chat'" in said


def test_batch_work_has_factors_of_zero_and_one_and_fits_its_periods(tmp_path: Path) -> None:
    assert "factors of batch work are 0" in messages(tmp_path, BASE + NIGHTLY.replace("factor: 1}", "factor: 0.5}"))
    said = messages(tmp_path, BASE + NIGHTLY.replace("within_hours: 10", "within_hours: 17"))
    assert "the runs take 510 hours a month, the periods of factor 1 have 500" in said
    read(
        tmp_path, BASE + NIGHTLY.replace("within_hours: 10, runs_per_month: 30", "within_hours: 20, runs_per_month: 25")
    )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("ranking: {max_configurations_per_workload: 2}\n", "is served by one configuration"),
        ("payment: {hours_per_month: 720}\n", "add up to 730 hours, a month has 720"),
    ],
)
def test_what_does_not_go_with_a_profile_is_said(tmp_path: Path, more: str, words: str) -> None:
    assert words in messages(tmp_path, BASE + more)
