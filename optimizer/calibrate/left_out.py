"""Errors on what nobody fitted: every source, card, model family, engine and layout left out in turn, whole.

Folds leave out groups of source x GPU x model, and so speak of a new table of known cards, models and engines. A buyer
asks of a card, a model or an engine that nobody measured, or of a layout that nobody measured under it: those errors
are larger, and the bands are made of both. Each unit's parameters come from the linearisation of the last fit, solved
on all other targets: what only the unit tells falls back to its prior. Predictions are replays with those parameters,
of the rows that entered the fit.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from optimizer.calibrate.cross_validation import ErrorTable, cell_of, group_of, with_coverage
from optimizer.calibrate.fit import FitProblem, Linearised, solve
from optimizer.calibrate.forward import kv_tokens_of, predict_case
from optimizer.calibrate.own_fit import table_csv
from optimizer.calibrate.rows import MeasuredRow, RowCase
from optimizer.calibrate.scores import Error, case_grade, errors_of
from optimizer.performance.accuracy import model_line, usual_source
from optimizer.performance.expert_ranks import Layout, layout_of
from optimizer.performance.parameters import Parameters
from optimizer.performance.replicas import coefficients
from optimizer.performance.types import Grade


def _layout_unit(case: RowCase) -> str:
    """An engine's attention ranks or dealt experts, on every card; tensor parallelism alone is never left out whole."""
    layout = layout_of(case.spec)
    return "" if layout is Layout.TENSOR else f"{case.spec.engine.profile} {layout.value}"


LAYOUT = "layout"

UNITS: Mapping[str, Callable[[RowCase], str]] = {
    "source": lambda case: case.row.source,
    "gpu": lambda case: case.spec.gpu.sibling or case.spec.gpu.id,
    "family": lambda case: model_line(case.spec.model),
    "engine": lambda case: case.spec.engine.profile,
    LAYOUT: _layout_unit,
}
"""What is left out whole, beside the folds; blank: never."""

OF_LAYOUTS = "exchange_sync_us"
"""Constants that were chosen by rows with attention ranks and stay as they are in a fit: of no layout they are known
once it is left out."""

FOLDS = "fold"
NOTHING = ""

MOST_STEP = 1.5
"""How far (logarithm) a parameter may move from the fit of all rows: to its prior, where only the unit told of it."""

