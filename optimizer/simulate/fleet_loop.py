"""The event loop of a fleet: replicas behind a router, on the engine steps of the one-replica loop.

Arrivals are taken one after the other; before each, every replica works off the steps that begin before it, so the
router sees the fleet as it stands (at most one step late, as a real one does). A replica that dies loses what it holds:
its requests are sent again, from their first token, to the replicas that are left, and wait at the router while there
are none.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt

from optimizer.performance.step import StepCoefficients
from optimizer.simulate.admission import ReplicaLimits, Requests, admit, enqueue, fitting, retire
from optimizer.simulate.compiled import entry, kernel
from optimizer.simulate.engine_step import advance

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Table = Annotated[npt.NDArray[np.int64], 2]
"""One row per replica."""

ROUND_ROBIN, LEAST_OUTSTANDING, SHORTEST_QUEUE, PREFIX_AFFINITY = 0, 1, 2, 3  # in the order of ``Router``
FOREVER = 1e18


class Fleet(NamedTuple):
    """State of the replicas: one entry, or one row, each."""

    queue: Table  # waiting requests in order of arrival at the engine
    active: Table  # requests in the batch
    head: Ints
    tail: Ints
    batch: Ints
    blocked: Ints  # 1: the cache overflowed; nothing is admitted until a request ends
    limit: Ints  # most requests in the batch: after the cache overflowed what then fitted, until nobody waits
    up: Ints
    warm: Ints  # 1: has served a request, so a shared prefix is in its cache
    used: Floats  # tokens of KV
    most: Floats  # largest ``used`` seen
    now: Floats
    free: Floats  # when the front end is free again
    ticks: Floats
    turn: Ints  # one entry: where round robin goes on
    place: Ints  # one entry per request: the replica it went to
    home: Ints  # one entry per request: the replica of its prefix; empty where the router pays no heed to it
    line: Ints  # a heap of the replicas with work, the one whose clock is the earliest first
    seat: Ints  # where in ``line`` each replica is; -1: it has no work
    busy: Ints  # one entry: how many have work


class LoopOutage(NamedTuple):
    """The replicas of one node are gone for a while; ``begin`` of ``FOREVER``: nothing happens."""

    begin: float
    end: float
    first: int
    last: int  # exclusive


@kernel
def _serve(c: StepCoefficients, r: Requests, f: Fleet, k: int, limits: ReplicaLimits, until: float) -> None:
    """Replica ``k`` works off the steps that begin before ``until``."""
    queue, active = f.queue[k], f.active[k]
    interval = max(np.rint(limits.poll_steps), 1.0)
    while f.now[k] < until:
        head, tail, count, used, now = f.head[k], f.tail[k], f.batch[k], f.used[k], f.now[k]
        looked = f.blocked[k] == 0 and (count == 0 or (count < f.limit[k] and f.ticks[k] % interval == 0.0))
        if looked:
            head, count, used = admit(r, queue, (head, tail), active, (count, f.limit[k]), used, now, limits)
        if head == tail:
            f.limit[k] = limits.max_seqs
        while count > 1 and used + count > limits.kv_tokens:  # no room for a token each: the newest are put back
            count -= 1
            head -= 1
            queue[head] = active[count]
            used -= r.prompt[active[count]] + r.made[active[count]]
            f.blocked[k] = 1
        if f.blocked[k] == 1:
            f.limit[k] = min(limits.max_seqs, max(count, fitting(r, active, count, limits)))
        f.head[k], f.batch[k], f.used[k] = head, count, used
        if count == 0:
            if head == tail:
                break
            f.now[k] = max(now, r.ready[queue[head]])
            continue
        horizon = until - now
        if head < tail and count < f.limit[k] and f.blocked[k] == 0:
            wait = r.ready[queue[head]] - now
            if wait > 0.0 or not looked:
                horizon = min(horizon, max(wait, 0.0))
        pause = (horizon, interval - f.ticks[k] % interval, interval)
        seconds, steps, used = advance(c, r, active, count, used, limits, pause, now)
        f.most[k] = max(f.most[k], used)
        now += seconds
        left, used = retire(r, active, count, used, now)
        if left < count:
            f.blocked[k] = 0
        count = left
        f.batch[k], f.used[k], f.now[k] = count, used, now
        f.ticks[k] += steps


@kernel
def _tokens(r: Requests, f: Fleet, k: int) -> float:
    """Tokens of prompt and output that replica ``k`` still has to work off."""
    left = 0.0
    for place in range(f.head[k], f.tail[k]):
        i = f.queue[k, place]
        left += r.prompt[i] + r.output[i] - r.done[i]
    for place in range(f.batch[k]):
        i = f.active[k, place]
        left += r.prompt[i] + r.output[i] - r.done[i]
    return left


@kernel
def route(r: Requests, f: Fleet, policy: int, index: int) -> int:
    """The replica that gets a request; ties go round. -1 where none is up."""
    replicas = f.up.size
    best, least = -1, 0.0
    begin = f.home[index] if policy == PREFIX_AFFINITY else f.turn[0]
    for offset in range(replicas):
        k = (begin + offset) % replicas
        if f.up[k] == 0:
            continue
        load = 0.0
        if policy == LEAST_OUTSTANDING:
            load = float(f.batch[k] + f.tail[k] - f.head[k])
        elif policy == SHORTEST_QUEUE:
            load = _tokens(r, f, k)
        if best < 0 or load < least:
            best, least = k, load
    if best >= 0:
        f.turn[0] = (best + 1) % replicas
    return best


@kernel
def send(r: Requests, f: Fleet, k: int, index: int, when: float, limits: ReplicaLimits) -> None:
    """Request ``index`` goes to replica ``k`` through its front end, which takes one at a time."""
    begin = max(when, f.free[k])
    f.free[k] = begin + limits.service_s
    r.ready[index] = begin + limits.service_s + limits.frontend_s
    if f.warm[k] == 0:
        r.cached[index] = 0.0
        f.warm[k] = 1
    if f.home.size > 0 and f.home[index] != k:  # its home is down
        r.cached[index] = 0.0
    f.place[index] = k
    f.tail[k] = enqueue(r, f.queue[k], f.head[k], f.tail[k], index)


@kernel
def drop(f: Fleet, k: int, lost: Ints, held: int, limits: ReplicaLimits) -> int:
    """Replica ``k`` dies: what it holds is noted in ``lost`` as if it had never begun; returns how many there are."""
    for place in range(f.batch[k]):
        lost[held] = f.active[k, place]
        held += 1
    for place in range(f.head[k], f.tail[k]):
        lost[held] = f.queue[k, place]
        held += 1
    f.up[k], f.warm[k], f.blocked[k], f.batch[k], f.used[k], f.limit[k] = 0, 0, 0, 0, 0.0, limits.max_seqs
    f.head[k] = f.tail[k]
    return held


@kernel
def resend(r: Requests, f: Fleet, lost: Ints, held: int, when: float, limits: ReplicaLimits, policy: int) -> int:
    """Send what was lost again, oldest first, if any replica is up; returns how many still wait at the router."""
    for position in range(1, held):  # by insertion: what was lost is nearly in order
        i, place = lost[position], position
        while place > 0 and lost[place - 1] > i:
            lost[place] = lost[place - 1]
            place -= 1
        lost[place] = i
    for position in range(held):
        i = lost[position]
        r.done[i], r.made[i], r.due[i], r.late[i], r.first[i] = 0.0, 0.0, 0.0, 0.0, 0.0
        k = route(r, f, policy, i)
        if k < 0:
            return held
        send(r, f, k, i, when, limits)
    return 0


@kernel
def _is_behind(f: Fleet, one: int, other: int) -> bool:
    """Whether a replica's clock is earlier than another's; of equal ones the first replica's."""
    return f.now[one] < f.now[other] or (f.now[one] == f.now[other] and one < other)


