"""``margins.survive``: with any node, or any site, gone the rest carries the load; against an enumeration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from optimizer.candidates.types import Candidate
from optimizer.demand import Load, Period
from optimizer.fleet import FleetResult, SolveSettings
from optimizer.fleet.cost_floors import CostFloors
from optimizer.fleet.rank import rank_plans
from optimizer.fleet.relaxation import ways_out
from optimizer.fleet.requirements import PlanLimits, UserRules
from optimizer.fleet.screening import prepare
from optimizer.fleet.solve import build_model
from optimizer.fleet.survival import dealt, lost_with_a_site, sites
from optimizer.fleet.types import NodeChoice, Standing
from optimizer.pricing.types import NodeOption
from optimizer.vocabulary import Survive
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
from tests.fleet.fleet_oracle import (
    _objective,
    _sold,
    _within,
    allowed_options,
    brute_force,
    factor_of,
    fits,
    replicas_for,
    usable,
)

NODE = make_type(make_gpu("h100"), 4)
INSTANCES = 24


def solve(case: Case, *, screens: bool = True) -> FleetResult:
    return rank_plans(case.candidate_set, case.options, case.loads(), SolveSettings(screens=screens))


# --- an enumeration of every plan -------------------------------------------------------------------------------------


def places(nodes: dict[NodeOption, int]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for option, count in nodes.items():
        at = (option.offer.provider, option.offer.region)
        found[at] = found.get(at, 0) + count
    return found


def goes_with(site: tuple[str, str], place: tuple[str, str]) -> bool:
    return place[0] == site[0] and (place[1] == site[1] or not place[1])


def dealings(replicas: int, spots: int) -> Iterator[tuple[int, ...]]:
    if spots == 1:
        yield (replicas,)
        return
    for here in range(replicas + 1):
        for rest in dealings(replicas - here, spots - 1):
            yield (here, *rest)


def any_site_may_go(case: Case, chosen: list[tuple[Candidate, int, int]], nodes: dict[NodeOption, int]) -> bool:
    """Some placement of the replicas of every node type leaves enough of each with whatever site is gone."""
    for key in {candidate.node_type.key for candidate, _, _ in chosen}:
        mine = [(c, r, replicas_for(case, c, p)) for c, p, r in chosen if c.node_type.key == key]
        there = places({option: n for option, n in nodes.items() if option.node_type.key == key})
        if not there:
            return False
        spots, gpus = sorted(there), key[1]
        spares = [
            s
            for s in dealings(case.rules.spare_nodes, len(spots))
            if all(k <= there[f] for k, f in zip(s, spots, strict=True))
        ]
        for standing in product(*(dealings(r, len(spots)) for _, r, _ in mine)):
            kept = all(
                r - sum(n for n, f in zip(of, spots, strict=True) if goes_with(site, f)) >= need
                for (_, r, need), of in zip(mine, standing, strict=True)
                for site in spots
            )
            if kept and any(
                all(
                    fits(
                        [c.spec.gpus for (c, _, _), of in zip(mine, standing, strict=True) for _ in range(of[i])],
                        there[f] - k[i],
                        gpus,
                    )
                    for i, f in enumerate(spots)
                )
                for k in spares
            ):
                break
        else:
            return False
    return True


def every_plan(case: Case) -> list[tuple]:
    options, slots, rules = allowed_options(case), usable(case), case.rules
    order = {(c.key, p): position for position, (c, p) in enumerate(slots)}
    plans = []
    for combo in product(*([s for s in slots if s[0].workload == w] for w in range(len(rules.workloads)))):
        for chosen in with_replicas(case, list(combo)):
            for nodes in node_vectors(case, chosen, options):
                if not _within(case, nodes) or (rules.survive == "site" and not any_site_may_go(case, chosen, nodes)):
                    continue
                cents = sum(n * o.monthly_cents for o, n in nodes.items())
                gpus = sum(n * o.node_type.gpus_per_node for o, n in nodes.items())
                factor = 1000
                if rules.objective == "maximize_load":
                    factor = min(
                        factor_of(case, c, p, r - c.node_type.gpus_per_node // c.spec.gpus) for c, p, r in chosen
                    )
                    if factor < 1:
                        continue
                objective = _objective(case, list(chosen), cents, gpus, factor)
                positions = tuple(order[c.key, p] for c, p, _ in chosen)
                counts = tuple(-nodes.get(o, 0) for o in options)
                plans.append(
                    ((objective, cents, gpus, positions, sum(r for *_, r in chosen), counts), (chosen, nodes), False)
                )
    return sorted(plans, key=lambda plan: plan[0])


def with_replicas(case: Case, combo: list[tuple[Candidate, int]]) -> Iterator[list[tuple[Candidate, int, int]]]:
    rules = case.rules
    ranges: list[range] = []
    for candidate, point in combo:
        holds = candidate.node_type.gpus_per_node // candidate.spec.gpus
        need = replicas_for(case, candidate, point)
        if rules.objective == "maximize_load":
            ranges.append(range(1, (rules.limits.gpus or 16) // candidate.spec.gpus + 1))
        elif rules.survive == "node":
            ranges.append(range(need + holds, need + holds + 1))
        else:
            ranges.append(range(need + 1, 2 * -(-need // holds) * holds + 1))
    for counts in product(*ranges):
        yield [(c, p, r) for (c, p), r in zip(combo, counts, strict=True)]


def node_vectors(
    case: Case, chosen: list[tuple[Candidate, int, int]], options: list[NodeOption]
) -> Iterator[dict[NodeOption, int]]:
    spare = case.rules.spare_nodes
    per_type = []
    for key in sorted({c.node_type.key for c, _, _ in chosen}):
        sizes = [c.spec.gpus for c, _, r in chosen if c.node_type.key == key for _ in range(r)]
        mine = [option for option in options if option.node_type.key == key]
        need = next((n for n in range(len(sizes) + 1) if fits(sizes, n, key[1])), None)
        if need is None or not mine:
            return
        caps = [min(len(sizes) + spare, 99 if o.max_nodes is None else o.max_nodes) for o in mine]
        per_type.append([
            dict(zip(mine, counts, strict=True))
            for counts in product(*(range(cap + 1) for cap in caps))
            if need + spare <= sum(counts) <= len(sizes) + spare and _sold(mine, counts)
        ])  # fmt: skip
    for parts in product(*per_type):
        yield {option: n for part in parts for option, n in part.items() if n}


def case_of(family: str, seed: int) -> Case:
    """A random case of the other families, small, that has to survive something."""
    maker = Maker(family, seed)
    case, rng = maker.case(), maker.rng
    survive = Survive.SITE if seed % 2 else Survive.NODE
    regions = ["eu", "us", ""] if survive is Survive.SITE else ["eu"]
    options = tuple(
        replace(one, offer=replace(one.offer, region=rng.choice(regions), provider=rng.choice(["aws", "gcp"])))
        for one in case.options
    )
    alone = len(case.rules.workloads) == 1
    few = [c for w in range(2) for c in [c for c in case.candidates if c.workload == w][: 4 if alone else 2]]
    light = tuple(
        replace(w, load=replace(w.load, requests_per_second=min(w.load.requests_per_second, 2.0), inflight=20.0))
        for w in case.rules.workloads
    )
    rules = replace(
        case.rules,
        workloads=light,
        survive=survive,
        named_gpus=frozenset({"a100", "h100", "l40s"}),
        spare_nodes=case.rules.spare_nodes and 1,
    )
    if survive is Survive.SITE and rules.objective == "maximize_load":
        rules = replace(rules, survive=Survive.NODE)
    used = {candidate.node_type.key for candidate in few}
    there = tuple(option for option in options if option.node_type.key in used)
    return replace(case, options=there, rules=rules, candidates=tuple(few))


@pytest.mark.parametrize("family", ["one workload", "two workloads", "limits", "spare", "maximize"])
def test_the_ranking_is_that_of_the_enumeration(family: str) -> None:
    feasible = 0
    for seed in range(INSTANCES):
        case = case_of(family, seed)
        plans = every_plan(case)
        found = [
            (
                (-1 if case.rules.objective == "maximize_load" else 1) * plan.objective,
                plan.monthly_cents,
                plan.gpus,
                tuple((group.candidate.key, group.point, group.replicas) for group in plan.groups),
                tuple((node.option.key, node.count) for node in plan.nodes),
            )
            for plan in solve(case).solutions
        ]
        assert found == brute_force(case, plans), (case.name, case.rules.survive)
        assert solve(case, screens=False) == solve(case), case.name
        feasible += bool(found)
    assert 0.1 <= feasible / INSTANCES <= 0.95


# --- feasible, infeasible, on the edge -------------------------------------------------------------------------------

FOUR = make_workload(rate=4.0, inflight=0.0)
"""A replica carries one request per second: four have to be left."""


def one_case(
    rules: UserRules,
    spec: CandidateSpec | None = None,
    options: tuple[OptionSpec, ...] = (OptionSpec("node", 10_000),),
) -> Case:
    candidate = make_candidate(NODE, spec or CandidateSpec(tp=4))
    return Case((candidate,), tuple(make_option(NODE, one) for one in options), rules)


def rules_of(survive: Survive, **changes: Any) -> UserRules:
    return replace(make_rules(workloads=(FOUR,), top=1), survive=survive, **changes)


HERE = OptionSpec("here", 10_000, "aws", region="eu")
THERE = OptionSpec("there", 12_000, "aws", region="us")
ANYWHERE = OptionSpec("anywhere", 11_000, "aws", region="")
OTHER = OptionSpec("other", 15_000, "gcp", region="eu")


@pytest.mark.parametrize(("most", "holds"), [(6, True), (5, True), (4, False)])
def test_four_replicas_and_the_one_that_goes_take_five_nodes(most: int, holds: bool) -> None:
    case = one_case(rules_of(Survive.NODE, limits=PlanLimits(nodes=most)))
    plans = solve(case).solutions
    assert [(p.monthly_cents, p.groups[0].replicas, p.groups[0].left) for p in plans] == [(50_000, 5, 4)] * holds


def test_a_full_node_goes_with_all_that_it_can_hold() -> None:
    """Four replicas of one GPU fill a node of four: any node may go only where there are two."""
    (plan,) = solve(one_case(rules_of(Survive.NODE), CandidateSpec(tp=1))).solutions
    assert (plan.monthly_cents, plan.groups[0].replicas, plan.groups[0].lost) == (20_000, 8, 4)


@pytest.mark.parametrize(("spares", "cents"), [(0, 50_000), (1, 60_000), (2, 70_000)])
def test_spare_nodes_come_on_top(spares: int, cents: int) -> None:
    case = one_case(rules_of(Survive.NODE, spare_nodes=spares))
    (plan,) = solve(case).solutions
    (candidate,) = case.candidate_set.candidates
    floors = CostFloors(case.candidate_set, case.options, alone=True)
    assert plan.monthly_cents == cents == floors.cents(candidate) == floors.cents_with(candidate, 4)
    assert sum(node.spare for node in plan.nodes) == spares


@pytest.mark.parametrize(
    ("options", "cents"),
    [
        ((HERE, THERE), 88_000),  # four at each
        ((HERE, THERE, OTHER), 74_000),  # two at each: with any site gone four are left
        ((HERE, OTHER), 100_000),  # the same region of another provider is another site
        ((HERE, ANYWHERE), None),  # it may be the same region
        ((HERE, THERE, ANYWHERE), 88_000),
        ((HERE,), None),
    ],
)
def test_sites_are_a_provider_in_a_region(options: tuple[OptionSpec, ...], cents: int | None) -> None:
    plans = solve(one_case(rules_of(Survive.SITE), options=options)).solutions
    assert [plan.monthly_cents for plan in plans] == ([] if cents is None else [cents])
    for plan in plans:
        assert plan.groups[0].left == 4
        assert plan.groups[0].lost == lost_with_a_site(plan.groups[0].places)


@pytest.mark.parametrize(("stock", "holds"), [(5, True), (4, True), (3, False)])
def test_either_of_two_sites_needs_stock_for_all(stock: int, holds: bool) -> None:
    options = (replace(HERE, stock=stock), THERE)
    assert bool(solve(one_case(rules_of(Survive.SITE), options=options)).solutions) is holds


def test_the_share_of_a_mix_stays_what_it_is() -> None:
    """Two kinds of card that each serve a part of a workload: either loses one and still carries its part."""
    other = make_type(make_gpu("a100"), 4)
    both = (make_candidate(NODE, CandidateSpec(tp=4)), make_candidate(other, CandidateSpec(tp=4)))
    options = (
        make_option(NODE, OptionSpec("a", 10_000, stock=3)),
        make_option(other, OptionSpec("b", 11_000, stock=3)),
    )
    rules = rules_of(Survive.NODE, configurations=2)
    (plan,) = solve(Case(both, options, rules)).solutions
    assert sum(group.share for group in plan.groups) == 2520
    assert all(group.left * 2520 >= 4 * group.share for group in plan.groups)
    assert plan.monthly_cents == 63_000
    assert not solve(Case(both[:1], options[:1], rules)).solutions


def test_in_every_period_of_a_day() -> None:
    day = (Period("day", 400.0, 22), Period("night", 330.0, 22))
    load = Load(4.0, 0.0, "workloads.w0.traffic.requests_per_second", factors=(1.0, 0.25))
    rules = rules_of(Survive.NODE, periods=day, workloads=(replace(FOUR, load=load),))
    (plan,) = solve(one_case(rules)).solutions
    assert plan.groups[0].running == (5, 2)


@pytest.mark.parametrize("survive", [Survive.NODE, Survive.SITE])
@pytest.mark.parametrize("screens", [True, False])
def test_the_model_has_a_row_for_it(survive: Survive, screens: bool) -> None:
    case = one_case(rules_of(survive), options=(HERE, THERE))
    v = build_model(prepare(case.candidate_set, case.options, screens=screens).instance)
    assert any(row.name.startswith("rule:margins.survive") for row in v.cp.proto.constraints)


@pytest.mark.parametrize("survive", [Survive.NODE, Survive.SITE])
def test_giving_it_up_is_a_way_out(survive: Survive) -> None:
    case = one_case(rules_of(survive, limits=PlanLimits(nodes=4)), options=(HERE, THERE))
    assert ("margins.survive",) in [way.paths for way in ways_out(case.candidate_set, case.options, SolveSettings())]


def test_a_place_that_is_not_stated_goes_with_every_site_of_its_provider() -> None:
    assert sites([("a", "eu"), ("a", ""), ("b", "")]) == ((("a", "eu"), ("a", "")), (("b", ""),))
    stands = [Standing("a", "eu", 2), Standing("a", "us", 3), Standing("a", "", 1), Standing("b", "", 3)]
    assert lost_with_a_site(stands) == 4


def test_replicas_are_dealt_so_that_the_worst_site_takes_fewest() -> None:
    candidate = make_candidate(NODE, CandidateSpec(tp=2))
    nodes = [NodeChoice(make_option(NODE, one), count, 0) for one, count in ((HERE, 3), (THERE, 1), (OTHER, 2))]
    standing = dealt(candidate, 7, nodes)
    assert standing is not None
    assert sum(one.replicas for one in standing) == 7
    assert lost_with_a_site(standing) == 3
    assert dealt(candidate, 13, nodes) is None
