"""The LLM deployment optimizer: the cheapest deployments that meet your serving targets, with a proof.

The public API, imported on first use::

    from optimizer import solve
    outcome = solve("problems/chatbot_100users.yaml")
    print(outcome.plans[0].monthly_cents / 100)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from optimizer.version import VERSION

if TYPE_CHECKING:
    from optimizer.calibrate.validation import validate
    from optimizer.catalog import Catalog, load_catalog
    from optimizer.catalog.listing import offers_frame
    from optimizer.errors import Finding, InputError, OptimizerError, OutOfTimeError, UsageError
    from optimizer.files.carried import files_closed
    from optimizer.negotiate.budget import budget
    from optimizer.negotiate.calibration import calibration
    from optimizer.negotiate.check import check
    from optimizer.negotiate.compare import compare
    from optimizer.negotiate.confirm import confirm
    from optimizer.negotiate.explain import explain
    from optimizer.negotiate.frontier import frontier
    from optimizer.negotiate.memory import MemoryAnswer, ReplicaOptions, memory
    from optimizer.negotiate.plan_file import PlanFile, open_plan
    from optimizer.negotiate.predict import predict
    from optimizer.negotiate.quoted import add_quotes
    from optimizer.negotiate.solve import solve
    from optimizer.negotiate.targets import targets
    from optimizer.negotiate.why_not import why_not
    from optimizer.plan.types import Feasible, Infeasible, Optimal, Outcome, Plan, Unknown
    from optimizer.problem import Problem, load_problem, parse_problem
    from optimizer.report import render, status_of

    solve_problem = solve

__version__ = VERSION

_HOME = {
    "solve": "optimizer.negotiate.solve",
    "budget": "optimizer.negotiate.budget",
    "targets": "optimizer.negotiate.targets",
    "frontier": "optimizer.negotiate.frontier",
    "explain": "optimizer.negotiate.explain",
    "why_not": "optimizer.negotiate.why_not",
    "compare": "optimizer.negotiate.compare",
    "confirm": "optimizer.negotiate.confirm",
    "check": "optimizer.negotiate.check",
    "memory": "optimizer.negotiate.memory",
    "MemoryAnswer": "optimizer.negotiate.memory",
    "ReplicaOptions": "optimizer.negotiate.memory",
    "open_plan": "optimizer.negotiate.plan_file",
    "PlanFile": "optimizer.negotiate.plan_file",
    "predict": "optimizer.negotiate.predict",
    "calibration": "optimizer.negotiate.calibration",
    "add_quotes": "optimizer.negotiate.quoted",
    "validate": "optimizer.calibrate.validation",
    "load_problem": "optimizer.problem",
    "parse_problem": "optimizer.problem",
    "Problem": "optimizer.problem",
    "load_catalog": "optimizer.catalog",
    "offers_frame": "optimizer.catalog.listing",
    "Catalog": "optimizer.catalog",
    "render": "optimizer.report",
    "status_of": "optimizer.report",
    "Outcome": "optimizer.plan.types",
    "Optimal": "optimizer.plan.types",
    "Feasible": "optimizer.plan.types",
    "Infeasible": "optimizer.plan.types",
    "Unknown": "optimizer.plan.types",
    "Plan": "optimizer.plan.types",
    "OptimizerError": "optimizer.errors",
    "InputError": "optimizer.errors",
    "OutOfTimeError": "optimizer.errors",
    "UsageError": "optimizer.errors",
    "Finding": "optimizer.errors",
    "files_closed": "optimizer.files.carried",
}

_ALIAS = {"solve_problem": "solve"}
"""Earlier names, still in use."""

__all__ = [
    "Catalog",
    "Feasible",
    "Finding",
    "Infeasible",
    "InputError",
    "MemoryAnswer",
    "Optimal",
    "OptimizerError",
    "OutOfTimeError",
    "Outcome",
    "Plan",
    "PlanFile",
    "Problem",
    "ReplicaOptions",
    "Unknown",
    "UsageError",
    "__version__",
    "add_quotes",
    "budget",
    "calibration",
    "check",
    "compare",
    "confirm",
    "explain",
    "files_closed",
    "frontier",
    "load_catalog",
    "load_problem",
    "memory",
    "offers_frame",
    "open_plan",
    "parse_problem",
    "predict",
    "render",
    "solve",
    "solve_problem",
    "status_of",
    "targets",
    "validate",
    "why_not",
]


def __getattr__(name: str) -> Any:
    known = _ALIAS.get(name, name)
    if known in _HOME:
        return getattr(import_module(_HOME[known]), known)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
