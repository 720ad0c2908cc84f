"""Least orders, price breaks and the share of one provider: against brute force, with and without screens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimizer.demand import Load, Period
from optimizer.fleet import FleetStatus
from optimizer.fleet.requirements import PlanLimits
from optimizer.fleet.screening import prepare
from optimizer.fleet.solve import build_model
from optimizer.pricing.types import NodeOption, Origin
from optimizer.vocabulary import Tier
from tests.fleet.fleet_cases import (
    CandidateSpec,
    Case,
    Maker,
    OptionSpec,
    make_candidate,
    make_gpu,
    make_option,
    make_rules,
    make_type,
    make_workload,
)
from tests.fleet.fleet_oracle import brute_force
from tests.fleet.test_optimum import rows, solve

INSTANCES = 60
NODE = make_type(make_gpu("h100"), 4)


def in_lots(seed: int) -> Case:
    """A random case in which some offers have a least order, and some a lower price from a number of nodes on."""
    maker = Maker("two workloads" if seed % 5 == 0 else "limits" if seed % 5 == 1 else "one workload", seed)
    case, rng = maker.case(), maker.rng
    options: list[NodeOption] = []
    for option in case.options:
        kind = rng.choice(["plain", "least", "break", "break and least"])
        least = rng.choice([2, 3]) if "least" in kind else 1
        if "break" not in kind:
            options.append(replace(option, from_nodes=least))
            continue
        start = least + rng.choice([1, 2])
        lower = option.monthly_cents * rng.choice([50, 80, 95]) // 100
        options.append(replace(option, from_nodes=least, up_to_nodes=start - 1))
        options.append(replace(option, from_nodes=start, monthly_cents=lower))
    return replace(case, options=tuple(options), name=f"lots/{seed}")


def shared(seed: int) -> Case:
    """A random case in which one provider may have a part of the money only."""
    maker = Maker("two workloads" if seed % 4 == 0 else "owned" if seed % 4 == 1 else "one workload", seed)
    case, share = maker.case(), maker.rng.choice([400, 500, 600, 750, 1000])
    limits = replace(case.rules.limits, provider_share=share, budget_cents=None)
    return replace(case, rules=replace(case.rules, limits=limits), name=f"share/{seed}")


@pytest.mark.parametrize("make", [in_lots, shared])
def test_the_ranking_is_that_of_brute_force(make) -> None:
    feasible = bound = 0
    for seed in range(INSTANCES):
        case = make(seed)
        result = solve(case)
        assert rows(case, result) == brute_force(case), case.name
        plain = [
            replace(option, from_nodes=1, up_to_nodes=None) for option in case.options if option.up_to_nodes is None
        ]
        free = replace(case.rules, limits=replace(case.rules.limits, provider_share=None))
        feasible += bool(result.solutions)
        bound += rows(case, result)[:1] != brute_force(replace(case, options=tuple(plain), rules=free))[:1]
    assert feasible > INSTANCES // 4 and bound > INSTANCES // 10


@pytest.mark.parametrize("make", [in_lots, shared])
def test_screens_change_nothing(make) -> None:
    for seed in range(INSTANCES):
        case = make(seed)
        assert solve(case) == solve(case, screens=False), case.name


def four_nodes(*options: NodeOption, share: int | None = None) -> Case:
    """Four replicas, each on a node of its own."""
    candidate = make_candidate(NODE, CandidateSpec(tp=4))
    rules = make_rules(
        workloads=(make_workload(rate=4.0, inflight=0.0),), top=1, limits=PlanLimits(provider_share=share)
    )
    return Case((candidate,), options, rules)


def bought(case: Case) -> dict[tuple[str, str], int]:
    solutions = solve(case).solutions
    return {node.option.key: node.count for node in solutions[0].nodes} if solutions else {}


DEAR = make_option(NODE, OptionSpec("dear", 10_000, provider="gcp"))
CHEAP = make_option(NODE, OptionSpec("cheap", 6_000))


@pytest.mark.parametrize(("least", "expected"), [(4, {"cheap": 4}), (6, {"cheap": 6}), (7, {"dear": 4})])
def test_a_least_order_is_bought_whole_where_that_pays(least: int, expected: dict[str, int]) -> None:
    """Four nodes are needed: six cheap ones cost 36,000, seven 42,000, four dear ones 40,000."""
    found = bought(four_nodes(replace(CHEAP, from_nodes=least), DEAR))
    assert {name: count for (name, _), count in found.items()} == expected


@pytest.mark.parametrize(("start", "expected"), [(4, 4), (5, 5), (6, 4)])
def test_a_break_holds_for_all_nodes_and_may_be_worth_a_node_more(start: int, expected: int) -> None:
    """Four at 10,000 or as many as the break asks for at 7,500: five come to 37,500, six to 45,000."""
    breaks = (replace(DEAR, up_to_nodes=start - 1), replace(DEAR, from_nodes=start, monthly_cents=7_500))
    found = bought(four_nodes(*breaks))
    assert list(found.values()) == [expected]


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (1000, {"cheap": 4}),
        (650, {"cheap": 3, "dear": 1}),  # 18,000 of 28,000 to one: 643 thousandths
        (642, {"cheap": 2, "dear": 2}),  # 20,000 of 32,000 to the other: 625 thousandths
        (624, {}),
    ],
)
def test_no_provider_gets_more_than_its_share_of_the_money(share: int, expected: dict[str, int]) -> None:
    found = bought(four_nodes(CHEAP, DEAR, share=share))
    assert {name: count for (name, _), count in found.items()} == expected


def test_own_hardware_is_no_provider_but_counts_in_the_sum() -> None:
    own = make_option(NODE, OptionSpec("own", 6_000, "own", Tier.OWNED, 2, Origin.OWNED))
    found = bought(four_nodes(own, DEAR, share=625))  # 20,000 of 32,000
    assert {name: count for (name, _), count in found.items()} == {"own": 2, "dear": 2}
    assert not bought(four_nodes(own, DEAR, share=624))


@pytest.mark.parametrize("screens", [True, False])
def test_each_has_a_row_also_under_a_day_profile(screens: bool) -> None:
    case = four_nodes(replace(CHEAP, from_nodes=3, up_to_nodes=5), DEAR, share=500)
    night = (Period("day", 365, 30), Period("night", 365, 30))
    asked = make_workload(load=Load(4.0, 0.0, "x", factors=(1.0, 0.5)))
    for rules in (case.rules, replace(case.rules, periods=night, workloads=(asked,))):
        v = build_model(prepare(replace(case, rules=rules).candidate_set, case.options, screens=screens).instance)
        names = {constraint.name for constraint in v.cp.proto.constraints}
        for rule in ("rule:offers.order_sizes", "rule:offers.price_breaks", "rule:hardware.limits.max_share_per"):
            assert any(name.startswith(rule) for name in names), rule


def test_without_several_providers_a_share_leaves_nothing() -> None:
    result = solve(four_nodes(CHEAP, share=999))
    assert result.status is FleetStatus.INFEASIBLE
