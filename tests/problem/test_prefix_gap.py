"""``tokens.prefix_gap_s``: what it means, where it is refused, and what follows where it is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.demand import Gap
from optimizer.errors import ProblemError
from optimizer.problem import lengths_of, load_problem

CHAT = """
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {traffic}
    tokens: {{input: 1000, output: 200, context_max: 4096, shared_prefix: 0.5, requests_per_prefix: 4{more}}}
    slo: {{ttft_ms: {{p95: 1000}}}}
"""
ARRIVE = "{requests_per_second: 10}"
THINK = "{users: {active: 50, think_time_s: 20}}"


def lengths(tmp_path: Path, traffic: str = ARRIVE, more: str = ""):
    path = tmp_path / "p.yaml"
    path.write_text(CHAT.format(traffic=traffic, more=more))
    return lengths_of(load_problem(path).workloads[0])


def test_a_number_is_the_mean_of_an_exponential_wait(tmp_path: Path) -> None:
    found = lengths(tmp_path, more=", prefix_gap_s: 30")
    assert found.prefix_gap == Gap(mean_s=30.0)
    assert found.earns_hits and not found.assumes_hits


def test_two_percentiles_are_a_lognormal_wait(tmp_path: Path) -> None:
    gap = lengths(tmp_path, more=", prefix_gap_s: {p50: 9, p90: 71}").prefix_gap
    assert gap == Gap(p50_s=9.0, p90_s=71.0)
    assert gap is not None and gap.mean > 2 * gap.median


def test_without_a_gap_hits_are_assumed(tmp_path: Path) -> None:
    found = lengths(tmp_path)
    assert found.prefix_gap is None and found.assumes_hits


def test_the_time_people_think_is_the_gap(tmp_path: Path) -> None:
    assert lengths(tmp_path, THINK).prefix_gap == Gap(mean_s=20.0)
    both = "{users: {active: 50, think_time_s: 20}, concurrency: 5}"
    assert lengths(tmp_path, both).assumes_hits


def test_a_prefix_that_all_requests_share_needs_none(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(CHAT.format(traffic=ARRIVE, more="").replace(", requests_per_prefix: 4", ""))
    found = lengths_of(load_problem(path).workloads[0])
    assert not found.earns_hits and not found.assumes_hits


@pytest.mark.parametrize(
    ("traffic", "gap", "said"),
    [
        ("{concurrency: 5}", "30", "stands beside traffic.concurrency"),
        ("{requests_per_second: 1, concurrency: 5}", "30", "stands beside traffic.concurrency"),
        (THINK, "30", "stands beside traffic.users.think_time_s, which is the same time"),
        (ARRIVE, "{p50: 30, p90: 20}", "the p50 of 30 s is above the p90 of 20 s"),
        (ARRIVE, "-1", "at least 0"),
        (ARRIVE, "{p50: 0, p90: 20}", "above 0"),
    ],
)
def test_it_is_refused_where_it_means_nothing(tmp_path: Path, traffic: str, gap: str, said: str) -> None:
    with pytest.raises(ProblemError) as caught:
        lengths(tmp_path, traffic, f", prefix_gap_s: {gap}")
    assert said in str(caught.value)
    assert "p.yaml:6" in str(caught.value)


def test_it_is_refused_without_a_number_of_requests(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(CHAT.format(traffic=ARRIVE, more=", prefix_gap_s: 5").replace(", requests_per_prefix: 4", ""))
    with pytest.raises(ProblemError, match="says nothing without requests_per_prefix"):
        load_problem(path)
