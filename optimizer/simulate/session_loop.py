"""The event loop of sessions: turns that come a while after the answer before, and find what the cache still holds.

No arrival of a later turn is drawn in advance: it comes a gap after its session's last answer. Sessions either begin
at stated times, or each person of a closed population begins the next one a gap after the last.

The cache of a replica is exact LRU. Tokens of running requests are pinned; when an answer ends, its context lies idle
from its first token to its last. All tokens of a context were used at the same time and tails leave first, so the cache
is a queue of contexts in the order in which they were let go, eaten up from the old end, each from its own tail. A turn
finds, in whole blocks, what is left of the context of its session's last turn on that replica, and takes it over; the
rest of that context stays, and nobody will ask for it. Whatever running requests need is taken from idle contexts.

Sessions are of one of two kinds: turns of one length that reuse the same part of each other's prompt, or turns laid out
beforehand whose contexts grow. The latter may begin with a prefix that a group of sessions shares. It is held once for
the group: while a request of it runs it is pinned, and afterwards it is as old as the last of them that ended, from
whose context it leaves last. Running requests take room for their whole context each, the shared prefix included.

A request that is put back for want of room loses what it held.

The memory of the host may hold contexts too. Engines write them through, so the host is a second queue of the same
contexts, only longer. What of a context lies there and no longer on the cards is brought in when its next turn arrives,
one load after the other, before the engine sees the request; the turn then finds it.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt

from optimizer.performance.step import StepCoefficients
from optimizer.simulate.admission import Floats, Ints, ReplicaLimits, Requests, enqueue, fitting
from optimizer.simulate.compiled import entry, kernel
from optimizer.simulate.engine_step import advance
from optimizer.simulate.fleet_loop import (
    FOREVER,
    PREFIX_AFFINITY,
    Fleet,
    LoopOutage,
    Table,
    drop,
    furthest_behind,
    line_up,
    line_up_all,
    resend,
    route,
    send,
)

BLOCK = 16.0
"""Tokens of a block: engines keep whole blocks."""

NOBODY = -1

AHEAD_S = 0.25
"""How far a replica may work ahead of the next one where sessions stick to replicas: an answer that ends brings nothing
to another replica but the first turn of somebody's next session, which then is at most so late. Else one step."""


Measures = Annotated[npt.NDArray[np.float64], 2]
"""A table of numbers."""


class Caches(NamedTuple):
    """Sessions and what the replicas hold of them."""

    session: Ints  # of each request
    head: Floats  # of each request: tokens that the next turn of its session can reuse
    left: Floats  # of each request: tokens of its context that lie idle, from the first on
    order: Table  # per replica: requests in the order in which they ended
    oldest: Ints  # per replica: where in ``order`` something may be left
    newest: Ints  # per replica: how many ended
    idle: Floats  # per replica: tokens
    last: Table  # per session: its latest request that ended on each replica
    turns: Ints  # per session: still to come
    prompt: Floats  # per session: tokens of each of its turns
    home: Ints  # per session: the replica that a router sticks to
    group: Ints  # per session: whose shared prefix it begins with
    following: Ints  # per session: where its next turn is laid out
    sent: Floats  # per turn laid out: tokens of its prompt
    answered: Floats  # per turn laid out: tokens of its answer
    reach: Floats  # per turn laid out: of the context beyond the shared prefix, what the next turn can reuse
    place: Ints  # of each request: where its turn is laid out
    common: Measures  # per replica and group: tokens of the shared prefix that lie idle
    using: Table  # per replica and group: running requests
    latest: Table  # per replica and group: the last request that ended
    link: Floats  # per replica: when the link to the memory of the host is free again
    brought: Floats  # of each request: tokens brought in from there
    planned: Floats  # of each request: tokens that it finds with those


