"""Listed plans that have a better twin: the same nodes for the same money, no worse in anything and better in one.

Twins are looked for where a ranking of other distinctness finds them: the same problem with ``distinct_by:
[configuration]``, and with pipeline parallelism fixed to 1, where the file allows that. A third twin is the plan itself
with replicas on the cards of its nodes that stand idle.

    python -m benchmarks.ties [FILE...]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from optimizer.decide import decide
from optimizer.errors import OptimizerError
from optimizer.plan.types import Plan
from optimizer.planning.inputs import Inputs, read_inputs

PROBLEMS = Path(__file__).parents[1] / "problems"

VARIANTS = (
    ("ranking.distinct_by=[configuration]", "ranking.top=40"),
    ("engine.pipeline_parallel=[1]", "ranking.top=20"),
)


@dataclass(frozen=True, slots=True)
class Twin:
    """A listed plan and one that beats it."""

    plan: Plan
    better: Plan | None  # None: itself with its idle cards at work
    found_by: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a problem is about, as far as its plans are compared by it."""

    latency: str  # that is minimised; empty: none

    @classmethod
    def of(cls, inputs: Inputs) -> Asked:
        """Of a problem."""
        sought = {"minimize_ttft": "ttft_ms", "minimize_tpot": "tpot_ms"}
        return cls(sought.get(inputs.problem.objective, ""))


def same_purchase(one: Plan, other: Plan) -> bool:
    """Whether two plans buy the same nodes for the same money."""
    return one.monthly_cents == other.monthly_cents and _nodes(one) == _nodes(other)


def _nodes(plan: Plan) -> list[tuple[object, ...]]:
    return sorted((node.offer_id, str(node.tier), node.count, node.spare) for node in plan.nodes)


def promised(plan: Plan) -> dict[tuple[object, ...], float]:
    """Every promised percentile in seconds: as replayed, else as estimated."""
    if plan.simulated:
        return {
            (replay.workload.partition("/")[0], one.path, one.length_class or replay.length_class): one.simulated_s
            for replay in plan.simulated
            for one in replay.promises
        }
    return {
        (one.workload.partition("/")[0], kept.path, kept.length_class or one.length_class): kept.estimate_s
        for one in plan.predicted
        for kept in one.promises
        if kept.limit_s is not None
    }


def beats(one: Plan, other: Plan, asked: Asked) -> bool:
    """Whether one is no worse than the other in grade, published weights, load, every promise and the latency that is
    sought, and better in one."""
    mine, theirs = promised(one), promised(other)
    if mine.keys() != theirs.keys():
        return False
    sides = [
        (one.grade, other.grade),
        (_own_weights(one), _own_weights(other)),
        (-one.load_factor, -other.load_factor),
        *((mine[key], theirs[key]) for key in mine),
        *zip(_sought(one, asked), _sought(other, asked), strict=True),
    ]
    return all(a <= b for a, b in sides) and any(a < b for a, b in sides)  # type: ignore[operator]


def _sought(plan: Plan, asked: Asked) -> list[float]:
    """The latency of each workload that is minimised, as estimated; none where another thing is sought."""
    return [getattr(one, asked.latency).p95 for one in plan.predicted] if asked.latency else []


def _own_weights(plan: Plan) -> bool:
    return any(group.checkpoint != "published" for group in plan.groups)


def idle(plan: Plan) -> bool:
    """Whether one more replica of the plan, or worker of one of its pools, fits on cards of its node type that are paid
    for and stand idle, spares left out."""
    return not plan.periods and any(
        node.idle_gpus - node.spare * node.gpus_per_node
        >= group.tensor_parallel * group.pipeline_parallel * group.attention_dp
        for node in plan.nodes
        for group in plan.groups
        if group.gpu == node.gpu and group.gpus_per_node == node.gpus_per_node
    )


def twins(inputs: Inputs, *, simulate: bool = True) -> tuple[int, list[Twin]]:
    """How many plans are listed, and those of them that have a better twin."""
    plans = decide(inputs, simulate=simulate).plans
    found = [Twin(plan, None, "idle cards") for plan in plans if idle(plan)]
    for sets in VARIANTS:
        try:
            others = decide(inputs.with_sets(sets), simulate=simulate).plans
        except OptimizerError:
            continue
        found += [Twin(plan, other, sets[0]) for plan, other in _better(plans, others, Asked.of(inputs))]
    return len(plans), found


def _better(plans: Sequence[Plan], others: Sequence[Plan], asked: Asked) -> Iterator[tuple[Plan, Plan]]:
    for plan in plans:
        better = next((other for other in others if same_purchase(plan, other) and beats(other, plan, asked)), None)
        if better is not None:
            yield plan, better


def told(plan: Plan) -> str:
    """A plan on one line."""
    groups = ", ".join(
        f"{g.replicas} x {g.gpu} {g.weight_quant}/{g.kv_cache} TP{g.tensor_parallel} PP{g.pipeline_parallel}"
        for g in plan.groups
    )
    seen = " ".join(f"{seconds:.4g}" for _, seconds in sorted(promised(plan).items(), key=str))
    money = plan.monthly_cents / 100
    return f"{money:,.2f} {groups}; grade {plan.grade}, load x {plan.load_factor:g}, promised {seen} s"


def main(files: Sequence[str]) -> None:
    """Print what is found, file by file."""
    listed = with_twin = with_files = 0
    paths = [Path(name) for name in files] or sorted(PROBLEMS.glob("*.yaml"))
    for path in paths:
        count, found = twins(read_inputs(path))
        ranks = {twin.plan.rank for twin in found}
        listed, with_twin, with_files = listed + count, with_twin + len(ranks), with_files + bool(ranks)
        print(f"{path.name}: {count} listed, {len(ranks)} with a better twin", flush=True)
        for twin in found:
            print(f"  #{twin.plan.rank} {told(twin.plan)}")
            print(f"     {twin.found_by}: {'' if twin.better is None else told(twin.better)}")
    print(f"{with_twin} of {listed} listed plans have a better twin, in {with_files} of {len(paths)} files")


if __name__ == "__main__":
    main(sys.argv[1:])
