"""A numeric field of the problem file as an axis: which way it is strict, in what unit and steps it reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import TYPE_CHECKING

from optimizer.errors import Finding, ProblemError, UsageError

if TYPE_CHECKING:
    from optimizer.decide import Inputs
    from optimizer.problem import Problem

MAX_STEPS = 1_000_000
"""Positions of an axis that are told apart at most."""


class Strict(Enum):
    """Which values ask more of a plan. Where it is known, cost never falls in that direction."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"  # cost may rise and fall: sampled, then bisected between samples that differ


@dataclass(frozen=True, slots=True)
class Field:
    """What is known about a kind of field."""

    strict: Strict
    grain: str  # natural step, as a decimal
    unit: str


_UP, _DOWN, _ANY = Strict.UP, Strict.DOWN, Strict.UNKNOWN

_FIELDS: tuple[tuple[str, Field], ...] = (
    (r"traffic\.concurrency", Field(_UP, "1", "requests in flight")),
    (r"traffic\.requests_per_second", Field(_UP, "0.1", "requests/s")),
    (r"traffic\.output_tokens_per_second", Field(_UP, "10", "output tokens/s")),
    (r"traffic\.users\.active", Field(_UP, "1", "users")),
    (r"traffic\.users\.requests_per_user_per_hour", Field(_UP, "0.1", "requests per user and hour")),
    (r"traffic\.users\.think_time_s", Field(_DOWN, "0.1", "s between requests")),
    (r"traffic\.peak_factor", Field(_UP, "0.01", "times the stated load")),
    (r"traffic\.batch\.requests", Field(_UP, "100", "requests a run")),
    (r"traffic\.batch\.within_hours", Field(_ANY, "0.1", "hours")),
    (r"traffic\.batch\.runs_per_month", Field(_ANY, "1", "runs a month")),
    (r"slo\.ttft_ms(\.p\d+)?", Field(_DOWN, "1", "ms")),
    (r"slo\.tpot_ms(\.p\d+)?", Field(_DOWN, "0.1", "ms")),
    (r"slo\.e2e_s(\.p\d+)?", Field(_DOWN, "0.1", "s")),
    (r"slo\.tokens_per_second_per_user", Field(_UP, "0.1", "tokens/s for each user")),
    (r"tokens\.(input|output)(\.mean|\.p95)?", Field(_ANY, "1", "tokens")),
    (r"tokens\.context_max", Field(_ANY, "1", "tokens")),
    (r"tokens\.shared_prefix", Field(_ANY, "0.01", "of the input")),
    (r"quality\.min_recovery", Field(_UP, "0.001", "of the published quality")),
    (r"hardware\.limits\.max_gpus", Field(_DOWN, "1", "GPUs")),
    (r"hardware\.limits\.max_nodes", Field(_DOWN, "1", "nodes")),
    (r"hardware\.limits\.max_gpu_kinds", Field(_DOWN, "1", "kinds of GPU")),
    (r"hardware\.limits\.max_power_kw", Field(_DOWN, "0.1", "kW")),
    (r"hardware\.quota\.\d+\.max_gpus", Field(_DOWN, "1", "GPUs")),
    (r"budget\.monthly", Field(_DOWN, "1", "a month")),
    (r"payment\.max_commitment_months", Field(_DOWN, "1", "months")),
    (r"margins\.confidence", Field(_UP, "0.01", "of the cases of model error")),
    (r"margins\.load_headroom", Field(_UP, "0.01", "of the load on top")),
    (r"margins\.spare_nodes", Field(_UP, "1", "spare nodes")),
    (r"payment\.tax_percent", Field(_ANY, "0.1", "%")),
    (r"payment\.hours_per_month", Field(_ANY, "1", "hours a month")),
    (r"ownership\.electricity_per_kwh", Field(_ANY, "0.001", "a kWh")),
    (r"ownership\.\w+", Field(_ANY, "0.01", "")),
)

_IN_WORKLOAD = (
    "traffic.concurrency",
    "traffic.requests_per_second",
    "traffic.output_tokens_per_second",
    "traffic.users.active",
    "traffic.users.requests_per_user_per_hour",
    "traffic.users.think_time_s",
    "traffic.peak_factor",
    "traffic.batch.requests",
    "traffic.batch.within_hours",
    "traffic.batch.runs_per_month",
    "slo.ttft_ms",
    "slo.tpot_ms",
    "slo.e2e_s",
    "slo.tokens_per_second_per_user",
    "tokens.input",
    "tokens.output",
    "tokens.context_max",
    "tokens.shared_prefix",
    "quality.min_recovery",
)
"""Numbers of a workload that may be named by their last names; where limits stand at percentiles, those."""

