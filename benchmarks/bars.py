"""The figures by which predictions are judged, each beside its bar: errors, bands, regret, plans kept, engine steps.

Of rows left out of the fit with their group (folds) or their source; median of rows and median of groups (source x GPU
x model x engine). A figure that stands for several is the worst of them.

    python -m benchmarks.bars
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.regret import Outcome, ask, gpu_prices, grids, left_out_of, questions, refined
from optimizer.calibrate.cross_validation import SOURCE, group_of
from optimizer.calibrate.engine_steps import StepError, step_cases, step_errors
from optimizer.calibrate.left_out import FOLDS, LAYOUT, UNITS, Coverage, coverage_of, read_errors
from optimizer.calibrate.own_fit import read_folds
from optimizer.calibrate.scores import DATA_CENTRE, OFFLINE, THROUGHPUT, TPOT, TTFT, Error, packaged_cases, weighing
from optimizer.catalog import default_root, load_catalog
from optimizer.performance import load_parameters
from optimizer.performance.types import Grade

CONFIDENCE = 0.9
DEAREST = 1.25
"""A plan that keeps its promises costs no more than so many times the cheapest that does."""

LOWEST, HIGHEST = 85.0, 96.0
"""Coverage of a 90 % band, percent of rows and of groups."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure beside its bar: at most ``most``, at least ``least``."""

    figure: str
    found: tuple[float, ...]
    most: float = float("inf")
    least: float = float("-inf")
    decimals: int = 1

    @property
    def met(self) -> bool:
        """Whether every value is within."""
        return all(self.least <= round(value, self.decimals) <= self.most for value in self.found)

    @property
    def line(self) -> str:
        """A line of the table."""
        ends = {(True, True): "", (True, False): f"at most {self.most:g}", (False, True): f"at least {self.least:g}"}
        bar = ends.get((self.least == float("-inf"), self.most == float("inf")), f"{self.least:g} to {self.most:g}")
        values = " / ".join(f"{value:.{self.decimals}f}" for value in self.found)
        return f"| {self.figure} | {bar} | {values} | {'yes' if self.met else 'no'} |"


def medians(errors: Sequence[Error]) -> tuple[float, float]:
    """Percent off: median of rows, and of groups' medians."""
    groups: dict[str, list[float]] = {}
    for error in errors:
        groups.setdefault(group_of(error), []).append(100.0 * abs(float(np.expm1(error.log))))
    rows = [size for sizes in groups.values() for size in sizes]
    return float(np.median(rows)), float(np.median([np.median(sizes) for sizes in groups.values()]))


def _dense(error: Error) -> bool:
    return not error.case.spec.model.is_moe and error.case.spec.gpu.id.startswith(DATA_CENTRE)


def error_bars(errors: Sequence[Error]) -> Iterator[Bar]:
    """Median errors without the fold and without the source, by rows and by groups."""
    asked: tuple[tuple[str, str, float, Callable[[Error], bool]], ...] = (
        ("TPOT, dense on data-centre NVIDIA", TPOT, 11.0, _dense), ("TPOT, all", TPOT, 16.0, lambda _: True),
        ("TTFT, known start", TTFT, 31.0, lambda _: True), ("throughput, live", THROUGHPUT, 12.5, lambda _: True),
        ("throughput, offline", OFFLINE, 12.0, lambda _: True),
    )  # fmt: skip
    for split in (FOLDS, SOURCE):
        for name, figure, most, belongs in asked:
            mine = [e for e in errors if e.unseen == split and e.band == figure and belongs(e)]
            yield Bar(f"{name}, {split} left out: median of rows / groups, %", medians(mine), most)