class SessionRules(NamedTuple):
    """What holds for all sessions."""

    share: float  # of the prompt that a later turn can find
    turns: int  # of a new session
    longest: float  # context
    people: int  # 1: a person begins the next session when the last has ended
    grows: int  # 1: turns are laid out beforehand
    shared: float  # tokens of a group's prefix
    carry: float  # share of a context that is still a prefix one turn later
    host_tokens: float  # that the memory of the host holds for a replica; 0: none
    load_s: float  # seconds to bring in one of them
    load_floor_s: float  # seconds that any load takes


@kernel
def _push(times: Floats, ids: Ints, size: int, when: float, who: int, turns: int) -> int:
    """Insert the next turn of a session, if it has any, into a heap whose first entry is the earliest; returns its
    size."""
    if turns == 0:
        return size
    place = size
    times[place], ids[place] = when, who
    while place > 0 and times[(place - 1) // 2] > times[place]:
        up = (place - 1) // 2
        times[place], times[up] = times[up], times[place]
        ids[place], ids[up] = ids[up], ids[place]
        place = up
    return size + 1


@kernel
def _pop(times: Floats, ids: Ints, size: int) -> int:
    """Take the earliest moment out of a heap; returns its size."""
    size -= 1
    times[0], ids[0] = times[size], ids[size]
    place = 0
    while True:
        least = place
        for child in (2 * place + 1, 2 * place + 2):
            if child < size and times[child] < times[least]:
                least = child
        if least == place:
            return size
        times[place], times[least] = times[least], times[place]
        ids[place], ids[least] = ids[least], ids[place]
        place = least


@kernel
def _evict(h: Caches, k: int, room: float) -> None:
    """Idle contexts of replica ``k`` shrink to ``room`` tokens, the oldest first, each from its tail."""
    while h.idle[k] > room and h.oldest[k] < h.newest[k]:
        i = h.order[k, h.oldest[k]]
        taken = min(h.left[i], h.idle[k] - room)
        h.left[i] -= taken
        h.idle[k] -= taken
        if h.left[i] <= 0.0:
            group = h.group[h.session[i]]
            if h.latest[k, group] == i and h.common[k, group] > 0.0:
                taken = min(h.common[k, group], h.idle[k] - room)
                h.common[k, group] -= taken
                h.idle[k] -= taken
                if h.common[k, group] > 0.0:
                    break
            h.oldest[k] += 1
    if h.oldest[k] == h.newest[k]:
        h.idle[k] = 0.0


@kernel
def _pin(h: Caches, k: int, i: int, shared: float) -> float:
    """Request ``i`` begins to use its group's prefix on replica ``k``; returns the tokens of it that are there."""
    group = h.group[h.session[i]]
    held = shared if h.using[k, group] > 0 else h.common[k, group]
    h.idle[k] -= h.common[k, group]
    h.common[k, group] = 0.0
    h.using[k, group] += 1
    return float(np.floor(held / BLOCK) * BLOCK)


@kernel
def _unpin(h: Caches, k: int, i: int, shared: float) -> None:
    """Request ``i`` uses its group's prefix no longer, of which ``shared`` tokens are left behind."""
    group = h.group[h.session[i]]
    h.using[k, group] -= 1
    h.latest[k, group] = i
    if h.using[k, group] == 0:
        h.common[k, group] = shared
        h.idle[k] += shared


@kernel
def _held(h: Caches, rules: SessionRules, k: int, i: int) -> float:
    """Tokens of its session's last context on replica ``k`` that request ``i`` can take over, in whole blocks."""
    before = h.last[h.session[i], k]
    if before < 0:
        return 0.0
    if rules.grows == 1:
        reach = h.head[before] * rules.carry ** (h.place[i] - h.place[before] - 1)
        taken = min(h.left[before], reach)
    else:
        taken = min(h.left[before], h.head[before], h.head[i])
    return float(np.floor(taken / BLOCK) * BLOCK)


@kernel
def _take(h: Caches, rules: SessionRules, k: int, i: int) -> float:
    """Request ``i`` takes over what replica ``k`` still holds of its session; returns the tokens of its prompt."""
    found = _pin(h, k, i, rules.shared)
    taken = _held(h, rules, k, i)
    before = h.last[h.session[i], k]
    if before >= 0:
        h.left[before] -= taken
        h.idle[k] -= taken
        h.last[h.session[i], k] = NOBODY
    return found + taken


@kernel
def _find(r: Requests, h: Caches, g: Caches, rules: SessionRules, k: int, i: int) -> None:
    """What request ``i`` finds on the cards of replica ``k``, and of what the host held when it arrived."""
    r.cached[i] = _take(h, rules, k, i)
    if rules.host_tokens > 0.0:
        beyond = min(_take(g, rules, k, i), h.planned[i])
        h.brought[i] = min(h.brought[i], max(beyond - r.cached[i], 0.0))
        r.cached[i] = max(r.cached[i], beyond)


@kernel
def _bring_in(r: Requests, f: Fleet, h: Caches, g: Caches, rules: SessionRules, k: int, i: int) -> None:
    """Request ``i`` waits at replica ``k`` until what the host alone holds of its prompt is on the cards."""
    near, far = _held(h, rules, k, i), _held(g, rules, k, i)
    if rules.shared > 0.0:
        group = h.group[h.session[i]]
        for_cards, for_host = h.common[k, group], g.common[k, group]
        near += np.floor((rules.shared if h.using[k, group] > 0 else for_cards) / BLOCK) * BLOCK
        far += np.floor((rules.shared if g.using[k, group] > 0 else for_host) / BLOCK) * BLOCK
    h.planned[i], h.brought[i] = max(near, far), max(far - near, 0.0)
    if h.brought[i] > 0.0:
        begin = max(r.ready[i], h.link[k])
        f.tail[k] -= 1  # it stands in the queue by when the engine sees it
        place = f.tail[k]
        while f.queue[k, place] != i:
            place -= 1
        while place < f.tail[k]:
            f.queue[k, place] = f.queue[k, place + 1]
            place += 1
        r.ready[i] = begin + rules.load_floor_s + h.brought[i] * rules.load_s
        h.link[k] = r.ready[i]
        f.tail[k] = enqueue(r, f.queue[k], f.head[k], f.tail[k], i)


@kernel
def _admit(r: Requests, f: Fleet, h: Caches, g: Caches, rules: SessionRules, k: int, limits: ReplicaLimits) -> None:
    """Move waiting requests that are ready and fit into the batch, as ``admission.admit`` does."""
    queue, active = f.queue[k], f.active[k]
    budget, promised = float(limits.token_budget), 0.0
    for place in range(f.batch[k]):
        i = active[place]
        budget -= max(r.prompt[i] + r.made[i] - r.done[i], 1.0)
        promised += limits.reserve * (r.output[i] - r.made[i])
    while f.head[k] < f.tail[k] and f.batch[k] < f.limit[k] and budget > 0:
        i = queue[f.head[k]]
        if r.ready[i] > f.now[k]:
            break
        held = r.prompt[i] + r.made[i]
        wanted = limits.reserve * (r.output[i] - r.made[i])
        if f.used[k] + promised + held + wanted + 1.0 > limits.kv_tokens and f.batch[k] > 0:
            break
        _find(r, h, g, rules, k, i)
        r.done[i] = min(r.cached[i], r.prompt[i] - 1.0)
        f.used[k] += held
        promised += wanted
        budget -= held - r.done[i]
        active[f.batch[k]] = i
        r.admit[i] = f.now[k]
        f.batch[k] += 1
        f.head[k] += 1
        _evict(h, k, max(limits.kv_tokens - f.used[k], 0.0))
        if rules.host_tokens > 0.0:
            _evict(g, k, max(rules.host_tokens - f.used[k], 0.0))


@kernel
def _leave(h: Caches, rules: SessionRules, k: int, i: int, context: float) -> None:
    """The context of request ``i`` lies idle on replica ``k`` from now on."""
    h.left[i] = context - rules.shared
    h.idle[k] += context - rules.shared
    _unpin(h, k, i, rules.shared)
    h.order[k, h.newest[k]] = i
    h.newest[k] += 1
    h.last[h.session[i], k] = i


@kernel
def _retire(r: Requests, f: Fleet, h: Caches, g: Caches, rules: SessionRules, k: int, ended: Ints) -> int:
    """Take complete requests out of the batch into the idle part of the cache; returns how many, noted in ``ended``."""
    active, kept, many = f.active[k], 0, 0
    for place in range(f.batch[k]):
        i = active[place]
        if r.made[i] < r.output[i]:
            active[kept] = i
            kept += 1
            continue
        r.finish[i] = f.now[k]
        context = r.prompt[i] + r.made[i]
        f.used[k] -= context
        _leave(h, rules, k, i, context)
        if rules.host_tokens > 0.0:
            _leave(g, rules, k, i, context)
        ended[many] = i
        many += 1
    f.batch[k] = kept
    return many


@kernel
def _step(
    c: StepCoefficients, r: Requests, f: Fleet, h: Caches, g: Caches, rules: SessionRules, k: int,
    limits: ReplicaLimits, until: float, ended: Ints,
) -> int:  # fmt: skip
    """Replica ``k`` takes one stretch of steps, to ``until`` or one step beyond; returns how many answers ended."""
    queue, active = f.queue[k], f.active[k]
    interval = max(np.rint(limits.poll_steps), 1.0)
    looked = f.blocked[k] == 0 and (f.batch[k] == 0 or (f.batch[k] < f.limit[k] and f.ticks[k] % interval == 0.0))
    if looked:
        _admit(r, f, h, g, rules, k, limits)
    if f.head[k] == f.tail[k]:
        f.limit[k] = limits.max_seqs
    while f.batch[k] > 1 and f.used[k] + f.batch[k] > limits.kv_tokens:  # no room for a token each
        f.batch[k] -= 1
        f.head[k] -= 1
        i = active[f.batch[k]]
        queue[f.head[k]] = i
        f.used[k] -= r.prompt[i] + r.made[i]
        _unpin(h, k, i, 0.0)
        if rules.host_tokens > 0.0:
            _unpin(g, k, i, 0.0)
        f.blocked[k] = 1
    if f.blocked[k] == 1:
        f.limit[k] = min(limits.max_seqs, max(f.batch[k], fitting(r, active, f.batch[k], limits)))
    if f.batch[k] == 0:
        f.now[k] = max(f.now[k], r.ready[queue[f.head[k]]])
        return 0
    horizon = max(until - f.now[k], 0.0)
    if f.head[k] < f.tail[k] and f.batch[k] < f.limit[k] and f.blocked[k] == 0:
        wait = r.ready[queue[f.head[k]]] - f.now[k]
        if wait > 0.0 or not looked:
            horizon = min(horizon, max(wait, 0.0))
    pause = (horizon, interval - f.ticks[k] % interval, interval)
    seconds, steps, used = advance(c, r, active, f.batch[k], f.used[k], limits, pause, f.now[k])
    f.used[k], f.now[k] = used, f.now[k] + seconds
    f.most[k] = max(f.most[k], used)
    f.ticks[k] += steps
    _evict(h, k, max(limits.kv_tokens - used, 0.0))
    if rules.host_tokens > 0.0:
        _evict(g, k, max(rules.host_tokens - used, 0.0))
    many = _retire(r, f, h, g, rules, k, ended)
    if many > 0:
        f.blocked[k] = 0
    return many


@kernel
def _begin(r: Requests, f: Fleet, h: Caches, rules: SessionRules, policy: int, i: int, who: int, when: float) -> None:
    """Request ``i`` is the next turn of a session."""
    r.arrive[i] = when
    if rules.grows == 1:
        at = h.following[who]
        h.following[who] += 1
        h.place[i] = at
        r.prompt[i], r.output[i], h.head[i] = h.sent[at], h.answered[at], h.reach[at]
    else:
        r.prompt[i] = max(min(h.prompt[who], rules.longest - r.output[i]), 1.0)
        h.head[i] = np.floor(rules.share * r.prompt[i])
    h.session[i] = who
    h.turns[who] -= 1
    if policy == PREFIX_AFFINITY:
        f.home[i] = h.home[who]


@kernel
def _empty(h: Caches, k: int) -> None:
    """Replica ``k`` holds nothing any more."""
    h.oldest[k], h.idle[k] = h.newest[k], 0.0
    for group in range(h.common.shape[1]):
        h.common[k, group], h.using[k, group], h.latest[k, group] = 0.0, 0, NOBODY
    for who in range(h.turns.size):
        h.last[who, k] = NOBODY


@kernel
def _change(
    f: Fleet, h: Caches, g: Caches, lost: Ints, held: int, stage: int, when: float, outage: LoopOutage,
    limits: ReplicaLimits,
) -> int:  # fmt: skip
    """The replicas of a node die with their caches (``stage`` 0), or are back; returns how many requests are lost."""
    for k in range(outage.first, outage.last):
        if stage == 0:
            held = drop(f, k, lost, held, limits)
            _empty(h, k)
            _empty(g, k)
        else:
            f.up[k], f.now[k], f.free[k] = 1, when, when
    return held


@entry
def serve_sessions(
    c: StepCoefficients, r: Requests, f: Fleet, h: Caches, g: Caches, rules: SessionRules, limits: ReplicaLimits,
    policy: int, times: Floats, ids: Ints, known: int, starts: Floats, gaps: Floats, ended: Ints, outage: LoopOutage,
    lost: Ints,
) -> int:  # fmt: skip
    """Serve as many requests as ``r`` has; returns how many were sent a second time.

    ``g``: what the hosts hold; ``h`` again where they hold nothing.
    ``times`` and ``ids``: a heap of when each of the ``known`` sessions takes its next turn; it has room for all
    sessions. ``starts``: when new ones begin, ascending. ``gaps``: seconds from the end of each answer to the next
    turn, in the order in which answers end. ``ended`` and ``lost`` have room for every request.
    """
    total, size, asked, done, begun = r.prompt.size, known, 0, 0, 0
    held, again, stage = 0, 0, 0
    lead = AHEAD_S if rules.grows == 1 and policy == PREFIX_AFFINITY else 0.0
    while done < total:
        turn = times[0] if size > 0 else FOREVER
        start = starts[begun] if begun < starts.size and known < h.turns.size else FOREVER
        arrival = min(turn, start) if asked < total else FOREVER
        change = outage.begin if stage == 0 else outage.end if stage == 1 else FOREVER
        k, then = furthest_behind(f)
        if k >= 0 and f.now[k] < min(arrival, change):
            for place in range(_step(c, r, f, h, g, rules, k, limits, min(arrival, change, then + lead), ended)):
                who = h.session[ended[place]]
                if h.turns[who] == 0 and rules.people == 1 and known < h.turns.size:
                    who = known
                    known += 1
                size = _push(times, ids, size, f.now[k] + gaps[done], who, h.turns[who])
                done += 1
            line_up(f, k)
            continue
        if change <= arrival and change < FOREVER:
            held = _change(f, h, g, lost, held, stage, change, outage, limits)
            again = held if stage == 0 else again
            held = resend(r, f, lost, held, change, limits, policy)
            line_up_all(f)
            stage += 1
            continue
        if arrival >= FOREVER:
            break
        if start < turn:
            who = known
            known += 1
            begun += 1
        else:
            who = ids[0]
            size = _pop(times, ids, size)
        _begin(r, f, h, rules, policy, asked, who, arrival)
        k = route(r, f, policy, asked)
        if k < 0:
            lost[held] = asked
            held += 1
        else:
            f.now[k] = max(f.now[k], arrival) if f.batch[k] == 0 and f.head[k] == f.tail[k] else f.now[k]
            send(r, f, k, asked, arrival, limits)
            if rules.host_tokens > 0.0:
                _bring_in(r, f, h, g, rules, k, asked)
            line_up(f, k)
        asked += 1
    return again
