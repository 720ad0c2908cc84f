"""What a workload asks of a deployment: token lengths, load and latency promises, as plain frozen values.

Shared by every room: ``problem`` derives them from a file, ``performance`` answers them, ``verify`` checks them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from optimizer.length_histogram import Histogram


class Metric(StrEnum):
    """A latency that users feel, per request."""

    TTFT = "ttft"
    TPOT = "tpot"
    E2E = "e2e"


class KvSizing(StrEnum):
    """How much KV cache a resident request is planned with."""

    TYPICAL = "typical"
    WORST_CASE = "worst_case"


@dataclass(frozen=True, slots=True)
class Gap:
    """One kind of wait between the end of an answer and the next turn of its session, seconds: lognormal with a median
    and a 90th percentile, or, with one number, exponential with that mean. ``share``: of all gaps."""

    mean_s: float | None = None
    p50_s: float | None = None
    p90_s: float | None = None
    share: float = 1.0

    @property
    def sigma(self) -> float | None:
        """Standard deviation of the logarithm of a lognormal one; None: exponential."""
        if self.p50_s is None or self.p90_s is None:
            return None
        return math.log(self.p90_s / self.p50_s) / _SCORE_90

    @property
    def median(self) -> float:
        """Half of the gaps are at most that long."""
        return self.mean * math.log(2.0) if self.p50_s is None else self.p50_s

    @property
    def p90(self) -> float:
        """Nine in ten are at most that long."""
        return self.mean * math.log(10.0) if self.p90_s is None else self.p90_s

    @property
    def mean(self) -> float:
        """Mean of all gaps."""
        if self.sigma is not None:
            return self.median * math.exp(0.5 * self.sigma**2)
        if self.mean_s is None:
            raise ValueError("a gap has a mean, or a median and a 90th percentile")
        return self.mean_s


_SCORE_90 = 1.2815515655446004
"""Standard normal quantile of 90 %."""

_SCORES = {50.0: 0.0, 90.0: _SCORE_90, 95.0: 1.6448536269514722}
_HALVINGS = 100

LARGEST_P95_TO_MEAN = math.exp(_SCORES[95.0] ** 2 / 2)
"""A lognormal's p95 is mean x exp(1.645 s - s^2 / 2), largest at s = 1.645: 3.87 means."""


def within(gaps: tuple[Gap, ...], seconds: float) -> float:
    """Share of the gaps of all kinds that are at most so long."""
    total = 0.0
    for gap in gaps:
        if gap.sigma is None:
            total += gap.share * (-math.expm1(-seconds / gap.mean) if gap.mean > 0.0 else 1.0)
        elif gap.sigma == 0.0:
            total += gap.share * float(seconds >= gap.median)
        elif seconds > 0.0:
            total += gap.share * 0.5 * math.erfc(-math.log(seconds / gap.median) / gap.sigma / math.sqrt(2.0))
    return total / sum(gap.share for gap in gaps)


def gap_at(gaps: tuple[Gap, ...], share: float) -> float:
    """Seconds that so many of the gaps of all kinds are within."""
    low, high = 0.0, 1e9
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if within(gaps, middle) < share else (low, middle)
    return high


def mean_gap(gaps: tuple[Gap, ...]) -> float:
    """Mean over all kinds, seconds."""
    return sum(gap.share * gap.mean for gap in gaps) / sum(gap.share for gap in gaps)


@dataclass(frozen=True, slots=True)
class Spread:
    """A number that differs from case to case: its mean, and the ``value`` that ``percentile`` % of them are below.

    Lengths with both are lognormal; where no lognormal has such a 90th or 95th percentile (above 2.27 and 3.87 means)
    they follow a gamma law, which has many short ones. Without a percentile lengths are all alike.
    """

    mean: float
    percentile: float | None = None
    value: float | None = None

    @property
    def sigma(self) -> float | None:
        """Standard deviation of the logarithm of a lognormal length; 0: all alike; None: a gamma law.

        ln(value / mean) = z s - s^2 / 2 at the score z of the percentile, smaller root.
        """
        if self.percentile is None or self.value is None or self.value == self.mean:
            return 0.0
        score = _SCORES[self.percentile]
        square = score**2 - 2.0 * math.log(self.value / self.mean)
        if square < 0.0:
            return None
        return math.sqrt(square) if score == 0.0 else score - math.sqrt(square)


@dataclass(frozen=True, slots=True)
class SessionLengths:
    """What the turns of a session send: tokens, and the waits between them.

    Turn k sends ``shared`` tokens that all sessions of its group share, then its own context: ``first``, and for each
    turn since ``fresh`` and, where answers are kept, the answer before. ``carry``: share of the own context that is
    still a prefix of the next one. Turns without a percentile are geometric in number; with one that is the mean, all
    alike. ``passages``: tokens of every prompt, others in each, that stand before the session's own context.
    ``top_share``: of the sessions, that of the most asked tenth of the groups; None: all groups alike.
    """

    turns: Spread
    first: Spread
    fresh: Spread
    output: Spread
    gaps: tuple[Gap, ...]
    shared: float = 0.0
    groups: int = 1
    output_kept: bool = True
    carry: float = 1.0
    passages: float = 0.0
    top_share: float | None = None


@dataclass(frozen=True, slots=True)
class SessionMeans:
    """What sessions come to: means over their turns; tokens, shares, seconds."""

    turns: float  # of a session
    input: float
    output: float
    input_p95: float
    output_p95: float
    reachable: float  # share of the input that caches without end would find
    cut: float  # share of the sessions that end at the longest context
    gap_mean_s: float
    gap_p50_s: float
    gap_p90_s: float


