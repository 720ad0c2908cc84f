"""Replicas that fill several nodes, against a brute force written from the rule: whole nodes, all of one offer."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from optimizer.candidates.types import Candidate
from optimizer.fleet import SolveSettings
from optimizer.fleet.rank import rank_plans
from optimizer.fleet.requirements import PlanLimits
from optimizer.pricing.types import NodeOption, NodeType
from optimizer.vocabulary import Link
from tests.fleet.fleet_cases import (
    MIXTURE,
    CandidateSpec,
    Case,
    OptionSpec,
    make_candidate,
    make_gpu,
    make_option,
    make_rules,
    make_type,
    make_workload,
)

INSTANCES = 150


def drawn(seed: int) -> Case:
    """Nodes of two, four or eight GPUs, most with a fabric; attention ranks over one, two or four; spares and stock."""
    rng = random.Random(f"spanning/{seed}")
    kinds = dict.fromkeys(
        (rng.choice(["a100", "h100"]), rng.choice([2, 4, 8]), rng.choice([0.0, 3200.0, 3200.0])) for _ in range(2)
    )
    types = [make_type(make_gpu(card), size, Link.NVSWITCH, fabric) for card, size, fabric in kinds]
    options = [
        make_option(
            node_type,
            OptionSpec(
                f"{place}-{number}", rng.randint(2, 30) * 10_000 * node_type.gpus_per_node, rng.choice(["aws", "gcp"]),
                stock=rng.choice([None, 1, 2, 3, 5]),
            ),
        )
        for place, node_type in enumerate(types)
        for number in range(rng.randint(1, 3))
    ]  # fmt: skip
    found = [one for node_type in types for one in _candidates(rng, node_type)]
    asked = make_workload("w0", rng.choice([0.0, 20.0, 60.0]), rng.choice([100.0, 400.0]))
    modes = rng.choice(["any", "any", "any", "node", "required", "off"])
    rules = make_rules(
        workloads=(asked,), top=1, spare_nodes=rng.choice([0, 0, 1]), expert_parallel=modes,
        limits=PlanLimits(nodes=rng.choice([None, 4, 9])),
    )  # fmt: skip
    return Case(tuple({one.key: one for one in found}.values()), tuple(options), rules, f"spanning/{seed}")


def _candidates(rng: random.Random, node_type: NodeType) -> Iterator[Candidate]:
    inside = node_type.gpus_per_node
    for _ in range(3):
        nodes = rng.choice([1, 2, 2, 4]) if node_type.fabric_gbps else 1
        gpus, tensor = nodes * inside, rng.choice([1, inside])
        dealt = nodes > 1 or rng.random() < 0.7
        spec = CandidateSpec(
            tp=tensor if dealt else inside, dp=gpus // tensor if dealt else 1, ep=gpus if dealt else 1, model=MIXTURE,
            rate=gpus * rng.uniform(0.5, 2.5 if nodes == 1 else 5.0),
            inflight=gpus * rng.uniform(5, 25 if nodes == 1 else 50), ttft=rng.choice([0.4, 0.8, 1.3]),
        )  # fmt: skip
        yield make_candidate(node_type, spec)


def cheapest(case: Case) -> float:
    """Of every candidate alone: the cheapest nodes, tried in every number of every offer."""
    rules, load, best = case.rules, case.rules.workloads[0].load, math.inf
    for one in case.candidates:
        inside = one.node_type.gpus_per_node
        gpus, dealt = one.spec.tensor_parallel * one.spec.attention_dp, one.spec.expert_parallel > 1
        forbidden = {
            "any": False, "off": dealt, "node": dealt and gpus > inside, "required": not dealt and gpus > 1,
        }[rules.expert_parallel]  # fmt: skip
        point = one.points[0]
        kept = all(s <= p.limit_s for s, p in zip(point.latencies_s, rules.workloads[0].slo.promises, strict=True))
        if forbidden or not kept:
            continue
        pairs = ((load.requests_per_second, point.requests_per_second), (load.inflight, point.inflight))
        replicas = max(1, *(math.ceil(asked / each * (1 - 1e-9)) for asked, each in pairs))
        mine = [option for option in case.options if option.node_type.key == one.node_type.key]
        best = min(best, _cents(mine, replicas, gpus, inside, rules.spare_nodes, rules.limits.nodes))
    return best


def _cents(options: list[NodeOption], replicas: int, gpus: int, inside: int, spare: int, most: int | None) -> float:
    whole = gpus // inside
    needed = (replicas * whole if whole else -(-replicas // (inside // gpus))) + spare
    best, caps = math.inf, [needed if o.max_nodes is None else min(o.max_nodes, needed) for o in options]
    for counts in product(*(range(cap + 1) for cap in caps)):
        if sum(counts) != needed or (most is not None and needed > most):
            continue
        if whole > 1 and not _stand(counts, replicas, whole, spare):
            continue
        best = min(best, sum(n * o.monthly_cents for n, o in zip(counts, options, strict=True)))
    return best


def _stand(counts: tuple[int, ...], replicas: int, whole: int, spare: int) -> bool:
    """Whether replicas stand on the nodes of one offer each, with the spare nodes beside them wherever any stands."""
    each = [range(n // whole + 1) for n in counts]
    return any(
        sum(chosen) == replicas and all(not m or n >= m * whole + spare for n, m in zip(counts, chosen, strict=True))
        for chosen in product(*each)
    )


def test_the_cheapest_plan_is_that_of_brute_force() -> None:
    spanning = feasible = 0
    for seed in range(INSTANCES):
        case = drawn(seed)
        found = rank_plans(case.candidate_set, case.options, case.loads(), SolveSettings()).solutions
        cost = found[0].monthly_cents if found else math.inf
        assert cost == cheapest(case), case.name
        feasible += bool(found)
        spanning += bool(found) and found[0].groups[0].candidate.nodes_per_replica > 1
    assert 0.3 <= feasible / INSTANCES <= 0.9
    assert spanning > INSTANCES / 10


@pytest.mark.parametrize(("stock", "plans"), [((1,), 0), ((1, 1), 0), ((2,), 1), ((2, 1), 1)])
def test_a_replica_stands_on_nodes_of_one_offer(stock: tuple[int, ...], plans: int) -> None:
    """Two nodes of two offers are no two nodes on one fabric, however many there are."""
    node_type = make_type(make_gpu("h100"), 8, Link.NVSWITCH, 3200.0)
    wide = make_candidate(node_type, CandidateSpec(tp=1, dp=16, ep=16, model=MIXTURE, rate=9.0, inflight=90.0))
    options = [make_option(node_type, OptionSpec(f"o{n}", 10_000, stock=most)) for n, most in enumerate(stock)]
    case = Case((wide,), tuple(options), make_rules(top=1))
    assert len(rank_plans(case.candidate_set, case.options, case.loads(), SolveSettings()).solutions) == plans


def test_a_spare_node_stands_beside_what_it_replaces() -> None:
    """Two nodes and a spare: of one offer where it has three, not the spare of the cheaper one."""
    node_type = make_type(make_gpu("h100"), 8, Link.NVSWITCH, 3200.0)
    wide = make_candidate(node_type, CandidateSpec(tp=1, dp=16, ep=16, model=MIXTURE, rate=9.0, inflight=90.0))
    options = (
        make_option(node_type, OptionSpec("cheap", 10_000, stock=2)),
        make_option(node_type, OptionSpec("dear", 15_000, stock=3)),
    )
    case = Case((wide,), options, make_rules(top=1, spare_nodes=1))
    (plan,) = rank_plans(case.candidate_set, case.options, case.loads(), SolveSettings()).solutions
    assert {bought.option.offer.id: bought.count for bought in plan.nodes} == {"dear": 3}


def test_experts_that_stay_inside_a_node_leave_ranks_over_nodes_out() -> None:
    node_type = make_type(make_gpu("h100"), 8, Link.NVSWITCH, 3200.0)
    wide = make_candidate(node_type, CandidateSpec(tp=1, dp=16, ep=16, model=MIXTURE, rate=9.0, inflight=90.0))
    case = Case((wide,), (make_option(node_type, OptionSpec("o", 10_000)),), make_rules(top=1))
    for mode, plans in (("any", 1), ("required", 1), ("node", 0), ("off", 0)):
        asked = replace(case, rules=replace(case.rules, expert_parallel=mode))
        found = rank_plans(asked.candidate_set, asked.options, asked.loads(), SolveSettings()).solutions
        assert len(found) == plans, mode
