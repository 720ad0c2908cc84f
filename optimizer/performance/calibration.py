"""A calibration: performance parameters that ``optimize calibrate`` fitted to a user's own measurements."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from optimizer.documents.csv_file import Table, read_table
from optimizer.documents.suggest import did_you_mean
from optimizer.errors import CatalogError, Finding
from optimizer.performance.parameters import Parameter

COLUMNS = ("name", "scope", "value", "low", "high", "prior", "prior_log_sd", "unit", "source")

_LARGEST = 1e9

_HINT = "a calibration is a file that `optimize calibrate RESULTS... -o FILE` writes"


def read_calibration(path: Path, names: Collection[str]) -> tuple[Parameter, ...]:
    """The parameters of a calibration file. Raises ``CatalogError`` with everything that is wrong with it.

    ``names``: the parameters that the performance model knows. Values must lie within the bounds beside them.
    """
    try:
        table = read_table(path, COLUMNS)
    except CatalogError as error:
        raise CatalogError([replace(finding, hint=finding.hint or _HINT) for finding in error.findings]) from None
    found = list(parameters_in(table, names))
    if not found and not table.findings:
        table.findings.append(Finding("no parameters in it", str(path), 1, 1))
    if table.findings:
        raise CatalogError(table.findings)
    return tuple(found)


def parameters_in(table: Table, names: Collection[str] = ()) -> Iterator[Parameter]:
    """The parameters of a table, of ``names`` unless that is empty; defects are findings of the table."""
    seen: set[tuple[str, str]] = set()
    for row in table:
        name, scope = row.required("name"), row.text("scope")
        if name and names and name not in names:
            row.error(f"unknown parameter {name!r}", did_you_mean(name, names), "name")
        if (name, scope) in seen:
            row.error(f"{name} of {scope or 'all'} stands twice", None, "name")
        seen.add((name, scope))
        sound = len(table.findings)
        low, high = row.number("low"), row.number("high")
        value = row.positive("value") if names else row.number("value", 0.0, _LARGEST)
        if sound == len(table.findings) and not low <= value <= high:
            row.error(f"{name} {value:g} is outside its bounds {low:g} to {high:g}", None, "value")
        sd = row.number("prior_log_sd")
        yield Parameter(name, scope, value, low, high, row.number("prior"), sd, row.text("unit"), row.text("source"))
