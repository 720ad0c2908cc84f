"""A benchmark run, simulated as its client sends it: from an idle server, every request measured.

The data set is the one that the launch files generate: prefixes of groups of requests, of which some are open at a
time, as sessions or documents are.
"""

from __future__ import annotations

import math

import numpy as np

from optimizer.demand import Lengths
from optimizer.plan.experiment import LoadTest
from optimizer.simulate.draws import SEED, Floats, Ints, Stream, classes_for, lengths_for, poisson
from optimizer.simulate.fleet import Served, hold, serve
from optimizer.simulate.replay import Replica
from optimizer.vocabulary import Router

OPEN_GROUPS = 32
"""Prefixes in use at a time; each request takes one of them at random, until as many as share it have."""

SEEDS = 4
"""Runs that a prediction of a test is the mean of."""

_PREFIX, _PLACE = 21, 22


def sent(test: LoadTest, seed: int = SEED) -> Stream:
    """What the client sends in one run, with the prompt tokens that are found in the cache."""
    lengths, count = test.lengths, test.requests
    prompt, output = lengths_for(lengths, count, seed)
    arrive = np.zeros(count)
    if test.rate is not None:
        arrive = poisson(test.rate, count, seed) if test.cap is None else np.arange(count) / test.rate
    of_class = classes_for(lengths, count, seed) if lengths.classes else None
    places = 1 if test.router is Router.PREFIX_AFFINITY else test.replicas
    if lengths.shared_prefix == 0.0:
        return Stream(arrive, prompt, output, np.zeros(count), of_class)
    if lengths.requests_per_prefix is None:
        begins = np.minimum(np.floor(lengths.shared_prefix * prompt), prompt - 1.0)
        before = np.concatenate(([0.0], np.maximum.accumulate(begins)[:-1]))
        return Stream(arrive, prompt, output, np.minimum(begins, before), of_class)
    grouped, cached = _grouped(lengths, (prompt, output), of_class, places, seed)
    return Stream(arrive, grouped, output, cached, of_class)


def _grouped(
    lengths: Lengths, drawn: tuple[Floats, Floats], of_class: Ints | None, places: int, seed: int
) -> tuple[Floats, Floats]:
    """Prompts of requests that share prefixes in groups, and how much of each is found in the cache.

    A group takes the prompt length of the request that opens it, as turns of a session or questions to a document are
    about as long, so that lengths stay as distributed. Of ``n`` requests the ``n - 1`` that come later find
    ``n / (n - 1)`` times the stated share, each if an earlier one went to the replica that it goes to.
    """
    assert lengths.requests_per_prefix is not None
    prompt, output = drawn[0].copy(), drawn[1]
    n, longest = lengths.requests_per_prefix, float(lengths.context_max)
    share = lengths.shared_prefix * n / (n - 1)
    taken = np.random.default_rng([seed, _PREFIX]).integers(0, OPEN_GROUPS, prompt.size)
    luck = np.random.default_rng([seed, _PLACE]).random(prompt.size)
    kinds = max(len(lengths.classes), 1)
    size, members, begun = (np.zeros((kinds, OPEN_GROUPS)) for _ in range(3))
    cached = np.zeros(prompt.size)
    for request, group in enumerate(taken):
        at = (0 if of_class is None else int(of_class[request]), group)
        if members[at] == 0:
            size[at], begun[at] = prompt[request], 0.0
        prompt[request] = min(size[at], max(longest - output[request], 1.0))
        begin = min(math.floor(share * prompt[request]), prompt[request] - 1.0)
        if luck[request] < 1.0 - (1.0 - 1.0 / places) ** members[at]:
            cached[request] = min(begin, begun[at])
        begun[at] = max(begun[at], begin)
        members[at] = (members[at] + 1) % n
    return prompt, cached


def run_test(replica: Replica, test: LoadTest, seed: int = SEED) -> Served:
    """What becomes of every request of one run."""
    given = sent(test, seed)
    if test.rate is None:
        return hold(replica.c, replica.closed_loop, given, test.cap or test.requests)
    if test.cap is not None:
        return hold(replica.c, replica.closed_loop, given, test.cap, capped=True)
    return serve(replica.c, replica.open_loop, given, test.replicas, test.router)


def runs_of(replica: Replica, test: LoadTest) -> list[Served]:
    """Several runs, each with a seed of its own."""
    return [run_test(replica, test, SEED + number) for number in range(SEEDS)]


def output_rate(served: Served) -> float:
    """Output tokens per second as a client reports them: all of them over the time the run took."""
    return float(served.output.sum() / max(float(served.finish.max() - served.arrive.min()), 1e-9))
