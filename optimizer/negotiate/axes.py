"""A numeric field of the problem file as an axis: which way it is strict, in what unit and steps it reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from optimizer.errors import Finding, ProblemError, UsageError
from optimizer.problem.numbers import Field, Strict, field_of

if TYPE_CHECKING:
    from optimizer.decide import Inputs
    from optimizer.problem import Problem

MAX_STEPS = 1_000_000
"""Positions of an axis that are told apart at most."""


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
