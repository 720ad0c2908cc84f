"""Rules about serving: who serves a workload, with how many replicas, inside which promises."""

from __future__ import annotations

from collections import defaultdict
from itertools import product

from optimizer.candidates.market import THOUSANDTHS
from optimizer.candidates.rules import WorkloadRules
from optimizer.fleet.instance import MAX_LATENCY_US, Slot
from optimizer.fleet.variables import Variables
from optimizer.units import SHARE_UNITS, seconds_to_us_down


def one_candidate(v: Variables) -> None:
    """``sum over c, k of at[c,k] = 1`` for each workload: one candidate at one operating point serves all 2520/2520.

    Where it may be split into length classes, ``= whole[w]``, and ``= 1 - whole[w]`` for each of the classes. Where
    several configurations may share a workload, ``shares`` holds instead.
    """
    if v.instance.rules.mixed:
        shares(v)
        return
    for workload in range(len(v.instance.rules.workloads)):
        slots, served = [index for index, _ in v.slots(workload)], v.served(workload)
        if isinstance(served, int):
            v.cp.add_exactly_one([v.at(index) for index in slots]).with_name(f"one_candidate[{workload}]")
        else:
            v.cp.add(v.chosen(slots) == served).with_name(f"one_candidate[{workload}]")


def shares(v: Variables) -> None:
    """``sum over c, k of share[c,k] = 2520``, ``at[c,k] <= share[c,k] <= 2520 at[c,k]`` and
    ``1 <= sum over c, k of at[c,k] <= max_configurations_per_workload``, one point of a candidate at most.

    Where a workload may be split into length classes, 2520 and 1 stand times ``whole[w]``, and for each class times
    ``1 - whole[w]``.
    """
    from optimizer.fleet.cpsat import LinearExpr

    most = v.instance.rules.configurations
    for workload in range(len(v.instance.rules.workloads)):
        slots, served = v.slots(workload), v.served(workload)
        total = LinearExpr.sum([v.share(index) for index, _ in slots])
        v.cp.add(total == SHARE_UNITS * served).with_name(f"shares[{workload}]")
        count = v.chosen(index for index, _ in slots)
        v.cp.add(count >= served).with_name(f"configurations.some[{workload}]")
        v.cp.add(count <= most).with_name(f"rule:ranking.max_configurations_per_workload[{workload}]")
        points: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for index, slot in slots:
            points[slot.candidate.key].append(index)
            v.cp.add(v.share(index) >= v.at(index)).with_name(f"share.some[{index}]")
            v.cp.add(v.share(index) <= SHARE_UNITS * v.at(index)).with_name(f"share.follows[{index}]")
        for of_candidate in points.values():
            if len(of_candidate) > 1:
                v.cp.add(v.chosen(of_candidate) <= 1).with_name(f"one_point[{of_candidate[0]}]")


def replicas_follow(v: Variables) -> None:
    """``reps[c,k,p] <= max_reps[c,k] at[c,k]``: replicas run only where the point is chosen; in each period p."""
    for index, slot in v.slots():
        for p in v.periods:
            row = v.reps(index, p) <= slot.max_replicas * v.at(index)
            v.cp.add(row).with_name(f"replicas_follow[{index}{v.when(p)}]")


def min_replicas(v: Variables) -> None:
    """``sum over c, k of reps[c,k,p] >= min_replicas[w]`` in each period p: kept running whatever the load.

    Of a workload that may be split into length classes the row holds for what is served.
    """
    for workload, asked in enumerate(v.instance.rules.workloads):
        least = asked.load.min_replicas
        path = f"{asked.path}.traffic.min_replicas"
        for p in v.periods if least else ():
            total = sum(v.reps(index, p) for index, _ in v.slots(workload))
            row = v.cp.add(total >= least - v.excess(path, least - 1)).with_name(f"rule:{path}{v.when(p)}")
            v.where_served(row, workload)


