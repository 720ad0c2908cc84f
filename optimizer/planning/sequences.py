"""``max_num_seqs`` of a plan: what its load needs with room, so that overload queues instead of slowing everybody.

Per engine rank: ceil(1.2 x p99 in flight at the planned load), at most the batch at which the TPOT promise still holds
with its margin, at most what starts (design.md section 3, ``engine.max_num_seqs``).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.performance.types import PointKind
from optimizer.units import SHARE_UNITS, ceil_guarded

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.demand import Load
    from optimizer.fleet.types import GroupChoice
    from optimizer.performance.types import Behaviour
    from optimizer.planning.inputs import Inputs

ROOM = 1.2
"""Sequences that may run per sequence that does at the 99th percentile."""

NORMAL_P99 = 2.326
"""99th percentile of a normal in standard deviations; requests in flight under Poisson arrivals spread like their
square root (M/G/infinity: the number in flight is Poisson)."""


def sequences_of(inputs: Inputs, group: GroupChoice) -> int:
    """``max_num_seqs`` that a group is launched with.

    That of its candidate (stated, or the largest up to the engine's default that starts) where it is stated, the load
    is what is maximised, or the work is offline, which fills every slot. Of a decode pool its slots, of a prefill pool
    what starts. What a replica could carry beyond the planned load is predicted with the candidate's: it needs a larger
    flag, not other hardware.
    """
    part = inputs.parts[group.candidate.workload]
    most = group.candidate.spec.max_num_seqs
    if group.candidate.worker is not None:  # slots are what was replayed; prompts wait for the step budget
        slots = group.candidate.worker.slots // group.candidate.spec.attention_dp
        return min(most, slots) if slots else most
    stated = inputs.problem.engine.max_num_seqs is not None
    if stated or inputs.problem.objective == "maximize_load" or part.load.is_batch:
        return most
    busiest = max(_in_flight(inputs, group, share) for share in _shares(group, part.load))
    return min(most, _with_room(group.candidate, busiest))


def _with_room(candidate: Candidate, in_flight: float) -> int:
    """Room above the 99th percentile, inside the batch at which the TPOT promise still holds."""
    most, ranks = max(ceil_guarded(ROOM * in_flight), 1), candidate.spec.attention_dp
    held = [point.inflight / ranks for point in candidate.points if point.kind is PointKind.TPOT]
    return most if not held else max(min(most, math.floor(max(held))), ceil_guarded(in_flight), 1)


def with_room(seen: Behaviour, ranks: int = 1) -> int:
    """Sequences that a rank runs at once, with room above the 99th percentile in flight of a load."""
    return max(ceil_guarded(ROOM * _at_p99(seen, ranks)), 1)


def _shares(group: GroupChoice, load: Load) -> list[Load]:
    """What one replica is asked to carry, in every period of a day profile; with whatever the plan survives gone."""
    part = group.share / SHARE_UNITS
    if not group.running:
        return [_part_of(load, part / max(group.left, 1))]
    return [
        _part_of(load.in_period(index), part / max(count - group.lost, 1))
        for index, count in enumerate(group.running)
        if count and load.factors[index]
    ]


def _part_of(load: Load, factor: float) -> Load:
    return replace(
        load,
        requests_per_second=load.requests_per_second * factor,
        inflight=float(ceil_guarded(load.inflight * factor)),  # whole requests: the fullest replica
        users=load.users * factor,
    )


def _in_flight(inputs: Inputs, group: GroupChoice, load: Load) -> float:
    """Requests in flight on a rank of a replica at the 99th percentile."""
    spec, ranks = group.candidate.spec, group.candidate.spec.attention_dp
    most, lengths = float(ceil_guarded(load.inflight / ranks)), inputs.parts[group.candidate.workload].lengths
    if load.requests_per_second:
        (seen,) = inputs.known.behaviours.of([spec], lengths, inputs.params, rates=[load.requests_per_second])
        most = max(most, _at_p99(seen, ranks))
    if load.users:
        (seen,) = inputs.known.behaviours.of([spec], lengths, inputs.params, users=[load.users], think_s=load.think_s)
        most = max(most, _at_p99(seen, ranks))
    return min(most, float(spec.max_num_seqs))


def _at_p99(seen: Behaviour, ranks: int) -> float:
    """Requests in flight on a rank that are exceeded 1 % of the time; infinite where the load is more than can be
    carried. Of a replica of one rank people know it; of one of several each rank has its own scatter."""
    if seen.inflight_p99 is not None and ranks == 1:
        return seen.inflight_p99
    mean = seen.inflight / ranks
    return mean + NORMAL_P99 * math.sqrt(mean) if math.isfinite(mean) else math.inf
