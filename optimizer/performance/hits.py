"""What a replica finds in its prefix cache at an operating point.

Hits are earned by memory: a replica at a higher rate has less room beside the requests in flight and more contexts to
keep, so it finds less, reads more and is slower again. With a number of requests being decoded the share found is the
one root of f = H(rate(f)) / H(with memory without end): the more is found the higher the rate, and the higher the rate
the less is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from optimizer.demand import Lengths
from optimizer.performance.host_tier import LOAD_FLOOR_S, host_tokens, load_seconds
from optimizer.performance.lengths import LengthMoments, moments_of
from optimizer.performance.memory import MemoryTable
from optimizer.performance.prefix_room import SLOT_SHARES, HitTable, HostRoom, PrefixRoom, hit_table, prompts_left
from optimizer.performance.retention import prefix_curve
from optimizer.performance.session_retention import growing_curve
from optimizer.performance.step_load import Array, Replicas, steps_at
from optimizer.performance.types import ReplicaSpec

P99_SCORE = 2.33
"""Requests in flight take what is exceeded 1 % of the time; the rest of the cache is for contexts that lie idle."""

_HALVINGS = 18
"""Bisection steps to the root: exact to some 1e-5."""


def are_computed(lengths: Lengths) -> bool:
    """Whether hits are computed from memory. Not where no prefix is shared, nor where all requests share one, which is
    always in use; of a mix of length classes what is stated is assumed."""
    if lengths.sessions is not None:
        return lengths.shared_prefix > 0.0
    return lengths.requests_per_prefix is not None and lengths.shared_prefix > 0.0 and not lengths.classes


def with_prefixes(
    r: Replicas, table: MemoryTable, lengths: Lengths, m: LengthMoments, specs: Sequence[ReplicaSpec]
) -> Replicas:
    """The replicas with what they find of shared prefixes, where that is computed.

    What the host holds is written through, so cards and host together find what the larger of the two finds.
    """
    if not are_computed(lengths):
        return r
    context = m.input + m.output
    each = table.kv.sequence(context) / context  # bytes of a token of a whole context
    pool, running = table.kv_budget / each, table.kv.sequence(m.resident_seen) / each
    hits = _hits(lengths)
    decoding = SLOT_SHARES[:, None] * r.slots
    swing = P99_SCORE * np.sqrt(decoding)
    sides = ((decoding + swing, False), (decoding, True))
    rooms = [np.maximum(pool - inflight * running, 0.0) for inflight, _ in sides]
    if not any(spec.host_kv_gib for spec in specs):
        arriving, held = (
            _shares(r, m, hits, decoding, room, closed=closed) for room, (_, closed) in zip(rooms, sides, strict=True)
        )
        return replace(r, prefixes=PrefixRoom(r.slots, arriving, held, hits.curve))
    beyond = np.array([host_tokens(spec, one) for spec, one in zip(specs, each.tolist(), strict=True)])
    token_s = np.array([load_seconds(spec, one) for spec, one in zip(specs, each.tolist(), strict=True)])
    both, near = [], []
    for room, (inflight, closed) in zip(rooms, sides, strict=True):
        larger = np.maximum(room, beyond - inflight * running)
        found = _shares(r, m, hits, decoding, larger, closed=closed)
        rate = steps_at(r, prompts_left(m, hits.curve, found), decoding, closed=closed).rate
        both.append(found)
        near.append(np.where(larger > room, np.minimum(hits.share(room, rate), found), found))
    host = HostRoom(near[0], near[1], token_s, LOAD_FLOOR_S)
    return replace(r, prefixes=PrefixRoom(r.slots, both[0], both[1], hits.curve, host))


@lru_cache(maxsize=64)
def _hits(lengths: Lengths) -> HitTable:
    m = moments_of(lengths)
    if lengths.sessions is not None:
        return hit_table(growing_curve(lengths.sessions, lengths.context_max), m.input + m.output)
    curve = prefix_curve(lengths, m.input, m.input**2 * (1.0 + m.prompt_scv), m.output)
    return hit_table(curve, m.input + m.output)


def _shares(r: Replicas, m: LengthMoments, hits: HitTable, decoding: Array, free: Array, *, closed: bool) -> Array:
    """Of what could be found the share that is, with so many requests being decoded and so many tokens free.

    A prompt takes as long as it has tokens to be read, so the time between two requests is all but linear in the share:
    it is worked out at three.
    """
    none, half, all_ = (
        1.0 / steps_at(r, prompts_left(m, hits.curve, part + 0.0 * free), decoding, closed=closed).rate
        for part in (0.0, 0.5, 1.0)
    )
    low, high = np.zeros_like(free), np.ones_like(free)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        seconds = np.where(
            middle < 0.5, none + 2.0 * middle * (half - none), half + (2.0 * middle - 1.0) * (all_ - half)
        )
        more = hits.share(free, 1.0 / seconds) > middle
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return low
