"""Files of the fit: the parameter table, the folds and each fold's parameters, the error bands."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from optimizer.performance.calibration import COLUMNS
from optimizer.performance.parameters import Parameter, Parameters


def with_values(table: Sequence[Parameter], theta: npt.NDArray[np.float64]) -> list[Parameter]:
    """The table with the free parameters set to log values ``theta``, four significant digits."""
    values = iter(np.exp(theta))
    return [
        replace(parameter, value=float(f"{next(values):.4g}")) if parameter.prior_log_sd > 0 else parameter
        for parameter in table
    ]


def parameter_csv(table: Sequence[Parameter]) -> str:
    """The parameter table as CSV text."""
    cells = ([getattr(parameter, column) for column in COLUMNS] for parameter in table)
    return table_csv(COLUMNS, ([f"{c:.10g}" if isinstance(c, float) else c for c in row] for row in cells))


def fold_csv(folds: Mapping[str, int]) -> str:
    """Which fold every source x GPU x model group was left out in."""
    return table_csv(("group", "fold"), sorted(folds.items()))


def read_folds(root: Path) -> dict[str, int]:
    """The stored folds."""
    with (root / "performance" / "folds.csv").open(newline="", encoding="utf-8") as stream:
        return {row["group"]: int(row["fold"]) for row in csv.DictReader(stream)}


def fold_parameter_csv(table: Sequence[Parameter], thetas: Sequence[npt.NDArray[np.float64]]) -> str:
    """The free parameters as each fold fitted them, without seeing its own groups."""
    free = [parameter for parameter in table if parameter.prior_log_sd > 0]
    columns = [[f"{value:.6g}" for value in np.exp(theta)] for theta in thetas]
    header = ("name", "scope", *(f"fold_{k}" for k in range(len(thetas))))
    rows = [(p.name, p.scope, *cells) for p, *cells in zip(free, *columns, strict=True)]
    return table_csv(header, rows)


def read_fold_parameters(root: Path, base: Parameters) -> list[Parameters]:
    """One parameter set per stored fold."""
    with (root / "performance" / "fold_parameters.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    names = [name for name in rows[0] if name.startswith("fold_")]
    return [
        replace(base, values={**base.values, **{(row["name"], row["scope"]): float(row[name]) for row in rows}})
        for name in names
    ]


def table_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
