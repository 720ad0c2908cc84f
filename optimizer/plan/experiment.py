"""The experiment that confirms a plan: one description, from which benchmark, acceptance test, brackets and the row for
``predict`` are made.

What is promised is what is offered: requests held in flight, requests that arrive, or a batch that is there at once;
lengths as distributed, prefixes as shared, and enough requests to tell the percentile that is promised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from optimizer.demand import Lengths, Metric
from optimizer.plan.deployment import Group, KeptPromise, Prediction
from optimizer.units import SHARE_UNITS, ceil_guarded, significant
from optimizer.vocabulary import Router

MOST_REQUESTS = 40_000
"""A test is not made longer than this; it takes an hour or two at most."""

_LEAST_REQUESTS = 200
_BEYOND, _FAR, _BEYOND_FAR = 10, 98.0, 30
"""Requests that a run should see beyond the promised percentile: 200 in all for a p95, 3,000 for a p99."""

_ROUNDS = 20
"""Requests per request in flight, so that the beginning and the end of a run do not count for much."""

_WITH_PREFIXES = 1_000
"""Requests that a run with shared prefixes has at least: the first of each prefix finds nothing."""

_STAGGER = 1.1
"""A client that holds a number in flight sends, evenly, so many times what the server finishes until they are all
there, and holds back what it may not send yet. Sent all at once, requests of like length would fall together for good,
which those of users do not."""

_WARM_SLOTS = 10
"""Rounds of a full batch that a test of offline work lasts."""


class Offered(StrEnum):
    """How a test offers its load."""

    HELD = "held"  # a number in flight
    ARRIVING = "arriving"  # Poisson arrivals
    AT_ONCE = "at_once"  # all there from the beginning


@dataclass(frozen=True, slots=True)
class LoadTest:
    """What a benchmark client sends to ``replicas`` copies behind a router, each of so many attention ranks."""

    lengths: Lengths
    requests: int
    rate: float | None = None  # requests per second that the client sends; None: as soon as it may
    cap: int | None = (
        None  # most requests in flight that the client allows; None: any number, and they arrive at random (Poisson)
    )
    replicas: int = 1
    router: Router = Router.ROUND_ROBIN
    ranks: int = 1

    @property
    def engines(self) -> int:
        """Schedulers that share the requests."""
        return self.replicas * self.ranks

    @property
    def predictable(self) -> bool:
        """Whether a row for ``predict`` can say its lengths: one law each."""
        return not (self.lengths.classes or self.lengths.histogram)

    @property
    def plain(self) -> bool:
        """Whether every request is alike and shares nothing: what every client's random data set sends."""
        lengths = self.lengths
        spread = lengths.input_p95 is not None or lengths.output_p95 is not None
        return not (lengths.classes or lengths.histogram or spread or lengths.shared_prefix)


