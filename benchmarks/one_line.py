"""Whether every way to an answer names the same winner at the same money, over the problems of ``problems/``.

Commands get an answer in four ways (``tests/house`` holds that there is no fifth): the line ``decide`` (solve, report,
shortlist, launch, drill, confirm, HTTP and the assistant), its case asked again (explain, targets, why-not, the page's
charts), a case opened anew and narrowed to what could win (frontier, budget), and a plan file held open (any of them).
Each is asked for the problem as it is stated, plans replayed.

    python -m benchmarks.one_line [FILE...]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from optimizer.decide import Answer, answer, read_inputs
from optimizer.decide.held import choice_of, held_open
from optimizer.plan.types import Plan
from optimizer.whatif.case import Winner, ask, open_case

PROBLEMS = Path(__file__).parents[1] / "problems"


def ways(path: Path, first: Answer) -> Iterator[tuple[str, Winner]]:
    """The winner by each way other than the line itself."""
    best = first.outcome.plans[0]
    yield "the case asked again", ask(first.case)
    opened = open_case(read_inputs(path), simulate=True)
    money = best.monthly_cents + 1 if opened.inputs.problem.objective == "minimize_cost" else None
    lean = opened.allowed() if money is None else opened.allowed().cheaper_than(money)
    yield "a case opened anew", ask(lean)
    held = held_open(read_inputs(path), first.outcome, choice_of(first), simulate=True)
    yield "a plan file held open", ask(held.case)


def same(best: Plan, other: Plan | None) -> bool:
    """Whether a plan is the winner: what is bought, what runs on it, and every line of the bill."""
    return other is not None and (other.groups, other.nodes, other.cost_lines) == (
        best.groups,
        best.nodes,
        best.cost_lines,
    )


def differing(path: Path, first: Answer) -> Iterator[str]:
    """The ways that name another winner, each with what it names."""
    best = first.outcome.plans[0]
    for way, winner in ways(path, first):
        plan = winner.plan()
        if not same(best, plan):
            yield f"{way}: {'no plan' if plan is None else told(plan)}"


def told(plan: Plan) -> str:
    """A plan on one line."""
    groups = ", ".join(f"{one.replicas} x {one.gpu} {one.weight_quant} {one.workload}" for one in plan.groups)
    nodes = ", ".join(f"{node.count} x {node.offer_id} {node.tier}" for node in plan.nodes)
    return f"{plan.monthly_cents / 100:,.2f}: {groups} on {nodes}"


def main(files: Sequence[str]) -> int:
    """Print a line a file; 1 where any differs."""
    paths = [Path(name) for name in files] or sorted(PROBLEMS.glob("*.yaml"))
    bad = 0
    for path in paths:
        begin = time.monotonic()
        first = answer(read_inputs(path), tested=False)
        plans = first.outcome.plans
        others = list(differing(path, first)) if plans else []
        bad += bool(others)
        word, said = "OTHER" if others else "same", told(plans[0]) if plans else "no plan"
        print(f"{word:5}  {time.monotonic() - begin:6.1f} s  {path.name}: {said}", flush=True)
        print("".join(f"         {line}\n" for line in others), end="", flush=True)
    print(f"{len(paths) - bad} of {len(paths)} alike")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
