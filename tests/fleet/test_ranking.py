"""Flagged configurations, load factors, unbounded problems, the saved model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimizer.errors import ProblemError
from optimizer.fleet import FleetResult, FleetStatus, SolveSettings, fleet_model_text
from optimizer.fleet.rank import rank_plans
from optimizer.vocabulary import Link, Tier
from tests.fleet.fleet_cases import (
    CandidateSpec,
    Case,
    OptionSpec,
    make_candidate,
    make_gpu,
    make_option,
    make_rules,
    make_type,
)
from tests.fleet.fleet_cases import make_workload as workload

PCIE = make_type(make_gpu("l40s"), 8, Link.PCIE)
SXM = make_type(make_gpu("h100"), 8)
OPTIONS = (make_option(PCIE, OptionSpec("slow", 100_000)), make_option(SXM, OptionSpec("fast", 300_000)))


def solve(case: Case) -> FleetResult:
    return rank_plans(case.candidate_set, case.options, case.loads(), SolveSettings())


def flagged_case(rate: float) -> Case:
    """TP4 over PCIe that carries ``rate`` per replica, TP2 over PCIe and a dearer card with NVLink."""
    candidates = (
        make_candidate(PCIE, CandidateSpec(tp=4, rate=rate)),
        make_candidate(SXM, CandidateSpec(tp=4, rate=2.0)),
    )
    return Case(candidates, OPTIONS, make_rules(workloads=(workload(rate=4.0, inflight=0.0),)))


def test_flagged_and_cheaper_is_not_ranked_but_said() -> None:
    result = solve(flagged_case(2.0))
    assert [plan.groups[0].candidate.node_type.gpu.id for plan in result.solutions] == ["h100"]
    assert "l40s with TP4 over PCIe would come first, at 1,000.00 a month" in result.warnings[0]


def test_flagged_and_dearer_is_ranked_behind() -> None:
    result = solve(flagged_case(0.5))
    assert [plan.groups[0].candidate.node_type.gpu.id for plan in result.solutions] == ["h100", "l40s"]
    assert not result.warnings


def test_named_cards_are_never_flagged() -> None:
    case = flagged_case(2.0)
    named = replace(case, rules=replace(case.rules, named_gpus=frozenset({"l40s"})))
    assert solve(named).solutions[0].groups[0].candidate.node_type.gpu.id == "l40s"


def test_only_flagged_is_infeasible() -> None:
    case = flagged_case(2.0)
    only = replace(case, candidates=case.candidates[:1])
    assert solve(only).status is FleetStatus.INFEASIBLE


def test_load_factor_is_what_the_replicas_carry() -> None:
    case = flagged_case(0.5)
    plan = solve(replace(case, candidates=case.candidates[1:])).solutions[0]
    assert plan.groups[0].replicas == 2
    assert plan.load_factor == 1.0
    rules = make_rules(workloads=(workload(rate=3.0, inflight=0.0),))
    assert solve(replace(case, candidates=case.candidates[1:], rules=rules)).solutions[0].load_factor == 1.333


def test_maximize_load_without_bounds_is_refused() -> None:
    case = flagged_case(0.5)
    with pytest.raises(ProblemError, match="bounds the plan"):
        solve(replace(case, rules=replace(case.rules, objective="maximize_load")))


def test_reserved_is_preferred_where_it_costs_the_same_by_content_only() -> None:
    options = tuple(make_option(SXM, OptionSpec("x", 5, tier=tier)) for tier in (Tier.RESERVED_1Y, Tier.ON_DEMAND))
    case = Case(flagged_case(1.0).candidates[1:], options, make_rules())
    assert solve(case).solutions[0].nodes[0].option.tier is Tier.ON_DEMAND


def test_the_model_is_protobuf_text() -> None:
    case = flagged_case(0.5)
    text = fleet_model_text(case.candidate_set, case.options)
    assert "one_candidate[0]" in text
    assert "objective" in text
