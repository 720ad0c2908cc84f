"""One replica under a load pattern: the reference for behaviour under load.

Cheap to import; the event loop is imported when a simulation runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from optimizer.performance.step import StepCoefficients

Floats = npt.NDArray[np.float64]

SEED = 20260101
"""Lengths and arrivals are drawn from this seed: the same question gives the same answer."""


class Arrivals(StrEnum):
    """How requests reach the replica."""

    BURST = "burst"  # closed loop, all slots filled at t = 0
    STEADY = "steady"  # closed loop, slots filled one after another over one request's duration
    POISSON = "poisson"  # open loop


@dataclass(frozen=True, slots=True)
class Settings:
    """Scheduler, cache and front end of a replica."""

    max_seqs: int
    token_budget: int
    kv_tokens: float
    frontend_s: float
    service_s: float
    mixed: bool = True
    reserve: float = 0.0
    poll_steps: float = 1.0
    lag_steps: float = 0.0  # steps between the making of a token and its delivery
    drafts: tuple[int, float] = (0, 0.0)  # tokens drafted in a step, and the chance that one is accepted
    host_tokens: float = 0.0  # of KV cache in the memory of the host; 0: nothing is kept there
    load_s: float = 0.0  # seconds to bring in one of them
    load_floor_s: float = 0.0  # seconds that any load takes


@dataclass(frozen=True, slots=True)
class Pattern:
    """A load pattern. ``length_low`` < 1: uniform lengths from that share of nominal; ``*_sigma``: lognormal."""

    arrivals: Arrivals
    requests: int
    input_tokens: float
    output_tokens: float
    concurrency: int = 1
    rate: float = 0.0  # requests per second, POISSON
    cap: int = 0  # POISSON: most requests that the client lets be in flight, others wait unsent; 0: any number
    length_low: float = 1.0
    input_sigma: float = 0.0
    output_sigma: float = 0.0
    context_max: float = 1e9
    shared_prefix: float = 0.0
    spread_s: float = 0.0  # STEADY: time over which the slots are filled


@dataclass(frozen=True, slots=True)
class ReplicaTrace:
    """What happened to each measured request; seconds and tokens."""

    ttft: Floats
    tpot: Floats
    e2e: Floats
    output: Floats
    duration: float
    output_tokens_per_second: float


def draw_lengths(pattern: Pattern, count: int) -> tuple[Floats, Floats]:
    """Prompt and output lengths of ``count`` requests, means as stated."""
    rng = np.random.default_rng(SEED)
    drawn = []
    for mean, sigma in ((pattern.input_tokens, pattern.input_sigma), (pattern.output_tokens, pattern.output_sigma)):
        if sigma > 0:
            values = mean * np.exp(sigma * rng.standard_normal(count) - 0.5 * sigma**2)
        elif pattern.length_low < 1.0:
            top = 2.0 * mean / (1.0 + pattern.length_low)
            values = top * rng.uniform(pattern.length_low, 1.0, count)
        else:
            values = np.full(count, mean)
        drawn.append(np.maximum(np.rint(values), 1.0))
    prompt, output = drawn
    prompt = np.minimum(prompt, max(pattern.context_max - 1.0, 1.0))
    return prompt, np.maximum(np.minimum(output, pattern.context_max - prompt), 1.0)


def simulate(c: StepCoefficients, settings: Settings, pattern: Pattern) -> ReplicaTrace:
    """Replay ``pattern`` on the replica whose step times are ``c`` (one row, floats)."""
    from optimizer.simulate.admission import ReplicaLimits, Requests
    from optimizer.simulate.loop import room_for, run

    count = max(pattern.requests, 1)
    steady = pattern.arrivals is Arrivals.STEADY
    warm = pattern.concurrency if steady else 0
    total = count + warm
    prompt, output = draw_lengths(pattern, total)
    arrive = np.zeros(total)
    given = min(pattern.concurrency, total)
    if pattern.arrivals is Arrivals.POISSON:
        given = min(pattern.cap, total) if pattern.cap else total
        arrive = np.cumsum(np.random.default_rng(SEED + 1).exponential(1.0 / pattern.rate, total))
    elif steady:
        arrive[:given] = np.arange(given) * (pattern.spread_s / given)
    blank = [np.zeros(total) for _ in range(8)]
    pace = np.ones(total)
    ready, first, finish, done, made, due, late, admit = blank
    cached = np.floor(pattern.shared_prefix * prompt)
    requests = Requests(arrive, ready, first, finish, prompt, cached, output, done, made, due, late, admit, pace)
    limits = ReplicaLimits(
        settings.max_seqs, settings.token_budget, float(settings.kv_tokens), settings.frontend_s, settings.service_s,
        settings.mixed, settings.poll_steps, settings.reserve,
    )  # fmt: skip
    capped = given < total and pattern.arrivals is Arrivals.POISSON
    end = float(run(c, requests, limits, given, *room_for(limits, total), capped))
    keep = slice(warm, total)
    delay = settings.lag_steps * late
    begin = float(arrive[warm] if warm < total else 0.0)
    rate = output.sum() / max(end, 1e-9)
    if warm:  # the tail in which no client sends any more does not count
        last = float(arrive.max())
        seen = np.minimum(finish, last) - np.maximum(first, begin)
        overlap = np.clip(seen / np.maximum(finish - first, 1e-9), 0.0, 1.0)
        rate = float((output * overlap).sum()) / max(last - begin, 1e-9)
    gaps = np.maximum(output[keep] - 1.0, 1.0)
    return ReplicaTrace(
        ttft=first[keep] - arrive[keep] + delay[keep],
        tpot=(finish[keep] - first[keep]) / gaps,
        e2e=finish[keep] - arrive[keep] + delay[keep],
        output=output[keep],
        duration=end,
        output_tokens_per_second=float(rate),
    )
