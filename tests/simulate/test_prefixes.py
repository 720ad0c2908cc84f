"""Prefix hits depend on the router: what is shared by few requests is lost when they are spread over replicas."""

from __future__ import annotations

import numpy as np
import pytest

from optimizer.demand import Lengths
from optimizer.performance.step import StepCoefficients
from optimizer.simulate.draws import Stream, poisson, routed, stream
from optimizer.simulate.fleet import Outage, serve
from optimizer.simulate.replay import Replica, poisson_requests, replay_arrivals, replay_held
from optimizer.simulate.replica import Settings
from optimizer.vocabulary import Router

_FIELDS = dict.fromkeys(StepCoefficients._fields, 0.0)
_ONES = dict.fromkeys(("stages", "gemm_sharpness", "kv_sharpness", "link_sharpness", "miss"), 1.0)
_MODEL = {"dense_read": 10e-3, "dense_token": 50e-6, "kv_token": 20e-9, "window": 1e30, "chunk": 8192.0}
C = StepCoefficients(**{**_FIELDS, **_ONES, **_MODEL})
ROOMY = Settings(max_seqs=64, token_budget=2048, kv_tokens=1e6, frontend_s=0.02, service_s=0.001)
MANY = 40_000
OBLIVIOUS = (Router.ROUND_ROBIN, Router.LEAST_OUTSTANDING, Router.SHORTEST_QUEUE)


def _lengths(share: float, requests: int | None) -> Lengths:
    return Lengths(1000.0, 50.0, 4096, shared_prefix=share, requests_per_prefix=requests)


def _found(lengths: Lengths, replicas: int, router: Router) -> float:
    given = routed(_given(lengths, MANY), lengths, replicas, router)
    return float(given.cached.sum() / given.prompt.sum())


def _given(lengths: Lengths, count: int) -> Stream:
    return stream(poisson(4.0, count), lengths)


def _spread(requests: int, replicas: int) -> float:
    """Share of the hits that is left: session by session, each request on a random replica (brute force)."""
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(4000):
        been: set[int] = set()
        for place in rng.integers(0, replicas, requests):
            hits += int(place) in been
            been.add(int(place))
    return hits / 4000 / (requests - 1)


@pytest.mark.parametrize("requests", [2, 8, 50])
@pytest.mark.parametrize("replicas", [1, 2, 6])
def test_hits_are_those_of_sessions_sent_to_any_replica(requests: int, replicas: int) -> None:
    lengths = _lengths(0.4, requests)
    for router in OBLIVIOUS:
        assert _found(lengths, replicas, router) == pytest.approx(0.4 * _spread(requests, replicas), rel=0.05)
    assert _found(lengths, replicas, Router.PREFIX_AFFINITY) == pytest.approx(0.4, rel=0.03)


def test_more_replicas_find_less_and_one_finds_all() -> None:
    lengths = _lengths(0.5, 4)
    found = [_found(lengths, replicas, Router.ROUND_ROBIN) for replicas in (1, 2, 3, 8, 64)]
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(0.5, rel=0.03)
    assert found[-1] < 0.05


def test_a_prefix_that_all_share_is_found_everywhere() -> None:
    lengths = _lengths(0.4, None)
    for router in Router:
        assert _found(lengths, 8, router) == pytest.approx(0.4, rel=1e-3)


def test_a_lost_prefix_is_read_again_and_the_first_token_waits_for_it() -> None:
    replica, lengths = Replica(C, ROOMY, ROOMY), _lengths(0.8, 8)
    seen = {
        router: replay_arrivals(replica, 4, 8.0, poisson_requests(lengths), lengths, 2.0, (), router).ttft[0]
        for router in (Router.ROUND_ROBIN, Router.PREFIX_AFFINITY)
    }
    assert seen[Router.ROUND_ROBIN] > 1.2 * seen[Router.PREFIX_AFFINITY]
    held = {
        router: replay_held(replica, 4, 3, lengths, 2.0, (), router).ttft[0]
        for router in (Router.ROUND_ROBIN, Router.PREFIX_AFFINITY)
    }
    assert held[Router.ROUND_ROBIN] > held[Router.PREFIX_AFFINITY]


def test_with_affinity_each_prefix_keeps_its_replica_until_that_dies() -> None:
    lengths = _lengths(0.8, 8)
    given = routed(_given(lengths, 2000), lengths, 4, Router.PREFIX_AFFINITY)
    calm = serve(C, ROOMY, given, 4, Router.PREFIX_AFFINITY)
    counts = np.bincount(calm.replica, minlength=4)
    assert counts.min() > 0.8 * counts.mean()
    gone = serve(C, ROOMY, given, 4, Router.PREFIX_AFFINITY, Outage(100.0, 200.0, 0, 1))
    away = (given.arrive > 101.0) & (given.arrive < 199.0)
    assert not (gone.replica[away] == 0).any()
    assert (gone.replica[~away & (given.arrive < 90.0)] == calm.replica[~away & (given.arrive < 90.0)]).all()
