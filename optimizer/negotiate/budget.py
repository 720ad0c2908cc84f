"""What a budget buys: the most load with every promise kept, and the best latencies for the load that is stated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.demand import Metric
from optimizer.errors import Finding, UsageError
from optimizer.progress import Clock, Say, silent
from optimizer.units import to_cents

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.plan.types import Outcome, Plan
    from optimizer.planning.inputs import Inputs
    from optimizer.problem import Problem, Workload
    from optimizer.whatif.case import Case

_COUNTS = ("concurrency", "requests_per_second", "output_tokens_per_second")


@dataclass(frozen=True, slots=True)
class Reach:
    """One traffic figure of the problem file and how far the budget takes it."""

    path: str
    stated: float
    reached: float


@dataclass(frozen=True, slots=True)
class Fastest:
    """The lowest latency for the planned load within the budget; no plan where the budget does not carry the load."""

    metric: Metric
    plan: Plan | None


@dataclass(frozen=True, slots=True)
class BudgetAnswer:
    """Everything that ``optimize budget`` says."""

    budget_cents: int
    currency: str
    most: Outcome  # objective maximize_load
    reach: tuple[tuple[Reach, ...], ...]  # one tuple per plan of ``most``
    fastest: tuple[Fastest, ...]  # empty where the file states no load
    stated_load_cents: int | None  # cheapest way to carry the planned load, budget aside; None: no way, or no load
    replayed: bool = True


def budget(
    problem: Path | str | Problem,
    monthly: float | None = None,
    catalog: Catalog | Path | str | None = None,
    *,
    sets: Sequence[str] = (),
    progress: Say = silent,
    simulate: bool = True,
    time_limit: float | None = None,
) -> BudgetAnswer:
    """What ``monthly`` a month buys (None: ``budget.monthly`` of the file).

    Ranked: the plans that carry the largest load with every promise kept. Then the lowest TTFT and TPOT that the same
    money buys for the load stated in the file. ``problem`` is a file or a ``Problem``, ``catalog`` as of ``solve``.
    Raises ``InputError`` where no budget is stated, ``OutOfTimeError`` where ``time_limit`` seconds do not suffice.
    """
    from optimizer.decide import decide, read_inputs
    from optimizer.whatif.case import open_case

    clock = Clock.of(time_limit)
    progress("reading the problem and the catalogs")
    inputs = _with_budget(read_inputs(problem, sets=sets, catalogs=catalog), monthly)
    asked = inputs.problem
    progress("looking for the most load")
    most = decide(inputs.with_sets(["objective=maximize_load"]), progress=progress, simulate=simulate, clock=clock)
    fastest: tuple[Fastest, ...] = ()
    cheapest: int | None = None
    if all(_has_load(workload) for workload in asked.workloads):
        progress("asking for the lowest latencies")
        case = open_case(inputs.with_sets(["objective=minimize_cost"]), simulate=simulate, clock=clock)
        free = case.edited(["budget.monthly=null"]).solve()
        cheapest = free.solutions[0].monthly_cents if free.solutions else None
        fastest = () if any(workload.traffic.batch for workload in asked.workloads) else _fastest(case)
    assert asked.budget.monthly is not None
    return BudgetAnswer(
        budget_cents=to_cents(asked.budget.monthly),
        currency=asked.payment.currency,
        most=most,
        reach=tuple(_reach(asked, plan) for plan in most.plans),
        fastest=fastest,
        stated_load_cents=cheapest,
        replayed=simulate,
    )


def _fastest(case: Case) -> tuple[Fastest, ...]:
    found = []
    for metric, objective in ((Metric.TTFT, "minimize_ttft"), (Metric.TPOT, "minimize_tpot")):
        asked = case.edited([f"objective={objective}"])
        plans = asked.plans(asked.solve(), tested=False)
        found.append(Fastest(metric, plans[0] if plans else None))
    return tuple(found)


def _with_budget(inputs: Inputs, monthly: float | None) -> Inputs:
    if monthly is not None:
        return inputs.with_sets([f"budget.monthly={monthly:.12g}"])
    if inputs.problem.budget.monthly is None:
        message = "no budget: neither --monthly nor budget.monthly in the problem file"
        raise UsageError([Finding(message, hint="e.g. optimize budget FILE --monthly 20000")])
    return inputs


def _has_load(workload: Workload) -> bool:
    traffic = workload.traffic
    return traffic.users is not None or traffic.batch is not None or any(getattr(traffic, key) for key in _COUNTS)


def _reach(problem: Problem, plan: Plan) -> tuple[Reach, ...]:
    """Every traffic figure times the plan's load factor; one request in flight where the file states none."""
    found: list[Reach] = []
    for workload in problem.workloads:
        base, traffic = f"workloads.{workload.name}.traffic", workload.traffic
        stated = [(f"{base}.{key}", getattr(traffic, key)) for key in _COUNTS]
        stated += [(f"{base}.users.active", traffic.users.active)] if traffic.users else []
        stated += [(f"{base}.batch.requests", traffic.batch.requests)] if traffic.batch else []
        given = [(path, value) for path, value in stated if value is not None] or [(f"{base}.concurrency", 1.0)]
        found += [Reach(path, value, value * plan.load_factor) for path, value in given]
    return tuple(found)
