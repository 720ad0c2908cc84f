"""Rules about what users feel, recomputed forward: latency, saturation, KV cache, capacity, load factor."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose, sqrt

from optimizer.performance.types import Behaviour
from optimizer.units import SHARE_UNITS
from optimizer.verify.case import MAXIMIZE_LOAD, Case
from optimizer.verify.loads import Carried, Served, rate_cap, with_margin
from optimizer.verify.types import Mismatch
from optimizer.workload import Metric

TOLERANCE = 1e-6
"""Relative: floating noise between two ways of computing the same load."""


def poisson(case: Case, served: tuple[Served, ...]) -> Iterator[Mismatch]:
    """Promise (a): Poisson arrivals at rate*, split evenly over the replicas, keep every SLO with its margin."""
    for entry in served:
        yield from _kept("poisson", case, entry, entry.stated.poisson)


def inflight(case: Case, served: tuple[Served, ...]) -> Iterator[Mismatch]:
    """Promise (b): inflight* requests held in flight, steady, keep every SLO with its margin."""
    for entry in served:
        yield from _kept("inflight", case, entry, entry.stated.held)


def population(case: Case, served: tuple[Served, ...]) -> Iterator[Mismatch]:
    """N people who think for Z seconds: at the root n = N R / (Z + R) every SLO holds with its margin, and
    X >= N / (Z + R at the limits of the promises). The 99th percentile of the binomial number in flight finds a slot.

    A part of R that nothing is promised about may take twice as long as for a lone request.
    """
    for entry in served:
        people, alone, group = entry.stated.people, entry.alone, entry.group
        if people is None or alone is None:
            continue
        yield from _kept("population", case, entry, people)
        if not people.stable:
            continue
        think, users = group.load.think_s, group.load.users * group.share
        response = people.e2e.mean
        if not isclose(people.requests_per_second * (think + response), users, rel_tol=TOLERANCE):
            found = people.requests_per_second
            yield Mismatch("population", group.path, users / (think + response), found, "not N / (Z + R)")
        slowest = _response_at_limits(entry, alone)
        if response > slowest * (1 + TOLERANCE):
            least, found = users / (think + slowest), people.requests_per_second
            yield Mismatch("population", group.path, f"at least {least}", found, "requests per second of a replica")
        share = response / (think + response)
        most = min(users, users * share + 2.33 * sqrt(users * share * (1 - share)))
        if most > group.spec.max_num_seqs * (1 + TOLERANCE):
            yield Mismatch("population", group.path, f"at most {group.spec.max_num_seqs}", most, "in flight, p99")
    for prediction in case.plan.predicted if case.period is None else ():
        users = sum(e.group.load.users * e.group.group.share for e in served if e.group.name == prediction.workload)
        alone_stated = all(not any(e.group.load.floors[:2]) for e in served if e.group.name == prediction.workload)
        if users and alone_stated and prediction.concurrency > users / SHARE_UNITS * (1 + TOLERANCE):
            path = f"predicted[{prediction.workload}].concurrency"
            yield Mismatch("population", path, f"at most {users / SHARE_UNITS}", prediction.concurrency, "users")


def _response_at_limits(entry: Served, alone: Behaviour) -> float:
    """Seconds of the mean response where every promise is just kept; the mean over length classes."""
    lengths, promises = entry.group.lengths, entry.group.slo.promises
    total = 0.0
    for name, share in [(one.name, one.share) for one in lengths.classes] or [("", 1.0)]:
        seen = alone.seen_by(name)
        steps = (seen.e2e.mean - seen.ttft.mean) / seen.tpot.mean
        stated: dict[Metric, float] = {}
        for metric in Metric:
            mine = [p for p in promises if p.metric is metric and p.length_class in ("", name)]
            top = [p.limit_s for p in mine if p.percentile == max(one.percentile for one in mine)]
            stated |= {metric: min(top)} if top else {}
        parts = stated.get(Metric.TTFT, 2 * seen.ttft.mean) + steps * stated.get(Metric.TPOT, 2 * seen.tpot.mean)
        if Metric.E2E in stated:
            bounded = Metric.TTFT in stated and Metric.TPOT in stated
            parts = min(parts, stated[Metric.E2E]) if bounded else stated[Metric.E2E]
        total += share * parts
    return total


def saturation(case: Case, served: tuple[Served, ...]) -> Iterator[Mismatch]:
    """Arrivals stay below 0.9 of the saturation rate (batch work: 1.0), with the margin of the asked confidence."""
    for entry in served:
        yield from _below_cap("saturation", case, entry, entry.stated)


def kv_cache(case: Case, served: tuple[Served, ...]) -> Iterator[Mismatch]:
    """Requests being decoded hold less KV than planned (90 % of the blocks), under each load; of a closed population
    those that are in flight 1 % of the time."""
    del case
    for entry in served:
        planned = entry.group.bill.kv_tokens + 1  # whole tokens, rounded down in the bill
        for behaviour in entry.stated.each:
            if not behaviour.stable:
                continue
            waiting = 0.0
            if behaviour is entry.stated.poisson:
                waiting = behaviour.ttft.mean / behaviour.e2e.mean  # share of the time in flight; holds no KV yet
            tokens = behaviour.kv_tokens_used * (1 - waiting)
            if tokens > planned * (1 + TOLERANCE):
                yield Mismatch("kv cache", entry.group.path, f"at most {planned}", tokens, "tokens of KV per replica")


def capacity(case: Case, served: tuple[Served, ...]) -> Iterator[Mismatch]:
    """The printed capacity covers the load, and at it every SLO still holds with its margin."""
    for entry in served:
        yield from _carried("capacity", case, entry, entry.at_capacity)
        load, name = entry.group.load, entry.group.name
        for prediction in case.plan.predicted:
            if prediction.workload != name:
                continue
            users = prediction.capacity.users
            if (users is None) == (load.users > 0):
                path = f"predicted[{name}].capacity.users"
                yield Mismatch("capacity", path, load.users or None, users, "people of a closed population")
                continue
            pairs = (
                ("requests_per_second", load.requests_per_second, prediction.capacity.requests_per_second),
                ("concurrency", load.inflight, prediction.capacity.concurrency),
                ("users", load.users, users or 0.0),
            )
            for key, needed, found in pairs:
                if found < needed * (1 - TOLERANCE):
                    path = f"predicted[{name}].capacity.{key}"
                    yield Mismatch("capacity", path, f"at least {needed}", found, "less than the load")
            tokens = prediction.capacity.requests_per_second * entry.group.lengths.output_mean
            if not isclose(prediction.capacity.output_tokens_per_second, tokens, rel_tol=TOLERANCE):
                path, found = f"predicted[{name}].capacity", prediction.capacity.output_tokens_per_second
                yield Mismatch("capacity", f"{path}.output_tokens_per_second", tokens, found, "rate x mean output")


def load_factor(case: Case, served: tuple[Served, ...]) -> Iterator[Mismatch]:
    """The plan carries its load factor times the planned load: at least once the load, with every SLO kept.

    Under maximize_load every other rule already multiplies the planned load by the factor.
    """
    factor = case.plan.load_factor
    if case.problem.objective == MAXIMIZE_LOAD:
        if not factor > 0:
            yield Mismatch("load factor", "load_factor", "above 0", factor, "carries nothing")
        return
    if factor < 1:
        yield Mismatch("load factor", "load_factor", "at least 1", factor, "less than the load")
    for entry in served:
        yield from _carried("load factor", case, entry, entry.at_factor)


def _carried(rule: str, case: Case, entry: Served, carried: Carried) -> Iterator[Mismatch]:
    for behaviour in carried.each:
        yield from _kept(rule, case, entry, behaviour)
    yield from _below_cap(rule, case, entry, carried)


def _kept(rule: str, case: Case, entry: Served, behaviour: Behaviour | None) -> Iterator[Mismatch]:
    if behaviour is None:
        return
    group, confidence = entry.group, case.problem.margins.confidence
    if not behaviour.stable:
        yield Mismatch(rule, group.path, "a stable replica", "saturated", "the load exceeds what a replica can carry")
        return
    for promise in group.slo.promises:
        seconds = with_margin(behaviour, promise, entry, confidence)
        if seconds > promise.limit_s * (1 + TOLERANCE):
            yield Mismatch(rule, promise.path, f"at most {promise.limit_s} s", seconds, f"broken by {group.path}")


def _below_cap(rule: str, case: Case, entry: Served, carried: Carried) -> Iterator[Mismatch]:
    cap = rate_cap(entry, case.problem.margins.confidence)
    behaviour = carried.poisson
    if behaviour is not None and behaviour.utilization > cap * (1 + TOLERANCE):
        found = behaviour.utilization
        yield Mismatch(rule, entry.group.path, f"at most {cap:.6g}", found, "share of the saturation rate")
