"""Keys of the problem file at work in whole decisions: what each changes, and that the check confirms every answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.decide import solve_problem
from optimizer.plan.types import Outcome, Plan

BASE = """
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 10}
    tokens: {input: 1000, output: 200, context_max: 4096}
    slo: {ttft_ms: {p95: 1000}, tpot_ms: {p95: 50}}
ranking: {top: 3}
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("problem") / "base.yaml"
    path.write_text(BASE)
    return path


def solved(base: Path, *sets: str) -> Outcome:
    outcome = solve_problem(base, sets=sets)
    assert outcome.plans, sets
    return outcome


def first(base: Path, *sets: str) -> Plan:
    return solved(base, *sets).plans[0]


@pytest.mark.parametrize("version", ["0.6.3", "0.9.1", "0.14.0", "99.0"])
def test_a_stated_engine_version_is_predicted_as_it_is_verified(base: Path, version: str) -> None:
    solved(base, f'engine.version="{version}"')


def test_an_old_engine_version_is_predicted_as_slower(base: Path) -> None:
    new, old = first(base), first(base, 'engine.version="0.6.3"')
    assert old.monthly_cents > new.monthly_cents


@pytest.mark.parametrize(
    "bound", ["hardware.limits.max_gpus=4", "hardware.limits.max_nodes=2", "hardware.limits.max_power_kw=4"]
)
def test_the_most_load_is_within_the_printed_capacity(base: Path, bound: str) -> None:
    for plan in solved(base, "objective=maximize_load", bound).plans:
        assert plan.predicted[0].capacity.requests_per_second >= 10 * plan.load_factor * (1 - 1e-6)


@pytest.mark.parametrize("objective", ["minimize_ttft", "minimize_tpot"])
def test_the_load_factor_counts_what_the_plan_carries_not_where_its_latency_was_read(
    base: Path, objective: str
) -> None:
    """One request in flight on a whole H100 leaves room for many more inside generous promises."""
    plan = first(
        base,
        f"objective={objective}",
        "workloads.chat.traffic={concurrency: 1}",
        "hardware.owned=[{gpu: h100_sxm_80, gpus_per_node: 1}]",
        "hardware.only_owned=yes",
    )
    assert plan.load_factor > 10
    assert plan.predicted[0].capacity.concurrency > 10
