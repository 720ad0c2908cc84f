"""What the replay of a plan saw: latencies, promises kept or missed, and what a chart shows of it."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.demand import Metric
from optimizer.vocabulary import Role, Survive


@dataclass(frozen=True, slots=True)
class LatencyMs:
    """A latency in milliseconds: mean and percentiles over requests."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class ReplayedPromise:
    """One latency promise as replayed request by request: the worse of the two loads, and whether it is kept.

    ``low_s`` to ``high_s`` is the 95 % confidence interval of the simulated percentile; ``narrow`` says whether it is
    as narrow as was asked for. ``with_margin_s`` is ``simulated_s`` times the model error at the asked confidence.
    """

    metric: Metric
    percentile: float
    path: str
    predicted_s: float  # closed form, median estimate
    simulated_s: float  # simulation, median estimate
    low_s: float
    high_s: float
    narrow: bool
    with_margin_s: float
    limit_s: float
    length_class: str = ""  # of a mix of length classes: whose requests the promise is about

    @property
    def kept(self) -> bool:
        """The simulated percentile with its margin is within the limit."""
        return self.with_margin_s <= self.limit_s


@dataclass(frozen=True, slots=True)
class Footage:
    """What a chart shows of a replay: the busier of the two loads, warm-up left out, median estimate.

    The stretch of time is the one around the longest wait for a first token.
    """

    percentiles: tuple[float, ...]
    ttft_s: tuple[float, ...]  # at ``percentiles``
    tpot_s: tuple[float, ...]
    seconds: tuple[float, ...]  # moments of the stretch
    waiting: tuple[float, ...]  # requests not yet in a batch, at each moment
    running: tuple[float, ...]
    kv_share: tuple[float, ...]  # of the KV blocks of the fullest replica
    replicas: int  # that the stretch shows
    held: bool  # a steady number in flight, on one replica; else arrivals at the planned rate behind the router
    people: bool = False  # no arrivals, but a closed population behind the router


@dataclass(frozen=True, slots=True)
class Replay:
    """What requests of one workload saw when the plan was replayed; the busier of its two loads."""

    workload: str
    ttft_ms: LatencyMs
    tpot_ms: LatencyMs
    e2e_s: LatencyMs  # seconds
    requests: int  # measured, both loads together, warm-up left out
    router: str
    promises: tuple[ReplayedPromise, ...]
    footage: Footage | None = None
    length_class: str = ""  # the class that is served apart; empty: the whole workload
    replicas: int = 0  # that were replayed
    requests_per_second: float = 0.0  # sent to all of them; of batch work, what it takes
    inflight: float = 0.0  # held on the fullest
    users: float = 0.0  # of all of them
    prefix_hit_rate: float | None = None  # share of the input tokens found in the cache; None: no prefix is shared
    host_hit_rate: float = 0.0  # of it, what was brought in from the memory of the host

    @property
    def kept(self) -> bool:
        """Every promise is kept."""
        return all(promise.kept for promise in self.promises)


SATURATION = "saturation"
"""In place of a promise: a load that replicas may not take whatever their latencies."""

NOTHING_SMALLER = "nothing smaller to buy"
KEEPS_TOO = "fewer replicas keep every promise in the replay too: another rule asks for these"


@dataclass(frozen=True, slots=True)
class StandsAt:
    """Replicas of a group at one place."""

    provider: str
    region: str  # empty: not stated, so it may be any of the provider's
    replicas: int


@dataclass(frozen=True, slots=True)
class Remainder:
    """What is left of a group when any one node, or any one site, is gone, and whether that keeps every promise at all
    of the group's load; none of the replicas that are gone is started again."""

    workload: str
    gone: Survive  # node, or site: a provider in a region
    lost: int  # replicas that the worst of them takes with it
    replicas: int  # that are left
    replay: Replay | None  # of what is left; None: nothing is, it is saturated, or plans were not replayed
    length_class: str = ""
    places: tuple[StandsAt, ...] = ()  # where its replicas stand, where a site may be gone
    saturated: bool = False  # the load is more than what is left can take at all

    @property
    def holds(self) -> bool:
        """What is left was replayed and keeps every promise."""
        return self.replay is not None and self.replay.kept


@dataclass(frozen=True, slots=True)
class Fewer:
    """The largest number of replicas that costs less, and what it breaks.

    ``replayed`` x ``margin`` (the model error at the asked confidence) is above ``limit``, in seconds, for the promise
    at that path; ``saturation``: shares of the saturation rate, which arrivals may take 0.9 of.
    """

    replicas: int
    monthly_cents: int  # of the plan with them
    promise: str
    replayed: float
    margin: float
    limit: float
    metric: Metric | None = None  # of the promise; None: saturation
    percentile: float = 0.0
    left: int | None = None  # of them that were replayed, where the plan survives that others are gone; None: all


@dataclass(frozen=True, slots=True)
class Minimality:
    """Why a plan has no fewer replicas of a group."""

    workload: str
    replicas: int
    fewer: Fewer | None
    reason: str = ""  # where ``fewer`` is None
    length_class: str = ""
    role: Role = Role.SERVE  # of the group
