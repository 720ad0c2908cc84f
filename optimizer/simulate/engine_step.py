"""Engine steps of one replica: which tokens a step makes, how long it takes, who gets one.

Steps without prompt work are taken many at a time, at the step time of the middle of the stretch. With speculative
decoding a request gets its own mean number of tokens out of each of its steps; how many steps it takes was drawn.
"""

from __future__ import annotations

import numpy as np

from optimizer.performance.step import StepCoefficients, step_seconds
from optimizer.simulate.admission import HAIR, Ints, ReplicaLimits, Requests
from optimizer.simulate.compiled import kernel

_step = kernel(step_seconds)


@kernel
def _prompt_step(c: StepCoefficients, r: Requests, active: Ints, count: int, limits: ReplicaLimits) -> float:
    """Seconds of one step with prompt work, which fills the token budget in order of admission."""
    batch, kv = 0.0, 0.0
    for k in range(count):
        i = active[k]
        if r.done[i] >= r.prompt[i] + r.made[i]:
            batch += 1.0
            kv += r.done[i]
    if not limits.mixed:
        batch, kv = 0.0, 0.0
    left = max(limits.token_budget - batch * (1.0 + c.drafted), 1.0)
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


@kernel
def _emit(r: Requests, active: Ints, count: int, now: float) -> float:
    """Requests that are due put out what a step yields at ``now``, the first time one token; returns the tokens."""
    emitted = 0.0
    for k in range(count):
        i = active[k]
        if r.due[i] > 0.0:
            r.due[i] = 0.0
            tokens = r.pace[i] if r.made[i] > 0.0 else 1.0
            r.made[i] += tokens
            r.done[i] = r.prompt[i] + r.made[i]
            emitted += tokens
            if r.made[i] == 1.0:
                r.first[i] = now
    return emitted


@kernel
def _deliver(r: Requests, active: Ints, count: int, seconds: float) -> None:
    """Requests whose first token came out of the step before note how long this one takes."""
    for k in range(count):
        i = active[k]
        if r.made[i] == 1.0 and r.late[i] == 0.0:
            r.late[i] = seconds


@kernel
def _decoding(r: Requests, active: Ints, count: int) -> tuple[float, float, float]:
    """Tokens of KV that a batch without prompt work holds, tokens that a step of it yields, and steps until a request
    of it ends; no tokens are yielded where any request has prompt work left."""
    kv, pace, least = 0.0, 0.0, 1e18
    for k in range(count):
        i = active[k]
        if r.done[i] < r.prompt[i] + r.made[i]:
            return kv, 0.0, least
        kv += r.done[i]
        pace += r.pace[i]
        least = min(least, np.ceil((r.output[i] - r.made[i]) / r.pace[i] - HAIR))
    return kv, pace, least


@kernel
def _stretch(
    c: StepCoefficients, count: int, batch: tuple[float, float, float], room: float, horizon: tuple[float, float, float]
) -> tuple[float, float]:
    """Steps without prompt work until a request ends, ``room`` tokens are used up or the scheduler admits requests.

    ``batch``: what ``_decoding`` says of it; ``horizon``: seconds until a request is there to be admitted, steps until
    the scheduler looks at the queue next, and steps between two such looks. Returns how many steps and their seconds.
    """
    until, pause, interval = horizon
    kv, pace, least = batch
    steps = max(min(least, np.floor(room / pace)), 1.0)
    once: float = _step(c, float(count), kv, 0.0, 0.0)
    if steps * once > until:
        late = max(np.ceil(until / once) - pause, 0.0)
        steps = min(steps, pause + np.ceil(late / interval) * interval)
    if steps == 1.0:
        return steps, once
    return steps, steps * _step(c, float(count), kv + 0.5 * pace * (steps - 1.0), 0.0, 0.0)


@kernel
def advance(
    c: StepCoefficients, r: Requests, active: Ints, count: int, used: float, limits: ReplicaLimits,
    horizon: tuple[float, float, float], now: float,
) -> tuple[float, float, float]:  # fmt: skip
    """One step with prompt work, else a stretch of steps without; returns seconds, steps and tokens held after."""
    batch = _decoding(r, active, count)
    pace = batch[1]
    if pace == 0.0:
        seconds = _prompt_step(c, r, active, count, limits)
        _deliver(r, active, count, seconds)
        return seconds, 1.0, used + _emit(r, active, count, now + seconds)
    steps, seconds = _stretch(c, count, batch, limits.kv_tokens - used, horizon)
    once = seconds / steps
    for k in range(count):
        i = active[k]
        if r.made[i] == 1.0 and r.late[i] == 0.0:
            r.late[i] = once
        r.made[i] += steps * r.pace[i]
        r.done[i] = r.prompt[i] + r.made[i]
    return seconds, steps, used + steps * pace
