"""A prefill pool and a decode pool at the load of their workload, replayed request by request.

The rule of every replay: the simulated percentile times the model error at the asked confidence, here that of
disaggregated serving, is within the limit. More workers of either pool never keep less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from optimizer.calibrate.forward import settings_of
from optimizer.demand import Metric
from optimizer.performance.accuracy import grade_of
from optimizer.performance.lengths import moments_of
from optimizer.performance.operating_points import content_of_spec
from optimizer.performance.pooling import pool_error_factor
from optimizer.plan.types import LatencyMs, Replay, ReplayedPromise
from optimizer.simulate.draws import lengths_for, poisson
from optimizer.simulate.estimate import Wanted, observe
from optimizer.simulate.fleet import Served
from optimizer.simulate.pools import Between, PooledRequests, serve_pools
from optimizer.units import ceil_guarded
from optimizer.vocabulary import Router

if TYPE_CHECKING:
    from optimizer.candidates.pools import PoolPair
    from optimizer.performance.types import Grade
    from optimizer.planning.inputs import Inputs
    from optimizer.planning.pool_workers import PoolWorkers
    from optimizer.planning.replicas_replayed import ReplayMemory
    from optimizer.simulate.draws import Floats
    from optimizer.simulate.estimate import MeasuringWindow, Seen

_MS = 1e3
_ROUTER = Router.LEAST_OUTSTANDING
"""How workers are chosen: of the prefill pool the one with the fewest tokens, of the decode pool with the fewest
requests."""


@dataclass(frozen=True, slots=True)
class PoolTrial:
    """So many workers of a pair at ``factor`` times the planned load."""

    pair: PoolPair
    prefill: int
    decode: int
    factor: float = 1.0


class PoolReplayer:
    """Replays pools of one problem, each trial once."""

    def __init__(self, inputs: Inputs, workers: PoolWorkers, memory: ReplayMemory) -> None:
        self._inputs, self._workers, self._memory = inputs, workers, memory
        self._known: dict[object, list[tuple[int, int, float, bool]]] = {}
        self.replayed: set[object] = set()

    def keeps(self, trial: PoolTrial) -> bool:
        """Whether every promise is kept: as follows from trials of the same pair, else from a replay."""
        known = self._known.setdefault(trial.pair.key, [])
        for prefill, decode, factor, kept in known:
            if kept and trial.prefill >= prefill and trial.decode >= decode and trial.factor <= factor:
                return True
            if not kept and trial.prefill <= prefill and trial.decode <= decode and trial.factor >= factor:
                return False
        return self.replay(trial).kept

    def replay(self, trial: PoolTrial) -> Replay:
        """What its requests see; of the prefill pool, whose workers ``replicas`` counts."""
        self.replayed.add(trial.pair.key)
        about = self._about(trial)
        found = self._memory.replays.get(about)
        if found is None:
            found = self._memory.replays[about] = self._replayed(trial)
        self._known.setdefault(trial.pair.key, []).append((trial.prefill, trial.decode, trial.factor, found.kept))
        return found

    def _about(self, trial: PoolTrial) -> object:
        """All that a replay depends on."""
        part, pair = self._workers.part, trial.pair
        kinds = (content_of_spec(pair.prefill.spec), content_of_spec(pair.decode.spec), pair.seconds_per_token)
        asked = (part.name, part.lengths, part.slo, part.load, self._inputs.problem.margins.confidence)
        return ("pools", kinds, trial.prefill, trial.decode, trial.factor, asked, self._inputs.params.version)

    def grade(self, pair: PoolPair) -> Grade:
        """The worse grade of both workers."""
        return max(grade_of(one.spec, self._inputs.params)[0] for one in (pair.prefill, pair.decode))

    def _replayed(self, trial: PoolTrial) -> Replay:
        part, grade = self._workers.part, self.grade(trial.pair)
        confidence, promises = self._inputs.problem.margins.confidence, part.slo.promises
        factors = [pool_error_factor(one.metric, grade, confidence) for one in promises]
        wanted = [
            Wanted(one.metric, one.percentile, one.limit_s / factor)
            for one, factor in zip(promises, factors, strict=True)
        ]
        load = part.load.times(trial.factor)
        rate, held = load.requests_per_second, ceil_guarded(load.inflight)
        sides = [self._arriving(trial, rate, wanted)] if rate else []
        sides += [self._held(trial, held, wanted)] if held else []
        busiest = max(sides, key=lambda seen: seen.e2e[0])
        return Replay(
            workload=part.name,
            ttft_ms=LatencyMs(*(value * _MS for value in busiest.ttft)),
            tpot_ms=LatencyMs(*(value * _MS for value in busiest.tpot)),
            e2e_s=LatencyMs(*busiest.e2e),
            requests=sum(seen.requests for seen in sides),
            router=str(_ROUTER),
            promises=tuple(
                _promise(one.metric, one.percentile, one.path, one.limit_s, factor, sides, place)
                for place, (one, factor) in enumerate(zip(promises, factors, strict=True))
            ),
            length_class=part.length_class,
            replicas=trial.prefill,
            requests_per_second=rate,
            inflight=float(held),
        )

    def _arriving(self, trial: PoolTrial, rate: float, wanted: list[Wanted]) -> Seen:
        def run(window: MeasuringWindow) -> Served:
            return self._served(trial, poisson(rate, window.total), None)

        return observe(run, wanted, rate * self._stay(trial))

    def _held(self, trial: PoolTrial, held: int, wanted: list[Wanted]) -> Seen:
        stay = self._stay(trial)

        def run(window: MeasuringWindow) -> Served:
            arrive = np.zeros(window.total)
            arrive[:held] = np.arange(held) * (stay / held)
            return self._served(trial, arrive, held)

        return observe(run, wanted, held)

    def _stay(self, trial: PoolTrial) -> float:
        """About how long a request stays: its own work beside no other."""
        lengths, pair = moments_of(self._workers.lengths), trial.pair
        before, after = self._workers.before(pair.prefill.spec), self._workers.after(pair.decode.spec)
        prompt = before.rounds.seconds(lengths.prompt, 1, before.ranks)
        step = after.fixed[1] + after.token[1] * (lengths.input + 0.5 * lengths.output)
        return prompt + lengths.output * step / after.advance

    def _served(self, trial: PoolTrial, arrive: Floats, held: int | None) -> Served:
        workers, pair = self._workers, trial.pair
        prompt, output = lengths_for(workers.lengths, arrive.size)
        before = replace(workers.before(pair.prefill.spec), workers=trial.prefill)
        after = replace(workers.after(pair.decode.spec), workers=trial.decode)
        between = self._between(pair, trial.prefill, open_loop=held is None)
        seen = serve_pools(before, after, between, PooledRequests(arrive, prompt, output), held)
        return Served(
            arrive=seen.arrive,
            ttft=seen.first - seen.arrive,
            tpot=(seen.finish - seen.first) / np.maximum(output - 1.0, 1.0),
            e2e=seen.finish - seen.arrive,
            prompt=prompt,
            output=output,
            found=np.zeros(arrive.size),
            made=output,
            ready=seen.ready,
            admit=seen.admit,
            first=seen.first,
            finish=seen.finish,
            replica=np.zeros(arrive.size, dtype=np.int64),
            most_kv_tokens=0.0,
            resent=0,
        )

    def _between(self, pair: PoolPair, workers: int, *, open_loop: bool) -> Between:
        """Each prefill worker has a front end of its own."""
        spec, params = pair.decode.spec, self._inputs.params
        settings = settings_of(spec, 1.0, params, open_loop)
        handoff = params.first("handoff_ms", f"engine:{spec.engine.profile}") * 1e-3
        return Between(settings.frontend_s, settings.service_s / workers, handoff, pair.seconds_per_token)


def _promise(
    metric: Metric, percentile: float, path: str, limit_s: float, factor: float, sides: list[Seen], place: int
) -> ReplayedPromise:
    worst = max((seen.estimates[place] for seen in sides), key=lambda one: one.value)
    return ReplayedPromise(
        metric=metric,
        percentile=percentile,
        path=path,
        predicted_s=worst.value,
        simulated_s=worst.value,
        low_s=worst.low,
        high_s=worst.high,
        narrow=worst.narrow,
        with_margin_s=worst.value * factor,
        limit_s=limit_s,
    )
