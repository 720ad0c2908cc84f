"""The event loop of one replica: continuous batching as vLLM, SGLang and TensorRT-LLM do it.

Import this module only where a simulation is about to run: it imports numba. Every function is plain arithmetic on
arrays, compiled where numba is installed and interpreted where it is not.

One pass of the loop is one engine step, except that steps without prompt work are taken many at a time, up to the next
event (a request ends, a request arrives, the cache fills), at the step time of the middle of that stretch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from optimizer.performance.step import StepCoefficients, step_seconds
from optimizer.simulate.jit import jit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Limits(NamedTuple):
    """What bounds a replica: scheduler settings, cache size and the front end."""

    max_seqs: int
    token_budget: int  # max_num_batched_tokens
    kv_tokens: float  # cache capacity
    frontend_s: float  # HTTP, tokenization, way to the engine, per request
    service_s: float  # the front end handles one request at a time for this long
    mixed: bool  # prompt and decode share steps (vLLM, TensorRT-LLM); else prompts go first, alone (SGLang)
    poll_steps: float  # decode steps between two looks at the queue (SGLang --scheduler-recv-interval)
    reserve: float  # share of the output still to come that admission keeps room for (TensorRT-LLM: all)


class Requests(NamedTuple):
    """Requests in order of issue and what becomes of them. Times in seconds, lengths in tokens."""

    arrive: Floats  # when the client sends it; in a closed loop only the first ones are given
    ready: Floats  # when the engine sees it
    first: Floats  # first token
    finish: Floats  # last token
    prompt: Floats
    cached: Floats  # prompt tokens found in the prefix cache
    output: Floats
    done: Floats  # prompt tokens in the KV cache (after preemption: to be redone)
    made: Floats  # output tokens made
    due: Floats  # 1 where the step under way puts out a token
    late: Floats  # what the step after the first token took: overlapped schedulers deliver a step late
    admit: Floats  # when it went from the queue into the batch, the last time it did


_step = jit(step_seconds)


@jit
def _issue(r: Requests, index: int, when: float, free: float, limits: Limits) -> float:
    """A client sends request ``index``; returns when the front end is free again."""
    r.arrive[index] = when
    begin = max(when, free)
    r.ready[index] = begin + limits.service_s + limits.frontend_s
    return begin + limits.service_s


@jit
def _enqueue(r: Requests, queue: Ints, head: int, tail: int, index: int) -> int:
    """Insert a request into the queue, which is kept in order of arrival at the engine; returns the new tail."""
    place = tail
    while place > head and r.ready[queue[place - 1]] > r.ready[index]:
        queue[place] = queue[place - 1]
        place -= 1
    queue[place] = index
    return tail + 1


@jit
def _admit(
    r: Requests, queue: Ints, span: tuple[int, int], active: Ints, count: int, used: float, now: float, limits: Limits
) -> tuple[int, int, float]:
    """Move waiting requests that are ready and fit into the batch; returns queue head, batch size and tokens held."""
    head, tail = span
    budget, promised = float(limits.token_budget), 0.0
    for k in range(count):
        i = active[k]
        budget -= max(r.prompt[i] + r.made[i] - r.done[i], 1.0)
        promised += limits.reserve * (r.output[i] - r.made[i])
    while head < tail and count < limits.max_seqs and budget > 0:
        i = queue[head]
        if r.ready[i] > now:
            break
        held = r.prompt[i] + r.made[i]
        wanted = limits.reserve * (r.output[i] - r.made[i])
        if used + promised + held + wanted + 1.0 > limits.kv_tokens and count > 0:
            break
        r.done[i] = min(r.cached[i], r.prompt[i] - 1.0)
        used += held
        promised += wanted
        budget -= held - r.done[i]
        active[count] = i
        r.admit[i] = now
        count += 1
        head += 1
    return head, count, used


@jit
def _has_prompts(r: Requests, active: Ints, count: int) -> bool:
    """Whether any resident request has prompt work left."""
    for k in range(count):  # noqa: SIM110 (numba compiles no generator expressions)
        if r.done[active[k]] < r.prompt[active[k]] + r.made[active[k]]:
            return True
    return False


@jit
def _prompt_step(c: StepCoefficients, r: Requests, active: Ints, count: int, limits: Limits) -> float:
    """Seconds of one step with prompt work, which fills the token budget in order of admission."""
    batch, kv = 0.0, 0.0
    for k in range(count):
        i = active[k]
        if r.done[i] >= r.prompt[i] + r.made[i]:
            batch += 1.0
            kv += r.done[i]
    if not limits.mixed:
        batch, kv = 0.0, 0.0
    left = max(limits.token_budget - batch, 1.0)
    tokens, pairs = 0.0, 0.0
    for k in range(count):
        i = active[k]
        missing = r.prompt[i] + r.made[i] - r.done[i]
        if missing > 0.0 and left > 0.0:
            chunk = min(missing, left)
            pairs += chunk * (r.done[i] + 0.5 * chunk)
            r.done[i] += chunk
            tokens += chunk
            left -= chunk
            if chunk == missing:
                r.due[i] = 1.0
        elif missing <= 0.0 and limits.mixed:
            r.due[i] = 1.0
    seconds: float = _step(c, batch, kv, tokens, pairs / max(tokens, 1.0))
    return seconds


@jit
def _emit(r: Requests, active: Ints, count: int, now: float) -> float:
    """Requests that are due put out one token at ``now``; returns how many did."""
    emitted = 0.0
    for k in range(count):
        i = active[k]
        if r.due[i] > 0.0:
            r.due[i] = 0.0
            r.made[i] += 1.0
            r.done[i] = r.prompt[i] + r.made[i]
            emitted += 1.0
            if r.made[i] == 1.0:
                r.first[i] = now
    return emitted


@jit
def _deliver(r: Requests, active: Ints, count: int, seconds: float) -> None:
    """Requests whose first token came out of the step before note how long this one takes."""
    for k in range(count):
        i = active[k]
        if r.made[i] == 1.0 and r.late[i] == 0.0:
            r.late[i] = seconds


@jit
def _stretch(
    c: StepCoefficients,
    r: Requests,
    active: Ints,
    count: int,
    room: float,
    horizon: tuple[float, float, float],
) -> tuple[float, float]:
    """Steps without prompt work until a request ends, ``room`` tokens are used up or the scheduler admits requests.

    ``horizon``: seconds until a request is there to be admitted, steps until the scheduler looks at the queue next,
    and steps between two such looks. Returns how many steps and their seconds.
    """
    until, pause, interval = horizon
    kv, least = 0.0, 1e18
    for k in range(count):
        i = active[k]
        kv += r.done[i]
        least = min(least, r.output[i] - r.made[i])
    steps = max(min(least, np.floor(room / count)), 1.0)
    once = _step(c, float(count), kv, 0.0, 0.0)
    if steps * once > until:
        late = max(np.ceil(until / once) - pause, 0.0)
        steps = min(steps, pause + np.ceil(late / interval) * interval)
    return steps, steps * _step(c, float(count), kv + 0.5 * count * (steps - 1.0), 0.0, 0.0)


@jit
def _advance(
    c: StepCoefficients, r: Requests, active: Ints, count: int, used: float, limits: Limits,
    horizon: tuple[float, float, float], now: float,
) -> tuple[float, float, float]:  # fmt: skip
    """One step with prompt work, else a stretch of steps without; returns seconds, steps and tokens held after."""
    if _has_prompts(r, active, count):
        seconds = _prompt_step(c, r, active, count, limits)
        _deliver(r, active, count, seconds)
        return seconds, 1.0, used + _emit(r, active, count, now + seconds)
    steps, seconds = _stretch(c, r, active, count, limits.kv_tokens - used, horizon)
    _deliver(r, active, count, seconds / steps)
    for k in range(count):
        r.made[active[k]] += steps
        r.done[active[k]] += steps
    return seconds, steps, used + steps * count


@jit
def _retire(r: Requests, active: Ints, count: int, used: float, now: float) -> tuple[int, float]:
    """Take requests that are complete out of the batch; returns its size and tokens held."""
    kept = 0
    for k in range(count):
        i = active[k]
        if r.made[i] < r.output[i]:
            active[kept] = i
            kept += 1
        else:
            r.finish[i] = now
            used -= r.prompt[i] + r.made[i]
    return kept, used


@jit
def run(c: StepCoefficients, r: Requests, limits: Limits, given: int) -> float:
    """Serve all requests; the first ``given`` arrive at their stated times, each later one when an earlier one ends.

    Fills ``first`` and ``finish``; returns the time the last request ended. When the cache is full the newest requests
    are put back and redone from their prompt and tokens so far, as vLLM does; nothing is admitted until one ends.
    """
    total = r.prompt.size
    queue = np.empty(total, np.int64)
    active = np.empty(min(limits.max_seqs, total) + 1, np.int64)
    head, tail, count, ended = 0, 0, 0, 0
    used, now, free = 0.0, 0.0, 0.0
    for i in range(given):
        free = _issue(r, i, r.arrive[i], free, limits)
        tail = _enqueue(r, queue, head, tail, i)
    issued = given
    free = free if r.arrive[given - 1] == 0.0 else 0.0  # spread arrivals leave no backlog
    blocked, ticks, interval = False, 0.0, max(np.rint(limits.poll_steps), 1.0)
    while ended < total:
        looked = not blocked and (count == 0 or ticks % interval == 0.0)
        if looked:
            head, count, used = _admit(r, queue, (head, tail), active, count, used, now, limits)
        if count == 0:
            now = max(now, r.ready[queue[head]])
            continue
        until = 1e18  # nobody to admit before a request ends
        if head < tail and count < limits.max_seqs and not blocked:
            wait = r.ready[queue[head]] - now
            until = max(wait, 0.0) if wait > 0.0 or not looked else until
        horizon = (until, interval - ticks % interval, interval)
        seconds, steps, used = _advance(c, r, active, count, used, limits, horizon, now)
        now += seconds
        ticks += steps
        left, used = _retire(r, active, count, used, now)
        for _ in range(count - left):
            ended += 1
            blocked = False
            if issued < total:
                free = _issue(r, issued, now, free, limits)
                tail = _enqueue(r, queue, head, tail, issued)
                issued += 1
        count = left
        while count > 1 and used + count > limits.kv_tokens:
            count -= 1
            head -= 1
            queue[head] = active[count]
            used -= r.prompt[active[count]] + r.made[active[count]]
            blocked = True
    return now