HEADER = ("row_id", "split", "figure", "predicted", "measured", "grade", "beyond_slots")


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often the 90 % bands held truths of one figure, bands made without the unit; percent."""

    split: str
    figure: str
    rows: int
    groups: int
    by_row: float
    by_group: float
    median_error: float
    median_of_groups: float


def left_out_errors(
    problem: FitProblem, linear: Linearised, served: Sequence[RowCase], fold_of: Mapping[str, int]
) -> Iterator[Error]:
    """Errors of the first cases of a fit (``served``), each predicted without its fold and without each unit it is of.

    ``fold_of``: fold by group of the row.
    """
    cache = kv_tokens_of(served)
    splits = {FOLDS: lambda case: str(fold_of.get(case.row.group, "")), **UNITS}
    for split, unit_of in splits.items():
        units = [unit_of(case) for case in problem.cases]
        for unit in sorted(set(units[: len(served)]) - {NOTHING}):
            yield from _without(problem, linear, (split, unit), units, served, cache)


def _without(
    problem: FitProblem, linear: Linearised, left: tuple[str, str], units: Sequence[str], served: Sequence[RowCase],
    cache: np.typing.NDArray[np.float64],
) -> Iterator[Error]:  # fmt: skip
    split, unit = left
    seen = np.array([units[target.case] != unit for target in problem.targets])
    mine = [index for index in range(len(served)) if units[index] == unit]
    known = frozenset(cell_of(case.spec) for index, case in enumerate(served) if units[index] != unit)
    params = replace(problem.parameters(solve(problem, linear, seen, limit=MOST_STEP)), coverage=known)
    if split == LAYOUT:
        priors = {(row.name, row.scope): row.prior for row in problem.table if row.name == OF_LAYOUTS}
        params = replace(params, values={**params.values, **priors})
    cases = [served[index] for index in mine]
    c = coefficients([case.spec for case in cases], params)
    found = [
        predict_case(case, c.row(k), float(cache[i]), params)
        for k, (i, case) in enumerate(zip(mine, cases, strict=True))
    ]
    for error in errors_of(cases, found, [case_grade(case, params) for case in cases], params):
        yield replace(error, unseen=split)


def coverage_of(
    errors: Sequence[Error], fold_of: Mapping[str, int], weight: Callable[[MeasuredRow], float]
) -> list[Coverage]:
    """Coverage by split and figure, each unit judged by bands that know nothing of it under any split."""
    return [*summed(judged(errors, fold_of, weight))]


def judged(errors: Sequence[Error], fold_of: Mapping[str, int], weight: Callable[[MeasuredRow], float]) -> list[Error]:
    """The errors with a note whether the band made without their unit held the truth."""
    splits = {FOLDS: lambda case: str(fold_of.get(case.row.group, "")), **UNITS}
    found: list[Error] = []
    table = ErrorTable(errors, weight)
    for split, unit_of in splits.items():
        units = np.array([unit_of(error.case) for error in errors])
        for unit in sorted(set(units.tolist()) - {NOTHING}):
            mine = [errors[i] for i in np.flatnonzero(units == unit).tolist() if errors[i].unseen == split]
            if mine:
                found += with_coverage(mine, table.bands(units != unit))
    return found


def summed(errors: Sequence[Error]) -> Iterator[Coverage]:
    """Errors that know whether their band held them, summed up by what was left out and figure."""
    for split in dict.fromkeys(error.unseen for error in errors):
        figures = sorted({error.band for error in errors if error.unseen == split})
        for figure in figures:
            mine = [error for error in errors if error.unseen == split and error.band == figure]
            groups: dict[str, list[Error]] = {}
            for error in mine:
                groups.setdefault(group_of(error), []).append(error)
            sizes = [abs(np.expm1(error.log)) for error in mine]
            medians = [float(np.median([abs(np.expm1(error.log)) for error in group])) for group in groups.values()]
            held = [np.mean([bool(error.covered) for error in group]) for group in groups.values()]
            yield Coverage(
                split, figure, len(mine), len(groups), 100 * float(np.mean([bool(e.covered) for e in mine])),
                100 * float(np.mean(held)), 100 * float(np.median(sizes)), 100 * float(np.median(medians)),
            )  # fmt: skip


def coverage_table(found: Sequence[Coverage]) -> str:
    """The coverage as CSV text."""
    header = ("left_out", "figure", "rows", "groups", "in_band_by_row_percent", "in_band_by_group_percent",
              "median_error_percent", "median_error_of_groups_percent")  # fmt: skip
    numbers = [[f"{v:.1f}" for v in (c.by_row, c.by_group, c.median_error, c.median_of_groups)] for c in found]
    return table_csv(header, [(c.split, c.figure, c.rows, c.groups, *v) for c, v in zip(found, numbers, strict=True)])


def errors_table(errors: Sequence[Error]) -> str:
    """Every error as CSV text: what bands are made of, so that anybody can make them again."""
    return table_csv(
        HEADER,
        [
            (e.case.row.row_id, e.unseen, e.metric, f"{e.predicted:.4g}", f"{e.measured:.6g}", e.grade.value,
             "yes" if e.beyond_slots else "no")
            for e in errors
        ],
    )  # fmt: skip


def read_errors(path: Path, cases: Sequence[RowCase], params: Parameters) -> list[Error]:
    """The errors of a file written by ``errors_table``, of the rows that are still in the measurements."""
    known = {case.row.row_id: case for case in cases}
    with path.open(newline="", encoding="utf-8") as stream:
        return [
            Error(
                known[row["row_id"]], row["figure"], float(row["predicted"]), float(row["measured"]),
                Grade(row["grade"]), row["beyond_slots"] == "yes", None,
                usual_source(known[row["row_id"]].spec, params), row["split"],
            )
            for row in csv.DictReader(stream)
            if row["row_id"] in known
        ]  # fmt: skip
