"""A prefill pool and a decode pool as one choice: two kinds of worker that exchange caches, and how many it takes."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.candidates.types import Candidate
from optimizer.performance.pooling import link_seconds_per_token, network_seconds_per_token


@dataclass(frozen=True, slots=True)
class PoolPair:
    """A kind of prefill worker and a kind of decode worker, inside one node or over the network of their nodes."""

    prefill: Candidate
    decode: Candidate
    inside: bool

    @property
    def seconds_per_token(self) -> float:
        """Seconds that sending the cache of one prompt token takes: the slower side counts."""
        if self.inside:
            return link_seconds_per_token(self.prefill.spec)
        return max(
            network_seconds_per_token(one.spec, one.node_type.fabric_gbps, one.node_type.gpus_per_node)
            for one in (self.prefill, self.decode)
        )

    @property
    def key(self) -> tuple[object, ...]:
        """What tells pairs apart."""
        return (self.prefill.key, self.decode.key, self.inside)


@dataclass(frozen=True, slots=True)
class PoolChoice:
    """A pair with how many workers of each pool it takes at least, as far as that is known."""

    pair: PoolPair
    least: tuple[int, int]  # prefill and decode workers that a fluid takes
    most: tuple[int, int]  # workers that are as good as idle: more never help
    missed: tuple[tuple[int, int], ...] = ()  # so many miss a promise as replayed: it takes more of one pool


@dataclass(frozen=True, slots=True)
class PoolSet:
    """The pairs that may serve the workload in place of replicas that do both phases."""

    choices: tuple[PoolChoice, ...]  # in content order
    below_cents: int | None  # a plan with pools is listed only where it costs less; None: whatever it costs

    def workers(self) -> tuple[Candidate, ...]:
        """Every kind of worker once: those that prefill, then those that decode, each in content order."""
        before = {one.pair.prefill.key: one.pair.prefill for one in self.choices}
        after = {one.pair.decode.key: one.pair.decode for one in self.choices}
        return (*(before[key] for key in sorted(before)), *(after[key] for key in sorted(after)))
