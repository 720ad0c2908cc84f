"""``optimize validate --refit``: fit all parameters anew, leave out in turn what they rest on, write what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from optimizer.calibrate.cross_validation import bands_of, cell_of, cross_validate, folds_of
from optimizer.calibrate.engine_steps import step_cases
from optimizer.calibrate.fit import FitProblem, Linearised, fit, targets_of
from optimizer.calibrate.left_out import errors_table, left_out_errors, read_errors
from optimizer.calibrate.own_bands import OWN_FILE, own_bands, own_errors
from optimizer.calibrate.own_fit import fold_csv, fold_parameter_csv, parameter_csv, table_csv, with_values
from optimizer.calibrate.rows import MeasuredRow, RowCase
from optimizer.calibrate.scores import Error, is_served, packaged_cases, weighing
from optimizer.catalog.types import Catalog
from optimizer.files.atomic_write import write_atomic
from optimizer.performance.parameter_files import load_parameters, read_parameter_rows
from optimizer.performance.parameters import MeasuredCell
from optimizer.performance.types import ReplicaSpec

SERVED_ROWS, OTHER_ROWS = 30, 10
"""Rows of one group, engine, format and load that enter a fit, served in flight or not."""

SEED = 7

EVERY_FOLD = -1
"""Fold of engine steps, which every fit sees: nothing end to end is scored on them."""


def refit(root: Path, catalog: Catalog, rounds: int, progress: Callable[[str], None]) -> None:
    """Fit to the packaged measurements and write everything that follows under root."""
    problem, chosen = problem_of(root, catalog)
    _, linear = fit(problem, rounds, progress)
    write_fit(root, catalog, problem, linear, chosen)


def problem_of(root: Path, catalog: Catalog) -> tuple[FitProblem, list[RowCase]]:
    """What is fitted: so many rows of every group, then all engine steps; and those rows alone."""
    base = load_parameters(root)
    table = tuple(read_parameter_rows(root / "performance" / "parameters.csv"))
    weight = weighing(root)
    chosen, stands_for = thinned([case for case in packaged_cases(root, catalog, base) if weight(case.row) > 0])
    steps = step_cases(root, catalog)
    known = (*chosen, *steps)
    targets = targets_of(known, weight, [*stands_for, *[1.0] * len(steps)])
    return FitProblem(known, targets, table, base), chosen


def write_fit(root: Path, catalog: Catalog, problem: FitProblem, linear: Linearised, chosen: Sequence[RowCase]) -> None:
    """Write parameters, folds, fold parameters, coverage, errors of what was left out, and bands made of those."""
    folder, weight = root / "performance", weighing(root)
    write_atomic(folder / "parameters.csv", parameter_csv(with_values(problem.table, linear.theta)), in_place=True)
    cases = packaged_cases(root, catalog, problem.base)
    home = {case.row.group: int(fold) for case, fold in zip(cases, folds_of(cases), strict=True)}
    thetas, _ = cross_validate(problem, linear, np.array([home.get(c.row.group, EVERY_FOLD) for c in problem.cases]))
    write_atomic(folder / "folds.csv", fold_csv(home), in_place=True)
    write_atomic(folder / "fold_parameters.csv", fold_parameter_csv(problem.table, thetas), in_place=True)
    write_atomic(folder / "coverage.csv", coverage_csv(cases, weight), in_place=True)
    errors = list(left_out_errors(problem, linear, chosen, home))
    write_atomic(folder / "left_out.csv", errors_table(errors), in_place=True)
    write_own(root, catalog)
    write_bands(root, errors, read_errors(folder / OWN_FILE, cases, problem.base))


def write_own(root: Path, catalog: Catalog) -> None:
    """Write the errors of setups calibrated to some of their own rows, without which no own band is made."""
    errors = own_errors(root, catalog, load_parameters(root))
    write_atomic(root / "performance" / OWN_FILE, errors_table(list(errors)), in_place=True)


def write_bands(root: Path, errors: Sequence[Error], own: Sequence[Error]) -> None:
    """Error bands from the errors of what was left out, and from those left after own measurements."""
    rows = [
        (*key[:2], key[2].value, *(f"{edge:.4f}" for edge in (band.low, band.near_low, band.near_high, band.high)))
        for key, band in {**bands_of(errors, weighing(root)), **own_bands(own)}.items()
    ]
    header = ("figure", "engine", "grade", "low", "near_low", "near_high", "high")
    write_atomic(root / "performance" / "bands.csv", table_csv(header, rows), in_place=True)


def coverage_csv(cases: Sequence[RowCase], weight: Callable[[MeasuredRow], float]) -> str:
    """Cells of everything measured, with the number of rows."""
    return cells_csv([case.spec for case in cases if weight(case.row) > 0])


def cells_csv(measured: Iterable[ReplicaSpec]) -> str:
    """Cells of measured specifications, with how often each was."""
    counts = Counter(map(cell_of, measured))
    return table_csv((*MeasuredCell._fields, "rows"), [(*cell, counts[cell]) for cell in sorted(counts)])


def thinned(cases: Sequence[RowCase]) -> tuple[list[RowCase], list[float]]:
    """At most so many rows of each group, engine, format and load, drawn by a fixed seed.

    Returns the rows kept and how many rows each stands for.
    """
    cells = [(case.row.group, case.row.engine, case.spec.weight_quant, case.row.load) for case in cases]
    sizes, kept = Counter(cells), Counter[tuple[str, str, str, str]]()
    chosen = []
    for index in np.random.default_rng(SEED).permutation(len(cases)):
        if kept[cells[index]] < (SERVED_ROWS if is_served(cases[index].row) else OTHER_ROWS):
            kept[cells[index]] += 1
            chosen.append(int(index))
    chosen.sort()
    return [cases[i] for i in chosen], [sizes[cells[i]] / kept[cells[i]] for i in chosen]
