"""What a plan runs in each period of the day profile, and the tokens that makes in a month."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.plan.types import PeriodService, PlanPeriod
from optimizer.planning.predict import Expectation, GroupLoad, expect
from optimizer.pricing import spot_uplift, starts_of
from optimizer.problem import load_of, periods_of
from optimizer.problem.load import stated_factor
from optimizer.vocabulary import Tier

if TYPE_CHECKING:
    from optimizer.fleet.types import FleetSolution, GroupChoice, NodeChoice
    from optimizer.planning.inputs import Inputs
    from optimizer.problem import Problem


def periods_of_plans(inputs: Inputs, solutions: Sequence[FleetSolution]) -> list[tuple[PlanPeriod, ...]]:
    """The periods of each plan; empty ones where the problem has no day profile."""
    periods = periods_of(inputs.problem)
    if not periods:
        return [() for _ in solutions]
    asked = [(s, p, g) for s, solution in enumerate(solutions) for p in range(len(periods)) for g in solution.groups]
    loaded = [row for row in asked if _factor(inputs, row[2], row[1])]
    maximize = inputs.problem.objective == "maximize_load"
    carried = [solution.load_factor if maximize else 1.0 for solution in solutions]
    answers = expect(
        inputs,
        [
            GroupLoad(replace(g, replicas=g.running[p], running=()), _factor(inputs, g, p) * carried[s])
            for s, p, g in loaded
        ],
    )
    found = {(s, p, g.candidate.workload): one for (s, p, g), one in zip(loaded, answers, strict=True)}
    return [
        tuple(
            _period(inputs, solution, p, {w: found.get((s, p, w)) for w in _workloads(solution)})
            for p in range(len(periods))
        )
        for s, solution in enumerate(solutions)
    ]


def _workloads(solution: FleetSolution) -> list[int]:
    return [group.candidate.workload for group in solution.groups]


def _factor(inputs: Inputs, group: GroupChoice, period: int) -> float:
    """The load in a period against that of the workload's busiest."""
    return load_of(inputs.problem.workloads[group.candidate.workload], inputs.problem).factors[period]


def _period(inputs: Inputs, solution: FleetSolution, index: int, expected: dict[int, Expectation | None]) -> PlanPeriod:
    period = periods_of(inputs.problem)[index]
    nodes = solution.nodes
    return PlanPeriod(
        name=period.name,
        hours_per_month=period.hours,
        starts_per_month=period.starts,
        gpus=sum(choice.running[index] * choice.option.node_type.gpus_per_node for choice in nodes),
        replicas=tuple(group.running[index] for group in solution.groups),
        nodes=tuple(choice.running[index] for choice in nodes),
        monthly_cents=sum(_by_use(choice, index) for choice in nodes),
        services=tuple(_services(inputs, index, expected)),
    )


def _by_use(choice: NodeChoice, index: int) -> int:
    if not choice.option.periods:
        return 0
    price, started = choice.option.periods[index], starts_of(choice.running)[index]
    return price.cents * choice.running[index] + price.start_cents * started


def _services(inputs: Inputs, index: int, expected: dict[int, Expectation | None]) -> Iterator[PeriodService]:
    for number, one in expected.items():
        workload = inputs.problem.workloads[number]
        prediction = None if one is None else one.prediction
        yield PeriodService(
            workload=workload.name,
            factor=stated_factor(workload.traffic, index),
            requests_per_second=prediction.requests_per_second if prediction else 0.0,
            output_tokens_per_second=prediction.output_tokens_per_second if prediction else 0.0,
            concurrency=prediction.concurrency if prediction else 0.0,
            ttft_p95_ms=prediction.ttft_ms.p95 if prediction else None,
            tpot_p95_ms=prediction.tpot_ms.p95 if prediction else None,
        )


def busiest_period(solution: FleetSolution) -> int:
    """The first period with the most GPUs; 0 without a day profile."""
    by_period = list(zip(*(choice.running or (choice.count,) for choice in solution.nodes), strict=True))
    sizes = [choice.option.node_type.gpus_per_node for choice in solution.nodes]
    gpus = [sum(n * size for n, size in zip(counts, sizes, strict=True)) for counts in by_period]
    return gpus.index(max(gpus))


def payment_notes(problem: Problem, solution: FleetSolution) -> Iterator[str]:
    """What is assumed of nodes paid by use under a day profile, where a plan has such nodes."""
    by_use = [choice for choice in solution.nodes if choice.option.periods]
    minutes, uplift = problem.payment.startup_minutes, spot_uplift(problem)
    if minutes and any(any(starts_of(choice.running)) for choice in by_use):
        yield (
            f"each start of a node paid by use is billed {minutes:g} minutes before it serves (payment.startup_minutes)"
        )
    if uplift and any(choice.option.tier is Tier.SPOT for choice in by_use):
        yield (
            f"the rent of spot nodes carries {uplift * 100:g} % for interruptions (payment.spot_uplift_percent);"
            " promises hold while the nodes are there"
        )
