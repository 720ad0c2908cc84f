"""Held-out predictions from the stored folds, and the error bands that come of them.

Cross-validation: every row is scored by a fit that saw nothing of its source x GPU x model group.

Groups are dealt to folds by size. Each fold's parameters come from the shared linearisation of all rows (derivatives
hardly depend on the parameters) solved on the other folds' targets only, re-centred once on its own solution: the
predictions themselves are always simulated with the fold's own parameters.

``optimize validate --refit``: fit all parameters anew, cross-validate, and write what was found.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from optimizer.calibrate.engine_steps import step_cases
from optimizer.calibrate.fit import FitProblem, Linearised, _log_predictions, fit, solve, targets_of
from optimizer.calibrate.forward import MedianEstimate, kv_tokens_of, predict_cases
from optimizer.calibrate.own_fit import (
    fold_csv,
    fold_parameter_csv,
    parameter_csv,
    read_fold_parameters,
    read_folds,
    table_csv,
    with_values,
)
from optimizer.calibrate.rows import MeasuredRow, RowCase
from optimizer.calibrate.scores import Error, case_grade, errors_of, is_served, packaged_cases, weighing
from optimizer.catalog.types import Catalog
from optimizer.files.atomic_write import write_atomic
from optimizer.performance.accuracy import Bands, band_in, model_line
from optimizer.performance.parameter_files import load_parameters, read_parameter_rows
from optimizer.performance.parameters import Parameters
from optimizer.performance.types import Band, Grade

Floats = npt.NDArray[np.float64]

EDGES = (0.03, 0.08, 0.92, 0.97)
"""Quantiles taken for those at 5, 10, 90 and 95 %: a little wider, as nested checks found groups never seen outside
more often."""

LEAST_WIDTH = 0.03
"""No band is narrower than this on either side of one (logarithm), its near quantiles than half of it."""

ENOUGH_GROUPS = 15
"""An engine measured in so many source x GPU x model groups has bands of its own."""

SHRINKAGE = 40
"""A grade with few rows leans on all grades together as if it had so many rows of theirs."""


def held_out_errors(root: Path, catalog: Catalog, base: Parameters) -> list[Error]:
    """Errors of every current packaged row, each predicted by the fold that did not see its group.

    Grades are those that a stranger's row would get: what its own group adds to the coverage does not count.
    """
    folds = read_folds(root)
    cases = [case for case in packaged_cases(root, catalog, base) if case.row.group in folds]
    errors: list[Error] = []
    for number, params in enumerate(read_fold_parameters(root, base)):
        mine = [case for case in cases if folds[case.row.group] == number]
        seen = frozenset(triple_of(case) for case in cases if folds[case.row.group] != number)
        blind = replace(params, coverage=seen)
        predictions: list[MedianEstimate] = predict_cases(mine, blind)
        errors += errors_of(mine, predictions, [case_grade(case, blind) for case in mine])
    return errors


def triple_of(case: RowCase) -> tuple[str, str, str]:
    """Card, model line and weight format of a case."""
    return case.spec.gpu.sibling or case.spec.gpu.id, model_line(case.spec.model), case.spec.weight_quant


def bands_of(errors: Sequence[Error], weight: Callable[[MeasuredRow], float]) -> dict[tuple[str, str, Grade], Band]:
    """5 % and 95 % quantiles of truth / prediction by band, engine and grade, every row counting by its ``weight``.

    Engines with ``ENOUGH_GROUPS`` have bands of their own. A grade's quantiles are drawn toward those of all grades by
    ``SHRINKAGE`` rows; widths never fall from A to C.
    """
    result: dict[tuple[str, str, Grade], Band] = {}
    for name in sorted({error.band for error in errors}):
        mine = [error for error in errors if error.band == name]
        for engine in ("", *sorted({error.engine for error in mine})):
            here = [error for error in mine if engine in ("", error.engine)]
            if not engine or len({error.case.row.group for error in here}) >= ENOUGH_GROUPS:
                result |= {(name, engine, grade): limits for grade, limits in _by_grade(here, weight)}
    return result


def _by_grade(errors: Sequence[Error], weight: Callable[[MeasuredRow], float]) -> Iterator[tuple[Grade, Band]]:
    everyone = _edges(errors, weight)
    limits = LEAST_WIDTH * np.array([-1.0, -0.5, 0.5, 1.0])
    for grade in (Grade.A, Grade.B, Grade.C):
        own = [error for error in errors if error.grade is grade]
        share = len(own) / (len(own) + SHRINKAGE)
        edges = share * (_edges(own, weight) if own else everyone) + (1 - share) * everyone
        limits = np.where(limits < 0, np.minimum(limits, edges), np.maximum(limits, edges))
        low, near_low, near_high, high = (math.exp(limit) for limit in limits)
        yield grade, Band(low, high, near_low, near_high)


def with_coverage(errors: Sequence[Error], bands: Bands) -> list[Error]:
    """The errors with a note whether the truth lies inside the 90 % band (that of its figure, where it has none)."""
    return [
        replace(error, covered=limits.low <= math.exp(-error.log) <= limits.high)
        for error in errors
        for figure in [error.band if (error.band, "", error.grade) in bands else error.metric]
        for limits in [band_in(bands, figure, error.grade, error.engine)]
    ]


def nested_coverage(
    errors: Sequence[Error], folds: Mapping[str, int], weight: Callable[[MeasuredRow], float]
) -> list[Error]:
    """The same with bands that did not see the fold either: an honest coverage."""
    result: list[Error] = []
    for fold in sorted(set(folds.values())):
        mine = [error for error in errors if folds[error.case.row.group] == fold]
        others = [error for error in errors if folds[error.case.row.group] != fold]
        result += with_coverage(mine, bands_of(others, weight))
    return result


def _edges(errors: Sequence[Error], weight: Callable[[MeasuredRow], float]) -> Floats:
    """The quantiles of ln(truth / prediction)."""
    logs, weights = [-error.log for error in errors], [weight(error.case.row) for error in errors]
    edges: Floats = np.quantile(logs, EDGES, weights=weights, method="inverted_cdf")
    return edges


FOLDS = 5


def folds_of(cases: Sequence[RowCase], folds: int = FOLDS) -> npt.NDArray[np.int64]:
    """Fold of every case: groups, largest first, each to the fold with the fewest rows (ties by name and number)."""
    sizes: dict[str, int] = {}
    for case in cases:
        sizes[case.row.group] = sizes.get(case.row.group, 0) + 1
    load = [0] * folds
    home: dict[str, int] = {}
    for group in sorted(sizes, key=lambda name: (-sizes[name], name)):
        home[group] = min(range(folds), key=lambda k: (load[k], k))
        load[home[group]] += sizes[group]
    return np.array([home[case.row.group] for case in cases])


def cross_validate(
    problem: FitProblem, linear: Linearised, folds: npt.NDArray[np.int64]
) -> tuple[list[Floats], Floats]:
    """Parameters of every fold, and each target's log prediction by the fold that did not see it."""
    cache = kv_tokens_of(problem.cases)
    fold_of_target = np.array([folds[target.case] for target in problem.targets])
    result = np.full(len(problem.targets), np.nan)
    thetas = []
    for fold in range(int(folds.max()) + 1):
        seen = fold_of_target != fold
        theta = solve(problem, linear, seen)
        params = problem.parameters(theta)
        everyone = range(len(problem.cases))
        here = _log_predictions(problem, params, everyone, cache)
        theta = solve(problem, Linearised(theta, here, linear.jacobian), seen, limit=0.3)
        params = problem.parameters(theta)
        held_out = [i for i in everyone if folds[i] == fold]
        predicted = _log_predictions(problem, params, held_out, cache)
        result[~seen] = predicted[~seen]
        thetas.append(theta)
    return thetas, result


