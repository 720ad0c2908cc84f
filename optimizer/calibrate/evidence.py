"""The packaged measurements as cases, with what each row is worth and why."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

from optimizer.calibrate.parse import parse_row
from optimizer.calibrate.rows import Case, Row, case_of
from optimizer.catalog.types import Catalog
from optimizer.performance.parameters import Parameters

SELECTORS = ("source", "gpu", "model", "engine", "weight_quant", "load", "concurrency")

OLD_GENERATION = "2023"


def read_measurements(root: Path) -> Iterator[Row]:
    """The packaged measurements, row by row."""
    for cells in _table(root / "measurements" / "measurements.csv"):
        yield parse_row(cells)


def weighing(root: Path) -> Callable[[Row], float]:
    """What a row counts in a fit: its source's weight times every exclusion that matches it."""
    sources = {cells["source"]: float(cells["weight"]) for cells in _table(root / "measurements" / "sources.csv")}
    rules = [
        (tuple((name, cells[name]) for name in SELECTORS if cells[name]), float(cells["weight"]))
        for cells in _table(root / "measurements" / "exclusions.csv")
    ]

    def weight(row: Row) -> float:
        result = sources.get(row.source, 1.0)
        for wanted, factor in rules:
            if all(_cell(getattr(row, name)) == value for name, value in wanted):
                result *= factor
        return result

    return weight


def is_current(row: Row, params: Parameters) -> bool:
    """Whether the engine is of 2024 or later: by the date of the row, else by its version."""
    if row.date:
        return row.date >= "2024" and params.generation(row.engine, row.engine_version) != OLD_GENERATION
    return params.generation(row.engine, row.engine_version) != OLD_GENERATION


def is_served(row: Row) -> bool:
    """Whether requests were served in flight: what latency is scored on."""
    return row.load in ("closed_loop", "open_loop")


def packaged_cases(root: Path, catalog: Catalog, params: Parameters) -> list[Case]:
    """Cases of all current rows, in file order."""
    return [case_of(row, catalog) for row in read_measurements(root) if is_current(row, params)]


def _cell(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _table(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        yield from csv.DictReader(stream)
