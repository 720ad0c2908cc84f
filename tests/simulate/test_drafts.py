"""Replays of replicas that draft: luck with drafts, request by request, and the closed form beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optimizer.calibrate.forward import replica_for
from optimizer.catalog import default_root, load_catalog
from optimizer.demand import Lengths, Metric, Promise
from optimizer.performance import load_parameters
from optimizer.performance.behaviour import behaviours
from optimizer.performance.drafting import speculation_of
from optimizer.performance.fluid import fluid_seconds
from optimizer.performance.types import ReplicaSpec
from optimizer.simulate.draws import paces, stream
from optimizer.simulate.fleet import hold
from optimizer.vocabulary import Link

CATALOG, PARAMS = load_catalog(), load_parameters(default_root())
LLAMA, ENGINE = CATALOG.models["meta-llama/Llama-3.1-8B-Instruct"], CATALOG.engines["vllm"]
LENGTHS = Lengths(input_mean=400, output_mean=200, context_max=4096)


def spec(tokens: int = 0, acceptance: float = 0.7) -> ReplicaSpec:
    drafts = speculation_of(LLAMA, "eagle3", tokens, acceptance) if tokens else None
    return ReplicaSpec(
        CATALOG.gpus["h100_sxm_80"], LLAMA, ENGINE, "bf16", "auto", 1, 1, Link.PCIE, 0.9, 256, 8192, 4096,
        speculation=drafts,
    )  # fmt: skip


@pytest.mark.parametrize(("tokens", "acceptance", "left"), [(2, 0.6, 20), (3, 0.7, 100), (5, 0.7, 300), (1, 0.9, 50)])
def test_steps_of_a_request_are_those_of_drafts_drawn_one_by_one(tokens: int, acceptance: float, left: int) -> None:
    accepted = np.random.default_rng(7).random((20_000, left, tokens)) < acceptance
    made = (1 + np.cumprod(accepted, axis=2).sum(axis=2)).cumsum(axis=1)
    steps = (made >= left).argmax(axis=1) + 1
    drawn = left / paces(np.full(20_000, left + 1.0), tokens, acceptance)
    assert drawn == pytest.approx(np.rint(drawn))  # whole steps
    assert drawn.mean() == pytest.approx(steps.mean(), rel=0.01)
    assert drawn.std() == pytest.approx(steps.std(), rel=0.05)
    assert np.percentile(drawn, 95) == pytest.approx(np.percentile(steps, 95), abs=1.0)


def test_all_drafts_accepted_and_none() -> None:
    output = np.array([1.0, 2.0, 41.0])
    assert paces(output, 3, 1.0).tolist() == [1.0, 1.0, 4.0]
    assert paces(output, 3, 0.0).tolist() == [1.0, 1.0, 1.0]
    assert paces(output, 0, 0.5).tolist() == [1.0, 1.0, 1.0]


def held(one: ReplicaSpec, inflight: int):
    replica, count = replica_for(one, LENGTHS, PARAMS), 40 * inflight
    arrive = np.zeros(count)
    arrive[:inflight] = np.arange(inflight) * 0.05
    return hold(replica.c, replica.closed_loop, stream(arrive, LENGTHS), inflight)


def test_drafts_that_are_never_accepted_are_only_work() -> None:
    plain, useless, lucky = (held(one, 4).tpot.mean() for one in (spec(), spec(3, 0.0), spec(3, 1.0)))
    assert useless > plain > lucky
    assert lucky == pytest.approx(useless / 4, rel=0.05)  # four tokens out of the same steps


@pytest.mark.parametrize("inflight", [1, 8, 48])
def test_closed_form_and_replay_agree(inflight: int) -> None:
    one = spec(3, 0.7)
    seen, form = held(one, inflight).tpot, behaviours([one], LENGTHS, PARAMS, inflights=[float(inflight)])[0].tpot
    assert form.mean == pytest.approx(seen.mean(), rel=0.05)
    assert form.p95 == pytest.approx(np.percentile(seen, 95), rel=0.08)
    assert np.percentile(seen, 95) > 1.02 * np.percentile(seen, 50)  # luck spreads what plain steps give to all alike


@pytest.mark.parametrize("percentile", [10.0, 50.0, 95.0])
def test_the_bound_is_below_what_is_replayed(percentile: float) -> None:
    one, promise = spec(3, 0.7), Promise(Metric.TPOT, percentile, 1.0, "")
    (least,) = fluid_seconds(one, LENGTHS, [promise], 0.0, PARAMS)
    assert least <= np.percentile(held(one, 1).tpot, percentile)


def test_a_replica_without_drafts_is_as_ever_beside_one_that_drafts() -> None:
    plain, beside = spec(), spec(2)
    alone = behaviours([plain], LENGTHS, PARAMS, inflights=[8.0])[0]
    together = behaviours([plain, beside], LENGTHS, PARAMS, inflights=[8.0, 8.0])[0]
    assert together.tpot == alone.tpot
    assert replace(beside, speculation=None) == plain
