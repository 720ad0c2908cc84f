"""The question as it was understood: what was asked, which floor of the load wins, which rules narrow the choice."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import BaseModel

from optimizer.demand import part_name
from optimizer.plan.types import Asked, AskedPeriod, Demand, LoadFloor, Plan, Prediction, WorkloadLoad
from optimizer.planning.inputs import stated_of
from optimizer.pricing import load_hours
from optimizer.problem import (
    demand_of,
    parts_of,
    periods_of,
    place_of,
    population_of,
    rate_floors,
    sessions_of,
    value_at,
)
from optimizer.problem.load import stated_factor
from optimizer.problem.schema import READ_FROM, OwnedHardware, Quota

if TYPE_CHECKING:
    from optimizer.problem import Part, Problem, Workload

_SECTIONS = ("margins", "hardware", "engine", "payment", "budget", "ranking")
"""Sections that narrow the choice, promises first, as a screen cuts the end off; every key of them is echoed when the
file sets it, unless it is told elsewhere."""

_TOLD_ELSEWHERE = frozenset(
    {
        "payment.discounts",
        "payment.currency",
        "payment.fx",
        "payment.mean_load",
        "payment.api_price",
        "margins.confidence",
        "ranking.top",
        "ranking.distinct_by",
    }
)


def asked(problem: Problem) -> tuple[Asked, ...]:
    """What was asked of each workload."""
    return tuple(_asked(part, problem) for part in parts_of(problem))


def _asked(part: Part, problem: Problem) -> Asked:
    workload, lengths = part.workload, part.lengths
    return Asked(
        workload=part.name,
        model=workload.model,
        input_tokens=round(lengths.input_mean) if lengths.sessions or lengths.histogram else lengths.input_mean,
        input_p95=lengths.input_p95,
        output_tokens=round(lengths.output_mean) if lengths.sessions or lengths.histogram else lengths.output_mean,
        output_p95=lengths.output_p95,
        context_max=lengths.context_max,
        promises=part.slo.promises,
        min_recovery=workload.quality.min_recovery,
        floors=tuple(_floors(part)),
        stated=stated_of(part),
        hours_per_month=part.load.hours_per_month,
        load_hours=load_hours(workload, problem),
        length_class=part.length_class,
        class_share=part.share,
        classes=lengths.classes,
        periods=tuple(
            AskedPeriod(period.name, period.hours, stated_factor(workload.traffic, index))
            for index, period in enumerate(periods_of(problem))
        ),
        min_replicas=workload.traffic.min_replicas,
    )


def _floors(part: Part) -> Iterator[LoadFloor]:
    """Each stated figure of ``traffic`` and the load it alone asks for; the largest rate, people who think and the
    concurrency count.

    Of a length class: of the workload's figure, the class's share.
    """
    workload = part.workload
    base = f"workloads.{workload.name}.traffic"
    rates = rate_floors(workload)
    largest = max(rates.values(), default=0.0)
    for key, rate in rates.items():
        stated = _stated(workload, key, rate)
        yield LoadFloor(f"{base}.{key}", stated, rate * part.share, None, wins=rate == largest)
    if population_of(workload)[0]:
        key = "concurrent_sessions" if workload.traffic.concurrent_sessions is not None else "users"
        yield LoadFloor(f"{base}.{key}", population_of(workload)[0], None, None, wins=True)
    if workload.traffic.concurrency is not None:
        held = workload.traffic.concurrency
        yield LoadFloor(f"{base}.concurrency", held, None, held, wins=True)


def _stated(workload: Workload, key: str, rate: float) -> float:
    """The figure as written; for users and batch work the number of users or requests."""
    traffic = workload.traffic
    if key == "users" and traffic.users is not None:
        return traffic.users.active
    if key == "batch" and traffic.batch is not None:
        return traffic.batch.requests
    value = getattr(traffic, key)
    return float(value) if value is not None else rate


def loads(problem: Problem, best: Plan | None) -> tuple[WorkloadLoad, ...]:
    """The load of each workload; what was not stated follows from Little's law at the best plan's latencies."""
    return tuple(_load(part, problem, best) for part in parts_of(problem))


def _load(part: Part, problem: Problem, best: Plan | None) -> WorkloadLoad:
    load = part.load
    rate, inflight = load.requests_per_second, load.inflight
    mine = _predicted(part, best) if best else []
    if mine and problem.objective == "maximize_load":
        rate, inflight = sum(p.requests_per_second for p in mine), sum(p.concurrency for p in mine)
    elif mine:
        rate = rate or sum(p.requests_per_second for p in mine)
        inflight = inflight or sum(p.concurrency for p in mine)
    else:
        rate, inflight = rate or math.nan, inflight or math.nan
    tokens = rate * part.lengths.output_mean
    sought = best.load_factor if best is not None and problem.objective == "maximize_load" else 1.0
    people = (load.users * sought, load.think_s) if load.users else (None, None)
    about = (load.decided_by, part.length_class, *people, sessions_of(part.workload))
    return WorkloadLoad(part.name, rate, tokens, inflight, *about)


def demand(problem: Problem) -> tuple[Demand, ...]:
    """The load of each workload as stated, at the peak and as planned for."""
    return tuple(demand_of(workload, problem) for workload in problem.workloads)


def understood(problem: Problem) -> dict[str, object]:
    """The whole problem as it was read, defaults included; its path, hash and warnings stand apart."""
    return problem.model_dump(mode="json", exclude=set(READ_FROM))


def _predicted(part: Part, best: Plan) -> list[Prediction]:
    """What a plan says about a part; about a workload that it serves class by class, what it says about its classes."""
    mine = [one for one in best.predicted if one.workload == part.name]
    if mine or part.length_class:
        return mine
    return [one for one in best.predicted if one.workload == part_name(part.name, one.length_class)]


def rules(problem: Problem) -> tuple[str, ...]:
    """The user's rules that differ from the defaults, as ``path: value``."""
    stated = ((path, value_at(problem, path)) for path in _rule_paths())
    return tuple(_rule(path, value) for path, value in stated if value != default_of(path))


