"""The promises of a plan, replayed: arrivals behind a router, a steady number held in flight, a closed population."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.demand import Lengths, gap_at
from optimizer.performance.step import StepCoefficients
from optimizer.simulate.draws import Stream, first_questions, poisson, routed, stream, thinking
from optimizer.simulate.estimate import MeasuringWindow, Runs, Seen, Wanted, observe
from optimizer.simulate.fleet import Served, Talk, converse, hold, serve
from optimizer.simulate.replica import Settings
from optimizer.simulate.sessions import arriving, at_ranks, attend, of_people
from optimizer.units import ceil_guarded
from optimizer.vocabulary import Router

MOST_REPLICAS = 16
"""A larger fleet is replayed with so many replicas and their part of the load: beyond, arrivals only get smoother."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica as the simulation knows it: step times (one row) and settings under either load."""

    c: StepCoefficients
    open_loop: Settings
    closed_loop: Settings


def replay_arrivals(
    replica: Replica,
    replicas: int,
    rate: float,
    requests: Callable[[float, int], Stream],
    lengths: Lengths,
    residence_s: float,
    wanted: Sequence[Wanted],
    router: Router = Router.ROUND_ROBIN,
    homes: int = 1,
    runs: Runs | None = None,
) -> Seen:
    """Arrivals at ``rate`` per second in all, spread over the replicas by a router.

    ``requests`` makes a stream of a rate and a number of requests; ``residence_s``: about how long a request stays;
    ``homes``: as in ``routed``; ``runs``: as in ``observe``, of this replica under this load.
    """
    shown = _shown(replicas, lengths, at_ranks(router, homes))
    shown_rate = rate * shown / replicas

    def run(window: MeasuringWindow) -> Served:
        if lengths.earns_hits:
            plan = arriving(lengths, shown_rate, window.total, residence_s, shown)
            return attend(replica.c, replica.open_loop, plan, shown, at_ranks(router, homes), warm=True)
        given = routed(requests(shown_rate, window.total), lengths, replicas, router, homes)
        return serve(replica.c, replica.open_loop, given, shown, router)

    warm = _warm(replica, lengths, shown, shown_rate, at_ranks(router, homes))
    return observe(run, wanted, shown_rate * residence_s, warm, runs)


def replay_held(
    replica: Replica,
    replicas: int,
    inflight: int,
    lengths: Lengths,
    residence_s: float,
    wanted: Sequence[Wanted],
    router: Router = Router.ROUND_ROBIN,
    homes: int = 1,
    runs: Runs | None = None,
) -> Seen:
    """One of the replicas, which always holds ``inflight`` requests, the first ones staggered over the time one of them
    stays."""

    def run(window: MeasuringWindow) -> Served:
        arrive = np.zeros(window.total)
        arrive[:inflight] = np.arange(inflight) * (residence_s / inflight)
        given = routed(stream(arrive, lengths), lengths, replicas, router, homes)
        return hold(replica.c, replica.closed_loop, given, inflight)

    return observe(run, wanted, inflight, runs=runs)


@dataclass(frozen=True, slots=True)
class People:
    """A closed population of the whole fleet."""

    users: float
    think_s: float


def replay_people(
    replica: Replica,
    replicas: int,
    people: People,
    requests: Callable[[float, int], Stream],
    lengths: Lengths,
    residence_s: float,
    wanted: Sequence[Wanted],
    router: Router = Router.ROUND_ROBIN,
    homes: int = 1,
    runs: Runs | None = None,
) -> Seen:
    """People who ask, wait for the answer, think and ask again; of ``requests`` only the lengths count."""
    shown = _shown(replicas, lengths, at_ranks(router, homes))
    users = max(ceil_guarded(people.users * shown / replicas), 1)
    cycle = people.think_s + residence_s
    first = first_questions(users, cycle)

    def run(window: MeasuringWindow) -> Served:
        if lengths.earns_hits:
            plan = of_people(lengths, users, window.total, residence_s, shown)
            return attend(replica.c, replica.open_loop, plan, shown, at_ranks(router, homes), warm=True)
        given = routed(requests(users / cycle, window.total), lengths, replicas, router, homes)
        talk = Talk(first, thinking(people.think_s, window.total))
        return converse(replica.c, replica.open_loop, given, talk, shown, router)

    warm = _warm(replica, lengths, shown, users / cycle, at_ranks(router, homes))
    return observe(run, wanted, users * residence_s / cycle, warm, runs)


def _shown(replicas: int, lengths: Lengths, router: Router) -> int:
    """Replicas that are replayed. A session that does not stick to one meets all of them."""
    meets_all = lengths.earns_hits and router is not Router.PREFIX_AFFINITY
    return replicas if meets_all else min(replicas, MOST_REPLICAS)


def _warm(replica: Replica, lengths: Lengths, shown: int, rate: float, router: Router) -> float:
    """Requests until caches say nothing any more of what they began with: they have turned over twice, or the 90th
    percentile of the gap has passed three times. Once is enough where they began with all that sessions had left."""
    if not lengths.earns_hits:
        return 0.0
    stays = lengths.sessions is not None and (shown == 1 or router is Router.PREFIX_AFFINITY)
    twice = 2.0 * replica.open_loop.kv_tokens / (lengths.input_mean + lengths.output_mean) * shown
    return min(twice, (1.0 if stays else 3.0) * gap_at(lengths.gaps, 0.9) * rate)


def poisson_requests(lengths: Lengths) -> Callable[[float, int], Stream]:
    """Poisson arrivals with the lengths of a workload."""
    return lambda rate, count: stream(poisson(rate, count), lengths)


def recorded_requests(
    arrival_s: Sequence[float], input_tokens: Sequence[float], output_tokens: Sequence[float], lengths: Lengths
) -> Callable[[float, int], Stream]:
    """A recorded stream, its clock scaled to the rate asked for and repeated as often as needed.

    Lengths are those recorded, clipped at the longest context as drawn ones are.
    """
    times = np.asarray(arrival_s)
    period = times[-1] * times.size / (times.size - 1)  # one more gap, from the last request to the first again
    output = np.clip(np.asarray(output_tokens), 1.0, max(lengths.context_max - 1.0, 1.0))
    prompt = np.clip(np.asarray(input_tokens), 1.0, np.maximum(lengths.context_max - output, 1.0))

    def requests(rate: float, count: int) -> Stream:
        index = np.arange(count)
        place, lap = index % times.size, index // times.size
        arrive = (times[place] + lap * period) * (times.size / period / rate)
        return Stream(arrive, prompt[place], output[place], np.floor(lengths.shared_prefix * prompt[place]))

    return requests
