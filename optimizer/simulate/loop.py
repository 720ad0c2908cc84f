"""The event loop of one replica: continuous batching as vLLM, SGLang and TensorRT-LLM do it.

One pass of the loop is one engine step, or a stretch of steps without prompt work up to the next event (a request ends,
a request arrives, the cache fills).
"""

from __future__ import annotations

import numpy as np

from optimizer.performance.step import StepCoefficients
from optimizer.simulate.admission import Ints, ReplicaLimits, Requests, admit, enqueue, fitting, issue, retire
from optimizer.simulate.compiled import entry
from optimizer.simulate.engine_step import advance


@entry
def run(
    c: StepCoefficients, r: Requests, limits: ReplicaLimits, given: int, queue: Ints, active: Ints, capped: bool
) -> float:
    """Serve all requests; the first ``given`` arrive at their stated times, each later one when an earlier one ends,
    or, where the number in flight is only ``capped``, at its own stated time if that is later.

    ``queue`` holds as many entries as there are requests, ``active`` one more than the batch may (see ``room_for``).
    Fills ``first`` and ``finish``; returns the time the last request ended. When the cache is full the newest requests
    are put back and redone from their prompt and tokens so far, as vLLM does; nothing is admitted until one ends.
    From then on, while others wait, no more run at once than then fitted (``fitting``): SGLang raises the room it keeps
    for outputs after putting one back, and no engine that is loaded beyond its cache gains by taking in what it will
    put back again.
    """
    total = r.prompt.size
    head, tail, count, ended = 0, 0, 0, 0
    used, now, free = 0.0, 0.0, 0.0
    for i in range(given):
        free = issue(r, i, r.arrive[i], free, limits)
        tail = enqueue(r, queue, head, tail, i)
    issued = given
    free = free if r.arrive[given - 1] == 0.0 else 0.0  # spread arrivals leave no backlog
    most, blocked = limits.max_seqs, False
    ticks, interval = 0.0, max(np.rint(limits.poll_steps), 1.0)
    while ended < total:
        looked = not blocked and (count == 0 or (count < most and ticks % interval == 0.0))
        if looked:
            head, count, used = admit(r, queue, (head, tail), active, (count, most), used, now, limits)
        if head == tail:
            most = limits.max_seqs
        if count == 0:
            now = max(now, r.ready[queue[head]])
            continue
        until = 1e18  # nobody to admit before a request ends
        if head < tail and count < most and not blocked:
            wait = r.ready[queue[head]] - now
            until = max(wait, 0.0) if wait > 0.0 or not looked else until
        horizon = (until, interval - ticks % interval, interval)
        seconds, steps, used = advance(c, r, active, count, used, limits, horizon, now)
        now += seconds
        ticks += steps
        left, used = retire(r, active, count, used, now)
        for _ in range(count - left):
            ended += 1
            blocked = False
            if issued < total:
                when = max(now, r.arrive[issued]) if capped else now
                free = issue(r, issued, when, free, limits)
                tail = enqueue(r, queue, head, tail, issued)
                issued += 1
        count = left
        while count > 1 and used + count > limits.kv_tokens:
            count -= 1
            head -= 1
            queue[head] = active[count]
            used -= r.prompt[active[count]] + r.made[active[count]]
            blocked = True
        if blocked:
            most = min(limits.max_seqs, max(count, fitting(r, active, count, limits)))
    return now


def room_for(limits: ReplicaLimits, total: int) -> tuple[Ints, Ints]:
    """The queue and the batch that ``run`` works in."""
    return np.empty(total, np.int64), np.empty(min(limits.max_seqs, total) + 1, np.int64)
