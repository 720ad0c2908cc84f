"""The mixed fleet of problems/mixed_kinds.yaml is cheaper than any single kind: by the solver and by brute force."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest

from optimizer.candidates.types import Candidate
from optimizer.decide import read_inputs
from optimizer.plan.types import Optimal, Outcome, Plan
from optimizer.report import render
from optimizer.whatif.case import Case, open_case

PROBLEM = Path(__file__).parents[2] / "problems" / "mixed_kinds.yaml"
Placed = dict[tuple[str, int, str, float, float], tuple[int, ...]]


Best = Callable[..., Plan]


@pytest.fixture(scope="module")
def best(solved: Callable[..., Outcome]) -> Best:
    def ask(*sets: str) -> Plan:
        outcome = solved("mixed_kinds", "ranking.top=1", *sets)
        assert isinstance(outcome, Optimal)
        return outcome.plans[0]

    return ask


def parts(case: Case, candidate: Candidate, replicas: int) -> int:
    """Parts of 2520 that replicas carry: the point inside all promises comes first."""
    load = case.candidates.rules.workloads[candidate.workload].load
    return math.floor(candidate.points[0].requests_per_second * replicas / load.requests_per_second * 2520)


def servings(case: Case, workload: int, most: int) -> list[tuple[tuple[Candidate, int], ...]]:
    """Every mix of up to two configurations that carries a workload."""
    rules = case.candidates.rules
    mine = [
        candidate
        for candidate in case.candidates.candidates
        if candidate.workload == workload
        and candidate.points[0].kind == "all"
        and candidate.node_type.gpu.id in {"h100_sxm_80", "l40s_48"}
        and candidate.spec.kv_cache == "auto"
        and rules.quant_allowed(workload, candidate.spec.weight_quant)
        and candidate.spec.tensor_parallel in (1, 2)
        and candidate.spec.pipeline_parallel == 1
        and candidate.recovery >= rules.workloads[workload].min_recovery
        and not rules.is_flagged(candidate)
    ]
    alone = {
        c.key: next(n for n in range(1, 400) if parts(case, c, n) >= 2520) for c in mine if parts(case, c, 400) >= 2520
    }
    mine = [candidate for candidate in mine if candidate.key in alone]
    found: list[tuple[tuple[Candidate, int], ...]] = [((candidate, alone[candidate.key]),) for candidate in mine]
    for one, other in combinations(mine, 2) if most == 2 else ():
        for count in range(1, alone[one.key]):
            left = 2520 - parts(case, one, count)
            rest = next((n for n in range(1, alone[other.key] + 1) if parts(case, other, n) >= left), None)
            found += [((one, count), (other, rest))] if rest else []
    return found


def brute_force(case: Case, most: int) -> int:
    """Cents of the cheapest plan: every serving of one workload beside every serving of the other."""
    rules = case.candidates.rules
    price: dict[object, int] = {}
    for option in case.options:
        if not rules.options.forbidden_by(option):
            assert option.max_nodes is None
            key = option.node_type.key
            price[key] = min(price.get(key, option.monthly_cents), option.monthly_cents)
    sides = []
    for workload in (0, 1):
        needs: set[frozenset[tuple[Any, tuple[int, ...]]]] = set()
        for serving in servings(case, workload, most):
            sizes: dict[Any, list[int]] = defaultdict(list)
            for candidate, replicas in serving:
                sizes[candidate.node_type.key] += [candidate.spec.gpus] * replicas
            if all(key in price for key in sizes):
                needs.add(frozenset((key, tuple(sorted(of_type))) for key, of_type in sizes.items()))
        priced = sorted((sum(price[key] * nodes(key, s) for key, s in need), i, need) for i, need in enumerate(needs))
        sides.append(priced)
    bound = sides[0][0][0] + sides[1][0][0]
    sides = [[row for row in side if row[0] <= bound] for side in sides]
    return min(together(dict(a[2]), dict(b[2]), price) for a, b in product(*sides))


def together(one: dict, other: dict, price: dict) -> int:
    return sum(price[key] * nodes(key, one.get(key, ()) + other.get(key, ())) for key in one.keys() | other.keys())


def nodes(key: tuple, sizes: tuple[int, ...]) -> int:
    """Nodes that replicas of these sizes fill, the largest placed first."""
    rooms: list[int] = []
    for size in sorted(sizes, reverse=True):
        index = next((i for i, room in enumerate(rooms) if room >= size), None)
        if index is None:
            rooms.append(key[1] - size)
        else:
            rooms[index] -= size
    return len(rooms)


def test_the_mix_is_cheaper_than_the_best_single_kind_by_brute_force_too(best: Best) -> None:
    mixed, single = best(), best("ranking.max_configurations_per_workload=1")
    one_kind = best("ranking.max_configurations_per_workload=1", "hardware.limits.max_gpu_kinds=1")
    assert mixed.monthly_cents < 0.95 * single.monthly_cents <= 0.95 * one_kind.monthly_cents
    case = open_case(read_inputs(PROBLEM))
    assert mixed.monthly_cents == brute_force(case, 2)
    assert single.monthly_cents == brute_force(case, 1)


def test_shares_are_printed_and_add_up(best: Best, solved: Callable[..., Outcome]) -> None:
    shares: dict[str, int] = defaultdict(int)
    for group in best().groups:
        shares[group.workload] += group.share
    assert shares == {"chat": 2520, "routing": 2520}
    assert len([group for group in best().groups if group.workload == "chat"]) == 2
    text = render(solved("mixed_kinds"), "text")
    assert "% of it)" in text
    assert "chat together: TTFT p95" in text


def test_every_part_names_its_own_share_in_json(solved: Callable[..., Outcome]) -> None:
    assert '"share": 0.' in render(solved("mixed_kinds"), "json")