SERVED_ROWS, OTHER_ROWS = 30, 10
"""Rows of one group, engine, format and load that enter a fit, served in flight or not."""

SEED = 7

EVERY_FOLD = -1
"""Fold of engine steps, which every fit sees: nothing end to end is scored on them."""


def refit(root: Path, catalog: Catalog, rounds: int, progress: Callable[[str], None]) -> None:
    """Fit to the packaged measurements and write parameters, folds, fold parameters, coverage and bands under root."""
    folder = root / "performance"
    base = load_parameters(root)
    table = tuple(read_parameter_rows(folder / "parameters.csv"))
    cases = packaged_cases(root, catalog, base)
    weight = weighing(root)
    chosen, stands_for = thinned([case for case in cases if weight(case.row) > 0])
    steps = step_cases(root, catalog)
    known = (*chosen, *steps)
    problem = FitProblem(known, targets_of(known, weight, [*stands_for, *[1.0] * len(steps)]), table, base)
    theta, linear = fit(problem, rounds, progress)
    write_atomic(folder / "parameters.csv", parameter_csv(with_values(table, theta)), in_place=True)
    folds = folds_of(cases)
    home = {case.row.group: int(fold) for case, fold in zip(cases, folds, strict=True)}
    chosen_folds = np.array([home.get(case.row.group, EVERY_FOLD) for case in known])
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


def coverage_csv(cases: Sequence[RowCase], weight: Callable[[MeasuredRow], float]) -> str:
    """Card, model line and weight format of everything measured, with the number of rows."""
    counts = Counter(triple_of(case) for case in cases if weight(case.row) > 0)
    return table_csv(("gpu", "model_line", "weight_quant", "rows"), [(*key, counts[key]) for key in sorted(counts)])


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
