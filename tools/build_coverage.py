"""Write ``coverage.csv`` and ``pool_coverage.csv`` of ``catalogs/performance``: what was measured; grades rest on it.

    python -m tools.build_coverage

Cells of ``catalogs/measurements`` (rows that count for nothing left out) and pools of ``data/disaggregated.csv``.
A refit and ``benchmarks.disaggregated`` write the same; this does it without fitting.
"""

from __future__ import annotations

from benchmarks.disaggregated import coverage, published
from optimizer.calibrate.refit import coverage_csv
from optimizer.calibrate.scores import packaged_cases, weighing
from optimizer.catalog import default_root, load_catalog
from optimizer.files.atomic_write import write_atomic
from optimizer.performance import load_parameters


def main() -> None:
    """Write both tables."""
    root = default_root()
    cases = packaged_cases(root, load_catalog(), load_parameters(root))
    folder = root / "performance"
    write_atomic(folder / "coverage.csv", coverage_csv(cases, weighing(root)), in_place=True)
    write_atomic(folder / "pool_coverage.csv", coverage(published()), in_place=True)


if __name__ == "__main__":
    main()
