"""A benchmark run, simulated as its client sends it: from an idle server, every request measured.

The data set is the one that the launch files generate: prefixes of groups of requests, of which some are open at a
time, as sessions or documents are.
"""

from __future__ import annotations

import numpy as np

from optimizer.demand import Lengths
from optimizer.plan.experiment import LoadTest
from optimizer.simulate.draws import SEED, Floats, Stream, classes_for, lengths_for, poisson
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
    return Stream(arrive, prompt, output, _found(lengths, prompt, places, seed), of_class)


def _found(lengths: Lengths, prompt: Floats, places: int, seed: int) -> Floats:
    """Prompt tokens of each request that an earlier one of its group left in the cache of the replica it goes to.

    Requests of a group begin alike: with the stated share of their own prompt (of a group of ``n`` the ``n - 1`` that
    come later find ``n / (n - 1)`` times it), of which the longest that came before has left its own part.
    """
    if lengths.shared_prefix == 0.0:
        return np.zeros(prompt.size)
    n = lengths.requests_per_prefix
    share = lengths.shared_prefix * (1.0 if n is None else n / (n - 1))
    begins = np.minimum(np.floor(share * prompt), prompt - 1.0)
    if n is None:
        before = np.concatenate(([0.0], np.maximum.accumulate(begins)[:-1]))
        return np.asarray(np.minimum(begins, before))
    taken = np.random.default_rng([seed, _PREFIX]).integers(0, OPEN_GROUPS, prompt.size)
    luck = np.random.default_rng([seed, _PLACE]).random(prompt.size)
    longest, members, found = np.zeros(OPEN_GROUPS), np.zeros(OPEN_GROUPS, np.int64), np.zeros(prompt.size)
    for request, group in enumerate(taken):
        if luck[request] < 1.0 - (1.0 - 1.0 / places) ** members[group]:
            found[request] = min(begins[request], longest[group])
        members[group] += 1
        longest[group] = max(longest[group], begins[request])
        if members[group] == n:
            members[group], longest[group] = 0, 0.0
    return found


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
