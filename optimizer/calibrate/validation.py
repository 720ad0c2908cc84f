"""The performance model scored against published measurements that its fit did not see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.progress import Say, silent

if TYPE_CHECKING:
    from pandas import DataFrame

    from optimizer.calibrate.scores import Error


@dataclass(frozen=True, slots=True)
class Validation:
    """Every figure that is both measured and predicted, with whether the truth lies inside the 90 % band."""

    errors: tuple[Error, ...]
    set_aside: int  # rows that do not count, each with its reason in measurements/exclusions.csv

    def to_frame(self) -> DataFrame:
        """The figures as a pandas table, one row each; latencies in ms, throughputs in tokens per second."""
        import pandas as pd

        columns = ("row_id", "gpu", "model", "engine", "weight_quant", "load", "metric", "predicted", "measured",
                   "grade", "inside_band")  # fmt: skip
        rows = [
            (
                error.case.row.row_id,
                error.case.spec.gpu.id,
                error.case.spec.model.id,
                error.engine,
                error.case.spec.weight_quant,
                error.case.row.load,
                error.metric,
                error.predicted,
                error.measured,
                error.grade.value,
                error.covered,
            )
            for error in self.errors
        ]
        return pd.DataFrame(rows, columns=list(columns))


def validate(root: Path | str | None = None, *, progress: Say = silent) -> Validation:
    """Predict every packaged measurement by a fit that saw nothing of its source x GPU x model group.

    Parameters
    ----------
    root : Path, str or None
        A whole catalog directory to use instead of the packaged one.
    progress : callable
        Takes the name of each step, a ``str``, as it begins.

    Returns
    -------
    Validation
        Errors (ratios of predicted to measured) and how often 90 % bands hold, by group. Takes about a minute.

    Raises
    ------
    InputError
        For a directory that is no whole catalog.

    Source
    ------
    The measurements of ``catalogs/measurements``, publisher and date beside each row; the scheme: docs/accuracy.md.
    """
    from optimizer.calibrate.cross_validation import held_out_errors, nested_coverage
    from optimizer.calibrate.own_fit import read_folds
    from optimizer.calibrate.scores import weighing
    from optimizer.catalog import default_root, load_catalog
    from optimizer.performance import load_parameters

    folder = default_root() if root is None else Path(root)
    progress("predicting held-out rows")
    every = held_out_errors(folder, load_catalog(), load_parameters(folder))
    weight = weighing(folder)
    errors = [error for error in every if weight(error.case.row) > 0]
    aside = {error.case.row.row_id for error in every} - {error.case.row.row_id for error in errors}
    return Validation(tuple(nested_coverage(errors, read_folds(folder), weight)), len(aside))
