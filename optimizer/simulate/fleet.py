"""A fleet at work: identical replicas behind a router under a stream of requests or a closed population, or one replica
that holds a steady number.

Cheap to import; the event loop is imported when a simulation runs.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from optimizer.performance.step import StepCoefficients
from optimizer.simulate.draws import Stream, homes, paces
from optimizer.simulate.replica import Settings
from optimizer.vocabulary import Router

if TYPE_CHECKING:
    from optimizer.simulate.admission import ReplicaLimits, Requests
    from optimizer.simulate.fleet_loop import Fleet, LoopOutage

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Outage:
    """Replicas ``first`` to ``last`` (exclusive) are gone from ``begin_s`` to ``end_s``."""

    begin_s: float
    end_s: float
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Talk:
    """When each person of a closed population asks first, and how long people think after each answer; seconds."""

    first: Floats  # one for each person, ascending
    think: Floats  # one for each request, in the order in which answers end


@dataclass(frozen=True, slots=True)
class Served:
    """What became of each request, in order of arrival; seconds and tokens."""

    arrive: Floats
    ttft: Floats
    tpot: Floats
    e2e: Floats
    prompt: Floats
    output: Floats
    found: Floats  # prompt tokens found in the prefix cache
    made: Floats  # output tokens delivered
    ready: Floats  # when the engine saw it
    admit: Floats  # when it went from the queue into the batch
    first: Floats  # when its first token was made
    finish: Floats  # when its last one was
    replica: Ints  # that served it
    most_kv_tokens: float  # largest number of tokens that a replica's cache held
    resent: int  # requests lost with a node and sent again
    length_class: Ints | None = None  # which class of a mix each is of
    brought: Floats | None = None  # of what was found, tokens brought in from the memory of the host; None: nothing


def serve(
    c: StepCoefficients,
    settings: Settings,
    requests: Stream,
    replicas: int,
    router: Router,
    outage: Outage | None = None,
) -> Served:
    """Send a stream of requests to ``replicas`` replicas whose step times are ``c`` (one row, floats)."""
    from optimizer.simulate import fleet_loop

    r, total = requests_in(requests, settings), requests.arrive.size
    fleet = fleet_of(settings, total, replicas, router, total if outage is None else 2 * total)
    policy, lost = tuple(Router).index(router), np.empty(total, np.int64)
    resent = fleet_loop.serve_fleet(c, r, fleet, limits_of(settings), policy, gone_in(outage), lost)
    return served_of(requests, r, settings, float(fleet.most.max()), int(resent), fleet.place)


def converse(
    c: StepCoefficients,
    settings: Settings,
    requests: Stream,
    people: Talk,
    replicas: int,
    router: Router,
    outage: Outage | None = None,
) -> Served:
    """A closed population asks ``replicas`` replicas: each person waits for the answer, thinks, and asks again.

    Of ``requests`` the lengths count, in order of arrival; when they arrive comes out of it.
    """
    from optimizer.simulate.people_loop import serve_people

    r, total = requests_in(requests, settings), requests.arrive.size
    fleet = fleet_of(settings, total, replicas, router, total if outage is None else 2 * total)
    policy, heap = tuple(Router).index(router), people.first.copy()  # ascending, hence a heap
    lost = np.empty(total, np.int64)
    resent = serve_people(c, r, fleet, limits_of(settings), policy, heap, people.think, gone_in(outage), lost)
    return served_of(requests, r, settings, float(fleet.most.max()), int(resent), fleet.place)


def hold(c: StepCoefficients, settings: Settings, requests: Stream, inflight: int, *, capped: bool = False) -> Served:
    """One replica that always holds ``inflight`` requests: the first so many arrive as stated, each later one when an
    earlier one ends. ``capped``: and not before its own time either.

    A router that splits evenly sends a client's next request where its last one just ended, so the replicas of a fleet
    that holds a steady number in flight do not see each other.
    """
    from optimizer.simulate.loop import room_for, run

    r, limits = requests_in(requests, settings), limits_of(settings)
    run(c, r, limits, min(inflight, requests.arrive.size), *room_for(limits, requests.arrive.size), capped)
    return served_of(requests, r, settings, float("nan"), 0, np.zeros(requests.arrive.size, np.int64))


def gone_in(outage: Outage | None) -> LoopOutage:
    """The outage as the loops know it."""
    from optimizer.simulate.fleet_loop import FOREVER
    from optimizer.simulate.fleet_loop import LoopOutage as InLoops

    return InLoops(FOREVER, FOREVER, 0, 0) if outage is None else InLoops(*astuple(outage))


def fleet_of(settings: Settings, total: int, replicas: int, router: Router, room: int) -> Fleet:
    """Idle replicas, each with room for so many waiting requests."""
    from optimizer.simulate.fleet_loop import Fleet

    width = min(settings.max_seqs, total) + 1
    head, tail, batch, blocked, warm = (np.zeros(replicas, np.int64) for _ in range(5))
    used, most, now, free, ticks = (np.zeros(replicas) for _ in range(5))
    queue, active = np.zeros((replicas, room), np.int64), np.zeros((replicas, width), np.int64)
    turn, place = np.zeros(1, np.int64), np.zeros(total, np.int64)
    home = homes(total if router is Router.PREFIX_AFFINITY else 0, replicas)
    up = np.ones(replicas, np.int64)
    limit = np.full(replicas, settings.max_seqs, np.int64)
    line, seat, busy = np.zeros(replicas, np.int64), np.full(replicas, -1, np.int64), np.zeros(1, np.int64)
    return Fleet(
        queue, active, head, tail, batch, blocked, limit, up, warm, used, most, now, free, ticks, turn, place, home,
        line, seat, busy,
    )  # fmt: skip


def requests_in(given: Stream, settings: Settings) -> Requests:
    from optimizer.simulate.admission import Requests

    ready, first, finish, done, made, due, late, admit = (np.zeros(given.arrive.size) for _ in range(8))
    arrive, cached = given.arrive.copy(), given.cached.copy()
    prompt, output, pace = given.prompt, given.output, paces(given.output, *settings.drafts)
    return Requests(arrive, ready, first, finish, prompt, cached, output, done, made, due, late, admit, pace)


def limits_of(settings: Settings) -> ReplicaLimits:
    from optimizer.simulate.admission import ReplicaLimits

    return ReplicaLimits(
        settings.max_seqs, settings.token_budget, float(settings.kv_tokens), settings.frontend_s, settings.service_s,
        settings.mixed, settings.poll_steps, settings.reserve,
    )  # fmt: skip


def served_of(given: Stream, r: Requests, settings: Settings, most: float, resent: int, place: Ints) -> Served:
    delay = settings.lag_steps * r.late
    gaps = np.maximum(r.output - 1.0, 1.0)
    return Served(
        arrive=r.arrive,
        ttft=r.first - r.arrive + delay,
        tpot=(r.finish - r.first) / gaps,
        e2e=r.finish - r.arrive + delay,
        prompt=r.prompt,
        output=r.output,
        found=r.cached,
        made=r.made,
        ready=r.ready,
        admit=r.admit,
        first=r.first,
        finish=r.finish,
        replica=place,
        most_kv_tokens=most,
        resent=resent,
        length_class=given.length_class,
    )
