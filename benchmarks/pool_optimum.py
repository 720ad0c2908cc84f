"""Random markets of prefill and decode pools: brute force, SCIP on a formulation of its own, and the program.

Unlike cards, sites, stock, spare nodes and shared nodes. Whether so many workers keep their promises is said by a
stand-in for the replay, which all three ask; the real replay has its tests in ``tests/planning/test_pools.py``.

    python -m benchmarks.pool_optimum            200 markets
    python -m benchmarks.pool_optimum 20 1000    20 markets from the seed 1000 on
"""

from __future__ import annotations

import itertools
import math
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from optimizer.candidates.pools import PoolPair
from optimizer.candidates.types import Candidate
from optimizer.demand import Metric
from optimizer.fleet import SolveSettings, solve_fleet
from optimizer.fleet.candidate_set import CandidateSet, enumerate_candidates
from optimizer.fleet.funnel import configuration_allowed
from optimizer.plan.replayed import LatencyMs, Replay, ReplayedPromise
from optimizer.planning import pool_search
from optimizer.planning.inputs import Inputs, loads_of, read_inputs
from optimizer.planning.pool_workers import PoolWorkers
from optimizer.planning.pooled import with_pools
from optimizer.planning.pools_replayed import PoolReplayer, PoolTrial
from optimizer.planning.replicas_replayed import ReplayMemory
from optimizer.pricing import node_options
from optimizer.pricing.types import NodeOption, NodeType
from optimizer.progress import NO_LIMIT
from optimizer.vocabulary import Link

MOST = 12
"""Workers of a pool that are enumerated."""

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


