"""Rules about the day profile: every period by itself, from the hours, loads and numbers of nodes.

What a plan promises it promises in every period, so the rules about nodes and latency are asked for each of them again,
with the replicas and nodes that run there (``EACH_PERIOD`` in ``rules``). The rules here are about what is printed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import isclose

from optimizer.problem import is_split, parts_of, periods_of
from optimizer.units import CENTS_PER_UNIT
from optimizer.verify.case import CheckedCase, Mismatch
from optimizer.verify.service import GroupAtLoad
from optimizer.vocabulary import Tier

TOLERANCE = 1e-6
_CENT = 1.0
_BY_USE = (Tier.ON_DEMAND, Tier.SPOT)


def periods(case: CheckedCase) -> Iterator[Mismatch]:
    """The periods are those of the problem, and numbers of the whole plan are the largest of any period."""
    for index, (printed, asked) in enumerate(zip(case.plan.periods, periods_of(case.problem), strict=True)):
        found = (printed.name, printed.hours_per_month, printed.starts_per_month)
        if found != (asked.name, asked.hours, asked.starts):
            yield Mismatch("periods", f"periods[{index}]", asked, found, "a period of the day profile")
        if min(*printed.replicas, *printed.nodes) < 0:
            yield Mismatch("periods", f"periods[{index}]", "at least 0", min(printed.nodes), "a number below 0")
    for number, group in enumerate(case.plan.groups):
        most = max((period.replicas[number] for period in case.plan.periods), default=group.replicas)
        if group.replicas != most:
            yield Mismatch("periods", f"groups[{number}].replicas", most, group.replicas, "the most of any period")
    for number, line in enumerate(case.plan.nodes):
        counts = [period.nodes[number] for period in case.plan.periods] or [line.count]
        if line.count != max(counts):
            yield Mismatch("periods", f"nodes[{number}].count", max(counts), line.count, "the most of any period")
        if line.tier not in _BY_USE and len(set(counts)) > 1:
            yield Mismatch("periods", f"nodes[{number}]", "one number", counts, f"{line.tier} nodes are paid always")


def period_counts(case: CheckedCase) -> Iterator[Mismatch]:
    """GPUs of each period; the plan's are those of the busiest, where idle GPUs are counted."""
    totals = [
        sum(n * node.option.offer.gpus_per_node for n, node in zip(period.nodes, case.nodes, strict=True))
        for period in case.plan.periods
    ]
    for index, (period, gpus) in enumerate(zip(case.plan.periods, totals, strict=True)):
        if period.gpus != gpus:
            yield Mismatch("period counts", f"periods[{index}].gpus", gpus, period.gpus, "GPUs of its nodes")
    if not totals:
        return
    if case.plan.gpus != max(totals):
        yield Mismatch("period counts", "gpus", max(totals), case.plan.gpus, "GPUs of the busiest period")
    busiest = case.in_period(totals.index(max(totals)))
    idle: Counter[object] = Counter()
    for node in busiest.nodes:
        idle[node.option.node_type] += node.line.count * node.option.offer.gpus_per_node
    for group in busiest.groups:
        idle[group.node_type] -= group.group.replicas * group.spec.gpus
    for node in case.nodes:
        idle[node.option.node_type] -= node.line.idle_gpus
    for node_type, left in idle.items():
        if left:
            yield Mismatch("period counts", "nodes.idle_gpus", 0, left, f"idle GPUs of {node_type}")


def always_served(case: CheckedCase) -> Iterator[Mismatch]:
    """What is served, a workload or each length class of it, has replicas where it has load.

    And never fewer than ``traffic.min_replicas``; with a profile or without.
    """
    named = {group.workload for group in case.plan.groups}
    for part in parts_of(case.problem):
        if part.name not in named and is_split(part.workload):
            continue  # the other way to serve it; that one of them does is for the rule about shares
        load, workload = part.load, part.workload
        groups = [index for index, group in enumerate(case.plan.groups) if group.workload == part.name]
        running = [sum(period.replicas[index] for index in groups) for period in case.plan.periods]
        for index, replicas in enumerate(running or [sum(case.plan.groups[index].replicas for index in groups)]):
            least = max(load.min_replicas, 1 if not load.factors or load.factors[index] else 0)
            if replicas < least:
                path = f"workloads.{workload.name}.traffic.min_replicas"
                yield Mismatch("always served", path, f"at least {least}", replicas, f"replicas in period {index}")