_ON_TOP = {
    "hardware.limits": ("max_gpus", "max_nodes", "max_gpu_kinds", "max_power_kw"),
    "budget": ("monthly",),
    "margins": ("confidence", "load_headroom", "spare_nodes"),
    "payment": ("max_commitment_months", "tax_percent", "hours_per_month", "extras_monthly"),
}
"""Other numbers, by section."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Values of one field from loose to strict, or in ascending order where neither end is known to be strict."""

    path: str  # as ``--set`` takes it
    values: tuple[float, ...]
    field: Field

    @property
    def monotone(self) -> bool:
        """Whether every value asks at least as much of a plan as the one before."""
        return self.field.strict is not Strict.UNKNOWN

    def edit(self, index: int) -> str:
        """The edit that sets the field to a value."""
        return f"{self.path}={self.values[index]:.12g}"


def field_of(path: str) -> Field:
    """What is known about the field at a path; of others no more than that they are numbers."""
    short = re.sub(r"^workloads\.[^.]+\.", "", path)
    return next((field for pattern, field in _FIELDS if re.fullmatch(pattern, short)), Field(_ANY, "", ""))


def axis_of(inputs: Inputs, name: str, span: str) -> Axis:
    """The axis that ``--over NAME FROM:TO[:STEP]`` means. Raises ``UsageError``."""
    path = resolve(inputs.problem, name)
    field = field_of(path)
    low, high, step = _span(span, field)
    count = int((high - low) / step)
    if count > MAX_STEPS:
        raise UsageError([Finding(f"{span} has {count:,} steps of {step}; at most {MAX_STEPS:,}", hint="state a step")])
    ascending = [float(low + step * index) for index in range(count + 1)]
    if ascending[-1] < float(high):
        ascending.append(float(high))
    for value in (ascending[0], ascending[-1]):
        try:
            inputs.with_sets([f"{path}={value:.12g}"])
        except ProblemError as error:
            raise UsageError(error.findings) from error
    ordered = ascending[::-1] if field.strict is Strict.DOWN else ascending
    return Axis(path, tuple(ordered), field)


def resolve(problem: Problem, name: str) -> str:
    """The full path of a field given in full or by its last names. Raises ``UsageError`` where several match."""
    if name.split(".", maxsplit=1)[0] in type(problem).model_fields:
        return name
    known = sorted(_known_paths(problem))
    tail = re.compile(rf"(.*\.)?{re.escape(name)}(\.(p\d+|mean))?")
    matches = [path for path in known if tail.fullmatch(path)]
    found = [path for path in matches if _is_number(problem, path)] or matches
    if len(found) == 1:
        return found[0]
    if not found:
        from optimizer.documents.suggest import did_you_mean

        hint = did_you_mean(name, {path.rsplit(".", 1)[-1] for path in known})
        hint = hint or "give the path of a number, e.g. workloads.chat.traffic.concurrency"
        raise UsageError([Finding(f"no numeric field {name!r} in the problem file", hint=hint)])
    raise UsageError([Finding(f"{name!r} is not one field but {len(found)}", hint=f"one of: {', '.join(found)}")])


def _known_paths(problem: Problem) -> Iterator[str]:
    """Every number that a problem file may state, with the percentiles of limits and lengths where they are stated."""
    for workload in problem.workloads:
        for name in _IN_WORKLOAD:
            path = f"workloads.{workload.name}.{name}"
            value = _value(problem, path)
            inner = getattr(type(value), "model_fields", None)
            if inner is None:
                yield path
            else:
                yield from (f"{path}.{key}" for key in inner if getattr(value, key) is not None)
    for section, keys in _ON_TOP.items():
        yield from (f"{section}.{key}" for key in keys)
    yield from (f"hardware.quota.{number}.max_gpus" for number in range(len(problem.hardware.quota)))
    yield from (f"ownership.{key}" for key in type(problem.ownership).model_fields)


def _value(problem: Problem, path: str) -> object:
    from optimizer.problem import value_at

    try:
        return value_at(problem, path)
    except KeyError:
        return None


def _is_number(problem: Problem, path: str) -> bool:
    value = _value(problem, path)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _span(span: str, field: Field) -> tuple[Decimal, Decimal, Decimal]:
    parts = span.split(":")
    try:
        low, high, *rest = (Decimal(part) for part in parts)
        step = rest[0] if rest else _default_step(low, high, field)
        if len(parts) > 3 or not (low < high and step > 0 and (high - low).is_finite()):
            raise InvalidOperation
    except (InvalidOperation, ValueError) as error:
        message = f"{span!r} is not a range FROM:TO or FROM:TO:STEP with FROM below TO and a step above 0"
        raise UsageError([Finding(message, hint="e.g. --over concurrency 50:400")]) from error
    return low, high, step


def _default_step(low: Decimal, high: Decimal, field: Field) -> Decimal:
    """The natural step of the field; for fields that have none, about a thousandth of the range."""
    if field.grain:
        return Decimal(field.grain)
    return Decimal(10) ** ((high - low).adjusted() - 3)
