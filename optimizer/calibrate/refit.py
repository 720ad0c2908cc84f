"""``optimize validate --refit``: fit all parameters anew, cross-validate, and write what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from optimizer.calibrate.crossval import cross_validate, folds_of
from optimizer.calibrate.evidence import is_served, packaged_cases, weighing
from optimizer.calibrate.fit import Problem, fit, targets_of
from optimizer.calibrate.holdout import bands_of, held_out_errors, triple_of
from optimizer.calibrate.rows import Case, Row
from optimizer.calibrate.store import fold_csv, fold_parameter_csv, parameter_csv, table_csv, with_values
from optimizer.catalog.types import Catalog
from optimizer.performance.parameters import load_parameters, read_parameter_rows
from optimizer.report.write import write_atomic

SERVED_ROWS, OTHER_ROWS = 30, 10
"""Rows of one group, engine, format and load that enter a fit, served in flight or not."""

SEED = 7


def refit(root: Path, catalog: Catalog, rounds: int, progress: Callable[[str], None]) -> None:
    """Fit to the packaged measurements and write parameters, folds, fold parameters, coverage and bands under root."""
    folder = root / "performance"
    base = load_parameters(root)
    table = tuple(read_parameter_rows(folder / "parameters.csv"))
    cases = packaged_cases(root, catalog, base)
    weight = weighing(root)
    chosen, stands_for = thinned([case for case in cases if weight(case.row) > 0])
    problem = Problem(tuple(chosen), targets_of(chosen, weight, stands_for), table, base)
    theta, linear = fit(problem, rounds, progress)
    write_atomic(folder / "parameters.csv", parameter_csv(with_values(table, theta)), in_place=True)
    folds = folds_of(cases)
    home = {case.row.group: int(fold) for case, fold in zip(cases, folds, strict=True)}
    chosen_folds = np.array([home[case.row.group] for case in chosen])
    thetas, _ = cross_validate(problem, linear, chosen_folds)
    write_atomic(folder / "folds.csv", fold_csv(home), in_place=True)
    write_atomic(folder / "fold_parameters.csv", fold_parameter_csv(table, thetas), in_place=True)
    write_atomic(folder / "coverage.csv", coverage_csv(cases, weight), in_place=True)
    write_bands(root, catalog)


def write_bands(root: Path, catalog: Catalog) -> None:
    """Error bands from the held-out predictions."""
    weight = weighing(root)
    errors = held_out_errors(root, catalog, load_parameters(root))
    bands = bands_of([error for error in errors if weight(error.case.row) > 0], weight)
    rows = [
        (*key[:2], key[2].value, *(f"{edge:.4f}" for edge in (band.low, band.near_low, band.near_high, band.high)))
        for key, band in bands.items()
    ]
    header = ("figure", "engine", "grade", "low", "near_low", "near_high", "high")
    write_atomic(root / "performance" / "bands.csv", table_csv(header, rows), in_place=True)


def coverage_csv(cases: Sequence[Case], weight: Callable[[Row], float]) -> str:
    """Card, model line and weight format of everything measured, with the number of rows."""
    counts = Counter(triple_of(case) for case in cases if weight(case.row) > 0)
    return table_csv(("gpu", "model_line", "weight_quant", "rows"), [(*key, counts[key]) for key in sorted(counts)])


def thinned(cases: Sequence[Case]) -> tuple[list[Case], list[float]]:
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
