"""The LLM deployment optimizer: the cheapest deployments that meet your serving targets, with a proof.

The public API, imported on first use::

    from optimizer import solve_problem
    outcome = solve_problem("problems/chatbot_100users.yaml")
    print(outcome.plans[0].monthly_cents / 100)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optimizer.catalog import load_catalog
    from optimizer.decide import solve_problem
    from optimizer.errors import InputError, OptimizerError
    from optimizer.negotiate.budget import budget
    from optimizer.negotiate.compare import compare
    from optimizer.negotiate.explain import explain
    from optimizer.negotiate.frontier import frontier
    from optimizer.negotiate.targets import targets
    from optimizer.negotiate.why_not import why_not
    from optimizer.plan.types import Outcome, Plan
    from optimizer.problem import Problem, load_problem
    from optimizer.report import render

_HOME = {
    "solve_problem": "optimizer.decide",
    "budget": "optimizer.negotiate.budget",
    "targets": "optimizer.negotiate.targets",
    "frontier": "optimizer.negotiate.frontier",
    "explain": "optimizer.negotiate.explain",
    "why_not": "optimizer.negotiate.why_not",
    "compare": "optimizer.negotiate.compare",
    "load_problem": "optimizer.problem",
    "Problem": "optimizer.problem",
    "load_catalog": "optimizer.catalog",
    "render": "optimizer.report",
    "Outcome": "optimizer.plan.types",
    "Plan": "optimizer.plan.types",
    "OptimizerError": "optimizer.errors",
    "InputError": "optimizer.errors",
}

__all__ = [
    "InputError",
    "OptimizerError",
    "Outcome",
    "Plan",
    "Problem",
    "budget",
    "compare",
    "explain",
    "frontier",
    "load_catalog",
    "load_problem",
    "render",
    "solve_problem",
    "targets",
    "why_not",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
