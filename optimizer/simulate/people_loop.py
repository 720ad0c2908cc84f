"""The event loop of a closed population: people who ask a fleet, wait for the answer, think, and ask again.

No arrival is drawn in advance: the next
question of a person comes a think time after the last token of the answer, and requests are numbered as they arrive.
The replica that is furthest behind works on, one engine step past the next one at most, so that an answer which ends on
one replica reaches the others in order (at most one step late, as a real router does).
"""

from __future__ import annotations

import numpy as np

from optimizer.performance.step import StepCoefficients
from optimizer.simulate.admission import Floats, Ints, ReplicaLimits, Requests, admit, fitting, retire
from optimizer.simulate.compiled import entry, kernel
from optimizer.simulate.engine_step import advance
from optimizer.simulate.fleet_loop import (
    FOREVER,
    Fleet,
    LoopOutage,
    drop,
    furthest_behind,
    line_up,
    line_up_all,
    resend,
    route,
    send,
)


@kernel
def _push(heap: Floats, size: int, value: float) -> int:
    """Insert a moment into a heap whose first entry is the earliest; returns its size."""
    place = size
    heap[place] = value
    while place > 0 and heap[(place - 1) // 2] > heap[place]:
        up = (place - 1) // 2
        heap[place], heap[up] = heap[up], heap[place]
        place = up
    return size + 1


@kernel
def _pop(heap: Floats, size: int) -> int:
    """Take the earliest moment out of a heap; returns its size."""
    size -= 1
    heap[0] = heap[size]
    place = 0
    while True:
        least = place
        for child in (2 * place + 1, 2 * place + 2):
            if child < size and heap[child] < heap[least]:
                least = child
        if least == place:
            return size
        heap[place], heap[least] = heap[least], heap[place]
        place = least


@kernel
def _step(c: StepCoefficients, r: Requests, f: Fleet, k: int, limits: ReplicaLimits, until: float) -> int:
    """Replica ``k`` takes one stretch of steps, to ``until`` or one step beyond; returns how many answers ended."""
    queue, active = f.queue[k], f.active[k]
    interval = max(np.rint(limits.poll_steps), 1.0)
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
        f.now[k] = max(now, r.ready[queue[head]])
        return 0
    horizon = max(until - now, 0.0)
    if head < tail and count < f.limit[k] and f.blocked[k] == 0:
        wait = r.ready[queue[head]] - now
        if wait > 0.0 or not looked:
            horizon = min(horizon, max(wait, 0.0))
    pause = (horizon, interval - f.ticks[k] % interval, interval)
    seconds, steps, used = advance(c, r, active, count, used, limits, pause, now)
    f.most[k] = max(f.most[k], used)
    left, used = retire(r, active, count, used, now + seconds)
    if left < count:
        f.blocked[k] = 0
    f.batch[k], f.used[k], f.now[k] = left, used, now + seconds
    f.ticks[k] += steps
    ended: int = count - left
    return ended


@entry
def serve_people(
    c: StepCoefficients, r: Requests, f: Fleet, limits: ReplicaLimits, policy: int, heap: Floats, think: Floats,
    outage: LoopOutage, lost: Ints,
) -> int:  # fmt: skip
    """Serve as many requests as ``r`` has; returns how many were sent a second time.

    ``heap``: when each person asks next, the earliest first; it is used up. ``think``: seconds from the end of each
    answer to the next question, in the order in which answers end. After the last request nobody asks again. ``lost``
    has room for every request. Who waits for an answer that a dying replica has begun waits for the new one.
    """
    total, size, asked, ended = r.prompt.size, heap.size, 0, 0
    held, again, stage = 0, 0, 0
    while ended < total:
        next_question = heap[0] if size > 0 and asked < total else FOREVER
        change = outage.begin if stage == 0 else outage.end if stage == 1 else FOREVER
        k, then = furthest_behind(f)
        if k >= 0 and f.now[k] < min(next_question, change):
            for _ in range(_step(c, r, f, k, limits, min(next_question, change, then))):
                size = _push(heap, size, f.now[k] + think[ended])
                ended += 1
            line_up(f, k)
            continue
        if change <= next_question and change < FOREVER:
            for j in range(outage.first, outage.last):
                if stage == 0:
                    held = drop(f, j, lost, held, limits)
                else:
                    f.up[j], f.now[j], f.free[j] = 1, change, change
            again = held if stage == 0 else again
            held = resend(r, f, lost, held, change, limits, policy)
            line_up_all(f)
            stage += 1
            continue
        r.arrive[asked] = next_question
        size = _pop(heap, size)
        k = route(r, f, policy, asked)
        if k < 0:
            lost[held] = asked
            held += 1
        else:
            if f.batch[k] == 0 and f.head[k] == f.tail[k]:
                f.now[k] = max(f.now[k], next_question)
            send(r, f, k, asked, next_question, limits)
            line_up(f, k)
        asked += 1
    return again
