"""Held-out predictions from the stored folds, and the error bands that come of them.

Cross-validation: every row is scored by a fit that saw nothing of its source x GPU x model group.

Groups are dealt to folds by size. Each fold's parameters come from the shared linearisation of all rows (derivatives
hardly depend on the parameters) solved on the other folds' targets only, re-centred once on its own solution: the
predictions themselves are always simulated with the fold's own parameters.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from optimizer.calibrate.band_width import between_share, levels, widening
from optimizer.calibrate.fit import FitProblem, Linearised, _log_predictions, solve
from optimizer.calibrate.forward import MedianEstimate, kv_tokens_of, predict_cases
from optimizer.calibrate.own_fit import (
    read_fold_parameters,
    read_folds,
)
from optimizer.calibrate.rows import MeasuredRow, RowCase
from optimizer.calibrate.scores import Error, case_grade, errors_of, packaged_cases
from optimizer.catalog.types import Catalog
from optimizer.performance.accuracy import BORROWED, Bands, band_in, model_line
from optimizer.performance.expert_ranks import layout_of
from optimizer.performance.parameters import MeasuredCell, Parameters
from optimizer.performance.types import Band, Grade, ReplicaSpec

Floats = npt.NDArray[np.float64]

LEAST_WIDTH = 0.03
"""No band is narrower than this on either side of one (logarithm), its near quantiles than half of it."""

ENOUGH_GROUPS = 15
"""An engine measured in so many source x GPU x model groups has bands of its own, and so have cards without kernel
measurements, under all engines together."""

ENGINE_SHRINKAGE = 30
"""They lean on all engines together as if those were so many groups of theirs: start-up noise of one source must not
set an engine's band."""

DOUBTED = 0.25
"""Rows that count no more than this are doubted for a reason that exclusions.csv states: they set no band."""

SHRINKAGE = 8
"""A grade with few groups leans on all grades together as if it had so many of theirs."""

SOURCE, ENGINE = "source", "engine"
"""What errors of sources and of engines left out are marked with."""

_LOWER = np.array([True, True, False, False])


def held_out_errors(root: Path, catalog: Catalog, base: Parameters) -> list[Error]:
    """Errors of every current packaged row, each predicted by the fold that did not see its group.

    Grades are those that a stranger's row would get: what its own group adds to the coverage does not count.
    """
    folds = read_folds(root)
    cases = [case for case in packaged_cases(root, catalog, base) if case.row.group in folds]
    errors: list[Error] = []
    for number, params in enumerate(read_fold_parameters(root, base)):
        mine = [case for case in cases if folds[case.row.group] == number]
        seen = frozenset(cell_of(case.spec) for case in cases if folds[case.row.group] != number)
        blind = replace(params, coverage=seen)
        predictions: list[MedianEstimate] = predict_cases(mine, blind)
        errors += errors_of(mine, predictions, [case_grade(case, blind) for case in mine], blind)
    return errors


def cell_of(spec: ReplicaSpec) -> MeasuredCell:
    """The cell that a measured specification counts for."""
    card = spec.gpu.sibling or spec.gpu.id
    return MeasuredCell(card, model_line(spec.model), spec.weight_quant, spec.engine.profile, layout_of(spec).value)


def group_of(error: Error) -> str:
    """Source x GPU x model x engine: rows of one group err alike, so groups are weighed and not rows."""
    return f"{error.case.row.group}|{error.engine}"


