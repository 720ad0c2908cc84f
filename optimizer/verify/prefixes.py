"""What prefix caches find, worked out a second time: the characteristic time of a replica's cache, by bisection.

With r turns a second, contexts of S tokens of which the next turn reuses the part p after a gap G, and n turns in a
session, what was used within T seconds is

    W(T) = r S ((1 - (n - 1) / n x p) T + (n - 1) / n x p x E[min(G, T)]);

T is where that fills what is left of the KV cache beside the requests in flight at their 99th percentile, and a turn
finds its prefix if its gap is no longer. E[min(G, T)] is integrated from the chance that a gap is longer. Nothing here
is shared with ``performance.retention``, which smooths the edge for caches of few contexts: there the two may differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from optimizer.units import SHARE_UNITS
from optimizer.verify.case import CheckedCase, Mismatch
from optimizer.verify.sessions import found_by_time, session_lengths

if TYPE_CHECKING:
    from optimizer.demand import Gap, Lengths
    from optimizer.performance.types import Behaviour
    from optimizer.verify.service import GroupAtLoad

TOLERANCE = 1e-6
"""Relative: printed figures are not rounded before they are verified."""

APART = 0.06
"""Hit rate that the two ways may differ by where a replica holds at least ``CONTEXTS`` mean contexts."""

CONTEXTS = 30.0

LUCK = 0.03
"""Hit rate by which a run may find more than could be found on average: its sessions are a sample."""

_P99 = 2.33
_GIB = 2.0**30
_PARTS = 400


def prefix_hits(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """Hits are told where a prefix is shared, are no more than was stated, and are earned by memory."""
    if case.period is not None:
        return
    yield from session_lengths(case)
    for prediction in case.plan.predicted:
        path = f"predicted[{prediction.workload}].prefix"
        groups = [entry for entry in served if entry.group.name == prediction.workload and entry.stated.each]
        lengths = groups[0].group.lengths if groups else None
        told = prediction.prefix
        if lengths is None or not lengths.shared_prefix:
            if told is not None and lengths is not None:
                yield Mismatch("prefix hits", path, None, told, "no prefix is shared")
            continue
        if told is None or told.could != lengths.shared_prefix:
            yield Mismatch("prefix hits", path, lengths.shared_prefix, told, "what could be found is what was stated")
            continue
        expected = _mean([(_busiest(entry).prefix_hit_rate, entry.group.group.share) for entry in groups])
        if not math.isclose(told.found, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield Mismatch("prefix hits", path, expected, told.found, "share found under the fullest load")
        expected = _mean([(_busiest(entry).host_hit_rate, entry.group.group.share) for entry in groups])
        if not math.isclose(told.host, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield Mismatch("prefix hits", path, expected, told.host, "share brought in from the memory of the host")
        for entry in groups:
            yield from _earned(entry, lengths)
    for entry, replay in zip(served, case.plan.simulated, strict=False):
        most, found = entry.group.lengths.shared_prefix, replay.prefix_hit_rate
        if (found is None) == (most > 0) and not entry.group.load.is_batch:
            yield Mismatch("prefix hits", f"{entry.group.path} replayed", most, found, "told where a prefix is shared")
        brought = replay.host_hit_rate
        if found is not None and not 0.0 <= brought <= found:
            yield Mismatch("prefix hits", f"{entry.group.path} replayed", f"at most {found}", brought, "from the host")
        if found is not None and found > most + LUCK:
            yield Mismatch("prefix hits", f"{entry.group.path} replayed", f"at most {most}", found, "more than shared")


def _mean(parts: list[tuple[float, int]]) -> float:
    total = sum(share for _, share in parts) or SHARE_UNITS
    return sum(value * share for value, share in parts) / total


def _busiest(entry: GroupAtLoad) -> Behaviour:
    return max(entry.stated.each, key=lambda behaviour: behaviour.inflight)


def _earned(entry: GroupAtLoad, lengths: Lengths) -> Iterator[Mismatch]:
    """Where a gap is stated and enough contexts fit, the characteristic time says the same."""
    gap, turns, seen = lengths.prefix_gap, lengths.requests_per_prefix, _busiest(entry)
    if not lengths.earns_hits or not seen.stable:
        return
    context = lengths.input_mean + lengths.output_mean
    model = entry.group.spec.model
    spread = lengths.input_p95 or lengths.output_p95 or lengths.histogram
    if model.sliding_window or model.linear_state_bytes or spread:
        return  # contexts of unlike size, of which this says nothing
    pool = entry.group.bill.kv_budget / entry.group.bill.kv_bytes_per_token
    beyond = entry.group.spec.host_kv_gib * _GIB / entry.group.spec.gpus / entry.group.bill.kv_bytes_per_token
    pool = max(pool, beyond)  # written through, so the host holds what the cards hold, and more
    inflight = seen.inflight - seen.requests_per_second * seen.ttft.mean  # those that wait hold nothing
    most_in_flight = inflight + _P99 * math.sqrt(max(inflight, 0.0))
    if lengths.sessions is not None:
        known = found_by_time(lengths, pool, most_in_flight, seen.requests_per_second, CONTEXTS)
        if known is None:
            return
        expected = known
    else:
        free = pool - most_in_flight * (lengths.input_mean + lengths.output_mean / 2)
        if gap is None or turns is None or free < CONTEXTS * context:
            return
        again = lengths.shared_prefix * lengths.input_mean / context  # (n - 1) / n x p
        most = characteristic_time(free, seen.requests_per_second * context, again, gap)
        expected = lengths.shared_prefix * (1.0 - longer(gap, most))
    if abs(expected - seen.prefix_hit_rate) > APART:
        yield Mismatch("prefix hits", entry.group.path, expected, seen.prefix_hit_rate, "by the characteristic time")


def characteristic_time(free: float, tokens_per_s: float, again: float, gap: Gap) -> float:
    """Seconds within which as many tokens are used as fit; ``again``: share of them that is reused."""

    def used(seconds: float) -> float:
        step = seconds / _PARTS
        waited = step * sum(longer(gap, (part + 0.5) * step) for part in range(_PARTS))
        return tokens_per_s * ((1.0 - again) * seconds + again * waited)

    low, high = 0.0, free / tokens_per_s / max(1.0 - again, 1e-9)
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if used(middle) < free else (low, middle)
    return low


def longer(gap: Gap, seconds: float) -> float:
    """Chance that a gap is longer than so many seconds."""
    if seconds <= 0.0:
        return 1.0
    if gap.p50_s is not None and gap.p90_s is not None:
        if gap.p90_s == gap.p50_s:
            return float(seconds < gap.p50_s)
        score = 1.2815515655446004 * math.log(seconds / gap.p50_s) / math.log(gap.p90_s / gap.p50_s)
        return 0.5 * math.erfc(score / math.sqrt(2.0))
    return math.exp(-seconds / gap.mean) if gap.mean > 0.0 else 0.0