class Oracle:
    """Keeps the promises where both pools are large enough for the pair, each alone and together. It stands in for the
    replay and is as monotone as loads are, so that thousands of trials cost nothing."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def replay(self, trial: PoolTrial) -> Replay:
        """In place of a replay: kept or missed; what its requests see is the same for all."""
        kept = self.keeps(trial.pair, trial.prefill, trial.decode, trial.factor)
        told = ReplayedPromise(Metric.TTFT, 95, "", 1.0, 1.0, 1.0, 1.0, True, 1.0, 2.0 if kept else 0.5)
        same = LatencyMs(1.0, 1.0, 1.0, 1.0, 1.0)
        return Replay("chat", same, same, same, 1, "", (told,))

    def least(self, pair: PoolPair) -> tuple[int, int, int]:
        """Prefill workers, decode workers, and workers in all that a pair takes."""
        draw = random.Random(repr((self.seed, pair.prefill.key, pair.decode.key, pair.inside)))
        least, other = draw.randint(1, 3), draw.randint(1, 3)
        return least, other, draw.randint(least + other, least + other + 3)

    def keeps(self, pair: PoolPair, prefill: int, decode: int, factor: float = 1.0) -> bool:
        """Whether so many workers keep the promises at a factor of the load."""
        least, other, both = self.least(pair)
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


def cheapest_nodes(options: Sequence[NodeOption], node_type: NodeType, count: int) -> float:
    """Money for so many nodes, the cheapest first, as far as they are in stock."""
    cents = 0
    for option in sorted((o for o in options if o.node_type.key == node_type.key), key=lambda o: o.monthly_cents):
        taken = min(count, count if option.max_nodes is None else option.max_nodes)
        cents, count = cents + taken * option.monthly_cents, count - taken
    return cents if not count else math.inf


def weaker(candidate: Candidate, share: float) -> Candidate:
    """A replica that carries only so much of the load, so that pools have something to win."""
    points = tuple(
        replace(p, requests_per_second=p.requests_per_second * share, inflight=max(p.inflight * share, 1.0))
        for p in candidate.points
    )
    return replace(candidate, points=points)


@dataclass(frozen=True)
class PoolCase:
    """A random market, and who competes in it."""

    options: list[NodeOption]
    candidates: CandidateSet
    chosen: list[Candidate]
    spare: int
    required: bool
    oracle: Oracle


def case_of(market: Inputs, seed: int) -> PoolCase:
    """A market with prices, stock, spares and five kinds of replica drawn."""
    draw, options = random.Random(seed), list[NodeOption]()
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
    return PoolCase(options, candidates, chosen, spare, required, Oracle(seed))


def answers(market: Inputs, case: PoolCase) -> tuple[float, float]:
    """The cheapest plan of the program in cents, and its cheapest of replicas that do both phases, where those may."""
    rules = case.candidates.rules
    alone = replace(case.candidates, rules=replace(rules, pools_required=False))
    plain = solve_fleet(market.problem, alone, case.options, loads_of(market.problem), SolveSettings())
    if case.required:
        plain = replace(plain, solutions=())
    asked = (case.chosen, case.options, ReplayMemory(), SolveSettings(), NO_LIMIT)
    with (
        patch.object(PoolReplayer, "replay", lambda _, trial: case.oracle.replay(trial)),
        patch.object(pool_search, "MORE", MOST),
    ):
        found = with_pools(market, case.candidates, plain, *asked)
    assert found.complete
    best, other = ([one.monthly_cents for one in plans] for plans in (found.result.solutions, plain.solutions))
    return min(best, default=math.inf), min(other, default=math.inf)


def brute(inputs: Inputs, case: PoolCase) -> float:
    """The least money of any two pools: all pairs, sites and numbers of workers."""
    candidates, options, spare, oracle = case.chosen, case.options, case.spare, case.oracle
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
        for site, a, b in itertools.product(sorted(sites), range(1, MOST + 1), range(1, MOST + 1)):
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


@dataclass(frozen=True)
class _Choice:
    """A pair of pools at one site, as the second solver has it."""

    pair: PoolPair
    options: Sequence[NodeOption]  # of the site, on which one of the two may stand
    carried: tuple[float, float]  # requests per second of a prefill and of a decode worker
    slots: int


def _choices(inputs: Inputs, case: PoolCase) -> Iterator[_Choice]:
    workers = PoolWorkers(inputs)
    for one, other in itertools.product(case.chosen, repeat=2):
        if other.spec.tensor_parallel % one.spec.tensor_parallel:
            continue
        prefill, decode = workers.prefill(one), workers.decode(other)
        assert prefill.worker is not None
        assert decode.worker is not None
        same = one.node_type.key == other.node_type.key
        types = {one.node_type.key, other.node_type.key}
        for inside in (True, False) if same and one.node_type.link is Link.NVSWITCH else (False,):
            known = (prefill.worker, decode.worker)
            carried = [
                w.requests_per_second if inside else min(w.requests_per_second, w.sent_per_second) for w in known
            ]
            for site in sorted({(o.offer.provider, o.offer.region or o.offer.id) for o in case.options}):
                here = [o for o in case.options if (o.offer.provider, o.offer.region or o.offer.id) == site]
                mine = [o for o in here if o.node_type.key in types]
                pair = PoolPair(prefill, decode, inside)
                yield _Choice(pair, mine, (carried[0], carried[1]), decode.worker.slots)


def second_solver(inputs: Inputs, case: PoolCase) -> float:
    """The least money of any two pools by SCIP: one choice of pair and site, with its own workers and nodes."""
    from ortools.linear_solver import pywraplp  # type: ignore[attr-defined]

    solver: Any = pywraplp.Solver.CreateSolver("SCIP")
    rate, held = PoolWorkers(inputs).needed_rate(), inputs.parts[0].load.inflight
    money, chosen = [], []
    for number, one in enumerate(_choices(inputs, case)):
        taken = solver.BoolVar(f"taken[{number}]")
        counts = [solver.IntVar(0, MOST, f"workers[{number},{role}]") for role in range(2)]
        for role in range(2):
            solver.Add(counts[role] <= MOST * taken)
            solver.Add(counts[role] * one.carried[role] >= rate * taken)
        solver.Add(counts[1] * one.slots >= held * taken)
        least, other, both = case.oracle.least(one.pair)
        solver.Add(counts[0] >= least * taken)
        solver.Add(counts[1] >= other * taken)
        solver.Add(counts[0] + counts[1] >= both * taken)
        money += _bought(solver, one, taken, counts, case.spare)
        chosen.append(taken)
    solver.Add(sum(chosen) == 1)
    solver.Minimize(sum(money))
    return round(solver.Objective().Value()) if solver.Solve() == pywraplp.Solver.OPTIMAL else math.inf


def _bought(solver: Any, one: _Choice, taken: Any, counts: Sequence[Any], spare: int) -> list[Any]:
    """Nodes that hold the workers of a choice, spares on top; what they cost."""
    pools, most = (one.pair.prefill, one.pair.decode), 2 * MOST + spare
    bought = [solver.IntVar(0, most if o.max_nodes is None else min(o.max_nodes, most), "") for o in one.options]
    for count in bought:
        solver.Add(count <= most * taken)
    working = []
    for key in sorted({its.node_type.key for its in pools}):
        nodes = sum(count for count, o in zip(bought, one.options, strict=True) if o.node_type.key == key)
        working.append(nodes - spare * taken)
        mine = [(its.spec.gpus, count) for its, count in zip(pools, counts, strict=True) if its.node_type.key == key]
        per_node = next(its.node_type.gpus_per_node for its in pools if its.node_type.key == key)
        for least, _ in mine:  # sizes are powers of two: they fit where those of each size and above do
            larger = sum(size * count for size, count in mine if size >= least)
            solver.Add(larger <= least * (per_node // least) * working[-1])
    if one.pair.inside:
        solver.Add(sum(working) == taken)
    else:
        solver.Add(sum(working) >= 2 * taken)
    return [o.monthly_cents * count for count, o in zip(bought, one.options, strict=True)]


def market_in(folder: Path) -> Inputs:
    """The market before anything is drawn."""
    path = folder / "market.yaml"
    path.write_text(MARKET)
    return read_inputs(path)


def main() -> None:
    """Compare, and print what differs."""
    count, first = (int(text) for text in (*sys.argv[1:], *("200", "0")[len(sys.argv) - 1 :]))
    same = none = won = 0
    with tempfile.TemporaryDirectory() as folder:
        market = market_in(Path(folder))
        for seed in range(first, first + count):
            case = case_of(market, seed)
            found, plain = answers(market, case)
            enumerated, second = brute(market, case), second_solver(market, case)
            won += enumerated < plain
            if found == min(enumerated, plain) and second == enumerated:
                same, none = same + 1, none + (found == math.inf)
            else:
                print(f"seed {seed}: brute force {enumerated}, SCIP {second}, without {plain}, the program {found}")
    print(f"{same} of {count} markets agree, {none} of them without a plan; pools win in {won}")
    sys.exit(0 if same == count else 1)


if __name__ == "__main__":
    main()
