"""The outcome: what the search proved, on which prices, under which performance model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimizer.decide.echo import asked, loads, rules
from optimizer.plan.types import Feasible, Infeasible, Optimal, Outcome, Plan, Proof, Rejection, Relaxation, Unknown
from optimizer.pricing import option_rules, refused_quotes, unused_discounts
from optimizer.units import CENTS_PER_UNIT

if TYPE_CHECKING:
    from optimizer.candidates.types import CandidateSet
    from optimizer.decide.inputs import Inputs
    from optimizer.fleet.types import FleetResult
    from optimizer.pricing import NodeOption

_KIND: dict[str, type[Outcome]] = {
    "proven": Optimal,
    "feasible": Feasible,
    "infeasible": Infeasible,
    "unknown": Unknown,
}


def outcome_of(
    inputs: Inputs,
    candidates: CandidateSet,
    options: Sequence[NodeOption],
    result: FleetResult,
    plans: tuple[Plan, ...],
    ways_out: tuple[Relaxation, ...],
    rejected: tuple[Rejection, ...] = (),
) -> Outcome:
    """Put everything a report needs into one value."""
    problem = inputs.problem
    return _KIND[str(result.status)](
        problem_name=problem.name,
        problem_path=problem.path,
        problem_sha256=problem.sha256,
        loads=loads(problem, plans[0] if plans else None),
        warnings=(
            *problem.warnings,
            *refused_quotes(options, candidates.rules.options),
            *unused_discounts(problem, inputs.catalog, options),
            *candidates.warnings,
            *result.warnings,
        ),
        proof=_proof(inputs, options, result, len(rejected)),
        funnel=candidates.funnel,
        plans=plans,
        relaxations=ways_out,
        asked=asked(problem),
        rules=rules(problem),
        currency=problem.payment.currency,
        confidence=problem.margins.confidence,
        distinct_by=tuple(str(name) for name in problem.ranking.distinct_by),
        rejected=rejected,
        mixes=problem.ranking.max_configurations_per_workload > 1,
    )


def _proof(inputs: Inputs, options: Sequence[NodeOption], result: FleetResult, rejected: int) -> Proof:
    best = result.solutions[0] if result.solutions else None
    unit, scale = _unit(result, inputs.problem.payment.currency)
    value = best.objective / scale if best else None
    bound = best.bound / scale if best else None
    dates = _price_dates(inputs, options)
    return Proof(
        objective=result.objective,
        value=value,
        bound=bound,
        unit=unit,
        gap=None if best is None else _gap(best.objective, best.bound),
        candidates_enumerated=result.enumerated,
        candidates_feasible=result.feasible,
        candidates_screened=result.screened,
        replay_rejected=rejected,
        prices_from=min(dates, default=None),
        prices_to=max(dates, default=None),
        performance_model=inputs.params.version,
    )


def _unit(result: FleetResult, currency: str) -> tuple[str, float]:
    """Unit of the objective as a reader knows it, and the solver's units in one of it."""
    match result.objective:
        case "minimize_cost":
            return f"{currency} per month", float(CENTS_PER_UNIT)
        case "maximize_load":
            return "times the stated load", 1e3
        case "minimize_ttft" | "minimize_tpot":
            return "ms", 1e3
        case _:
            return "GPUs", 1.0


def _gap(objective: int, bound: int) -> float:
    """Relative gap between the answer and what the solver proved; 0 = proven."""
    return 0.0 if objective == bound else abs(objective - bound) / max(1, abs(objective))


def _price_dates(inputs: Inputs, options: Sequence[NodeOption]) -> list[str]:
    """Dates of the prices that were allowed to compete."""
    allowed = option_rules(inputs.problem, inputs.catalog)
    return [
        option.price.date
        for option in options
        if option.price is not None and option.price.date is not None and not allowed.forbidden_by(option)
    ]
