"""Files of the fit: the parameter table, and what cross-validation found."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from optimizer.calibrate.rows import Row, parse_row
from optimizer.performance.parameters import Parameter

COLUMNS = ("name", "scope", "value", "low", "high", "prior", "prior_log_sd", "unit", "source")


def read_measurements(root: Path) -> Iterator[Row]:
    """The packaged measurements, row by row."""
    path = root / "measurements" / "measurements.csv"
    with path.open(newline="", encoding="utf-8") as stream:
        for cells in csv.DictReader(stream):
            yield parse_row(cells)


def with_values(table: Sequence[Parameter], theta: npt.NDArray[np.float64]) -> list[Parameter]:
    """The table with the free parameters set to log values ``theta``, four significant digits."""
    values = iter(np.exp(theta))
    return [
        replace(parameter, value=float(f"{next(values):.4g}")) if parameter.prior_log_sd > 0 else parameter
        for parameter in table
    ]


def parameter_csv(table: Sequence[Parameter]) -> str:
    """The parameter table as CSV text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for parameter in table:
        cells = [getattr(parameter, column) for column in COLUMNS]
        writer.writerow([f"{cell:.10g}" if isinstance(cell, float) else cell for cell in cells])
    return text.getvalue()