@dataclass(frozen=True, slots=True)
class Bracket:
    """What is promised of a latency, and where a run of the test is expected: nine in ten between ``low_s`` and
    ``high_s``, model error and the scatter of a run of this length together."""

    metric: Metric
    percentile: float
    limit_s: float | None
    expected_s: float
    low_s: float
    high_s: float
    length_class: str = ""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A test of one group of a plan, and what a server as predicted shows in it."""

    workload: str  # as its group calls it
    offered: Offered
    test: LoadTest
    brackets: tuple[Bracket, ...]
    least_output_tokens_per_second: float | None  # that is promised; None: latencies are
    remark: str = ""  # how what the client sends differs from what was promised; empty: not at all


@dataclass(frozen=True, slots=True)
class Stated:
    """What a workload asks for, as far as a test has to know."""

    lengths: Lengths
    arrives: bool  # a rate of arrivals is among it
    held: float  # requests in flight of the whole workload; 0: none are stated
    people: bool = False  # a closed population is
    batch: bool = False  # offline work
    recorded: bool = False  # arrivals and lengths of a trace


def experiment_of(group: Group, stated: Stated, planned: Prediction, router: Router) -> Experiment:
    """The test of one replica of a group with its share of the planned load.

    Of a load that both arrives and is held in flight the side counts that keeps more requests in flight. Brackets are
    those of the planned load; ``planning.experiment`` replaces them by what the test itself is predicted to show.
    """
    part = group.share / SHARE_UNITS / group.replicas
    rate, flight = planned.requests_per_second * part, planned.concurrency * part
    ranks, slots = group.attention_dp, group.max_num_seqs * group.attention_dp
    in_flight = max(1, ceil_guarded(flight)) if math.isfinite(flight) else slots
    lengths = stated.lengths
    if stated.batch:
        test = LoadTest(lengths, min(_WARM_SLOTS * slots, MOST_REQUESTS), router=router, ranks=ranks)
        floor = rate * lengths.output_mean
        return Experiment(group.workload, Offered.AT_ONCE, test, (), floor, "")
    brackets = tuple(
        Bracket(p.metric, p.percentile, p.limit_s, p.estimate_s, p.low_s, p.high_s, p.length_class)
        for p in planned.promises
    )
    count = requests_for(planned.promises, lengths, in_flight)
    if holds(stated, planned, group.replicas):
        sent = significant(_STAGGER * rate, 3) if 0 < rate < math.inf else None
        test = LoadTest(lengths, count, sent, in_flight, router=router, ranks=ranks)
        return Experiment(group.workload, Offered.HELD, test, brackets, None, "")
    test = LoadTest(lengths, count, significant(rate, 3), router=router, ranks=ranks)
    remark = ""
    if stated.people:
        remark = "no client lets people think: requests arrive at the rate at which the people ask"
    elif stated.recorded:
        those = "its mean lengths" if lengths.histogram is None else "the lengths stated"
        remark = f"requests arrive at random at the rate of the trace, with {those}"
    return Experiment(group.workload, Offered.ARRIVING, test, brackets, None, remark)


POOLS_REMARK = "sent to the router in front of both pools"


def experiment_of_pools(groups: Sequence[Group], stated: Stated, planned: Prediction) -> Experiment:
    """The test of a prefill pool and a decode pool: all of their workers at the whole planned load, since neither pool
    answers a request alone."""
    rate, flight = planned.requests_per_second, max(1, ceil_guarded(planned.concurrency))
    brackets = tuple(
        Bracket(p.metric, p.percentile, p.limit_s, p.estimate_s, p.low_s, p.high_s, p.length_class)
        for p in planned.promises
    )
    count, workers = requests_for(planned.promises, stated.lengths, flight), sum(group.replicas for group in groups)
    kind, router = (Offered.ARRIVING, Router.LEAST_OUTSTANDING)
    test = LoadTest(stated.lengths, count, significant(rate, 3), replicas=workers, router=router)
    if holds(stated, planned, 1):
        kind, test = Offered.HELD, replace(test, rate=significant(_STAGGER * rate, 3), cap=flight)
    return Experiment(groups[0].workload, kind, test, brackets, None, POOLS_REMARK)


def holds(stated: Stated, planned: Prediction, replicas: int) -> bool:
    """Whether the number in flight is what is tested."""
    if not stated.held:
        return False
    return not (stated.arrives or stated.people) or stated.held + replicas >= planned.concurrency


def requests_for(promises: Sequence[KeptPromise], lengths: Lengths, in_flight: int) -> int:
    """Requests that a run needs to tell every promised percentile."""
    shares = {one.name: one.share for one in lengths.classes}
    tails = [
        (_BEYOND_FAR if p.percentile >= _FAR else _BEYOND)
        / (1.0 - p.percentile / 100.0)
        / shares.get(p.length_class, 1.0)
        for p in promises
        if p.limit_s is not None and p.percentile < 100.0
    ]
    least = _WITH_PREFIXES if lengths.shared_prefix else _LEAST_REQUESTS
    return min(ceil_guarded(max([least, _ROUNDS * in_flight, *tails])), MOST_REQUESTS)
