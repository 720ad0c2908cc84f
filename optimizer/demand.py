"""What a workload asks of a deployment: token lengths, load and latency promises, as plain frozen values.

Shared by every room: ``problem`` derives them from a file, ``performance`` answers them, ``verify`` checks them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


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
class Lengths:
    """Token lengths of one workload.

    A length with a ``p95`` is lognormal with that mean and 95th percentile; without, it is constant.
    ``context_max`` is the longest input + output that must be accepted and clips the distribution.
    ``shared_prefix`` is the share of input tokens found in the prefix cache (no prefill work, but KV is occupied);
    ``requests_per_prefix`` how many requests share one prefix (None: all), which only the replay of a fleet looks at.
    """

    input_mean: float
    output_mean: float
    context_max: int
    input_p95: float | None = None
    output_p95: float | None = None
    shared_prefix: float = 0.0
    kv_sizing: KvSizing = KvSizing.TYPICAL
    requests_per_prefix: int | None = None
    classes: tuple[LengthShare, ...] = ()  # of a mix of length classes; the means above are then over all requests


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