@dataclass(frozen=True, slots=True)
class Lengths:
    """Token lengths of one workload.

    A length with a ``p95`` is lognormal with that mean and 95th percentile; without, it is constant. With a
    ``histogram`` both are as counted, and mean and ``p95`` are its own.
    ``context_max`` is the longest input + output that must be accepted and clips the distribution.
    ``shared_prefix`` is the share of input tokens found in a prefix cache that holds them (no prefill work, but KV is
    occupied); ``requests_per_prefix`` how many requests share one prefix (None: all); ``prefix_gap`` how long after an
    answer the next of them comes, from which follows how much is still held. None: not stated, hits are assumed.
    """

    input_mean: float
    output_mean: float
    context_max: int
    input_p95: float | None = None
    output_p95: float | None = None
    shared_prefix: float = 0.0
    kv_sizing: KvSizing = KvSizing.TYPICAL
    requests_per_prefix: int | None = None
    prefix_gap: Gap | None = None
    classes: tuple[LengthShare, ...] = ()  # of a mix of length classes; the means above are then over all requests
    sessions: SessionLengths | None = None  # whose turns these are; the means above and ``shared_prefix`` follow
    histogram: Histogram | None = None  # lengths as counted

    @property
    def earns_hits(self) -> bool:
        """Whether what is found of shared prefixes is computed from memory and a stated gap."""
        return bool(self.gaps) and self.shared_prefix > 0.0

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Waits between an answer and the next request that could find something of it; none: nothing is known of
        them, or they do not matter."""
        if self.sessions is not None:
            return self.sessions.gaps
        return () if self.prefix_gap is None or self.requests_per_prefix is None else (self.prefix_gap,)

    @property
    def assumes_hits(self) -> bool:
        """Whether what is found of shared prefixes is assumed: nobody said when the next request comes."""
        return self.prefix_gap is None and self.shared_prefix > 0.0 and self.requests_per_prefix is not None


@dataclass(frozen=True, slots=True)
class LengthShare:
    """One length class of a mix: its share of the requests, and their lengths."""

    name: str
    share: float
    lengths: Lengths


@dataclass(frozen=True, slots=True)
class Promise:
    """``percentile`` of the requests see ``metric`` at or below ``limit_s`` seconds.

    ``path`` is the YAML path the limit was stated at (``workloads.chat.slo.ttft_ms.p95``). With a ``length_class``
    it is about the requests of that class among those of a mix, else about all requests.
    """

    metric: Metric
    percentile: float
    limit_s: float
    path: str
    length_class: str = ""


@dataclass(frozen=True, slots=True)
class Slo:
    """The latency promises of one workload; may be empty."""

    promises: tuple[Promise, ...] = ()

    def limit_of(self, metric: Metric, length_class: str = "") -> float | None:
        """Seconds that a mean of the metric may reach with its promises kept; None: nothing is promised about it.

        It is the limit at the highest percentile stated: means lie below those.
        """
        mine = [p for p in self.promises if p.metric is metric and p.length_class in ("", length_class)]
        highest = max((p.percentile for p in mine), default=0.0)
        return min((p.limit_s for p in mine if p.percentile == highest), default=None)


@dataclass(frozen=True, slots=True)
class Load:
    """The planned load of one workload: what a plan must carry, peak factor and headroom included.

    ``requests_per_second``: Poisson arrivals (rate*); ``inflight``: requests held in flight, staggered (inflight*);
    ``users``: a closed population, each of whom thinks for ``think_s`` seconds (exponential) between an answer and the
    next question, so that rate and number in flight are each plan's own. Each may be 0 when the problem states no such
    floor; not all. ``decided_by`` is the YAML path of the floor that set the rate, or of what else there is.
    ``hours_per_month`` is None around the clock, else the hours actually used each month (offline batch work).

    Where the problem has a day profile the figures are those of the workload's busiest period, and ``factors`` says
    what they are multiplied by in each period (1 in the busiest); empty: the load never changes.
    """

    requests_per_second: float
    inflight: float
    decided_by: str
    hours_per_month: float | None = None
    factors: tuple[float, ...] = ()
    min_replicas: int = 0  # kept running whatever the load
    users: float = 0.0
    think_s: float = 0.0

    @property
    def floors(self) -> tuple[float, float, float]:
        """Arrivals a second, requests in flight, users, as in ``OperatingPoint.carries``; 0: no such floor."""
        return (self.requests_per_second, self.inflight, self.users)

    def times(self, factor: float) -> Load:
        """So many times the load."""
        rate, inflight, users = (floor * factor for floor in self.floors)
        return replace(self, requests_per_second=rate, inflight=inflight, users=users)

    @property
    def is_batch(self) -> bool:
        """Offline work: only throughput matters and only the hours used are billed."""
        return self.hours_per_month is not None

    def in_period(self, period: int) -> Load:
        """The load in one period of the day profile; without a profile the load itself."""
        factor = self.factors[period] if self.factors else 1.0
        if factor == 1.0:
            return self
        return replace(self.times(factor), factors=())

    def has_load_in(self, period: int) -> bool:
        """Whether there is load in a period of the day profile; always without one."""
        return not self.factors or self.factors[period] > 0

    def runs_in(self, period: int) -> bool:
        """Whether replicas run in a period: there is load, or some are kept whatever the load."""
        return self.min_replicas > 0 or self.has_load_in(period)


@dataclass(frozen=True, slots=True)
class Period:
    """One period of the day profile: when nodes that are paid by use may differ in number."""

    name: str
    hours: float  # a month
    starts: float  # how often it begins in a month


def part_name(workload: str, length_class: str) -> str:
    """How a length class of a workload, or all of it, is named in a plan."""
    return f"{workload}/{length_class}" if length_class else workload


def workload_of(part: str, length_class: str) -> str:
    """The workload that a part of this name and class belongs to."""
    return part.removesuffix(f"/{length_class}") if length_class else part