class ErrorTable:
    """Errors as columns, so that bands of many parts of them are quick to make."""

    def __init__(self, errors: Sequence[Error], weight: Callable[[MeasuredRow], float]) -> None:
        sizes = Counter((group_of(error), error.unseen, error.band) for error in errors)
        counts = [weight(error.case.row) for error in errors]
        self._logs = np.array([-error.log for error in errors])
        self._weights = np.array(
            [count / math.sqrt(sizes[group_of(e), e.unseen, e.band]) for count, e in zip(counts, errors, strict=True)]
        )
        self._sound = np.array([count > DOUBTED for count in counts], dtype=bool)
        self._bands = np.array([error.band for error in errors])
        self._engines = np.array([error.engine for error in errors])
        self._grades = np.array([error.grade.value for error in errors])
        self._groups = np.unique([group_of(error) for error in errors], return_inverse=True)[1]
        self._sources = np.unique([error.case.row.source for error in errors], return_inverse=True)[1]
        self._seen_engine = np.array([error.unseen != ENGINE for error in errors], dtype=bool)
        self._borrowed = np.array([error.source == BORROWED for error in errors], dtype=bool)
        self._new_source = np.array([error.unseen == SOURCE for error in errors], dtype=bool)

    def bands(self, use: npt.NDArray[np.bool_]) -> dict[tuple[str, str, Grade], Band]:
        """The bands made of the errors in ``use`` (see ``bands_of``)."""
        result: dict[tuple[str, str, Grade], Band] = {}
        of_figures = {name: self._counted(use & (self._bands == name)) for name in np.unique(self._bands[use]).tolist()}
        between = self._between(list(of_figures.values()))
        for name, mine in of_figures.items():
            known = seen if (seen := mine & self._seen_engine).any() else mine
            cuts = levels(self._count(use & (self._bands == name)))  # doubted groups set no band, and have their place
            pooled, novel = (self._by_grade(part, cuts, between) for part in (known, mine))
            widest = {grade: _wider(pooled[grade], novel[grade]) for grade in Grade}
            result |= {(name, "", grade): _band(limits) for grade, limits in widest.items()}
            parts = [(e, known & (self._engines == e), pooled) for e in np.unique(self._engines[known]).tolist()]
            parts.append((BORROWED, mine & self._borrowed, widest))  # whatever the engine, hardly measured or not
            for source, here, others in parts:
                groups = self._count(here)
                if groups >= ENOUGH_GROUPS:
                    share, own = groups / (groups + ENGINE_SHRINKAGE), self._by_grade(here, cuts, between)
                    for grade in Grade:
                        result[name, source, grade] = _band(share * own[grade] + (1 - share) * others[grade])
        return result

    def _counted(self, use: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """The sound rows, where there are any."""
        return sound if (sound := use & self._sound).any() else use

    def _between(self, figures: Sequence[npt.NDArray[np.bool_]]) -> float:
        """Share of the spread that lies between sources, of all figures together, each by what its sources tell."""
        told, freedom = 0.0, 0
        for mine in figures:
            use = new if (new := mine & self._new_source).any() else mine
            share, more = between_share(self._logs[use], self._weights[use], self._sources[use])
            told, freedom = told + share * more, freedom + more
        return told / freedom if freedom else 0.0

    def _by_grade(self, use: npt.NDArray[np.bool_], cuts: Sequence[float], between: float) -> dict[Grade, Floats]:
        factors = widening(self._count(use), len(np.unique(self._sources[use])), between)
        middle = self._edges(use, (0.5,))
        everyone, result = middle + factors * (self._edges(use, cuts) - middle), {}
        limits: Floats = LEAST_WIDTH * np.array([-1.0, -0.5, 0.5, 1.0])
        for grade in (Grade.A, Grade.B, Grade.C):
            own = use & (self._grades == grade.value)
            groups = self._count(own)
            share = groups / (groups + SHRINKAGE)
            alone = middle + factors * (self._edges(own, cuts) - middle) if groups else everyone
            edges = share * alone + (1 - share) * everyone
            limits = _wider(limits, edges)
            result[grade] = limits
        return result

    def _count(self, use: npt.NDArray[np.bool_]) -> int:
        return len(np.unique(self._groups[use]))

    def _edges(self, use: npt.NDArray[np.bool_], cuts: Sequence[float]) -> Floats:
        """Quantiles of ln(truth / prediction)."""
        edges: Floats = np.quantile(self._logs[use], cuts, weights=self._weights[use], method="inverted_cdf")
        return edges


def bands_of(errors: Sequence[Error], weight: Callable[[MeasuredRow], float]) -> dict[tuple[str, str, Grade], Band]:
    """5 % and 95 % quantiles of truth / prediction by band, engine and grade.

    Of what was left out (folds, sources, cards, families, engines) each group of n rows counts like sqrt(n) of them
    times their ``weight``. The band of no engine is for engines hardly measured, so errors of engines left out are in
    it; engines with ``ENOUGH_GROUPS`` have bands of their own, drawn toward that of all engines by ``ENGINE_SHRINKAGE``
    groups, and so have all cards together that borrow their kernels. A grade's quantiles are drawn toward those of all
    grades by ``SHRINKAGE`` groups; widths never fall from A to C. How far out the quantiles lie for a group and a
    source that is none of these: ``band_width``.
    """
    return ErrorTable(errors, weight).bands(np.ones(len(errors), dtype=bool))


def _wider(one: Floats, other: Floats) -> Floats:
    """Of two bands the ends further out."""
    return np.where(_LOWER, np.minimum(one, other), np.maximum(one, other))


def _band(limits: Floats) -> Band:
    low, near_low, near_high, high = (math.exp(limit) for limit in limits)
    return Band(low, high, near_low, near_high)


def with_coverage(errors: Sequence[Error], bands: Bands) -> list[Error]:
    """The errors with a note whether the truth lies inside the 90 % band (that of its figure, where it has none)."""
    return [
        replace(error, covered=limits.low <= math.exp(-error.log) <= limits.high)
        for error in errors
        for figure in [error.band if (error.band, "", error.grade) in bands else error.metric]
        for limits in [band_in(bands, figure, error.grade, error.source)]
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
