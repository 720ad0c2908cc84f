"""What a replica finds in its prefix cache at an operating point.

Hits are earned by memory: a replica at a higher rate has less room beside the requests in flight and more contexts to
keep, so it finds less, reads more and is slower again. With a number of requests being decoded the share found is the
one root of f = H(rate(f)) / H(with memory without end): the more is found the higher the rate, and the higher the rate
the less is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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

_LOOKS = 4
"""The first of them: at each the time between two requests is worked out; between two of these it is linear."""


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
    running = table.kv.sequence(m.resident_seen) / each
    hits = _hits(lengths)
    room = CacheRoom(table.kv_budget / each, running, np.zeros_like(each), np.zeros_like(each))
    if any(spec.host_kv_gib for spec in specs):
        pairs = list(zip(specs, each.tolist(), strict=True))
        beyond = np.array([host_tokens(spec, one) for spec, one in pairs])
        room = replace(room, beyond=beyond, token_s=np.array([load_seconds(spec, one) for spec, one in pairs]))
    blocks = [slice(begin, begin + _BLOCK) for begin in range(0, each.size, _BLOCK)]
    return replace(r, prefixes=_joined([_found(r.part(at), m, hits, room.part(at)) for at in blocks]))


_BLOCK = 96
"""Replicas that are worked out at a time: so many stay in a processor's own cache through all that is done with them,
which takes a third of the time."""


@dataclass(frozen=True, slots=True)
class CacheRoom:
    """Room for prefixes; replicas as entries."""

    pool: Array  # tokens of the cards' caches
    running: Array  # tokens that a request in flight takes of them
    beyond: Array  # tokens that the host holds
    token_s: Array  # seconds to bring in one of them; 0: none is held there

    def part(self, at: slice) -> CacheRoom:
        """Some of the replicas."""
        return CacheRoom(self.pool[at], self.running[at], self.beyond[at], self.token_s[at])

    @property
    def on_hosts(self) -> bool:
        """Whether any replica keeps something in the memory of its host."""
        return bool(np.any(self.token_s > 0.0))


def _found(r: Replicas, m: LengthMoments, hits: HitTable, cache: CacheRoom) -> PrefixRoom:
    """Of what could be found the share that is, at each number being decoded, and of it what the cards hold."""
    decoding = SLOT_SHARES[:, None] * r.slots
    swing = P99_SCORE * np.sqrt(decoding)
    both, near = [], []
    for inflight, closed in ((decoding + swing, False), (decoding, True)):
        room = np.maximum(cache.pool - inflight * cache.running, 0.0)
        larger = np.maximum(room, cache.beyond - inflight * cache.running) if cache.on_hosts else room
        found = _shares(r, m, hits, decoding, larger, closed=closed)
        both.append(found)
        if not cache.on_hosts:
            near.append(found)
            continue
        rate = steps_at(r, prompts_left(m, hits.curve, found), decoding, closed=closed).rate
        near.append(np.where(larger > room, np.minimum(hits.share(room, rate), found), found))
    host = HostRoom(near[0], near[1], cache.token_s, LOAD_FLOOR_S)
    return PrefixRoom(r.slots, both[0], both[1], hits.curve, host)


def _joined(parts: Sequence[PrefixRoom]) -> PrefixRoom:
    """The replicas of all parts side by side; without the side of the hosts where not one of them keeps anything."""
    slots, arriving, held = (
        np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in ("slots", "arriving", "held")
    )
    hosts = [part.host for part in parts if part.host is not None]
    host = None
    if any(np.any(one.token_s > 0.0) for one in hosts):
        near, near_held, token_s = (
            np.concatenate([getattr(one, name) for one in hosts], axis=-1) for name in ("arriving", "held", "token_s")
        )
        host = HostRoom(near, near_held, token_s, LOAD_FLOOR_S)
    return PrefixRoom(slots, arriving, held, parts[0].curve, host)


@lru_cache(maxsize=64)
def _hits(lengths: Lengths) -> HitTable:
    m = moments_of(lengths)
    if lengths.sessions is not None:
        return hit_table(growing_curve(lengths.sessions, lengths.context_max), m.input + m.output)
    curve = prefix_curve(lengths, m.input, m.input**2 * (1.0 + m.prompt_scv), m.output)
    return hit_table(curve, m.input + m.output)


def _shares(r: Replicas, m: LengthMoments, hits: HitTable, decoding: Array, free: Array, *, closed: bool) -> Array:
    """Of what could be found the share that is, with so many requests being decoded and so many tokens free.

    The time between two requests falls with the share, all but linearly inside a small part of it: not over all of it,
    where prompts stop filling every step, or stop being there at all.
    """

    def seconds(share: Array) -> Array:
        return 1.0 / steps_at(r, prompts_left(m, hits.curve, share), decoding, closed=closed).rate

    low, high = np.zeros_like(free), np.ones_like(free)
    at_low, at_high = seconds(low), seconds(high)
    for _ in range(_LOOKS):
        middle = 0.5 * (low + high)
        there = seconds(middle)
        more = hits.share(free, 1.0 / there) > middle
        low, at_low = np.where(more, middle, low), np.where(more, there, at_low)
        high, at_high = np.where(more, high, middle), np.where(more, at_high, there)
    begin, slope = low, (at_high - at_low) / (high - low)
    for _ in range(_HALVINGS - _LOOKS):
        middle = 0.5 * (low + high)
        more = hits.share(free, 1.0 / (at_low + (middle - begin) * slope)) > middle
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return low