@kernel
def _swap(f: Fleet, a: int, b: int) -> None:
    one, other = f.line[a], f.line[b]
    f.line[a], f.line[b] = other, one
    f.seat[one], f.seat[other] = b, a


@kernel
def line_up(f: Fleet, k: int) -> None:
    """Replica ``k`` finds its place among those with work, after its work or its clock has changed."""
    has_work = f.batch[k] > 0 or f.head[k] < f.tail[k]
    at = f.seat[k]
    if at < 0:
        if not has_work:
            return
        at = f.busy[0]
        f.line[at], f.seat[k] = k, at
        f.busy[0] += 1
    elif not has_work:
        last = f.busy[0] - 1
        _swap(f, at, last)
        f.busy[0] = last
        f.seat[k] = -1
        if at == last:
            return
    while at > 0 and _is_behind(f, f.line[at], f.line[(at - 1) // 2]):
        _swap(f, at, (at - 1) // 2)
        at = (at - 1) // 2
    while True:
        least = at
        for child in range(2 * at + 1, min(2 * at + 3, f.busy[0])):
            if _is_behind(f, f.line[child], f.line[least]):
                least = child
        if least == at:
            return
        _swap(f, at, least)
        at = least


@kernel
def line_up_all(f: Fleet) -> None:
    """Every replica finds its place, after the work of many has changed."""
    f.busy[0] = 0
    for k in range(f.up.size):
        f.seat[k] = -1
    for k in range(f.up.size):
        line_up(f, k)


@kernel
def furthest_behind(f: Fleet) -> tuple[int, float]:
    """The replica with work whose clock is the earliest (-1: none has any), and the clock of the next one."""
    if f.busy[0] == 0:
        return -1, FOREVER
    then = FOREVER
    for place in range(1, min(3, f.busy[0])):
        then = min(then, f.now[f.line[place]])
    return f.line[0], then


@kernel
def _catch_up(c: StepCoefficients, r: Requests, f: Fleet, limits: ReplicaLimits, until: float) -> None:
    """Every replica that is up works until ``until``: of thousands most have nothing to do."""
    for k in range(f.up.size):
        if f.up[k] == 0 or f.now[k] >= until:
            continue
        if f.batch[k] == 0 and f.head[k] == f.tail[k]:
            f.limit[k] = limits.max_seqs
        else:
            _serve(c, r, f, k, limits, until)


@entry
def serve_fleet(
    c: StepCoefficients, r: Requests, f: Fleet, limits: ReplicaLimits, policy: int, outage: LoopOutage, lost: Ints
) -> int:
    """Serve all requests, which arrive at their stated times; returns how many were sent a second time.

    ``lost`` has room for one entry per request.
    """
    blind = policy in (ROUND_ROBIN, PREFIX_AFFINITY)  # nobody looks at the fleet: replicas run one by one
    if blind and outage.begin >= FOREVER:
        for i in range(r.prompt.size):
            send(r, f, route(r, f, policy, i), i, r.arrive[i], limits)
        _catch_up(c, r, f, limits, FOREVER)
        return 0
    held, again, stage = 0, 0, 0
    for i in range(r.prompt.size + 1):
        when = r.arrive[i] if i < r.prompt.size else FOREVER
        if stage == 0 and outage.begin < FOREVER and outage.begin <= when:
            _catch_up(c, r, f, limits, outage.begin)
            for k in range(outage.first, outage.last):
                held = drop(f, k, lost, held, limits)
            again, stage = held, 1
            held = resend(r, f, lost, held, outage.begin, limits, policy)
        if stage == 1 and outage.end <= when:
            _catch_up(c, r, f, limits, outage.end)
            for k in range(outage.first, outage.last):
                f.up[k], f.now[k], f.free[k] = 1, outage.end, outage.end
            stage = 2
            held = resend(r, f, lost, held, outage.end, limits, policy)
        _catch_up(c, r, f, limits, when)
        if i < r.prompt.size:
            k = route(r, f, policy, i)
            if k < 0:
                lost[held] = i
                held += 1
            else:
                send(r, f, k, i, when, limits)
    return again