def _rule_paths() -> Iterator[str]:
    """Every key of the sections that narrow the choice, those of a section inside one by one; then the objective."""
    from optimizer.problem import Problem

    for section in _SECTIONS:
        for key, value in Problem.model_fields[section].default:
            inner = [f".{name}" for name, _ in value] if isinstance(value, BaseModel) else [""]
            yield from (path for path in (f"{section}.{key}{one}" for one in inner) if path not in _TOLD_ELSEWHERE)
    yield "objective"


def default_of(path: str) -> object:
    """What a file that says nothing at a path means there."""
    from optimizer.problem import Problem

    first, *rest = place_of(path).keys
    value: object = Problem.model_fields[first].default
    for key in rest:
        value = getattr(value, key)
    return value


_NAMES = {
    "engine.name": "engine",
    "engine.version": "engine version",
    "budget.monthly": "budget a month",
    "hardware.owned": "owned",
    "hardware.quota": "quota",
}


def _rule(path: str, value: object) -> str:
    key = ".".join(place_of(path).keys[1:]) or path
    return f"{_NAMES.get(path, key)}: {_words(value)}"


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(_words(item) for item in value)
    if isinstance(value, OwnedHardware):
        return f"{value.nodes} x {value.gpus_per_node} {value.gpu}"
    if isinstance(value, Quota):
        return f"{value.max_gpus} {value.gpu or 'GPUs'} at {value.provider}"
    if hasattr(value, "model_fields_set"):
        stated = sorted(value.model_fields_set)
        return "; ".join(f"{key} {_words(getattr(value, key))}" for key in stated)
    return f"{value:g}" if isinstance(value, float) else str(value)
