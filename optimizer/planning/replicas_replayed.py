"""Replicas of a plan at the load of their workload: what the closed form says of them, and what a replay shows.

The rule of the replay: the simulation is the same median model as the closed form without its queueing approximations,
so a promise is kept when the *simulated* percentile times the *same* model error at the asked confidence is within the
limit, no more and no less. Over the plans of the shipped problems the simulated percentile with its margin misses
where the closed form kept it for a handful of configurations only (``python -m benchmarks.replay``), so no allowance
for the closed form's own error is needed.

Offline work replayed: how long the replicas take over a whole batch when all of it is there at once.

Each replica gets an even part and always holds as many requests as the engine admits, so it runs saturated from the
first to the last. The promise is ``batch.within_hours``: the simulated hours over the throughput error at the asked
confidence must be within it. Latencies of single requests promise nothing and are left out.

What charts show of the replay of one group: latencies of all loads, queue and cache around the longest wait.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from optimizer.demand import Metric
from optimizer.performance import error_factor
from optimizer.performance.accuracy import band_source, grade_of, throughput_factor
from optimizer.performance.operating_points import UTILIZATION, Side, operating_points
from optimizer.performance.replicas import replicas_of
from optimizer.plan.types import Footage, LatencyMs, Replay, ReplayedPromise
from optimizer.planning.known import AskedByClosedForm, Kind, KnownLeast, RunReplays
from optimizer.planning.sequences import with_room
from optimizer.problem import parts_of
from optimizer.progress import Notice
from optimizer.simulate.compiled import is_compiled
from optimizer.simulate.draws import Floats, routed, stream
from optimizer.simulate.estimate import (
    BATCHES,
    NARROW,
    PERCENTILES,
    STUDENT_T,
    Estimate,
    Seen,
    Wanted,
    curve,
    stretch,
)
from optimizer.simulate.fleet import hold
from optimizer.simulate.replay import (
    MOST_REPLICAS,
    People,
    Replica,
    poisson_requests,
    recorded_requests,
    replay_arrivals,
    replay_held,
    replay_people,
)
from optimizer.units import ceil_guarded
from optimizer.vocabulary import Router

if TYPE_CHECKING:
    from optimizer.demand import Lengths, Promise
    from optimizer.performance.types import Behaviour, Grade, ReplicaSpec
    from optimizer.planning.inputs import Inputs
    from optimizer.simulate.draws import Stream
    from optimizer.simulate.replay import Replica


COMPILING = Notice("compiling the simulation, which takes some seconds: only the first run needs to")

_MS = 1e3
TrialKey = tuple[int, str, str, str, str, int, int, int, int, bool, str, int, float, int, float]


@dataclass(frozen=True, slots=True)
class Trial:
    """So many replicas of one workload at ``factor`` times its load: their share of it, where others serve the rest."""

    workload: int
    spec: ReplicaSpec
    replicas: int
    factor: float

    @property
    def key(self) -> TrialKey:
        """What tells trials of one problem apart."""
        spec = self.spec
        return (
            self.workload, spec.gpu.id, str(spec.link), spec.weight_quant, spec.kv_cache, spec.tensor_parallel,
            spec.pipeline_parallel, spec.attention_dp, spec.expert_parallel, spec.crosses_nodes, spec.method,
            spec.drafted, spec.host_kv_gib, self.replicas, self.factor,
        )  # fmt: skip

    def is_same_replica(self, workload: int, spec: ReplicaSpec) -> bool:
        """Whether another candidate is the same replica on another kind of node."""
        return Trial(workload, spec, self.replicas, self.factor).key == self.key

    @property
    def ranks(self) -> int:
        """Attention ranks of all replicas: what is replayed, as each has its own requests and cache, and its step times
        carry what it waits for the others."""
        return self.replicas * self.spec.attention_dp

    def rate(self, inputs: Inputs) -> float:
        """Requests per second of all replicas; 0 where the problem states none."""
        return inputs.parts[self.workload].load.requests_per_second * self.factor

    def held(self, inputs: Inputs) -> int:
        """Requests in flight on the fullest replica; 0 where the problem states none."""
        load = inputs.parts[self.workload].load
        return ceil_guarded(load.inflight * self.factor / self.replicas)

    def people(self, inputs: Inputs) -> People:
        """The closed population of all replicas; nobody where the problem states none."""
        load = inputs.parts[self.workload].load
        return People(load.users * self.factor, load.think_s)

    def load(self, inputs: Inputs) -> TrialLoad:
        """What it is run with."""
        rate, held, users = self.rate(inputs), float(self.held(inputs)), self.people(inputs).users
        return TrialLoad(replicas=self.replicas, requests_per_second=rate, inflight=held, users=users)


class TrialLoad(TypedDict):
    """What a replay says it was run with."""

    replicas: int
    requests_per_second: float
    inflight: float
    users: float


@dataclass(frozen=True, slots=True)
class _Side:
    """One floor of the load: as predicted and as seen."""

    predicted: Behaviour
    seen: Seen


@dataclass(frozen=True, slots=True)
class _Predicted:
    """What the closed form says of one replica under each load; None where the problem states no such load."""

    open_loop: Behaviour | None
    held: Behaviour | None
    people: Behaviour | None


@dataclass(frozen=True, slots=True)
class Tried:
    """So many replicas of one kind at a load: requests per second of all, in flight on the fullest, people who think;
    median limits."""

    replicas: int
    rate: float
    held: float
    users: float
    limits: tuple[float, ...]

    def asks_no_more_than(self, other: Tried) -> bool:
        """Whether whoever keeps the promises of the other keeps these."""
        loads = ((self.rate, other.rate), (self.held, other.held), (self.users, other.users))
        no_more = self.replicas >= other.replicas and all(mine <= its for mine, its in loads)
        return no_more and all(mine >= its for mine, its in zip(self.limits, other.limits, strict=True))


class ReplayMemory:
    """Replays that a question asked for, and what they say of trials that were not run.

    ``run``: those of earlier questions about the same file. They save work; what follows from them for other trials is
    not used, so that an answer does not depend on what was asked before it.
    """

    def __init__(self, run: RunReplays | None = None) -> None:
        self.run = run or RunReplays()
        self.replays: dict[object, Replay] = {}
        self._verdicts: dict[object, list[tuple[Tried, bool]]] = {}
        self._fewest: dict[object, dict[Kind, KnownLeast]] = {}

    def fewest_of(self, state: object) -> dict[Kind, KnownLeast]:
        """What replays have shown so far of the fewest replicas of each kind, under a load and its promises."""
        return self._fewest.setdefault(state, {})

    def learn(self, subject: object, tried: Tried, *, kept: bool) -> None:
        """A trial of a subject kept every promise, or did not."""
        self._verdicts.setdefault(subject, []).append((tried, kept))

    def expected(self, subject: object, tried: Tried) -> bool | None:
        """What follows about a trial of the same subject; None: nothing."""
        for known, kept in self._verdicts.get(subject, ()):
            if tried.asks_no_more_than(known) if kept else known.asks_no_more_than(tried):
                return kept
        return None


class Replayer:
    """Replays trials of one problem, each once."""

    def __init__(self, inputs: Inputs, memory: ReplayMemory | None = None) -> None:
        self._inputs, self._router = inputs, Router(inputs.problem.engine.router)
        self.memory = memory or ReplayMemory()
        self._predicted: dict[TrialKey, _Predicted] = {}

    def asked_by_closed_form(self, workload: int) -> AskedByClosedForm:
        """What is known of the replicas that the closed form asks for at the load of a workload."""
        problem = self._inputs.problem
        part, version = self._inputs.parts[workload], self._inputs.params.version
        state = (workload, part.lengths, part.slo, part.load, problem.margins.confidence, version)
        return self.memory.run.asked_by_closed_form(state)

    def fewest_known(self, workload: int) -> dict[Kind, KnownLeast]:
        """What this question knows of the fewest replicas of each kind at the load of a workload."""
        part, problem = self._inputs.parts[workload], self._inputs.problem
        asked = (part.load, part.slo, problem.margins.confidence, problem.engine, self._inputs.params.version)
        return self.memory.fewest_of((workload, part.name, part.workload, part.lengths, asked))

    def replay(self, trial: Trial) -> Replay:
        """What its requests see."""
        about, known, run = self._about(trial), self.memory.replays, self.memory.run.replays
        if about not in known:
            if about not in run:
                run[about] = self._of_batch(trial) if self._is_batch(trial) else self._replayed(trial)
            self.take(trial, run[about])
        return known[about]

    def take(self, trial: Trial, replay: Replay) -> None:
        """Keep a replay of a trial, and what follows from it."""
        self.memory.replays[self._about(trial)] = replay
        if not self._is_batch(trial):
            self.memory.learn(self._subject(trial), self._tried(trial), kept=replay.kept)

    def _about(self, trial: Trial) -> object:
        """All that a replay depends on."""
        part = self._inputs.parts[trial.workload]
        asked = (part.slo, self._inputs.problem.margins.confidence, part.workload.traffic.batch)
        return (*self._under(trial), asked)

    def _under(self, trial: Trial) -> tuple[object, ...]:
        """All that a replay depends on but what is asked of it: the replicas and their load."""
        load = (trial.rate(self._inputs), trial.held(self._inputs), trial.people(self._inputs))
        return (self._subject(trial), trial.replicas, load)

    def expected(self, trial: Trial) -> bool | None:
        """What replays of the same replica say of a trial without running it: it keeps its promises where fewer
        replicas did at no less load and no looser limits, and misses one where more did not at no more; else None."""
        return self.memory.expected(self._subject(trial), self._tried(trial))

    def _subject(self, trial: Trial) -> object:
        """The replica and its requests: all that the replay depends on but the load, the limits and the number."""
        part, problem = self._inputs.parts[trial.workload], self._inputs.problem
        promised = tuple((p.metric, p.percentile, p.length_class, p.path) for p in part.slo.promises)
        think_s = trial.people(self._inputs).think_s
        served = (part.name, part.workload.model, part.lengths, part.workload.traffic.trace, think_s, promised)
        return (trial.key[1:-2], served, problem.engine, self._inputs.params.version)

    def _tried(self, trial: Trial) -> Tried:
        part = self._inputs.parts[trial.workload]
        grade, engine = _errors_of(trial, self._inputs)
        confidence = self._inputs.problem.margins.confidence
        limits = tuple(p.limit_s / error_factor(p.metric, grade, confidence, engine) for p in part.slo.promises)
        rate, held, people = trial.rate(self._inputs), trial.held(self._inputs), trial.people(self._inputs)
        return Tried(trial.replicas, rate, float(held), people.users, limits)

    def beyond_saturation(self, trial: Trial) -> tuple[float, float, float] | None:
        """Where a trial asks for more than a replica may take whatever its latencies: the share of the saturation rate
        that arrivals take (or of the slots, that requests in flight do), model error, limit; None: it does not."""
        if self._is_batch(trial):
            return None
        self.predict([trial])
        predicted = self._predicted[trial.key]
        lengths = self._inputs.parts[trial.workload].lengths
        if predicted.open_loop is not None:
            (grade, engine), confidence = _errors_of(trial, self._inputs), self._inputs.problem.margins.confidence
            margin = 1.0 / min(throughput_factor(grade, confidence, engine), 1.0)
            used = predicted.open_loop.utilization
            if used * margin > UTILIZATION:
                return used, margin, UTILIZATION
        most = 0.0 if predicted.held is None else float(trial.held(self._inputs))
        if predicted.people is not None:
            most = max(most, predicted.people.inflight_p99 or 0.0)
        slots = float(replicas_of([trial.spec], lengths, self._inputs.params).slots[0]) * trial.spec.attention_dp
        return (most / slots, 1.0, 1.0) if most > slots * (1.0 + 1e-9) else None

    def knows(self, trial: Trial) -> bool:
        """Whether a trial was replayed already."""
        return self._about(trial) in self.memory.replays

    def _is_batch(self, trial: Trial) -> bool:
        return self._inputs.parts[trial.workload].load.is_batch

    def _of_batch(self, trial: Trial) -> Replay:
        lengths = self._inputs.parts[trial.workload].lengths
        return replay_batch(self._inputs, trial, replica_of(self._inputs, trial.spec, lengths))

    def filmed(self, trial: Trial) -> Replay:
        """The same replay with what charts show of it; it is run once more for that. Batch work has nothing to show."""
        replay = self.replay(trial)
        if self._is_batch(trial):
            return replay
        self.predict([trial])
        predicted = self._predicted[trial.key]
        lengths = self._inputs.parts[trial.workload].lengths
        limits = [_wanted(p, p.limit_s * p.simulated_s / p.with_margin_s, lengths) for p in replay.promises]
        seen = [side.seen for side in self._sides(trial, lengths, limits)]
        held = seen.pop() if predicted.held is not None else None
        people = predicted.open_loop is None and predicted.people is not None
        replica = replica_of(self._inputs, trial.spec, lengths)
        footage = footage_of(seen, held, replica, trial.ranks, people=people)
        return replace(replay, footage=footage)

    def predict(self, trials: Sequence[Trial]) -> None:
        """Ask the closed form about many trials at once, which takes hardly longer than about one."""
        inputs, known = self._inputs, self._inputs.known.behaviours
        for workload in sorted({trial.workload for trial in trials}):
            new = {t.key: t for t in trials if t.workload == workload and t.key not in self._predicted}
            new = {} if any(map(self._is_batch, new.values())) else new
            mine, lengths = list(new.values()), inputs.parts[workload].lengths
            specs = [trial.spec for trial in mine]
            rates = [trial.rate(inputs) / trial.replicas for trial in mine]
            inflights = [float(trial.held(inputs)) for trial in mine]
            open_loop = known.of(specs, lengths, inputs.params, rates=rates) if any(rates) else None
            held = known.of(specs, lengths, inputs.params, inflights=inflights) if any(inflights) else None
            crowds = [trial.people(inputs) for trial in mine]
            users = [crowd.users / trial.replicas for crowd, trial in zip(crowds, mine, strict=True)]
            people = None
            if any(users):
                people = known.of(specs, lengths, inputs.params, users=users, think_s=crowds[0].think_s)
            for index, trial in enumerate(mine):
                self._predicted[trial.key] = _Predicted(
                    *(None if side is None else side[index] for side in (open_loop, held, people))
                )

    def _replayed(self, trial: Trial) -> Replay:
        self.predict([trial])
        inputs = self._inputs
        part = inputs.parts[trial.workload]
        promises, lengths = part.slo.promises, part.lengths
        (grade, engine), confidence = _errors_of(trial, inputs), inputs.problem.margins.confidence
        factors = [error_factor(p.metric, grade, confidence, engine) for p in promises]
        wanted = [_wanted(p, p.limit_s / f, lengths) for p, f in zip(promises, factors, strict=True)]
        sides = self._sides(trial, lengths, wanted)
        busier = max(sides, key=lambda side: side.predicted.inflight).seen
        return Replay(
            workload=part.name,
            ttft_ms=LatencyMs(*(value * _MS for value in busier.ttft)),
            tpot_ms=LatencyMs(*(value * _MS for value in busier.tpot)),
            e2e_s=LatencyMs(*busier.e2e),
            requests=sum(side.seen.requests for side in sides),
            router=str(self._router),
            promises=tuple(
                _promise(promise, factor, sides, index)
                for index, (promise, factor) in enumerate(zip(promises, factors, strict=True))
            ),
            length_class=part.length_class,
            prefix_hit_rate=busier.prefix_hit_rate if lengths.shared_prefix else None,
            host_hit_rate=busier.host_hit_rate,
            **trial.load(inputs),
        )

    def _sides(self, trial: Trial, lengths: Lengths, wanted: Sequence[Wanted]) -> list[_Side]:
        """The floors of the load, each replayed; the requests held in flight come last. A router that keeps prefixes
        keeps them on a replica, whose engine deals them to any of its ranks."""
        ranks, homes = trial.ranks, trial.spec.attention_dp
        predicted, sides = self._predicted[trial.key], []
        replica = _launched(replica_of(self._inputs, trial.spec, lengths), predicted, lengths, homes)
        runs = self.memory.run.runs_of(self._under(trial))
        if predicted.open_loop is not None:
            rate, stay = trial.rate(self._inputs), predicted.open_loop.e2e.mean
            held = _as_held(lengths, predicted.open_loop)
            make = requests_of(self._inputs, trial.workload, held)
            seen = replay_arrivals(
                replica, ranks, rate, make, held, stay, wanted, self._router, homes, runs[Side.ARRIVALS]
            )
            sides.append(_Side(predicted.open_loop, seen))
        if predicted.people is not None:
            people, held = trial.people(self._inputs), _as_held(lengths, predicted.people)
            make = requests_of(self._inputs, trial.workload, held)
            stay = predicted.people.inflight / predicted.people.requests_per_second
            seen = replay_people(
                replica, ranks, people, make, held, stay, wanted, self._router, homes, runs[Side.PEOPLE]
            )
            sides.append(_Side(predicted.people, seen))
        if predicted.held is not None:
            inflight, stay = ceil_guarded(trial.held(self._inputs) / homes), predicted.held.e2e.mean
            held = _as_held(lengths, predicted.held)
            seen = replay_held(replica, ranks, inflight, held, stay, wanted, self._router, homes, runs[Side.HELD])
            sides.append(_Side(predicted.held, seen))
        return sides


def _as_held(lengths: Lengths, predicted: Behaviour) -> Lengths:
    """Where hits are assumed: the share of the input that fits into the cache beside what is in flight."""
    if not lengths.assumes_hits or not predicted.stable:
        return lengths
    return replace(lengths, shared_prefix=min(predicted.prefix_hit_rate, lengths.shared_prefix))


def _launched(replica: Replica, predicted: _Predicted, lengths: Lengths, ranks: int) -> Replica:
    """Where hits are earned, the replica with as many sequences at once as it is launched with: with more, a queue
    would take the room of the prefixes, which makes the queue longer, and the replica never finds back."""
    sides = [side for side in (predicted.open_loop, predicted.people) if side is not None and side.stable]
    if not lengths.earns_hits or not sides:
        return replica
    most = max(with_room(side, ranks) for side in sides)
    return replace(replica, open_loop=replace(replica.open_loop, max_seqs=min(replica.open_loop.max_seqs, most)))


def say_replaying(say: Callable[[str], None], arrivals: bool, held: bool, people: bool = False) -> None:
    """Name the step; where code for a kind of load has to be compiled first, say so, since it takes longer."""
    needed = [name for name, used in (("serve_fleet", arrivals), ("run", held), ("serve_people", people)) if used]
    say("replaying request by request" if all(map(is_compiled, needed)) else COMPILING)


def requests_of(inputs: Inputs, workload: int, lengths: Lengths) -> Callable[[float, int], Stream]:
    """Streams of requests of a workload: its trace where it has one, else Poisson arrivals."""
    from optimizer.problem import trace_path
    from optimizer.problem.trace import read_trace

    name = inputs.parts[workload].workload.traffic.trace
    if name is None:
        return poisson_requests(lengths)
    trace = read_trace(trace_path(name, Path(inputs.problem.path).parent))
    return recorded_requests(trace.arrival_s, trace.input_tokens, trace.output_tokens, lengths)


def _wanted(promise: Promise | ReplayedPromise, limit: float, lengths: Lengths) -> Wanted:
    """What the replay has to find out about a promise; of a mix only the requests of its length class count."""
    for number, one in enumerate(lengths.classes):
        if one.name == promise.length_class:
            return Wanted(promise.metric, promise.percentile, limit, number, one.share)
    return Wanted(promise.metric, promise.percentile, limit)


def replica_of(inputs: Inputs, spec: ReplicaSpec, lengths: Lengths) -> Replica:
    """Step times, scheduler and all KV blocks of a replica, as the calibration knows them."""
    from optimizer.calibrate.forward import replica_for

    return replica_for(spec, lengths, inputs.params)


def _promise(promise: Promise, factor: float, sides: Sequence[_Side], index: int) -> ReplayedPromise:
    worst: Estimate = max((side.seen.estimates[index] for side in sides), key=lambda e: e.value)
    of_metric = {Metric.TTFT: "ttft", Metric.TPOT: "tpot", Metric.E2E: "e2e"}[promise.metric]
    return ReplayedPromise(
        metric=promise.metric,
        percentile=promise.percentile,
        path=promise.path,
        predicted_s=max(
            getattr(side.predicted.seen_by(promise.length_class), of_metric).at(promise.percentile) for side in sides
        ),
        simulated_s=worst.value,
        low_s=worst.low,
        high_s=worst.high,
        narrow=worst.narrow,
        with_margin_s=worst.value * factor,
        limit_s=promise.limit_s,
        length_class=promise.length_class,
    )


LONGEST = 6_000
"""Requests replayed; of a longer part the rest is taken at the pace of the middle of the run."""

_UNKNOWN = LatencyMs(math.nan, math.nan, math.nan, math.nan, math.nan)
_SECONDS_PER_HOUR = 3600.0


def replay_batch(inputs: Inputs, trial: Trial, replica: Replica) -> Replay:
    """What becomes of the batch on so many replicas."""
    problem = inputs.problem
    part = parts_of(problem)[trial.workload]
    lengths, load, batch = part.lengths, part.load, part.workload.traffic.batch
    assert batch is not None
    limit, router = batch.within_hours * _SECONDS_PER_HOUR, Router(problem.engine.router)
    ranks = trial.spec.attention_dp
    mine = max(1, ceil_guarded(trial.rate(inputs) * limit / trial.ranks))
    count = min(mine, LONGEST)
    given = routed(stream(np.zeros(count), lengths), lengths, trial.ranks, router, ranks)
    served = hold(replica.c, replica.closed_loop, given, min(trial.spec.max_num_seqs, count))
    pace, half = _pace(np.sort(served.finish))
    seconds = float(served.finish.max()) + (mine - count) / pace
    rest = (mine - count) / mine * seconds * half / pace
    confidence = problem.margins.confidence
    grade, engine = _errors_of(trial, inputs)
    margin = min(throughput_factor(grade, confidence, engine), 1.0)
    points = operating_points([trial.spec], lengths, part.slo, load, 0.5, inputs.params)[0]
    carried = max((point.requests_per_second for point in points), default=math.nan)
    promise = ReplayedPromise(
        metric=Metric.E2E,
        percentile=100.0,
        path=f"workloads.{part.workload.name}.traffic.batch.within_hours",
        predicted_s=mine * ranks / carried,
        simulated_s=seconds,
        low_s=seconds - rest,
        high_s=seconds + rest,
        narrow=rest <= NARROW * seconds,
        with_margin_s=seconds / margin,
        limit_s=limit,
    )
    unknown = (_UNKNOWN, _UNKNOWN, _UNKNOWN)
    of_class, told = part.length_class, trial.load(inputs)
    return Replay(part.name, *unknown, count, str(router), (promise,), length_class=of_class, **told)


def _pace(finish: Floats) -> tuple[float, float]:
    """Requests per second in the middle three fifths of a run, and the half-width of its 95 % confidence interval."""
    edge = finish.size // 5
    middle = finish[edge : finish.size - edge]
    if middle.size <= BATCHES:
        return finish.size / float(finish[-1]), 0.0
    parts = np.array_split(middle, BATCHES)
    ends = np.array([float(part[-1]) for part in parts])
    spans = np.diff(np.concatenate(([float(middle[0])], ends)))
    sizes = np.array([part.size for part in parts], dtype=np.float64)
    sizes[0] -= 1.0
    paces = sizes / np.maximum(spans, 1e-9)
    pace = (middle.size - 1) / max(float(middle[-1] - middle[0]), 1e-9)
    return pace, STUDENT_T * float(np.std(paces, ddof=1)) / math.sqrt(BATCHES)


def _errors_of(trial: Trial, inputs: Inputs) -> tuple[Grade, str]:
    """Grade of a trial's replica, and whose errors its band is made of."""
    lengths = inputs.parts[trial.workload].lengths
    return grade_of(trial.spec, inputs.params, lengths)[0], band_source(trial.spec, inputs.params)


def footage_of(fleet: Sequence[Seen], held: Seen | None, replica: Replica, replicas: int, *, people: bool) -> Footage:
    """The worst of the loads at every percentile, as promises are judged.

    Over time what the whole ``fleet`` saw (arrivals, else ``people``), if anything; else requests held.
    """
    seen = [*fleet, *([] if held is None else [held])]
    settings = replica.open_loop if fleet else replica.closed_loop
    shown = stretch(seen[0], settings.kv_tokens)
    return Footage(
        percentiles=PERCENTILES,
        ttft_s=_worst([curve(one, "ttft") for one in seen]),
        tpot_s=_worst([curve(one, "tpot") for one in seen]),
        seconds=shown.seconds,
        waiting=shown.waiting,
        running=shown.running,
        kv_share=shown.kv_share,
        replicas=min(replicas, MOST_REPLICAS) if fleet else 1,
        held=not fleet,
        people=people,
    )


def _worst(curves: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(max(values) for values in zip(*curves, strict=True))
