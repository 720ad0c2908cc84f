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

SIMILAR = 1.25
"""Requests that share a prefix are as long as each other within this factor."""

OPEN_GROUPS = 2
"""Prefixes in use at a time for requests of about one length; each takes one at random, until all who share it have."""

SEEDS = 6
"""Runs that a prediction of a test is the mean of."""

_PREFIX, _PLACE = 21, 22


def sent(test: LoadTest, seed: int = SEED) -> Stream:
    """What the client sends in one run, with the prompt tokens that are found in the cache.

    Of requests that are held, or there at once, what one of the engines gets, which is alike for all.
    """
    lengths, count = test.lengths, math.ceil(test.requests / _alike(test))
    prompt, output = lengths_for(lengths, count, seed)
    arrive = np.zeros(count)
    if test.rate is not None:
        rate = test.rate / _alike(test)
        arrive = poisson(rate, count, seed) if test.cap is None else np.arange(count) / rate
    of_class = classes_for(lengths, count, seed) if lengths.classes else None
    places = test.ranks if test.router is Router.PREFIX_AFFINITY else test.engines
    if lengths.shared_prefix == 0.0:
        return Stream(arrive, prompt, output, np.zeros(count), of_class)
    if lengths.requests_per_prefix is None:
        begins = np.minimum(np.floor(lengths.shared_prefix * prompt), prompt - 1.0)
        before = np.concatenate(([0.0], np.maximum.accumulate(begins)[:-1]))
        return Stream(arrive, prompt, output, np.minimum(begins, before), of_class)
    cached = _found(lengths, prompt, of_class, places, seed)
    return Stream(arrive, prompt, output, cached, of_class)


def _found(lengths: Lengths, prompt: Floats, of_class: Ints | None, places: int, seed: int) -> Floats:
    """Prompt tokens of each request that earlier ones of its group left in the cache of the replica that it goes to.

    Requests that share a prefix are about as long, as turns of a session or questions to a document are; lengths stay
    independent of each other. Of ``n`` requests the ``n - 1`` that come later find ``n / (n - 1)`` times the stated
    share of a prompt of that length, each if an earlier one went to the same replica.
    """
    n = lengths.requests_per_prefix
    assert n is not None
    share = lengths.shared_prefix * n / (n - 1)
    slots = np.random.default_rng([seed, _PREFIX]).integers(0, OPEN_GROUPS, prompt.size)
    luck = np.random.default_rng([seed, _PLACE]).random(prompt.size)
    sizes = np.floor(np.log(prompt) / math.log(SIMILAR))
    begins = np.minimum(np.floor(share * SIMILAR ** (sizes + 0.5)), prompt - 1.0)
    classes = np.zeros(prompt.size, np.int64) if of_class is None else of_class
    members: dict[tuple[int, ...], int] = {}
    cached = np.zeros(prompt.size)
    for request, at in enumerate(zip(classes.tolist(), sizes.astype(int).tolist(), slots.tolist(), strict=True)):
        before = members.get(at, 0)
        if luck[request] < 1.0 - (1.0 - 1.0 / places) ** before:
            cached[request] = begins[request]
        members[at] = (before + 1) % n
    return cached


def _alike(test: LoadTest) -> int:
    """Engines of which one is run for all: those whose requests a client holds, or that have all from the beginning."""
    return test.engines if test.rate is None or test.cap is not None else 1


def run_test(replica: Replica, test: LoadTest, seed: int = SEED) -> Served:
    """What becomes of every request of one run."""
    given = sent(test, seed)
    held = math.ceil((test.cap or test.requests) / _alike(test))
    if test.rate is None:
        return hold(replica.c, replica.closed_loop, given, held)
    if test.cap is not None:
        return hold(replica.c, replica.closed_loop, given, held, capped=True)
    return serve(replica.c, replica.open_loop, given, test.engines, test.router)


def runs_of(replica: Replica, test: LoadTest) -> list[Served]:
    """Several runs, each with a seed of its own."""
    return [run_test(replica, test, SEED + number) for number in range(SEEDS)]


def output_rate(served: Served, test: LoadTest) -> float:
    """Output tokens per second as a client reports them: all of them over the time the run took."""
    return float(_alike(test) * served.output.sum() / max(float(served.finish.max() - served.arrive.min()), 1e-9))
