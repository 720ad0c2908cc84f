"""The certificate of a pool: with a node's workers fewer, beside the other pool as it is, which promise breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.performance.pooling import RATE_SHARE, pool_throughput_factor
from optimizer.plan.replayed import KEEPS_TOO, NOTHING_SMALLER, SATURATION, Fewer
from optimizer.planning.pool_search import trial_in
from optimizer.planning.pool_workers import PoolWorkers
from optimizer.planning.pools_replayed import PoolReplayer, PoolTrial
from optimizer.vocabulary import Role

if TYPE_CHECKING:
    from optimizer.fleet.types import FleetSolution, GroupChoice
    from optimizer.planning.inputs import Inputs
    from optimizer.planning.replicas_replayed import ReplayMemory


def fewer_workers(
    inputs: Inputs,
    solution: FleetSolution,
    group: GroupChoice,
    smaller: tuple[int, int] | None,
    memory: ReplayMemory,
) -> tuple[Fewer | None, str]:
    """What ``smaller`` workers of a pool (with what the plan then costs) break, or why there is no such number."""
    if smaller is None:
        return None, NOTHING_SMALLER
    count, cents = smaller
    whole, role = trial_in(solution), group.candidate.role
    before, after = (count, whole.decode) if role is Role.PREFILL else (whole.prefill, count)
    trial, workers = PoolTrial(whole.pair, before, after), PoolWorkers(inputs)
    full = _beyond(inputs, workers, trial, role)
    if full is not None:
        return Fewer(count, cents, SATURATION, *full), ""
    missed = [one for one in PoolReplayer(inputs, workers, memory).replay(trial).promises if not one.kept]
    if not missed:
        return None, KEEPS_TOO
    worst = max(missed, key=lambda one: one.with_margin_s / one.limit_s)
    margin = worst.with_margin_s / worst.simulated_s
    of_promise = (worst.path, worst.simulated_s, margin, worst.limit_s, worst.metric, worst.percentile)
    return Fewer(count, cents, *of_promise), ""


def _beyond(inputs: Inputs, workers: PoolWorkers, trial: PoolTrial, role: Role) -> tuple[float, float, float] | None:
    """Where fewer workers of a pool may not take the load whatever their latencies: the share of their saturation rate,
    network or slots that it takes, model error, limit; None: they may."""
    pair, load = trial.pair, workers.part.load
    one, count = (pair.prefill, trial.prefill) if role is Role.PREFILL else (pair.decode, trial.decode)
    assert one.worker is not None
    rate = workers.needed_rate()
    margin = 1.0 / pool_throughput_factor(one.grade, inputs.problem.margins.confidence)
    saturated = rate / (count * workers.saturation(one))
    if saturated * margin > RATE_SHARE:
        return saturated, margin, RATE_SHARE
    if not pair.inside and rate > count * one.worker.sent_per_second:
        return rate / (count * one.worker.sent_per_second), 1.0, 1.0
    if one.worker.slots and load.inflight > count * one.worker.slots:
        return load.inflight / (count * one.worker.slots), 1.0, 1.0
    return None
