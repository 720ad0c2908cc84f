"""Prefix caches of replicas behind a router: which share of the input a stream of requests finds there.

Exact least recently used (LRU) order over blocks. A block id stands for the whole prefix up to and including that
block, so equal ids mean reusable KV. One request hits the longest prefix of its blocks that are all present on its
replica; then its blocks are touched from the last to the first, so that tails leave first, and the least recently used
leave until the rest fits. Running requests pin nothing, answers are not inserted: a block counts once a prompt held it.

The memory of the host may hold blocks beside the cards. Engines that write every block through when it is computed
(vLLM, SGLang ``write_through``) hold in it what was used last, as on the cards, only more of it: a second LRU that is
touched alike. A victim tier takes what the cards let go, and a block that is found there moves back: cards and host
together are one LRU of the sum.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

PREFILL_TOKENS_PER_S = 20_000.0
SECONDS_PER_OUTPUT_TOKEN = 0.02
"""How long a request counts as in flight for a router that looks at load: a nominal replica, the same for each."""

_COVERED = 0.5
_MOST_OVER_MEAN, _MORE = 1.5, 4.0
"""A prefix-aware router follows a match of half the input to a replica of at most 1.5 x mean + 4 in flight."""


class PrefixRouter(StrEnum):
    """Which replica a request goes to."""

    ROUND_ROBIN = "round_robin"
    STICKY = "sticky"
    LEAST_LOADED = "least_loaded"
    PREFIX_AWARE = "prefix_aware"


class HostWrites(StrEnum):
    """When a block gets into the memory of the host."""

    THROUGH = "through"  # as soon as it is computed
    EVICTED = "evicted"  # when the cards let go of it


@dataclass(frozen=True, slots=True)
class PrefixTiers:
    """What one replica keeps prefixes in, tokens each; ``host`` of 0: on its cards alone."""

    cards: float
    host: float = 0.0
    writes: HostWrites = HostWrites.THROUGH

    @property
    def together(self) -> float:
        """Tokens of the LRU that finds what both find."""
        return self.cards + self.host if self.writes is HostWrites.EVICTED else max(self.cards, self.host)


@dataclass(frozen=True, slots=True)
class PrefixRequest:
    """One request of a stream: arrival in seconds, tokens, and the full blocks of its prompt in order."""

    arrival_s: float
    session: int
    input_tokens: float
    output_tokens: float
    blocks: Sequence[int]


@dataclass(frozen=True, slots=True)
class PrefixHits:
    """What a stream found in the caches; tokens, and shares of all input tokens."""

    input_tokens: float
    hit_tokens: float
    busiest_over_mean: float  # input tokens of the busiest replica over those of the mean one
    host_tokens: float = 0.0  # of the hit tokens those that the cards had not

    @property
    def rate(self) -> float:
        """Share of the input tokens found in a cache; 0 where there is no input."""
        return self.hit_tokens / self.input_tokens if self.input_tokens else 0.0

    @property
    def host_rate(self) -> float:
        """Share of the input tokens brought in from the memory of the host."""
        return self.host_tokens / self.input_tokens if self.input_tokens else 0.0


class BlockCache:
    """The blocks that one replica holds, least recently used first."""

    __slots__ = ("_blocks", "_capacity")

    def __init__(self, capacity: int) -> None:
        """``capacity`` in blocks."""
        self._capacity = capacity
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def match(self, blocks: Sequence[int]) -> int:
        """How many of the first blocks are all present."""
        held = self._blocks
        for count, block in enumerate(blocks):
            if block not in held:
                return count
        return len(blocks)

    def touch(self, blocks: Sequence[int]) -> None:
        """Insert or renew the blocks, the last one first, and let go of what no longer fits."""
        held = self._blocks
        for block in reversed(blocks):
            held[block] = None
            held.move_to_end(block)
        for _ in range(len(held) - self._capacity):
            held.popitem(last=False)


def prefix_hits(
    requests: Sequence[PrefixRequest], block_tokens: int, tiers: PrefixTiers, replicas: int, router: PrefixRouter
) -> PrefixHits:
    """Send a stream of requests, in order of arrival, through caches that are empty at first.

    ``tiers`` is what each of the ``replicas`` holds; the whole stream counts. A prefix-aware router looks at cards and
    host alike.
    """
    caches = [BlockCache(int(tiers.together // block_tokens)) for _ in range(replicas)]
    on_cards = [BlockCache(int(tiers.cards // block_tokens)) for _ in range(replicas if tiers.host else 0)]
    places = _Replicas(replicas)
    sent, hit, brought = [0.0] * replicas, 0.0, 0.0
    for index, request in enumerate(requests):
        replica, match = _chosen(index, request, caches, places, block_tokens, router)
        cache = caches[replica]
        found = cache.match(request.blocks) if match is None else match
        hit += found * block_tokens
        cache.touch(request.blocks)
        if on_cards:
            brought += (found - on_cards[replica].match(request.blocks)) * block_tokens
            on_cards[replica].touch(request.blocks)
        sent[replica] += request.input_tokens
        places.send(replica, index, request)
    total = sum(sent)
    return PrefixHits(total, hit, max(sent) * replicas / total if total else 1.0, brought)


def _chosen(
    index: int,
    request: PrefixRequest,
    caches: Sequence[BlockCache],
    places: _Replicas,
    block_tokens: int,
    router: PrefixRouter,
) -> tuple[int, int | None]:
    """The replica, and how many blocks match there where the router looked."""
    if router is PrefixRouter.ROUND_ROBIN:
        return index % len(caches), None
    if router is PrefixRouter.STICKY:
        return request.session % len(caches), None
    places.finish(request.arrival_s)
    if router is PrefixRouter.PREFIX_AWARE:
        matches = [cache.match(request.blocks) for cache in caches]
        best = min(range(len(caches)), key=lambda replica: (-matches[replica], *places.load(replica)))
        covered = matches[best] * block_tokens >= _COVERED * request.input_tokens
        if matches[best] and covered and places.inflight[best] <= _MOST_OVER_MEAN * places.mean + _MORE:
            return best, matches[best]
    return min(range(len(caches)), key=places.load), None


class _Replicas:
    """Requests in flight on each replica, as a router that estimates their length sees them."""

    def __init__(self, replicas: int) -> None:
        self.inflight = [0] * replicas
        self._last_used = [-1] * replicas
        self._ends: list[tuple[float, int]] = []

    @property
    def mean(self) -> float:
        """Requests in flight of the mean replica."""
        return sum(self.inflight) / len(self.inflight)

    def load(self, replica: int) -> tuple[int, int]:
        """What orders replicas: fewest in flight, then used longest ago."""
        return self.inflight[replica], self._last_used[replica]

    def finish(self, now_s: float) -> None:
        """Let go of what ended by now."""
        while self._ends and self._ends[0][0] <= now_s:
            self.inflight[heapq.heappop(self._ends)[1]] -= 1

    def send(self, replica: int, index: int, request: PrefixRequest) -> None:
        """Count a request as in flight on a replica."""
        busy_s = request.input_tokens / PREFILL_TOKENS_PER_S + request.output_tokens * SECONDS_PER_OUTPUT_TOKEN
        heapq.heappush(self._ends, (request.arrival_s + busy_s, replica))
        self.inflight[replica] += 1
        self._last_used[replica] = index
