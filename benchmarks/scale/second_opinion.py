"""The same question as a compact mixed-integer program for SCIP and HiGHS, as bundled with ortools.

Written from the candidates and options, not exported from the CP-SAT model: binary choices, integer replicas, real
shares, integer nodes, packing per node type, stock. Points that break a promise or a rule are left out beforehand.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optimizer.fleet.candidate_set import CandidateSet
    from optimizer.pricing.types import NodeOption


@dataclass(frozen=True, slots=True)
class Opinion:
    """What another solver found by the end of its time, in currency units."""

    cost: float | None
    bound: float | None
    seconds: float
    size: str

    @property
    def gap(self) -> float | None:
        """Relative gap between its plan and its bound."""
        return None if self.cost is None or self.bound is None else 1 - self.bound / self.cost


def ask(name: str, candidates: CandidateSet, options: Sequence[NodeOption], seconds: float) -> Opinion:
    """Solve with ``scip`` or ``highs`` for so many seconds, building the model included."""
    from ortools.linear_solver.python import model_builder as mb

    start = time.perf_counter()
    model, variables = _model(candidates, options)
    solver = mb.Solver(name)
    left = max(1.0, seconds - (time.perf_counter() - start))
    solver.set_time_limit_in_seconds(left)
    status = solver.solve(model)
    size = f"{variables:,} variables, {model.num_constraints:,} rows"
    found = status in (mb.SolveStatus.OPTIMAL, mb.SolveStatus.FEASIBLE)
    spent = time.perf_counter() - start
    if not found:
        return Opinion(None, None, spent, size)
    return Opinion(solver.objective_value / 100, solver.best_objective_bound / 100, spent, size)


def _model(candidates: CandidateSet, options: Sequence[NodeOption]):  # type: ignore[no-untyped-def]
    from ortools.linear_solver.python import model_builder as mb

    from optimizer.fleet.funnel import configuration_allowed, kept_points

    rules = candidates.rules
    allowed = [option for option in options if not rules.forbidden_by(option)]
    types = {option.node_type.key for option in allowed}
    model = mb.Model()  # type: ignore[no-untyped-call]
    nodes = {o.key: model.new_int_var(0, 10_000 if o.max_nodes is None else o.max_nodes, "") for o in allowed}
    shares, chosen, on_type = defaultdict(list), defaultdict(list), defaultdict(list)
    for candidate in candidates.candidates:
        key = candidate.node_type.key
        if key not in types or not configuration_allowed(candidate, rules) or rules.is_flagged(candidate):
            continue
        load = rules.workloads[candidate.workload].load
        for index in kept_points(candidate, rules):
            point = candidate.points[index]
            pairs = ((point.requests_per_second, load.requests_per_second), (point.inflight, load.inflight))
            part = min(1.0, *(capacity / asked for capacity, asked in pairs if asked > 0))
            if part * 1_000_000 < 1:
                continue
            whole = int(1 / part) + 1
            share, at = model.new_num_var(0, 1, ""), model.new_bool_var("")
            replicas = model.new_int_var(0, whole, "")
            model.add(share <= at)
            model.add(part * replicas >= share)
            shares[candidate.workload].append(share)
            chosen[candidate.workload].append(at)
            on_type[key].append((candidate.spec.gpus, replicas))
    for workload in range(len(rules.workloads)):
        model.add(mb.LinearExpr.sum(shares[workload]) == 1)
        model.add(mb.LinearExpr.sum(chosen[workload]) <= rules.configurations)
    for key, served in on_type.items():
        room = mb.LinearExpr.sum([key[1] * nodes[o.key] for o in allowed if o.node_type.key == key])
        for size in sorted({gpus for gpus, _ in served}):
            placed = mb.LinearExpr.weighted_sum(
                [r for g, r in served if g >= size], [g for g, _ in served if g >= size]
            )
            model.add(placed <= room if key[1] % size == 0 else placed <= room * (key[1] // size * size / key[1]))
    stocks = defaultdict(list)
    for option in allowed:
        if option.max_nodes is not None:
            stocks[option.offer.id].append(option)
    for members in stocks.values():
        model.add(mb.LinearExpr.sum([nodes[o.key] for o in members]) <= members[0].max_nodes)
    model.minimize(
        mb.LinearExpr.weighted_sum([nodes[o.key] for o in allowed], [float(o.monthly_cents) for o in allowed])
    )
    return model, model.num_variables