def capacity(v: Variables) -> None:
    """``cap[c,k,p] reps[c,k,p] >= demand[w] at[c,k] - excess[w]`` for arrivals, for requests in flight and for users.

    In each period p of the day profile, cap against the load there; a period without load has no row.

    Counted in units of the demand: capacity rounded down and capped at the whole demand, so coefficients stay small.
    The excess, 0 outside the elastic solve, is load given up. In a mix ``demand[w] / 2520 share[c,k]`` stands on the
    right: replicas carry their share, and keep every promise at it.
    """
    demand = v.instance.load_scale
    unit = demand // SHARE_UNITS
    for index, slot in v.slots():
        asked = v.instance.rules.workloads[slot.workload]
        for p in v.periods:
            for path, value in zip(load_paths(asked), v.instance.capacity(slot, p), strict=True):
                if value >= 0:
                    asked_for = unit * v.share(index) if v.instance.rules.mixed else demand * v.at(index)
                    row = min(value, demand) * v.reps(index, p) >= asked_for - v.excess(path, demand * 9 // 10)
                    v.cp.add(row).with_name(f"capacity:{path}[{index}{v.when(p)}]")


def load_paths(asked: WorkloadRules) -> tuple[str, str, str]:
    """YAML paths of the arrivals, of the requests in flight and of the users of a workload."""
    base, decided = f"{asked.path}.traffic", asked.load.decided_by
    inner = {f"{base}.users": f"{base}.users.active", f"{base}.batch": f"{base}.batch.requests"}
    return inner.get(decided, decided), f"{base}.concurrency", f"{base}.users.active"


def capacity_at_factor(v: Variables) -> None:
    """``sum over c, k of cap[c,k] reps[c,k] >= demand[w] f`` for ``maximize_load``: one factor f for all workloads.

    With it ``reps[c,k] >= at[c,k]``: a workload is served by somebody even where that carries less than f = 0.001. In
    each period of the day profile in which the workload has load, cap against the load there. Of a workload that may be
    split into length classes the row holds for what is served.
    """
    from optimizer.fleet.cpsat import LinearExpr

    unit = v.instance.load_scale // THOUSANDTHS
    loads = [asked.load for asked in v.instance.rules.workloads]
    for index, slot in v.slots():
        for p in v.periods:
            if loads[slot.workload].has_load_in(p):
                v.cp.add(v.reps(index, p) >= v.at(index)).with_name(f"served[{index}{v.when(p)}]")
    for workload, load in enumerate(loads):
        slots = v.slots(workload)
        for what, p in product(range(len(load.floors)), v.periods):
            values = [v.instance.capacity(slot, p)[what] for _, slot in slots]
            if load.has_load_in(p) and all(value >= 0 for value in values):
                total = LinearExpr.weighted_sum([v.reps(index, p) for index, _ in slots], values)
                name = f"capacity.factor[{workload},{what}{v.when(p)}]"
                v.where_served(v.cp.add(total >= unit * v.factor()).with_name(name), workload)


def latency(v: Variables) -> None:
    """``sum over c, k of latency_us[c,k,p] at[c,k] <= limit_us[w,p] + excess[p]`` for each promise p.

    Limits are rounded down, latencies up, both in whole microseconds; there is no excess outside the elastic solve.
    One point per workload is chosen, so the sum is the latency of the chosen one. In a mix each chosen point keeps the
    limit by itself: ``latency_us[c,k,p] at[c,k] <= limit_us[w,p]``.
    """
    from optimizer.fleet.cpsat import LinearExpr

    for workload, asked in enumerate(v.instance.rules.workloads):
        slots = v.slots(workload)
        for number, promise in enumerate(asked.slo.promises):
            limit = min(MAX_LATENCY_US, seconds_to_us_down(promise.limit_s))
            if v.instance.rules.mixed:
                _latency_of_each(v, slots, number, limit)
                continue
            latencies = [slot.latencies_us[number] for _, slot in slots]
            chosen = LinearExpr.weighted_sum([v.at(index) for index, _ in slots], latencies)
            excess = v.excess(promise.path, _longest(v, promise.path) - limit) if v.elastic else 0
            v.cp.add(chosen <= limit + excess).with_name(f"latency:{promise.path}")


def _longest(v: Variables, path: str) -> int:
    """The longest latency of any slot that a promise is about; length classes share the promises of their workload."""
    asked = v.instance.rules.workloads
    return max(
        (
            latency
            for _, slot in v.slots()
            for promise, latency in zip(asked[slot.workload].slo.promises, slot.latencies_us, strict=False)
            if promise.path == path
        ),
        default=0,
    )


def _latency_of_each(v: Variables, slots: list[tuple[int, Slot]], number: int, limit: int) -> None:
    for index, slot in slots:
        path = v.instance.rules.workloads[slot.workload].slo.promises[number].path
        v.cp.add(slot.latencies_us[number] * v.at(index) <= limit).with_name(f"latency:{path}[{index}]")


def worst_latency(v: Variables) -> None:
    """``worst >= objective_us[c,k] at[c,k]``: what ``minimize_ttft`` and ``minimize_tpot`` make small."""
    for index, slot in v.slots():
        v.cp.add(v.worst() >= slot.objective_us * v.at(index)).with_name(f"worst_latency[{index}]")
