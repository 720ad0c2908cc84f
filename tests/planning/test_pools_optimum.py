"""Prefill and decode pools against brute force: small markets, every pair, every number of workers, every site.

Whether so many workers keep their promises is said by a stand-in for the replay that is as monotone as loads are, so
that thousands of trials cost nothing; the real replay has its tests in ``test_pools``.
"""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace

import pytest

from optimizer.candidates.pools import PoolPair
from optimizer.fleet import SolveSettings, solve_fleet
from optimizer.fleet.candidate_set import enumerate_candidates
from optimizer.fleet.funnel import configuration_allowed
from optimizer.planning import pool_search, pools_replayed
from optimizer.planning.inputs import Inputs, loads_of, read_inputs
from optimizer.planning.pool_workers import PoolWorkers
from optimizer.planning.pooled import with_pools
from optimizer.planning.replicas_replayed import ReplayMemory
from optimizer.pricing import node_options
from optimizer.progress import NO_LIMIT
from optimizer.vocabulary import Link

MARKET = """
name: a small market
workloads:
  - name: chat
    model: meta-llama/Llama-3.1-8B-Instruct
    traffic: {requests_per_second: 12, concurrency: 60}
    tokens: {input: 2000, output: 200, context_max: 8192}
    slo: {ttft_ms: {p95: 4000}, tpot_ms: {p95: 60}}
engine: {disaggregation: any, tensor_parallel: [1, 2], pipeline_parallel: [1], weight_quant: [fp8], kv_cache: [auto]}
ranking: {top: 1}
hardware: {providers: [acme, other], gpus: [l40s_48, h100_sxm_80, h200_sxm_141]}
offers:
  - {id: l, provider: acme, gpu: l40s_48, gpus_per_node: 2, nvlink: no, price_per_hour: 2, region: a, network_gbps: 100}
  - {id: h, provider: acme, gpu: h100_sxm_80, gpus_per_node: 4, nvlink: yes, price_per_hour: 9, region: a,
     network_gbps: 400}
  - {id: h2, provider: acme, gpu: h100_sxm_80, gpus_per_node: 4, nvlink: yes, price_per_hour: 9, region: b,
     network_gbps: 400}
  - {id: k, provider: other, gpu: h200_sxm_141, gpus_per_node: 8, nvlink: yes, price_per_hour: 30, region: a}
  - {id: l2, provider: other, gpu: l40s_48, gpus_per_node: 2, nvlink: no, price_per_hour: 2, network_gbps: 100}
"""

CASES = 24


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    path = tmp_path_factory.mktemp("market") / "market.yaml"
    path.write_text(MARKET)
    return read_inputs(path)


