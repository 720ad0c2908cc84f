"""What sessions cost when people think longer between two turns: ``sessions_and_router`` answered again and again.

    python -m benchmarks.think_times        the table of docs/sessions.md

Under either router the same problem with another gap between an answer and the next turn of its session.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from optimizer import solve
from optimizer.plan.types import Outcome
from optimizer.report.prefixes import hits_of

PROBLEM = Path(__file__).resolve().parent.parent / "problems" / "sessions_and_router.yaml"
GAPS = (5, 15, 30, 60, 120)
ROUTERS = ("prefix_affinity", "round_robin")


def rows() -> Iterator[str]:
    """One line for each gap."""
    yield "| gap s | sticky: cheapest, $ a month | found | round robin: cheapest, $ a month | found |"
    yield "|---|---|---|---|---|"
    for gap in GAPS:
        cells = [cell for router in ROUTERS for cell in _answer(router, gap)]
        yield f"| {gap} | {' | '.join(cells)} |"


def _answer(router: str, gap: float) -> tuple[str, str]:
    sets = {"engine.router": router, "workloads.assistant.tokens.prefix_gap_s": gap, "ranking.top": 1}
    outcome = solve(PROBLEM, sets=[f"{path}={value}" for path, value in sets.items()])
    if not isinstance(outcome, Outcome):
        return "none", "-"
    plan = outcome.plans[0]
    hits = hits_of(plan, plan.predicted[0])
    nodes = " + ".join(f"{group.replicas} x TP{group.tensor_parallel} {group.gpu}" for group in plan.groups)
    found = "-" if hits is None else f"{hits.found:.2f} of {hits.could:.2f}"
    return f"{nodes}, {plan.monthly_cents / 100:,.0f}", found


def main() -> None:
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
