"""A generated price list of 100,000 rows: import it, solve the front-page problem on it; time and peak memory.

    python benchmarks/price_list.py [ROWS]

Half of the rows are distinct instances and regions, half are further zones, as in SkyPilot's lists; a plain list with
stock on every row is solved as well, because a stock keeps an offer from being left out as dominated at once.
"""

from __future__ import annotations

import csv
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CARDS = (
    ("H100", 81920, 3.0),
    ("A100-80GB", 81920, 1.7),
    ("A100", 40960, 1.2),
    ("H200", 144384, 3.8),
    ("B200", 184320, 5.5),
    ("L40S", 49152, 1.4),
    ("L4", 24576, 0.6),
    ("A10G", 24576, 1.0),
    ("MI300X", 196608, 2.6),
)
COUNTS = (1, 2, 4, 8)
HEADER = (
    *("InstanceType", "AcceleratorName", "AcceleratorCount", "vCPUs", "MemoryGiB", "GpuInfo"),
    *("Price", "SpotPrice", "Region", "AvailabilityZone"),
)


def skypilot_rows(rows: int, distinct: int) -> Iterator[list[object]]:
    """Rows of a vms.csv: every instance and region twice where ``distinct`` is half of ``rows``."""
    draw = random.Random(7)
    for number in range(rows):
        place = number % distinct
        name, memory, price = CARDS[place % len(CARDS)]
        count = COUNTS[place // len(CARDS) % len(COUNTS)]
        info = {"Gpus": [{"Name": name, "Count": count, "MemoryInfo": {"SizeInMiB": memory}}]}
        info["TotalGpuMemoryInMiB"] = memory * count  # type: ignore[assignment]
        amount = round(price * count * draw.uniform(0.8, 2.0), 4)
        spot = round(amount * draw.uniform(0.3, 0.8), 4)
        region = f"region-{place % 500}"
        yield [f"g{place}.x", name, count, 8, 64, info, amount, spot, region, f"{region}-{number // distinct}"]


def quote_rows(rows: int) -> Iterator[list[object]]:
    """Rows of a plain list, every one with a stock."""
    draw = random.Random(8)
    for number in range(rows):
        name, _, price = CARDS[number % len(CARDS)]
        count = COUNTS[number // len(CARDS) % len(COUNTS)]
        card = name if name in ("L40S", "L4", "A10G", "MI300X", "B200") else f"{name} SXM"
        card = f"{card} 40GB" if name == "A100" else card
        amount = round(price * count * draw.uniform(0.8, 2.0), 4)
        yield [f"q-{number}", "aws", card, count, amount, "hour", 1 + number % 4, f"region-{number % 500}"]


def timed(*arguments: str) -> tuple[float, float, str]:
    """Seconds on the clock, seconds of processor time and output of one command of ours."""
    start, before = time.perf_counter(), _processor()
    done = subprocess.run(
        [sys.executable, "-m", "optimizer", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return time.perf_counter() - start, _processor() - before, done.stdout


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(what: str, steps: list[tuple[str, ...]]) -> None:
    """Run the steps of one list and print the seconds of each and the peak memory so far."""
    on_clock = on_processor = 0.0
    for step in steps:
        seconds, busy, output = timed(*step)
        on_clock, on_processor = on_clock + seconds, on_processor + busy
        first = next((line for line in output.splitlines() if line.startswith(("imported", "#1"))), "")
        print(f"  {' '.join(step[:3]):36.36s} {seconds:6.2f} s  {first}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{what}: {on_clock:.1f} s ({on_processor:.1f} s of processor time), peak memory {peak:.0f} MiB")


def main() -> None:
    """Generate both lists and measure them."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    problem = ("problems/chatbot_100users.yaml", "--no-simulate", "--catalogs")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "aws").mkdir()
        for number, distinct in enumerate((rows // 2, rows)):
            listed, out = Path(folder) / "aws" / "vms.csv", str(Path(folder) / f"prices{number}")
            with listed.open("w", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerows([HEADER, *skypilot_rows(rows, distinct)])
            step = ("catalog", "import", "skypilot", str(listed), "-o", out, "--date", "2026-09-20")
            measured(f"SkyPilot list of {rows:,} rows, {distinct:,} distinct", [step, (*problem, out)])
        listed, out = Path(folder) / "quotes.csv", str(Path(folder) / "quotes")
        header = ["id", "provider", "gpu", "gpus_per_node", "price", "unit", "stock", "region"]
        with listed.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([header, *quote_rows(rows)])
        step = ("catalog", "import", "csv", str(listed), "-o", out, "--date", "2026-09-20")
        measured(f"quotes, {rows:,} rows with a stock each", [step, (*problem, out)])


if __name__ == "__main__":
    main()
