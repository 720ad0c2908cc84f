"""Held-out predictions from the stored folds, and the error bands that come of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from optimizer.calibrate.evidence import packaged_cases
from optimizer.calibrate.forward import Prediction, predict_cases
from optimizer.calibrate.rows import Case, Row
from optimizer.calibrate.scores import Error, errors_of
from optimizer.calibrate.store import read_fold_parameters, read_folds
from optimizer.calibrate.tables import case_grade
from optimizer.catalog.types import Catalog
from optimizer.performance.bands import Bands, band_in
from optimizer.performance.grades import model_line
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
        predictions: list[Prediction] = predict_cases(mine, blind)
        errors += errors_of(mine, predictions, [case_grade(case, blind) for case in mine])
    return errors


def triple_of(case: Case) -> tuple[str, str, str]:
    """Card, model line and weight format of a case."""
    return case.spec.gpu.sibling or case.spec.gpu.id, model_line(case.spec.model), case.spec.weight_quant


def bands_of(errors: Sequence[Error], weight: Callable[[Row], float]) -> dict[tuple[str, str, Grade], Band]:
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


def _by_grade(errors: Sequence[Error], weight: Callable[[Row], float]) -> Iterator[tuple[Grade, Band]]:
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


def nested_coverage(errors: Sequence[Error], folds: Mapping[str, int], weight: Callable[[Row], float]) -> list[Error]:
    """The same with bands that did not see the fold either: an honest coverage."""
    result: list[Error] = []
    for fold in sorted(set(folds.values())):
        mine = [error for error in errors if folds[error.case.row.group] == fold]
        others = [error for error in errors if folds[error.case.row.group] != fold]
        result += with_coverage(mine, bands_of(others, weight))
    return result


def _edges(errors: Sequence[Error], weight: Callable[[Row], float]) -> Floats:
    """The quantiles of ln(truth / prediction)."""
    logs, weights = [-error.log for error in errors], [weight(error.case.row) for error in errors]
    edges: Floats = np.quantile(logs, EDGES, weights=weights, method="inverted_cdf")
    return edges
