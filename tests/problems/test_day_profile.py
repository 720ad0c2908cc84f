"""The plan of problems/day_profile.yaml is cheaper than all on demand and than all reserved: by brute force too."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from optimizer.decide import read_inputs, solve_problem
from optimizer.plan.types import Optimal, Outcome, Plan
from optimizer.pricing import NodeOption
from optimizer.report import render
from optimizer.vocabulary import Tier
from optimizer.whatif.case import Case, open_case

PROBLEM = Path(__file__).parents[2] / "problems" / "day_profile.yaml"
ONLY = {"demand": "payment.tiers=[on_demand]", "reserved": "payment.tiers=[reserved_1y]"}


Solved = Callable[..., Outcome]
Best = Callable[..., Plan]


@pytest.fixture(scope="module")
def best(solved: Solved) -> Best:
    def ask(*sets: str) -> Plan:
        outcome = solved("day_profile", "ranking.top=1", *sets)
        assert isinstance(outcome, Optimal)
        return outcome.plans[0]

    return ask


def brute_force(case: Case, tiers: set[Tier]) -> int:
    """Cents of the cheapest plan: every configuration, every level of commitment, every number of nodes by the hour."""
    rules, found = case.candidates.rules, list[tuple[float, list[NodeOption], list[int]]]()
    load = rules.workloads[0].load
    for candidate in case.candidates.candidates:
        if candidate.recovery < rules.workloads[0].min_recovery or rules.is_flagged(candidate):
            continue
        if candidate.spec.kv_cache not in rules.kv_caches or candidate.points[0].kind != "all":
            continue
        each = candidate.points[0].requests_per_second
        replicas = [max(2, math.ceil(load.requests_per_second * f / each - 1e-9)) for f in load.factors]
        nodes = [candidate.nodes_for(count) for count in replicas]
        options = [
            option
            for option in case.options
            if option.node_type.key == candidate.node_type.key
            and not rules.options.forbidden_by(option)
            and option.tier in tiers
        ]
        if options:
            least = min(bill(o, (1, 0, 0)) if o.periods else o.monthly_cents for o in options)
            found.append((max(nodes) * least, options, nodes))
    best: int | None = None
    for bound, options, nodes in sorted(found, key=lambda one: one[0]):
        if best is None or bound < best:  # else the nodes of the day alone cost more
            ways = cheapest(options, nodes)
            best = min(ways) if best is None else min(best, *ways)
    assert best is not None
    return best


def cheapest(options: list[NodeOption], nodes: list[int]) -> list[int]:
    """Cents of every way to have these nodes at least: one commitment beside one price by the hour."""
    committed: list[NodeOption | None] = [option for option in options if not option.periods] or [None]
    by_hour: list[NodeOption | None] = [option for option in options if option.periods] or [None]
    cents = []
    for one, other in product(committed, by_hour):
        for level in range(max(nodes) + 1) if one is not None else (0,):
            ranges = [range(max(0, count - level), max(nodes) + 1) for count in nodes]
            fixed = level * one.monthly_cents if one is not None else 0
            if other is None:
                cents += [fixed] if level >= max(nodes) else []
                continue
            cents += [fixed + bill(other, counts) for counts in product(*ranges)]
    return cents


def bill(option: NodeOption, counts: tuple[int, ...]) -> int:
    """Node-hours of each period, and 15 minutes each time that a node starts, from the printed price of an hour."""
    assert option.price is not None
    hour, month = option.price.amount, (240, 190, 300)
    running = sum(round(hour * hours * 100) * n for hours, n in zip(month, counts, strict=True))
    starts = sum(max(0, n - counts[index - 1]) for index, n in enumerate(counts))
    return running + round(hour * 0.25 * 730 / 24 * 100) * starts


def test_part_reserved_part_on_demand_is_cheapest_by_brute_force_too(best: Best) -> None:
    plan = best()
    case = open_case(read_inputs(PROBLEM))
    assert plan.monthly_cents == brute_force(case, {Tier.ON_DEMAND, Tier.RESERVED_1Y})
    assert {node.tier for node in plan.nodes} == {Tier.ON_DEMAND, Tier.RESERVED_1Y}
    for name, tier in (("demand", Tier.ON_DEMAND), ("reserved", Tier.RESERVED_1Y)):
        alone = best(ONLY[name])
        assert {node.tier for node in alone.nodes} == {tier}
        assert alone.monthly_cents == brute_force(case, {tier})
        assert plan.monthly_cents < 0.9 * alone.monthly_cents


@pytest.mark.parametrize("sets", [(), (ONLY["demand"],), (ONLY["reserved"],), ("margins.spare_nodes=1",)])
def test_lines_plan_and_objective_are_the_same_money(sets: tuple[str, ...], solved: Solved) -> None:
    outcome = solved("day_profile", "ranking.top=1", *sets)
    (plan,) = outcome.plans
    assert sum(line.monthly_cents for line in plan.cost_lines) == plan.monthly_cents
    assert outcome.proof.value == plan.monthly_cents / 100
    by_use = sum(period.monthly_cents for period in plan.periods)
    committed = sum(node.monthly_cents for node in plan.nodes if node.tier is not Tier.ON_DEMAND)
    assert by_use + committed == plan.monthly_cents


def test_tokens_are_those_of_all_periods(best: Best) -> None:
    plan = best()
    tokens = 9000 * 3600 * (240 + 0.6 * 190 + 0.3 * 300)
    assert plan.cost_per_million_output_tokens == pytest.approx(plan.monthly_cents / 100 / tokens * 1e6, rel=1e-6)


def test_a_busier_night_commits_to_more(best: Best) -> None:
    def level(plan: Plan) -> int:
        return sum(node.count for node in plan.nodes if node.tier is Tier.RESERVED_1Y)

    busier = best("workloads.chat.traffic.profile.night.factor=0.6")
    assert level(busier) > level(best())
    assert busier.monthly_cents > best().monthly_cents


def test_every_report_shows_the_periods(solved: Solved) -> None:
    outcome = solved("day_profile")
    text = render(outcome, "text")
    for words in (
        "What #1 runs through the day",
        "nodes: day 6, evening 4, night 2",
        "rent while starting, day",
        "for the tokens made over all periods of the day profile",
        "is billed 15 minutes before it serves",
        "day 240 h x 1, evening 190 h x 0.6, night 300 h x 0.3",
    ):
        assert words in " ".join(text.split()), words
    assert all(len(line) <= 100 for line in text.splitlines())
    periods = json.loads(render(outcome, "json"))["plans"][0]["periods"]
    assert [period["name"] for period in periods] == ["day", "evening", "night"]
    assert [node["count"] for node in periods[2]["nodes"]] == list(outcome.plans[0].periods[2].nodes)
    head, row = render(outcome, "csv").splitlines()[:2]
    assert head.endswith("period,period_hours,period_replicas,period_nodes,period_cost_by_use")
    assert "day; evening; night,240; 190; 300" in row


def test_two_workloads_take_turns_on_committed_nodes(tmp_path: Path, best: Best) -> None:
    """Batch work in the quiet hours runs on what is paid for already."""
    chat = PROBLEM.read_text()
    nightly = """
  - name: nightly
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic:
      batch: {requests: 100000, within_hours: 8}
      profile:
        - {name: day, hours_per_month: 240, factor: 0}
        - {name: evening, hours_per_month: 190, factor: 0}
        - {name: night, hours_per_month: 300, factor: 1}
    tokens: {input: 1000, output: 200}
"""
    path = tmp_path / "both.yaml"
    path.write_text(chat.replace("\nhardware:", f"{nightly}hardware:").replace("\n\n  - name", "\n  - name"))
    sets = ("ranking.top=1", ONLY["reserved"], "hardware.gpus=[a100_sxm_80]")
    outcome = solve_problem(path, sets=sets)
    (plan,) = outcome.plans
    alone = best(*sets[1:])
    assert plan.monthly_cents == alone.monthly_cents
    replicas = dict(
        zip(
            [group.workload for group in plan.groups],
            zip(*(p.replicas for p in plan.periods), strict=True),
            strict=True,
        )
    )
    assert replicas["nightly"][:2] == (0, 0)
    assert replicas["nightly"][2] > 0
    assert "nightly" in render(outcome, "text")
