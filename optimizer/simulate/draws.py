"""Random draws of a replay: arrivals and token lengths, each from a stream of its own and a fixed seed.

Taking more draws from a stream leaves the earlier ones as they were, so a longer replay continues a shorter one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from optimizer.demand import Lengths
from optimizer.performance.lengths import sigma_of
from optimizer.performance.speculation import token_variance, tokens_per_step
from optimizer.session_turns import drawn_turns
from optimizer.vocabulary import Router

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SEED = 20260101
"""The same question gives the same answer, byte by byte."""

_INPUT, _OUTPUT, _ARRIVAL, _CLASS, _THINK, _FIRST, _TURN, _LUCK, _HOME, _DRAFT = 1, 2, 3, 4, 5, 6, 11, 12, 13, 14


_SESSIONS = 2_000
"""Sessions whose turns stand for all where requests are sent one by one."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Requests in order of arrival; seconds and tokens."""

    arrive: Floats
    prompt: Floats
    output: Floats
    cached: Floats  # prompt tokens that a warm prefix cache holds
    length_class: Ints | None = None  # which class of a mix each request is of


def lengths_for(lengths: Lengths, count: int, seed: int = SEED) -> tuple[Floats, Floats]:
    """Prompt and output tokens of ``count`` requests, clipped as the closed form clips them (design section 3)."""
    if lengths.classes:
        of_class = classes_for(lengths, count, seed)
        drawn = [lengths_for(one.lengths, count, seed) for one in lengths.classes]
        prompt, output = (np.choose(of_class, [pair[column] for pair in drawn]) for column in (0, 1))
        return prompt, output
    if lengths.sessions is not None:
        turns = drawn_turns(lengths.sessions, lengths.context_max, _SESSIONS, np.random.default_rng([seed, _TURN]))
        which = np.random.default_rng([seed, _INPUT]).integers(0, turns.input.size, count)
        return turns.input[which], turns.output[which]
    if lengths.histogram is not None:
        ends = np.cumsum(lengths.histogram.share)
        places = np.random.default_rng([seed, _INPUT]).random(count) * ends[-1]
        rows = np.minimum(np.searchsorted(ends, places, side="right"), ends.size - 1)
        sent, made = np.array(lengths.histogram.whole(lengths.context_max), np.float64).T
        return sent[rows], made[rows]
    output = _lognormal(lengths.output_mean, lengths.output_p95, count, seed, _OUTPUT)
    output = np.clip(np.rint(output), 1.0, max(lengths.context_max - 1.0, 1.0))
    prompt = _lognormal(lengths.input_mean, lengths.input_p95, count, seed, _INPUT)
    return np.clip(np.rint(prompt), 1.0, np.maximum(lengths.context_max - output, 1.0)), output


def classes_for(lengths: Lengths, count: int, seed: int = SEED) -> Ints:
    """Which length class of a mix each of ``count`` requests is of, by number."""
    ends = np.cumsum([one.share for one in lengths.classes])
    places = np.random.default_rng([seed, _CLASS]).random(count)
    return np.minimum(np.searchsorted(ends, places, side="right"), len(ends) - 1)


def poisson(rate: float, count: int, seed: int = SEED) -> Floats:
    """Arrival times of ``count`` requests at ``rate`` per second."""
    gaps = np.random.default_rng([seed, _ARRIVAL]).exponential(1.0 / rate, count)
    return np.asarray(np.cumsum(gaps))


def thinking(think_s: float, count: int, seed: int = SEED) -> Floats:
    """Seconds that people think before each of ``count`` questions: exponential with that mean."""
    return np.asarray(np.random.default_rng([seed, _THINK]).exponential(1.0, count) * think_s)


def first_questions(people: int, cycle_s: float, seed: int = SEED) -> Floats:
    """When each person asks first, ascending: at any moment of a cycle alike, as if they had long been there."""
    return np.asarray(np.sort(np.random.default_rng([seed, _FIRST]).random(people)) * cycle_s)


def stream(arrive: Floats, lengths: Lengths, seed: int = SEED) -> Stream:
    """Requests that arrive at given times, with the lengths of a workload."""
    prompt, output = lengths_for(lengths, arrive.size, seed)
    of_class = classes_for(lengths, arrive.size, seed) if lengths.classes else None
    return Stream(arrive, prompt, output, np.floor(lengths.shared_prefix * prompt), of_class)


def routed(given: Stream, lengths: Lengths, replicas: int, router: Router, homes: int = 1, seed: int = SEED) -> Stream:
    """The stream with the prefix hits that a router leaves of it.

    A prefix that ``n`` requests share (turns of a session, questions to a document) is in the cache of the replicas
    that its earlier requests went to. The ``j``-th of them finds it with certainty where all go to one replica
    (``prefix_affinity``); the other routers pay no heed to prefixes, so its ``j - 1`` forerunners lie on any of the
    ``R`` replicas alike and it finds one with probability ``1 - (1 - 1/R)^(j - 1)``. ``shared_prefix`` is the share
    found with affinity on one cache, so a request that finds its prefix finds ``shared_prefix x n / (n - 1)`` of its
    input. Without a stated ``n`` all requests share one prefix, which every replica holds after its first. ``homes``:
    caches among which the replica that a prefix is kept on deals its requests (its attention ranks).
    """
    n = lengths.requests_per_prefix
    if n is None or lengths.shared_prefix == 0.0:
        return given
    count = given.arrive.size
    before = np.random.default_rng([seed, _TURN]).integers(0, n, count)
    luck = np.random.default_rng([seed, _LUCK]).random(count)
    places = homes if router is Router.PREFIX_AFFINITY else replicas
    found = luck < 1.0 - (1.0 - 1.0 / places) ** before
    cached = np.floor(lengths.shared_prefix * n / (n - 1) * given.prompt)
    return replace(given, cached=np.where(found, cached, 0.0))


def homes(count: int, replicas: int, seed: int = SEED) -> Ints:
    """The replica that the prefix of each request is always sent to, as a hash spreads them."""
    return np.random.default_rng([seed, _HOME]).integers(0, replicas, count)


def paces(output: Floats, drafted: int, acceptance: float, seed: int = SEED) -> Floats:
    """Tokens that each request gets out of a step after its first one, as its luck with the drafts has it.

    A step yields 1 + the drafts accepted, so the steps of T further tokens are a renewal count: mean (T + o) / m and
    variance T v / m^3, where m and v are the mean and variance of a step's yield X, and o = E[X^2] / 2m - 1/2 is what
    the last step yields beyond the end (Feller, "An Introduction to Probability Theory and Its Applications" II, XI).
    At least T / (1 + k) of them, at most T; every request takes a whole number of steps.
    """
    if not drafted:
        return np.ones(output.size)
    left = np.maximum(output - 1.0, 1.0)
    mean, variance = tokens_per_step(acceptance, drafted), token_variance(acceptance, drafted)
    overshoot = (variance + mean**2) / (2.0 * mean) - 0.5
    luck = np.random.default_rng([seed, _DRAFT]).standard_normal(output.size)
    steps = np.rint((left + overshoot) / mean + luck * np.sqrt(left * variance / mean**3))
    return np.asarray(left / np.clip(steps, np.ceil(left / (1.0 + drafted)), left))


def _lognormal(mean: float, p95: float | None, count: int, seed: int, column: int) -> Floats:
    sigma = sigma_of(mean, p95)
    if sigma == 0.0:
        return np.full(count, mean)
    scores = np.random.default_rng([seed, column]).standard_normal(count)
    return np.asarray(np.exp(sigma * scores + math.log(mean) - 0.5 * sigma**2))
