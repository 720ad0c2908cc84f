"""How long a frontier of the front-page problem takes: 20 values of TTFT x the exact staircase over 50-400 requests.

    python benchmarks/frontier.py

Prints the seconds of one process and of two, and how many break points were found.
"""

from __future__ import annotations

import time
from pathlib import Path

from optimizer import frontier

FILE = Path(__file__).resolve().parents[1] / "problems" / "chatbot_100users.yaml"


def main() -> None:
    """Run and print."""
    for jobs in (1, 2):
        start = time.perf_counter()
        answer = frontier(FILE, ("concurrency", "50:400"), ("ttft_ms", "300:2000"), points=20, jobs=jobs)
        seconds = time.perf_counter() - start
        steps = sum(len(curve.steps) for curve in answer.curves)
        print(f"{len(answer.curves)} staircases, {steps} steps, {jobs} process{'es' * (jobs > 1)}: {seconds:.1f} s")


if __name__ == "__main__":
    main()
