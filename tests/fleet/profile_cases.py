"""Small problems with a day profile, and every plan of them by brute force, written from the case itself."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from optimizer.candidates.types import Candidate
from optimizer.demand import Load, Period
from optimizer.fleet.requirements import PlanLimits
from optimizer.plan.costs import CostLine
from optimizer.pricing.types import NodeOption, NodeType, Origin, PeriodPrice
from optimizer.vocabulary import Tier
from tests.fleet.fleet_cases import (
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
from tests.fleet.fleet_oracle import fits, usable

HOURS = {1: (730.0,), 2: (230.0, 500.0), 3: (180.0, 210.0, 340.0)}
"""Hours of the periods, by their number."""


def by_use(option: NodeOption, hours: tuple[float, ...], start_cents: int) -> NodeOption:
    """The option billed by the hour: its monthly cents are those of 730 hours."""
    cents = [round(option.monthly_cents * h / 730) for h in hours]
    prices = tuple(
        PeriodPrice(
            (CostLine("rent", h, "hour", one / 100 / h, one),),
            (CostLine("rent", 1, "hour", start_cents / 100, start_cents),) if start_cents else (),
            one,
            start_cents,
        )
        for h, one in zip(hours, cents, strict=True)
    )
    return replace(option, periods=prices)


class Maker:
    """Draws one random case."""

    def __init__(self, seed: int, *, periods: int = 3, workloads: int = 1) -> None:
        self.rng = random.Random(f"profile/{seed}/{periods}/{workloads}")
        self.hours, self.workloads = HOURS[periods], workloads

    def case(self) -> Case:
        rng = self.rng
        types = [
            make_type(make_gpu(name), rng.choice([1, 2])) for name in rng.sample(["h100", "l40s"], rng.randint(1, 2))
        ]
        options = tuple(option for node_type in types for option in self._options(node_type))
        candidates = {
            c.key: c for node_type in types for w in range(self.workloads) for c in self._candidates(node_type, w)
        }
        asked = tuple(make_workload(f"w{w}", load=self._load(w)) for w in range(self.workloads))
        limits = PlanLimits(
            nodes=rng.choice([None, None, 4]),
            budget_cents=rng.choice([None, None, 900_000]),
        )
        rules = make_rules(
            workloads=asked,
            periods=tuple(Period(f"p{i}", h, 30.0) for i, h in enumerate(self.hours)),
            spare_nodes=rng.choice([0, 0, 0, 1]),
            limits=limits,
            top=rng.choice([1, 2]),
        )
        return Case(tuple(candidates.values()), options, rules, "profile")

    def _load(self, workload: int) -> Load:
        rng, count = self.rng, len(self.hours)
        factors = [rng.choice([0.0, 0.2, 0.35, 0.5, 0.75, 1.0]) for _ in range(count)]
        factors[rng.randrange(count)] = 1.0
        floor = rng.choice([0, 0, 1])
        path = f"workloads.w{workload}.traffic.requests_per_second"
        return Load(rng.choice([0.0, 3.0]), 20.0, path, factors=tuple(factors), min_replicas=floor)

    def _options(self, node_type: NodeType) -> list[NodeOption]:
        rng, made = self.rng, []
        month = rng.randint(10, 30) * 10_000 * node_type.gpus_per_node
        name = f"{node_type.gpu.id}-{node_type.gpus_per_node}"
        demand = make_option(node_type, OptionSpec(f"{name}-d", month, stock=rng.choice([None, None, 2])))
        made.append(by_use(demand, self.hours, rng.choice([0, 500, 30_000])))
        if rng.random() < 0.8:
            spec = OptionSpec(f"{name}-r", round(month * rng.uniform(0.35, 0.8)), tier=Tier.RESERVED_1Y)
            made.append(make_option(node_type, spec))
        if rng.random() < 0.3:
            spec = OptionSpec(f"{name}-o", rng.choice([0, 20_000]), tier=Tier.OWNED, stock=1, origin=Origin.OWNED)
            made.append(make_option(node_type, spec))
        elif rng.random() < 0.4:
            spot = make_option(node_type, OptionSpec(f"{name}-s", round(month * 0.6), tier=Tier.SPOT, stock=1))
            made.append(by_use(spot, self.hours, 700))
        return made

    def _candidates(self, node_type: NodeType, workload: int) -> Iterator[Candidate]:
        rng = self.rng
        for quant in rng.sample(["bf16", "fp8"], rng.randint(1, 2)):
            tp = rng.choice([1, node_type.gpus_per_node])
            rate, inflight = tp * rng.uniform(1.0, 2.0), tp * rng.uniform(7, 14)
            spec = CandidateSpec(quant=quant, tp=tp, rate=rate, inflight=inflight, workload=workload)
            yield make_candidate(node_type, spec)


def needed(case: Case, candidate: Candidate, point: int) -> tuple[int, ...]:
    """Fewest replicas in each period."""
    load, of_point = case.rules.workloads[candidate.workload].load, candidate.points[point]
    pairs = ((load.requests_per_second, of_point.requests_per_second), (load.inflight, of_point.inflight))
    return tuple(
        max(load.min_replicas, *(math.ceil(asked * factor / capacity * (1 - 1e-9)) for asked, capacity in pairs))
        for factor in load.factors
    )


def least_cost(case: Case) -> tuple[int, int] | None:
    """Cents and GPUs of the best plan: every configuration, every number of nodes of every option in every period."""
    per_workload = [[s for s in usable(case) if s[0].workload == w] for w in range(len(case.rules.workloads))]
    found = [best for combo in product(*per_workload) if (best := _best(case, list(combo))) is not None]
    return min(found, default=None)


def _best(case: Case, combo: list) -> tuple[int, int] | None:
    periods, spare = range(len(case.rules.periods)), case.rules.spare_nodes
    types: dict[tuple, list[int]] = {}
    for key in {candidate.node_type.key for candidate, _ in combo}:
        gpus, mine = key[1], [(c, p) for c, p in combo if c.node_type.key == key]
        sizes = [[c.spec.gpus for c, k in mine for _ in range(needed(case, c, k)[p])] for p in periods]
        nodes = [next(n for n in range(len(s) + 1) if fits(s, n, gpus)) for s in sizes]
        types[key] = [n + spare if n else 0 for n in nodes]
    parts = [list(_ways(case, key, need)) for key, need in types.items()]
    best = None
    for ways in product(*parts):
        counts = [sum(way[1][p] for way in ways) for p in periods]
        cents = sum(way[0] for way in ways) + case.rules.fixed_cents
        limits = case.rules.limits
        if limits.nodes is not None and max(counts) > limits.nodes:
            continue
        if limits.budget_cents is not None and cents > limits.budget_cents:
            continue
        gpus = max(sum(way[1][p] * key[1] for way, key in zip(ways, types, strict=True)) for p in periods)
        best = (cents, gpus) if best is None else min(best, (cents, gpus))
    return best


def _ways(case: Case, key: tuple, need: list[int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Cents and nodes by period of every way to have enough nodes of a type."""
    options = [option for option in case.options if option.node_type.key == key]
    most, periods = max(need), range(len(need))
    per_option = []
    for option in options:
        top = most if option.max_nodes is None else min(most, option.max_nodes)
        if option.periods:
            per_option.append(list(product(range(top + 1), repeat=len(need))))
        else:
            per_option.append([(count,) * len(need) for count in range(top + 1)])
    for counts in product(*per_option):
        total = tuple(sum(of_option[p] for of_option in counts) for p in periods)
        if all(have >= want for have, want in zip(total, need, strict=True)):
            yield sum(_cents(option, n) for option, n in zip(options, counts, strict=True)), total


def _cents(option: NodeOption, counts: tuple[int, ...]) -> int:
    if not option.periods:
        return option.monthly_cents * counts[0]
    cents = 0
    for index, price in enumerate(option.periods):
        cents += price.cents * counts[index]
        cents += price.start_cents * max(0, counts[index] - counts[index - 1])
    return cents
