"""A numeric field of the problem file as an axis: which way it is strict, in what unit and steps it reads."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from optimizer.errors import Finding, ProblemError, UsageError
from optimizer.problem.figures import Figure, Looser, figures_of, place_of

if TYPE_CHECKING:
    from optimizer.planning.inputs import Inputs
    from optimizer.problem import Problem

MAX_STEPS = 1_000_000
"""Positions of an axis that are told apart at most."""

_EXAMPLE = "give the path of a number, e.g. workloads.chat.traffic.concurrency"


@dataclass(frozen=True, slots=True)
class Axis:
    """Values of one number from loose to strict, or in ascending order where neither end is known to be strict."""

    figure: Figure
    values: tuple[float, ...]

    @property
    def path(self) -> str:
        """Where it stands, as ``--set`` takes it."""
        return self.figure.path

    @property
    def monotone(self) -> bool:
        """Whether every value asks at least as much of a plan as the one before."""
        return self.figure.monotone

    def edit(self, index: int) -> str:
        """The edit that sets the number to a value."""
        return f"{self.path}={self.figure.taken(self.values[index]):.12g}"


def axis_of(inputs: Inputs, name: str, span: str) -> Axis:
    """The axis that ``--over NAME FROM:TO[:STEP]`` means. Raises ``UsageError``."""
    figure = resolve(inputs.problem, name)
    low, high, step = _span(span, figure)
    count = int((high - low) / step)
    if count > MAX_STEPS:
        raise UsageError([Finding(f"{span} has {count:,} steps of {step}; at most {MAX_STEPS:,}", hint="state a step")])
    ascending = [float(low + step * index) for index in range(count + 1)]
    if ascending[-1] < float(high):
        ascending.append(float(high))
    for value in (ascending[0], ascending[-1]):
        try:
            inputs.with_sets([f"{figure.path}={figure.taken(value):.12g}"])
        except ProblemError as error:
            raise UsageError(error.findings) from error
    ordered = ascending[::-1] if figure.monotone and figure.number.looser is Looser.UP else ascending
    return Axis(figure, tuple(ordered))


def resolve(problem: Problem, name: str) -> Figure:
    """The number that a path or its last steps mean. Raises ``UsageError`` where it is none, several, or no axis."""
    if name.split(".", maxsplit=1)[0] in type(problem).model_fields:
        stated = place_of(name)
        if not isinstance(stated, Figure):
            raise UsageError([Finding(f"{name} is no number of the problem file", hint=_EXAMPLE)])
        return _axis(stated)
    asked = tuple(name.split("."))
    known = list(figures_of(problem))
    matches = [(figure, value) for figure, value in known if _is_called(figure, asked)]
    stated_ones = [figure for figure, value in matches if value is not None]
    found = stated_ones or [figure for figure, _ in matches]
    axes = [figure for figure in found if figure.number.axis is True]
    found = axes or found
    if len(found) == 1:
        return _axis(found[0])
    if not found:
        from optimizer.files.text_file import did_you_mean

        hint = did_you_mean(name, {figure.key for figure, _ in known}) or _EXAMPLE
        raise UsageError([Finding(f"no numeric field {name!r} in the problem file", hint=hint)])
    paths = ", ".join(figure.path for figure in found)
    raise UsageError([Finding(f"{name!r} is not one field but {len(found)}", hint=f"one of: {paths}")])


def _is_called(figure: Figure, asked: tuple[str, ...]) -> bool:
    """Whether the last steps of its path are those asked for, with or without the percentile or the mean."""
    steps = tuple(figure.path.split("."))
    return steps[-len(asked) :] == asked or (bool(figure.part) and steps[-len(asked) - 1 : -1] == asked)


def _axis(figure: Figure) -> Figure:
    """The number, if it can be varied."""
    if figure.number.axis is not True:
        raise UsageError([Finding(f"{figure.path} is no axis: {figure.number.axis}", hint=_EXAMPLE)])
    return figure


def _span(span: str, figure: Figure) -> tuple[Decimal, Decimal, Decimal]:
    parts = span.split(":")
    try:
        low, high, *rest = (Decimal(part) for part in parts)
        step = rest[0] if rest else Decimal(figure.number.step)
        if len(parts) > 3 or not (low < high and step > 0 and (high - low).is_finite()):
            raise InvalidOperation
    except (InvalidOperation, ValueError) as error:
        message = f"{span!r} is not a range FROM:TO or FROM:TO:STEP with FROM below TO and a step above 0"
        raise UsageError([Finding(message, hint="e.g. --over concurrency 50:400")]) from error
    if figure.whole and any(value != int(value) for value in (low, high, step)):
        message = f"{span!r} has fractions, and {figure.path} takes whole numbers"
        raise UsageError([Finding(message, hint="e.g. --over min_replicas 1:8")])
    return low, high, step
