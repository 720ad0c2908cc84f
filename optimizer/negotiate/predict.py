"""Latency and throughput of single configurations given in a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog


@dataclass(frozen=True, slots=True)
class Predicted:
    """The table with prediction columns as CSV, and how many of its rows could not be predicted."""

    csv: str
    rows: int
    failed: int


def predict(
    rows: Path | str, catalog: Catalog | Path | str | None = None, *, calibration: Path | None = None
) -> Predicted:
    """Predict every configuration of the CSV file ``rows`` by replaying its load on a simulated replica.

    ``catalog`` as of ``solve``; ``calibration`` an own fit, of ``optimize calibrate``. A row that cannot be predicted
    says why in its column ``error``. Raises ``InputError`` where the file is no such table.
    """
    from optimizer.calibrate.scores import predict_table, read_table
    from optimizer.catalog import default_root
    from optimizer.performance import load_parameters
    from optimizer.performance.accuracy import read_bands
    from optimizer.planning.inputs import catalog_of

    header, cells = read_table(Path(rows))
    known, stated = catalog_of(catalog)
    root = stated or default_root()
    text, failed = predict_table(header, cells, known, load_parameters(root, calibration), read_bands(root))
    return Predicted(text, len(cells), failed)
