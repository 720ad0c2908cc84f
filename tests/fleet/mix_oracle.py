"""Second opinions where configurations may share a workload: brute force over mixes, and a model for SCIP."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product
from typing import Any

from optimizer.candidates.types import Candidate
from tests.fleet.fleet_cases import Case, Maker
from tests.fleet.fleet_oracle import (
    _node_vectors,
    _objective,
    _scip_limits,
    _within,
    allowed_options,
    key_of,
    replicas_for,
    usable,
)

GUARD = 1e-9
PARTS = 2520


def mixed_case(family: str, seed: int, most: int) -> Case:
    """A small case of a family where so many configurations may share a workload; every card is named."""
    case = Maker(family, seed).case()
    rules = replace(
        case.rules,
        configurations=most,
        named_gpus=frozenset(candidate.node_type.gpu.id for candidate in case.candidates),
        objective="minimize_cost" if case.rules.objective == "maximize_load" else case.rules.objective,
    )
    kept = [c for w in range(len(rules.workloads)) for c in [c for c in case.candidates if c.workload == w][:5]]
    return replace(case, candidates=tuple(kept), rules=rules)


def parts_carried(case: Case, candidate: Candidate, point: int, replicas: int) -> int:
    """Parts of the workload, in 1/2520, that replicas carry inside their promises."""
    load, of_point = case.rules.workloads[candidate.workload].load, candidate.points[point]
    pairs = ((of_point.requests_per_second, load.requests_per_second), (of_point.inflight, load.inflight))
    return min(math.floor(cap * replicas / asked * PARTS * (1 + GUARD)) for cap, asked in pairs if asked)


def _mixes(case: Case, slots: list[tuple[Candidate, int]]) -> Iterator[list[tuple[Candidate, int, int]]]:
    """Every set of configurations and replicas that carries one workload: no replica too many at the end."""
    for size in range(1, case.rules.configurations + 1):
        for chosen in combinations(slots, size):
            if len({c.key for c, _ in chosen}) < size:
                continue
            whole = [replicas_for(case, c, p) for c, p in chosen]
            for counts in product(*(range(1, most + 1) for most in whole[:-1])):
                left = PARTS - sum(parts_carried(case, c, p, n) for (c, p), n in zip(chosen[:-1], counts, strict=True))
                if left <= 0:
                    continue
                candidate, point = chosen[-1]
                last = next(n for n in range(1, whole[-1] + 1) if parts_carried(case, candidate, point, n) >= left)
                yield [(c, p, n) for (c, p), n in zip(chosen, (*counts, last), strict=True)]


def brute_force_mixes(case: Case) -> list[tuple]:
    """The ranking: (objective, cents, gpus, slots with replicas, nodes)."""
    options, slots = allowed_options(case), usable(case)
    order = {(c.key, p): position for position, (c, p) in enumerate(slots)}
    plans = []
    per_workload = [
        list(_mixes(case, [s for s in slots if s[0].workload == w])) for w in range(len(case.rules.workloads))
    ]
    for combo in product(*per_workload):
        chosen = [choice for mix in combo for choice in mix]
        for nodes in _node_vectors(case, chosen, options):
            if not _within(case, nodes):
                continue
            cents = sum(n * o.monthly_cents for o, n in nodes.items()) + case.rules.fixed_cents
            gpus = sum(n * o.node_type.gpus_per_node for o, n in nodes.items())
            who = tuple((len(mix), tuple(order[c.key, p] for c, p, _ in mix)) for mix in combo)
            counts = tuple(-next((n for o, n in nodes.items() if o.key == one.key), 0) for one in options)
            replicas = tuple(n for _, _, n in chosen)
            objective = _objective(case, chosen, cents, gpus, 1000)
            plans.append(((objective, cents, gpus, who, sum(replicas), replicas, counts), chosen, nodes))
    plans.sort(key=lambda plan: plan[0])
    ranking: list[Any] = []
    seen: list[Any] = []
    for sort_key, chosen, nodes in plans:
        key = key_of(case, chosen, nodes)
        if not any(earlier <= key for earlier in seen):
            seen.append(key)
            chosen_keys = tuple((c.key, p, n) for c, p, n in chosen)
            ranking.append((*sort_key[:3], chosen_keys, tuple(sorted((o.key, n) for o, n in nodes.items()))))
    return ranking[: case.rules.top]


def scip_mixes(case: Case) -> float | None:
    """Cost of rank 1 by SCIP, in reals: replicas and real shares per slot."""
    from ortools.linear_solver import pywraplp  # type: ignore[attr-defined]

    solver = pywraplp.Solver.CreateSolver("SCIP")
    options, rules, slots = allowed_options(case), case.rules, usable(case)
    nodes = {o: solver.IntVar(0, 200 if o.max_nodes is None else o.max_nodes, "") for o in options}
    at = [solver.BoolVar("") for _ in slots]
    reps = [solver.IntVar(0, replicas_for(case, c, p), "") for c, p in slots]
    share = [solver.NumVar(0, 1, "") for _ in slots]
    for index, (c, p) in enumerate(slots):
        load, point = rules.workloads[c.workload].load, c.points[p]
        solver.Add(share[index] <= at[index])
        solver.Add(reps[index] >= at[index])
        solver.Add(reps[index] <= replicas_for(case, c, p) * at[index])
        for asked, cap in ((load.requests_per_second, point.requests_per_second), (load.inflight, point.inflight)):
            if asked:
                solver.Add(cap * reps[index] >= asked * share[index])
    for w in range(len(rules.workloads)):
        mine = [i for i, (c, _) in enumerate(slots) if c.workload == w]
        solver.Add(sum(share[i] for i in mine) == 1)
        solver.Add(sum(at[i] for i in mine) <= rules.configurations)
        for key in {slots[i][0].key for i in mine}:
            solver.Add(sum(at[i] for i in mine if slots[i][0].key == key) <= 1)
    for key in {o.node_type.key for o in options} | {c.node_type.key for c in case.candidates}:
        mine = [i for i, (c, _) in enumerate(slots) if c.node_type.key == key]
        have = sum(n for o, n in nodes.items() if o.node_type.key == key)
        used = solver.BoolVar("")
        for i in mine:
            solver.Add(used >= at[i])
        for size in (1, 2, 4, 8):
            load = sum(reps[i] * slots[i][0].spec.gpus for i in mine if slots[i][0].spec.gpus >= size)
            solver.Add(load <= (have - rules.spare_nodes * used) * (key[1] // size * size))
    _scip_limits(case, solver, nodes)
    solver.Minimize(sum(o.monthly_cents * n for o, n in nodes.items()) + rules.fixed_cents)
    return solver.Objective().Value() if solver.Solve() == pywraplp.Solver.OPTIMAL else None
