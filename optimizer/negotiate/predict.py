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
    rows: Path | str, catalog: Catalog | Path | str | None = None, *, calibration: Path | str | None = None
) -> Predicted:
    """Predict every configuration of a table by replaying its load on a simulated replica.

    Parameters
    ----------
    rows : Path or str
        A CSV file, one configuration a row; lengths in tokens, loads in requests in flight or a second.
    catalog : Catalog, Path, str or None
        Of ``load_catalog``, or a directory that overrides and extends the packaged catalogs; None: the packaged ones.
    calibration : Path, str or None
        An own fit, of ``optimize calibrate``.

    Returns
    -------
    Predicted
        The table with prediction columns as CSV: TTFT and TPOT in milliseconds, throughput in tokens a second, each
        with its 90 % band, and a grade. A row that cannot be predicted says why in its column ``error``.

    Raises
    ------
    InputError
        Where the file is no such table.

    Source
    ------
    Fitted to the measurements of ``data/serving.csv`` and the kernel timings under ``data/kernels``, each row with its
    publisher; ``docs/accuracy.md`` says how far off it is on what was left out.
    """
    from optimizer.calibrate.scores import predict_table, read_table
    from optimizer.catalog import default_root
    from optimizer.performance import load_parameters
    from optimizer.performance.accuracy import read_bands
    from optimizer.planning.inputs import catalog_of

    header, cells = read_table(Path(rows))
    known, stated = catalog_of(catalog)
    root = stated or default_root()
    own = None if calibration is None else Path(calibration)
    text, failed = predict_table(header, cells, known, load_parameters(root, own), read_bands(root))
    return Predicted(text, len(cells), failed)
