"""What a budget buys: the most load with every promise kept, and the best latencies for the load that is stated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.demand import Metric
from optimizer.errors import Finding, UsageError
from optimizer.negotiate.plan_file import Asked, inputs_of, replays
from optimizer.problem import pools_wanted
from optimizer.progress import Clock, Say, silent
from optimizer.units import to_cents
from optimizer.vocabulary import Disaggregation

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.plan.types import Outcome, Plan
    from optimizer.planning.inputs import Inputs
    from optimizer.problem import Problem, Workload
    from optimizer.whatif.case import Case

_COUNTS = (
    "concurrency",
    "requests_per_second",
    "output_tokens_per_second",
    "sessions_per_second",
    "concurrent_sessions",
)


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
    pools_apart: bool = False  # pools may serve the planned load at least cost, and nothing else here


def budget(
    problem: Asked,
    monthly: float | None = None,
    catalog: Catalog | Path | str | None = None,
    *,
    sets: Sequence[str] = (),
    progress: Say = silent,
    simulate: bool = True,
    time_limit: float | None = None,
) -> BudgetAnswer:
    """Find what ``monthly`` a month buys: the plans that carry the largest load with every promise kept, ranked.

    Then the lowest TTFT and TPOT that the same money buys for the load stated in the file.

    Parameters
    ----------
    problem : Path, str or Problem
        A problem file, or a ``Problem`` of ``load_problem`` or ``parse_problem``, asked as it was read.
    monthly : float or None
        Money a month in the problem's currency; None: ``budget.monthly`` of the file.
    catalog : Catalog, Path, str or None
        Of ``load_catalog``, or a directory that overrides and extends the packaged catalogs; None: the packaged ones.
    sets : sequence of str
        Edits of the problem, each ``PATH=VALUE``, such as ``workloads.chat.slo.ttft_ms=1500``.
    progress : callable
        Takes the name of each step, a ``str``, as it begins.
    simulate : bool
        Whether plans are replayed request by request; False: the closed form alone, and the answer says so.
    time_limit : float or None
        Seconds (wall clock) over everything; None: no limit.

    Returns
    -------
    BudgetAnswer
        ``most``: the outcome under ``maximize_load``; ``reach``: for each of its plans, each traffic figure as stated
        and as reached (in that figure's unit); ``fastest``: the lowest TTFT and TPOT; money in integer cents a month.

    Raises
    ------
    InputError
        Where no budget is stated, and for what else the user can mend.
    OutOfTimeError
        Where ``time_limit`` seconds do not suffice.
    """
    from optimizer.decide import decide
    from optimizer.whatif.case import open_case

    clock = Clock.of(time_limit)
    progress("reading the problem and the catalogs")
    inputs, simulate = _with_budget(inputs_of(problem, sets, catalog), monthly), replays(problem, simulate=simulate)
    asked = inputs.problem
    if asked.engine.disaggregation is Disaggregation.REQUIRED:
        message = "what a budget buys is told of replicas that do both phases; engine.disaggregation: required has none"
        raise UsageError([Finding(message, hint="--set engine.disaggregation=any, which leaves pools out here")])
    if asked.ranking.max_configurations_per_workload > 1:
        message = (
            "what a budget buys is told of one configuration per workload; ranking.max_configurations_per_workload:"
            f" {asked.ranking.max_configurations_per_workload} allows mixes"
        )
        raise UsageError([Finding(message, hint="--set ranking.max_configurations_per_workload=1 asks for one")])
    progress("looking for the most load")
    loaded = inputs.with_sets(["objective=maximize_load"])
    most = decide(loaded, progress=progress, simulate=simulate, clock=clock, tested=False)
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
        pools_apart=pools_wanted(asked),
    )


def _fastest(case: Case) -> tuple[Fastest, ...]:
    """The quickest plans, over what rules and money leave: how quick each replica is at every load takes a while."""
    budget = case.candidates.rules.limits.budget_cents
    lean = case.allowed() if budget is None else case.allowed().cheaper_than(budget + 1)
    found = []
    for metric, objective in ((Metric.TTFT, "minimize_ttft"), (Metric.TPOT, "minimize_tpot")):
        asked = lean.edited([f"objective={objective}"])
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