class Oracle:
    """Keeps the promises where both pools are large enough for the pair, each alone and together."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def keeps(self, pair, prefill: int, decode: int, factor: float = 1.0) -> bool:
        draw = random.Random(repr((self.seed, pair.prefill.key, pair.decode.key, pair.inside)))
        least, other = draw.randint(1, 3), draw.randint(1, 3)
        both = draw.randint(least + other, least + other + 3)
        return prefill >= least * factor and decode >= other * factor and prefill + decode >= both * factor


def nodes_needed(sizes: list[tuple[int, int]], per_node: int) -> int:
    """First fit, largest first; sizes are powers of two."""
    free: list[int] = []
    for size, count in sorted(sizes, reverse=True):
        for _ in range(count):
            place = next((i for i, room in enumerate(free) if room >= size), None)
            if place is None:
                free.append(per_node)
                place = len(free) - 1
            free[place] -= size
    return len(free)


def cheapest_nodes(options, node_type, count: int) -> float:
    """Money for so many nodes, the cheapest first, as far as they are in stock."""
    cents = 0
    for option in sorted((o for o in options if o.node_type.key == node_type.key), key=lambda o: o.monthly_cents):
        taken = min(count, count if option.max_nodes is None else option.max_nodes)
        cents, count = cents + taken * option.monthly_cents, count - taken
    return cents if not count else math.inf


def weaker(candidate, share: float):
    """A replica that carries only so much of the load, so that pools have something to win."""
    points = tuple(
        replace(p, requests_per_second=p.requests_per_second * share, inflight=max(p.inflight * share, 1.0))
        for p in candidate.points
    )
    return replace(candidate, points=points)


def brute(inputs: Inputs, candidates, options, spare: int, oracle: Oracle) -> float:
    """The least money of any two pools: all pairs, sites and numbers of workers."""
    workers, best = PoolWorkers(inputs), math.inf
    load = inputs.parts[0].load
    sites = {(o.offer.provider, o.offer.region or o.offer.id) for o in options}
    for one, other in itertools.product(candidates, repeat=2):
        if other.spec.tensor_parallel % one.spec.tensor_parallel:
            continue
        prefill, decode = workers.prefill(one), workers.decode(other)
        assert prefill.worker is not None
        assert decode.worker is not None
        rate = workers.needed_rate()
        for site, a, b in itertools.product(sorted(sites), range(1, 13), range(1, 13)):
            here = [o for o in options if (o.offer.provider, o.offer.region or o.offer.id) == site]
            same = one.node_type.key == other.node_type.key
            kinds = ((prefill.worker, a), (decode.worker, b))
            if any(rate > count * worker.requests_per_second for worker, count in kinds):
                continue
            if load.inflight > b * decode.worker.slots:
                continue
            sizes = [(prefill.spec.gpus, a), (decode.spec.gpus, b)]
            if same:
                count = nodes_needed(sizes, one.node_type.gpus_per_node)
                alone = count == 1 and one.node_type.link is Link.NVSWITCH
                needs = [(one.node_type, count)] if alone else [(one.node_type, max(count, 2))]
            else:
                alone = False
                pairs = zip((one, other), sizes, strict=True)
                needs = [(c.node_type, nodes_needed([size], c.node_type.gpus_per_node)) for c, size in pairs]
            ways = [(alone, needs)]
            if alone:  # or spread over two, where they have a network
                ways.append((False, [(one.node_type, 2)]))
            for inside, wanted in ways:
                if not inside and any(rate > count * worker.sent_per_second for worker, count in kinds):
                    continue
                if oracle.keeps(PoolPair(prefill, decode, inside), a, b):
                    best = min(best, sum(cheapest_nodes(here, t, n + spare) for t, n in wanted))
    return best


@pytest.mark.parametrize("seed", range(CASES))
def test_the_solver_finds_what_brute_force_finds(seed: int, market: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    draw, oracle = random.Random(seed), Oracle(seed)

    class Stub:
        def __init__(self, kept: bool) -> None:
            self.kept = kept

    monkeypatch.setattr(
        pools_replayed.PoolReplayer,
        "replay",
        lambda self, trial: Stub(oracle.keeps(trial.pair, trial.prefill, trial.decode, trial.factor)),
    )
    monkeypatch.setattr(pool_search, "MORE", 12)
    options = []
    for option in node_options(market.problem, market.catalog):
        if option.offer.provider in ("acme", "other") and draw.random() < 0.9:
            stock = draw.choice([None, None, 1, 2, 3])
            options.append(replace(option, monthly_cents=draw.randint(50, 400) * 1000, max_nodes=stock))
    spare, required = draw.choice([0, 0, 1]), draw.random() < 0.5
    whole = enumerate_candidates(market.problem, market.catalog, options, market.params)
    allowed = [one for one in whole.candidates if configuration_allowed(one, whole.rules)]
    chosen = sorted(draw.sample(allowed, min(5, len(allowed))), key=lambda one: one.key)
    rules = replace(whole.rules, spare_nodes=spare, pools_required=required)
    weak = draw.choice([0.1, 0.3, 1.0])  # of what a replica carries that does both
    candidates = replace(whole, candidates=tuple(weaker(one, weak) for one in chosen), rules=rules)
    plain = solve_fleet(
        market.problem,
        replace(candidates, rules=replace(rules, pools_required=False)),
        options,
        loads_of(market.problem),
        SolveSettings(),
    )
    if required:
        plain = replace(plain, solutions=())
    found = with_pools(market, candidates, plain, chosen, options, ReplayMemory(), SolveSettings(), NO_LIMIT)
    expected = brute(market, chosen, options, spare, oracle)
    if plain.solutions:
        expected = min(expected, plain.solutions[0].monthly_cents)
    answer = found.result.solutions[0].monthly_cents if found.result.solutions else math.inf
    assert found.complete
    assert answer == expected
