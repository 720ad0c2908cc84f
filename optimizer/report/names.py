"""Numbers of the problem file as a reader says them: names, values with their units."""

from __future__ import annotations

import re
from dataclasses import dataclass

from optimizer.problem.figures import Figure, Reads, place_of
from optimizer.report.words import exact, money
from optimizer.units import CENTS_PER_UNIT
from optimizer.workload import part_name


@dataclass(frozen=True, slots=True)
class Names:
    """How paths are said: with the workload's name only where there are several workloads."""

    several: bool
    currency: str
    whose: tuple[tuple[str, str], ...] = ()  # of paths that do not say it themselves: a quota's provider and card

    def of(self, path: str) -> str:
        """The field in words: ``TTFT p95``, ``chat: requests in flight``."""
        figure = place_of(path)
        if not isinstance(figure, Figure):
            return path
        whole = part_name(figure.workload, figure.length_class)
        owner = whole if self.several else figure.length_class
        of = dict(self.whose).get(path)
        return f"{owner}: {figure.label}" if owner else f"{figure.label} ({of})" if of else figure.label

    def value(self, path: str, value: float) -> str:
        """The value with its unit: ``1,000 ms``, ``97 %``, ``$20,000 a month``."""
        figure = place_of(path)
        if isinstance(figure, Figure):
            if figure.number.reads is Reads.MONEY:
                return f"{money(round(value * CENTS_PER_UNIT), self.currency)} {figure.number.unit}"
            if figure.number.reads is Reads.SHARE:
                return f"{value * 100:.10g} %"
        return counted(exact(round(value, 6)), unit_of(path))

    def beside(self, path: str, value: float) -> str:
        """The value beside the name of its field, which need not say the unit again: ``requests in flight: 100``."""
        unit = unit_of(path)
        return exact(round(value, 6)) if unit and unit in self.of(path) else self.value(path, value)


def unit_of(path: str) -> str:
    """The unit of a field, where it has one that is no money and no share: ``ms``, ``requests/s``."""
    figure = place_of(path)
    counted_in = isinstance(figure, Figure) and figure.number.reads is Reads.COUNTED
    return figure.number.unit if isinstance(figure, Figure) and counted_in else ""


def counted(number: str, unit: str) -> str:
    """A number with its unit, in the singular for one: ``1 node``, ``2 nodes``, ``1 kind of GPU``, ``31 ms``."""
    if number == "1":
        unit = re.sub(r"^(requests|tokens|nodes|GPUs|kinds|users|copies|months|hours|minutes|runs)\b", _one, unit)
    return f"{number} {unit}".rstrip()


def _one(plural: re.Match[str]) -> str:
    return "copy" if plural[1] == "copies" else plural[1][:-1]