def period_bill(case: CheckedCase) -> Iterator[Mismatch]:
    """Nodes paid by use cost their hours: those of each period, and the minutes of each start before it serves.

    Counted in node-hours at the price of an hour, not by the lines of pricing.
    """
    asked = periods_of(case.problem)
    startup = case.problem.payment.startup_minutes / 60
    expected = [0.0] * len(asked)
    for number, node in enumerate(case.nodes):
        if node.line.tier not in _BY_USE:
            continue
        hour = node.option.monthly_cents / case.problem.payment.hours_per_month
        counts = [period.nodes[number] for period in case.plan.periods]
        for index, period in enumerate(asked):
            started = max(0, counts[index] - counts[index - 1])
            expected[index] += hour * (period.hours * counts[index] + startup * period.starts * started)
    for index, (cents, printed) in enumerate(zip(expected, case.plan.periods, strict=True)):
        nodes = sum(printed.nodes)
        if abs(printed.monthly_cents - cents) > 6 * _CENT * max(1, nodes) + 1e-5 * cents:
            path = f"periods[{index}].monthly_cost"
            yield Mismatch("period bill", path, cents / CENTS_PER_UNIT, printed.monthly_cents, "node-hours x price")
    committed = sum(node.line.count * node.option.monthly_cents for node in case.nodes if node.line.tier not in _BY_USE)
    by_use = sum(period.monthly_cents for period in case.plan.periods)
    lines = sum(node.line.monthly_cents for node in case.nodes)
    if case.plan.periods and committed + by_use != lines:
        yield Mismatch("period bill", "periods", lines, committed + by_use, "commitments and periods add up (cents)")


def period_services(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """Load and latency printed of one period are those of its replicas, under the fullest of its loads."""
    if case.period is None:
        return
    period, groups = case.plan.periods[case.period], {entry.group.workload.name: entry for entry in served}
    listed = [service.workload for service in period.services]
    if sorted(listed) != sorted(workload.name for workload in case.problem.workloads):
        yield Mismatch("period services", f"periods[{case.period}]", "every workload once", listed, "services")
    for service in period.services:
        entry = groups.get(service.workload)
        each = entry.stated.each if entry else ()
        path = f"periods[{case.period}].services[{service.workload}]"
        expected: dict[str, float | None] = dict.fromkeys(_FIGURES)
        if entry is None or not each:
            expected |= dict.fromkeys(_FIGURES[:3], 0.0)
        else:
            seen, replicas = max(each, key=lambda behaviour: behaviour.inflight), entry.group.group.replicas
            rates = (seen.requests_per_second, seen.output_tokens_per_second, seen.inflight)
            latencies = (seen.ttft.p95 * 1e3, seen.tpot.p95 * 1e3)
            expected = dict(zip(_FIGURES, (*(rate * replicas for rate in rates), *latencies), strict=True))
        expected["factor"] = _factor(case, service.workload)
        for name, value in expected.items():
            found = getattr(service, name)
            if (value is None) != (found is None) or not isclose(value or 0.0, found or 0.0, rel_tol=TOLERANCE):
                yield Mismatch("period services", f"{path}.{name}", value, found, "in that period")


_FIGURES = ("requests_per_second", "output_tokens_per_second", "concurrency", "ttft_p95_ms", "tpot_p95_ms")


def _factor(case: CheckedCase, name: str) -> float | None:
    assert case.period is not None
    workload = next((workload for workload in case.problem.workloads if workload.name == name), None)
    if workload is None:
        return None
    profile = workload.traffic.profile
    return 1.0 if profile is None else profile[case.period].factor
