"""Whole-process time of the front-page problem against merely importing ortools' ``cp_model``.

    python benchmarks/speed.py [RUNS]

Runs alternate, so that a noisy machine disturbs both alike; medians and their ratio are printed, nothing is asserted.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMPORT = [sys.executable, "-c", "from ortools.sat.python import cp_model"]
COMMANDS = {
    "import cp_model": IMPORT,
    "optimize --help": [sys.executable, "-m", "optimizer", "--help"],
    "optimize check": [sys.executable, "-m", "optimizer", "check", "problems/chatbot_100users.yaml"],
    "front page --no-simulate": [
        sys.executable,
        "-m",
        "optimizer",
        "problems/chatbot_100users.yaml",
        "--no-simulate",
    ],
}


def seconds(command: list[str]) -> float:
    """Wall-clock seconds of one whole process."""
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Time every command in turn and print medians as ratios of the bare import."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs + 1):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    base = medians["import cp_model"]
    for name, median in medians.items():
        print(f"{name:28s} {median * 1e3:7.0f} ms   {median / base:5.2f} x")


if __name__ == "__main__":
    main()
