"""Write ``catalogs/performance/coverage.csv``: which (card, model line, weight format) were measured under load.

    python -m tools.build_coverage

Counts rows of ``catalogs/measurements`` with in-flight batching (closed or open loop); grades are read off this table.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from optimizer.catalog import load_catalog
from optimizer.performance.accuracy import model_line

ROOT = Path(__file__).resolve().parent.parent
UNDER_LOAD = ("closed_loop", "open_loop")


def main() -> None:
    """Rebuild the table."""
    catalog = load_catalog(ROOT / "catalogs")
    counts: Counter[tuple[str, str, str]] = Counter()
    with (ROOT / "catalogs" / "measurements" / "measurements.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["load"] in UNDER_LOAD:
                gpu = catalog.gpus[row["gpu"]]
                four_bit = "nvfp4" if gpu.vendor == "nvidia" else "mxfp4"
                quant = four_bit if row["weight_quant"] == "fp4" else row["weight_quant"]
                counts[gpu.id, model_line(catalog.models[row["model"]]), quant] += 1
    with (ROOT / "catalogs" / "performance" / "coverage.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["gpu", "model_line", "weight_quant", "rows"])
        writer.writerows([*triple, rows] for triple, rows in sorted(counts.items()))


if __name__ == "__main__":
    main()
