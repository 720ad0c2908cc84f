"""The CP-SAT model: which candidates, how many replicas, on which nodes; ranked, proven, relaxed where nothing fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimizer.fleet.types import (
    Edit,
    FleetResult,
    FleetSolution,
    FleetStatus,
    GroupChoice,
    NodeChoice,
    SolveSettings,
)

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.catalog.types import Catalog
    from optimizer.demand import Load
    from optimizer.fleet.candidate_set import CandidateSet
    from optimizer.fleet.requirements import UserRules
    from optimizer.performance import Parameters
    from optimizer.performance.operating_points import Memo
    from optimizer.pricing.types import NodeOption
    from optimizer.problem import Problem

__all__ = [
    "Edit",
    "FleetResult",
    "FleetSolution",
    "FleetStatus",
    "GroupChoice",
    "NodeChoice",
    "SolveSettings",
    "broken_by",
    "fleet_model_text",
    "propose_edits",
    "solve_fleet",
]


def solve_fleet(
    problem: Problem,
    candidate_set: CandidateSet,
    options: Sequence[NodeOption],
    loads: Sequence[Load],
    settings: SolveSettings | None = None,
) -> FleetResult:
    """The ranked plans of a problem, each proven best given the ones before it."""
    from optimizer.fleet.rank import rank_plans

    return rank_plans(candidate_set, options, loads, settings or SolveSettings())


def fleet_model_text(candidate_set: CandidateSet, options: Sequence[NodeOption]) -> str:
    """The CP-SAT model of rank 1, with its objective, as protobuf text."""
    from optimizer.fleet.screening import prepare
    from optimizer.fleet.solve import build_model, levels, model_text

    v = build_model(prepare(candidate_set, options, screens=True).instance)
    first = levels(v)[0]
    if first.maximize:
        v.cp.maximize(first.expression)
    else:
        v.cp.minimize(first.expression)
    return model_text(v)


def broken_by(candidate: Candidate, point: int, rules: UserRules) -> frozenset[str]:
    """Paths of the rules and promises that one operating point of a candidate breaks by itself."""
    from optimizer.fleet.relaxation import slot_breaches

    return slot_breaches(candidate, point, rules)


def propose_edits(
    problem: Problem,
    catalog: Catalog,
    params: Parameters,
    candidate_set: CandidateSet,
    options: Sequence[NodeOption],
    settings: SolveSettings | None = None,
    memo: Memo | None = None,
) -> tuple[Edit, ...]:
    """Edits of an infeasible problem, most useful first; empty where three changes at once do not help.

    The candidates get operating points at smaller loads too, so that a latency is relaxed no further than needed.
    """
    from optimizer.fleet.candidate_set import with_points
    from optimizer.fleet.relaxation_edits import edits_of
    from optimizer.fleet.requirements import user_rules

    rules = user_rules(problem, catalog, options)
    finer = with_points(problem, catalog, rules, params, candidate_set, memo, ladder=True)
    return edits_of(problem, finer, options, settings or SolveSettings())
