"""How far predictions are off after ``optimize calibrate`` on twenty rows of one's own: errors, bands, coverage.

A setup (source x GPU x model, engine, weight format) with enough published rows stands for a user's site: the fit that
saw nothing of it is calibrated to twenty of its rows, drawn at random, and predicts the others. What then remains is
what a user has to expect of loads that were not measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from optimizer.calibrate.cross_validation import DOUBTED, LEAST_WIDTH
from optimizer.calibrate.forward import predict_cases
from optimizer.calibrate.left_out import Coverage, summed
from optimizer.calibrate.own_fit import calibrate, read_fold_parameters, read_folds
from optimizer.calibrate.rows import RowCase
from optimizer.calibrate.scores import THROUGHPUT, TPOT, TTFT, Error, errors_of, is_served, packaged_cases, weighing
from optimizer.catalog.types import Catalog
from optimizer.performance.accuracy import ENOUGH_OWN, OWN
from optimizer.performance.parameters import Parameters
from optimizer.performance.types import Band, Grade

EDGES = (0.035, 0.085, 0.915, 0.965)
"""Quantiles taken for those at 5, 10, 90 and 95 %: a little wider, as a setup is not among those that its band is made
of."""

OWN_FILE = "own_measurements.csv"

LEAST_LEFT = 5
"""Rows that a setup must have beside the twenty it is calibrated to."""

FIGURES = (TPOT, TTFT, THROUGHPUT)
"""What own bands are made of; other figures, and runs that offered more than the slots take, keep the usual ones."""

SEED = 11


def own_errors(root: Path, catalog: Catalog, base: Parameters) -> Iterator[Error]:
    """Errors of the rows that a setup's calibration did not see."""
    weight, folds, blind = weighing(root), read_folds(root), read_fold_parameters(root, base)
    setups: dict[tuple[str, str, str], list[RowCase]] = {}
    for case in packaged_cases(root, catalog, base):
        row = case.row
        if row.group in folds and is_served(row) and weight(row) > DOUBTED:
            setups.setdefault((row.group, case.spec.engine.profile, case.spec.weight_quant), []).append(case)
    draws = np.random.default_rng(SEED)
    for (group, *_), cases in sorted(setups.items()):
        if len(cases) < ENOUGH_OWN + LEAST_LEFT:
            continue
        seen = set(draws.choice(len(cases), ENOUGH_OWN, replace=False).tolist())
        mine, others = ([c for i, c in enumerate(cases) if (i in seen) == wanted] for wanted in (True, False))
        params = blind[folds[group]]
        fitted = {(one.name, one.scope): one.value for one in calibrate(mine, params).parameters}
        own = replace(params, values={**params.values, **fitted})
        for error in errors_of(others, predict_cases(others, own), [Grade.A] * len(others), own):
            yield replace(error, unseen=OWN)


def own_bands(errors: Sequence[Error]) -> dict[tuple[str, str, Grade], Band]:
    """5 and 95 % quantiles of truth / prediction after own measurements, each setup counting as one."""
    found = {}
    for figure in FIGURES:
        mine = [error for error in errors if error.band == figure]
        if mine:
            found[figure, OWN, Grade.A] = _band(mine)
    return found


def _band(errors: Sequence[Error]) -> Band:
    setups = [setup_of(error) for error in errors]
    sizes = {setup: setups.count(setup) for setup in set(setups)}
    weights = np.array([1.0 / sizes[setup] for setup in setups])
    logs = np.array([-error.log for error in errors])
    edges = np.quantile(logs, EDGES, weights=weights, method="inverted_cdf")
    least = LEAST_WIDTH * np.array([-1.0, -0.5, 0.5, 1.0])
    low, near_low, near_high, high = np.exp(np.where(least < 0, np.minimum(edges, least), np.maximum(edges, least)))
    return Band(float(low), float(high), float(near_low), float(near_high))


def own_coverage(errors: Sequence[Error]) -> list[Coverage]:
    """How often own bands hold, each setup judged by those that all others make."""
    judged: list[Error] = []
    for setup in sorted({setup_of(error) for error in errors}):
        bands = own_bands([error for error in errors if setup_of(error) != setup])
        for error in errors:
            limits = bands.get((error.band, OWN, Grade.A))
            if setup_of(error) == setup and limits is not None:
                judged.append(replace(error, covered=limits.low <= math.exp(-error.log) <= limits.high))
    return [*summed(judged)]


def setup_of(error: Error) -> str:
    """What is calibrated as one: source x GPU x model, engine and weight format."""
    return f"{error.case.row.group}|{error.engine}|{error.case.spec.weight_quant}"
