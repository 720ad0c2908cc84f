"""Every plan of the shipped problems as predicted and as replayed: the gap, and whether every promise is kept.

    python -m benchmarks.replay [PROBLEM.yaml ...]

Prints one line per plan and promise, then the gap between simulation and closed form over all of them, the
configurations that the replay rejected, and any promise of a printed plan that it does not keep (exit code 1).
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from optimizer import solve_problem
from optimizer.plan.types import ReplayedPromise

PROBLEMS = Path(__file__).resolve().parent.parent / "problems"


def main() -> None:
    """Replay and print."""
    files = [Path(name) for name in sys.argv[1:]] or sorted(PROBLEMS.glob("*.yaml"))
    gaps: dict[str, list[float]] = {}
    broken, rejected, plans = 0, 0, 0
    for file in files:
        outcome = solve_problem(file)
        rejected += outcome.proof.replay_rejected
        for plan in outcome.plans:
            plans += 1
            for replay in plan.simulated:
                for promise in replay.promises:
                    gap = promise.simulated_s / promise.predicted_s
                    gaps.setdefault(f"{promise.metric} p{promise.percentile:g}", []).append(gap)
                    broken += not promise.kept
                    _print(file, plan.rank, replay.workload, promise)
        for rejection in outcome.rejected:
            for promise in rejection.missed:
                _print(file, rejection.rank, f"{rejection.group.workload} REJECTED", promise)
    print()
    for name, values in sorted(gaps.items()):
        low, middle, high = statistics.quantiles(values, n=20)[0], statistics.median(values), max(values)
        print(
            f"{name:10s} simulated / predicted: median {middle:.2f}, 5 % {low:.2f}, most {high:.2f} (n = {len(values)})"
        )
    print(f"{plans} plans, {rejected} configurations rejected on the way, {broken} promises broken by printed plans")
    sys.exit(1 if broken else 0)


def _print(file: Path, rank: int, workload: str, p: ReplayedPromise) -> None:
    print(
        f"{file.stem:32s} #{rank:<2d} {workload:20s} {p.metric} p{p.percentile:g}: predicted {p.predicted_s:.4g} s, "
        f"simulated {p.simulated_s:.4g} [{p.low_s:.4g}-{p.high_s:.4g}], with margin {p.with_margin_s / p.limit_s:.3f} "
        f"of the limit{'' if p.kept else ' MISSED'}"
    )


if __name__ == "__main__":
    main()
