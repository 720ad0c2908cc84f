"""N+1: whichever node a plan with a spare loses, its replicas stand on the rest and every promise is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from optimizer.decide import read_inputs, solve_problem
from optimizer.plan.types import Plan
from optimizer.verify import verify_plan

PROBLEMS = Path(__file__).parents[2] / "problems"
OF_THE_BILL = {
    "node lines", "ledger", "rounding", "spare cost", "unit costs", "long run", "rent or buy", "per token",
    "counts",
}  # fmt: skip
"""Rules on what a plan costs and how many GPUs it pays for: those change with the node."""


def without_one(plan: Plan) -> Iterator[Plan]:
    """The plan with one node less, for each line of nodes; nothing stands by any more."""
    for lost in plan.nodes:
        lines = [replace(line, spare=0, count=line.count - (line is lost)) for line in plan.nodes]
        yield replace(plan, nodes=tuple(line for line in lines if line.count), gpus=plan.gpus - lost.gpus_per_node)


def broken_without_one(name: str, *sets: str) -> list[set[str]]:
    """Per plan and node lost, the rules that the rest breaks, money aside."""
    path = PROBLEMS / name
    bare = read_inputs(path, sets=(*sets, "margins.spare_nodes=0"))
    found = []
    for plan in solve_problem(path, sets=sets, simulate=False).plans:
        for rest in without_one(plan):
            mismatches = verify_plan(bare.problem, bare.catalog, bare.params, rest)
            found.append({one.rule for one in mismatches} - OF_THE_BILL)
    return found


@pytest.mark.parametrize("name", ["chatbot_100users.yaml", "chat_and_rag.yaml", "mixed_kinds.yaml"])
def test_any_one_node_may_go(name: str) -> None:
    found = broken_without_one(name, "margins.spare_nodes=1", "ranking.top=4")
    assert len(found) >= 2
    assert not any(found), found


def test_without_a_spare_the_loss_of_a_node_leaves_a_replica_homeless() -> None:
    found = broken_without_one("chatbot_100users.yaml", "ranking.top=4")
    assert all(broken and broken <= {"packing", "references"} for broken in found), found  # or no node at all is left