def band_bars(found: Sequence[Coverage]) -> Iterator[Bar]:
    """Coverage of the 90 % bands, by rows and by groups: the lowest and the highest of what is left out."""
    for figure in (TPOT, TTFT, THROUGHPUT):
        mine = [c for c in found if c.figure == figure and c.split in UNITS and c.split != LAYOUT]
        for name, values in (("rows", [c.by_row for c in mine]), ("groups", [c.by_group for c in mine])):
            ends = min(values), max(values)
            text = f"90 % band of {figure}, {name} in it: lowest / highest of the four leave-outs, %"
            yield Bar(text, ends, HIGHEST, LOWEST)


def regret_bar(errors: Sequence[Error], prices: dict[str, float]) -> Bar:
    """What the choice costs without a margin, source left out."""
    found = {(split, one.confidence): one.mean for split, one in left_out_of(errors, prices)}
    return Bar("regret at confidence 0.5, source left out, mean", (found[SOURCE, 0.5],), 1.35, decimals=2)


def kept_bars(errors: Sequence[Error], prices: dict[str, float]) -> Iterator[Bar]:
    """Plans picked at the usual confidence, by grade: the share that keeps its limits, and that does so for little more
    than the cheapest that does; loads between measured ones interpolated."""
    for split in (FOLDS, SOURCE):
        found: dict[Grade, list[Outcome]] = {}
        for grid in (refined(grid) for grid in grids([e for e in errors if e.unseen == split], prices)):
            for limits in questions(grid):
                if outcome := ask(grid, limits, CONFIDENCE):
                    found.setdefault(outcome.grade, []).append(outcome)
        for grade in sorted(found):
            mine = found[grade]
            kept = 100.0 * sum(one.kept for one in mine) / len(mine)
            cheap = 100.0 * sum(one.kept and one.ratio <= DEAREST for one in mine) / len(mine)
            name = f"plans at confidence {CONFIDENCE} of grade {grade.value} ({len(mine)} questions), {split} left out"
            yield Bar(f"{name}: limits kept, %", (kept,), least=88.0)
            yield Bar(f"{name}: limits kept at no more than {DEAREST} times the cheapest, %", (cheap,), least=88.0)


def step_bars(errors: Sequence[StepError]) -> Iterator[Bar]:
    """Single engine steps: median errors by kind, the worst of the kinds that a bar speaks of."""
    asked = (
        ("dense", ("dense, decode", "dense, prompt"), 8.0),
        ("mixture decode", ("mixture, experts cut, decode", "mixture, experts dealt, decode"), 9.0),
        ("attention DP", ("mixture, attention DP, decode",), 12.0),
        ("mixture prompt", ("mixture, experts cut, prompt", "mixture, experts dealt, prompt",
                            "mixture, attention DP, prompt"), 25.0),
    )  # fmt: skip
    for name, kinds, most in asked:
        found = [float(np.median([100.0 * abs(e.relative) for e in errors if e.kind == kind])) for kind in kinds]
        yield Bar(f"engine steps, {name}: median, %", (max(found),), most)


def bars(errors: Sequence[Error], found: Sequence[Coverage], steps: Sequence[StepError]) -> Iterator[Bar]:
    """Every figure: of errors without their fold and unit, of how often bands held them, and of engine steps."""
    prices = gpu_prices(load_catalog())
    yield from error_bars(errors)
    yield from band_bars(found)
    yield regret_bar(errors, prices)
    yield from kept_bars(errors, prices)
    yield from step_bars(steps)


def packaged(root: Path) -> list[Bar]:
    """The same of the packaged measurements."""
    catalog, params, weight = load_catalog(), load_parameters(root), weighing(root)
    errors = read_errors(root / "performance" / "left_out.csv", packaged_cases(root, catalog, params), params)
    found = coverage_of(errors, read_folds(root), weight)
    counted = [error for error in errors if weight(error.case.row) > 0]
    return [*bars(counted, found, step_errors(step_cases(root, catalog), params))]


def table(found: Sequence[Bar]) -> list[str]:
    """The table in Markdown."""
    return ["| figure | bar | found | met |", "| --- | --- | ---: | --- |", *(bar.line for bar in found)]


if __name__ == "__main__":
    print("\n".join(table(packaged(default_root()))))
