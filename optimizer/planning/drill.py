"""Failure drill: a node of a plan, or a whole site, dies while requests arrive, and returns; with and without spare
nodes for what is gone.

The loads that the plan promises to carry (arrivals, the people of a closed population, requests held in flight), the
lengths and the replicas are those of the replay, each load by itself. A dead node's
requests are sent again from their first token to the replicas that are left, by a router that notices at once; a node
that returns serves at once, its prefix cache cold. What is missing here (health checks, timeouts, loading weights)
belongs to the minutes the node is away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from optimizer.demand import Metric, mean_gap
from optimizer.errors import UsageError
from optimizer.fleet.survival import Place, sites
from optimizer.performance import behaviours
from optimizer.planning.assemble import spec_of
from optimizer.planning.replicas_replayed import replica_of, say_replaying
from optimizer.simulate.draws import Floats, first_questions, poisson, routed, stream, thinking
from optimizer.simulate.fleet import Outage, Served, Talk, converse, hold, serve
from optimizer.simulate.sessions import arriving, at_ranks, attend, of_people
from optimizer.units import SHARE_UNITS, ceil_guarded
from optimizer.vocabulary import Router, Survive

if TYPE_CHECKING:
    from optimizer.demand import Lengths, Promise
    from optimizer.performance.types import ReplicaSpec
    from optimizer.plan.types import Group, Plan
    from optimizer.planning.inputs import Inputs
    from optimizer.simulate.draws import Stream
    from optimizer.simulate.replay import Replica

Flags = npt.NDArray[np.bool_]

LARGEST = 30_000_000
"""Replicas times requests: more would not fit into memory."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Requests that arrived in one stretch of time; latencies in seconds."""

    requests: int
    ttft_p50: float
    ttft_p99: float
    late: int  # above the TTFT limit


@dataclass(frozen=True, slots=True)
class PromiseSeen:
    """A promised percentile of the requests that arrived before, while and after the node was away; seconds, not a
    number where none did, infinite where no replica was there for those that are held in flight."""

    promise: Promise
    before: float
    away: float
    after: float

    @property
    def holds(self) -> bool:
        """It is kept while the node is away; nothing that arrived then broke it."""
        return not self.away > self.promise.limit_s


@dataclass(frozen=True, slots=True)
class Course:
    """What users saw in one run."""

    replicas: int
    left: int  # replicas while the node is down
    before: Phase
    down: Phase
    after: Phase
    resent: int  # in flight on the node when it died, sent again
    recovered_s: float  # from the node's return until the last late request had arrived; 0: none was late
    promises: tuple[PromiseSeen, ...]

    @property
    def lost(self) -> int:
        """Replicas that are gone."""
        return self.replicas - self.left

    @property
    def errors(self) -> int:
        """Requests that no replica was there to take: those that arrived while none was, and those sent again then."""
        return 0 if self.left else self.down.requests + self.resent

    @property
    def holds(self) -> bool:
        """Every promise is kept while the node is away, and every request finds a replica."""
        return not self.errors and all(one.holds for one in self.promises)


@dataclass(frozen=True, slots=True)
class GroupDrill:
    """One workload of the plan with and without a spare node."""

    workload: str
    gpu: str
    share: float  # of the workload
    rate: float  # requests per second; 0: only a number in flight is promised
    held: int  # requests in flight, each followed by the next as soon as it is answered; 0: none stated
    limit_s: float  # of TTFT; "late" is above it
    promised: bool  # the limit is one of the problem file's, else twice the calm p99
    without_spare: Course
    with_spare: Course
    length_class: str = ""


def drill(
    inputs: Inputs,
    plan: Plan,
    minutes: float,
    router: Router | None = None,
    say: Callable[[str], None] = lambda _: None,
    *,
    site: bool = False,
) -> tuple[GroupDrill, ...]:
    """Let one node with the replicas of each group die for ``minutes``, or all nodes of the ``site`` that takes most of
    them; without a router it is the problem's.

    Offline work is left out: nobody waits for one of its requests. Raises ``UsageError`` where nothing else is served.
    """
    if plan.has_pools:
        raise UsageError(
            "nothing to drill: a plan with a prefill and a decode pool is replayed as a whole, not with a node gone; "
            "margins.spare_nodes keeps a node in reserve for each kind that its pools stand on"
        )
    loads = {part.name: part.load for part in inputs.parts}
    online = [index for index, group in enumerate(plan.groups) if not loads[group.workload].is_batch]
    if not online:
        raise UsageError("nothing to drill: all of it is offline work, where nobody waits for a request")
    asked = [loads[plan.groups[index].workload] for index in online]
    arrivals = any(load.requests_per_second for load in asked)
    say_replaying(
        say, arrivals=arrivals, held=any(load.inflight for load in asked), people=any(load.users for load in asked)
    )
    router = router or Router(inputs.problem.engine.router)
    lost = [_at_a_site(inputs, plan, index) if site else _on_a_node(inputs, plan, index) for index in online]
    return tuple(
        _drilled(inputs, plan, index, count, (60.0 * minutes, router))
        for index, count in zip(online, lost, strict=True)
    )


def _on_a_node(inputs: Inputs, plan: Plan, index: int) -> int:
    """Replicas of a group that the fullest node holds, or the one that it is part of."""
    group = plan.groups[index]
    return min(max(group.gpus_per_node // spec_of(inputs, group).gpus, 1), group.replicas)


def _at_a_site(inputs: Inputs, plan: Plan, index: int) -> int:
    """Replicas of a group that are gone with the worst site: as the plan says they stand, else as many as its nodes may
    hold."""
    group = plan.groups[index]
    told = [one for one in plan.remainder if one.gone is Survive.SITE]
    if told:
        return told[index].lost
    at: dict[Place, int] = {}
    same = (group.gpu, group.gpus_per_node, group.link)
    for node in plan.nodes:
        if (node.gpu, node.gpus_per_node, node.link) == same:
            at[node.place] = at.get(node.place, 0) + node.count
    most = max(sum(at.get(place, 0) for place in one) for one in sites(at))
    return min(most * group.gpus_per_node // spec_of(inputs, group).gpus, group.replicas)


@dataclass(frozen=True, slots=True)
class _Offered:
    """One of the loads that a group promises to carry: arrivals at a rate, or people who wait for their answers."""

    rate: float  # requests per second, of people with every replica there
    stay_s: float  # mean end-to-end time with every replica there
    people: int = 0  # 0: arrivals whatever the answers take
    think_s: float = 0.0  # of people


def _askings(inputs: Inputs, plan: Plan, group: Group, spec: ReplicaSpec) -> list[_Offered]:
    """Arrivals or people, as the plan of a group is replayed under them; none where only a number in flight is."""
    predicted = next(one for one in plan.predicted if one.workload == group.workload)
    part = next(one for one in inputs.parts if one.name == group.workload)
    load, lengths, params = part.load, part.lengths, inputs.params
    factor = plan.load_factor if inputs.problem.objective == "maximize_load" else 1.0
    share, found = factor * group.share / SHARE_UNITS, list[_Offered]()
    if load.requests_per_second:
        rate = load.requests_per_second * share
        stay = behaviours([spec], lengths, params, rates=[rate / group.replicas])[0].e2e.mean
        found.append(_Offered(rate, stay if math.isfinite(stay) else predicted.e2e_s.mean))
    elif load.users:
        rate, stay = predicted.requests_per_second * group.share / SHARE_UNITS, predicted.e2e_s.mean
        found.append(_Offered(rate, stay, ceil_guarded(rate * (load.think_s + stay)), load.think_s))
    return found


def _drilled(inputs: Inputs, plan: Plan, index: int, lost: int, asked: tuple[float, Router]) -> GroupDrill:
    """Each load of the group by itself: of every promise the worse counts, of requests those of the load under which
    more are late."""
    away_s, router = asked
    group = plan.groups[index]
    part = next(one for one in inputs.parts if one.name == group.workload)
    lengths, spec = part.lengths, spec_of(inputs, group)
    askings = _askings(inputs, plan, group, spec)
    classes = {one.name: number for number, one in enumerate(lengths.classes)}
    promises = [(one, classes.get(one.length_class)) for one in part.slo.promises]
    stated = [p.limit_s for p in part.slo.promises if p.metric is Metric.TTFT]
    limit, courses = max(stated, default=math.inf), list[dict[int, Course]]()  # by the number of replicas
    for one in askings:
        runs, times = _runs(inputs, group, (spec, lengths), one, (lost, away_s, router))
        first = runs[group.replicas]
        calm = first.ttft[_calm(first, times)]
        if not stated and calm.size:
            limit = min(limit, 2.0 * float(np.percentile(calm, 99)))
        courses.append({n: _course(run, n, lost, times, (limit, promises)) for n, run in runs.items()})
    share = group.share / SHARE_UNITS
    factor = plan.load_factor if inputs.problem.objective == "maximize_load" else 1.0
    inflight = ceil_guarded(part.load.inflight * share * factor)
    if inflight:
        replica = replica_of(inputs, spec, lengths)
        counts = (group.replicas, group.replicas + lost)

        def stays(each: int) -> float:
            return behaviours([spec], lengths, inputs.params, inflights=[float(each)])[0].e2e.mean

        held, ranks = _Held(inflight, lost, away_s, limit, promises, stays), spec.attention_dp
        courses.append({n: _held(replica, lengths, (n, ranks), router, held) for n in counts})
    few, many = (_worst([one[n] for one in courses]) for n in (group.replicas, group.replicas + lost))
    rate = next((one.rate for one in askings), 0.0)
    return GroupDrill(part.name, group.gpu, share, rate, inflight, limit, bool(stated), few, many, part.length_class)


def _runs(
    inputs: Inputs,
    group: Group,
    replica_of_group: tuple[ReplicaSpec, Lengths],
    asking: _Offered,
    outage_of: tuple[int, float, Router],
) -> tuple[dict[int, Served], tuple[float, float, float, float]]:
    """One load on the replicas of the plan, and on those with spares for what is lost; by the number of replicas."""
    (spec, lengths), (lost, away_s, router) = replica_of_group, outage_of
    rate, stay, ranks = asking.rate, asking.stay_s, spec.attention_dp
    gap = mean_gap(lengths.gaps) if lengths.earns_hits else 0.0
    begin = max(60.0, 10.0 * stay, 2.0 * gap)
    quiet = begin - 2.0 * stay  # who arrives later is still there when the node dies
    times = (quiet, begin, begin + away_s, begin + away_s + max(0.5 * away_s, 5.0 * stay))
    most = rate * times[-1]
    count = math.ceil(most + 5.0 * math.sqrt(most) + 10.0)
    if count * (group.replicas + lost) * ranks > LARGEST:
        raise UsageError(f"{count:,} requests on {group.replicas} replicas are too many to replay: ask for less time")
    given, replica = stream(poisson(rate, count), lengths), replica_of(inputs, spec, lengths)
    outage, talk = Outage(begin, begin + away_s, 0, lost * ranks), None
    if asking.people:
        first = first_questions(asking.people, asking.think_s + stay)
        talk = Talk(first, thinking(asking.think_s, count))

    def run(replicas: int) -> Served:
        engines = replicas * ranks
        if lengths.earns_hits:
            sessions = arriving(lengths, rate, count, stay, engines)
            if talk is not None:
                sessions = of_people(lengths, talk.first.size, count, stay, engines)
            launched = replace(replica.open_loop, max_seqs=group.max_num_seqs)
            return attend(replica.c, launched, sessions, engines, at_ranks(router, ranks), outage, warm=True)
        requests = routed(given, lengths, engines, router, ranks)
        if talk is not None:
            return converse(replica.c, replica.open_loop, requests, talk, engines, router, outage)
        return serve(replica.c, replica.open_loop, requests, engines, router, outage)

    return {n: run(n) for n in sorted({group.replicas, group.replicas + lost})}, times


@dataclass(frozen=True, slots=True)
class _Held:
    """A number of requests held in flight, and what is gone."""

    inflight: int  # on all replicas
    lost: int  # replicas
    away_s: float
    limit_s: float  # of TTFT
    promises: Sequence[tuple[Promise, int | None]]  # with the number of their length class
    stays: Callable[[int], float]  # seconds that one of so many on a replica takes


def _held(replica: Replica, lengths: Lengths, shape: tuple[int, int], router: Router, asked: _Held) -> Course:
    """A number held in flight, as it is promised: steady and staggered over however many replicas there are. What is
    gone with the node joins the others at once."""
    (replicas, ranks), inflight, lost = shape, asked.inflight, asked.lost

    def steady(count: int) -> Served | None:
        if not count:
            return None
        each = ceil_guarded(inflight / count / ranks)
        total = max(_CYCLES * each, _LEAST_HELD)
        spread = _even(lengths, total, asked.stays(each * ranks) / each, (count, ranks, router), each)
        return hold(replica.c, replica.closed_loop, spread, each)

    before, away = steady(replicas), steady(replicas - lost)
    assert before is not None
    phases = [
        _steady_phase(run, (n * ranks, asked.away_s), asked.limit_s)
        for run, n in ((before, replicas), (away, replicas - lost))
    ]
    calm = phases[0]
    seen = []
    for one, number in asked.promises:
        usual = _steady_value(before, one, number)
        meanwhile = math.inf if away is None else _steady_value(away, one, number)
        seen.append(PromiseSeen(one, usual, meanwhile, usual))
    resent = min(ceil_guarded(inflight / replicas) * lost, inflight)
    return Course(replicas, replicas - lost, calm, phases[1], calm, resent, 0.0, tuple(seen))


_CYCLES = 40
"""Answers per request in flight that a steady number is followed over."""

_LEAST_HELD = 2_000


def _even(lengths: Lengths, count: int, gap_s: float, fleet: tuple[int, int, Router], first: int = 1) -> Stream:
    """Requests of which the first so many come at even gaps, the others whenever one is answered."""
    replicas, ranks, router = fleet
    arrive = np.zeros(count)
    arrive[:first] = np.arange(first) * gap_s
    return routed(stream(arrive, lengths), lengths, replicas * ranks, router, ranks)


def _warm(run: Served) -> int:
    """The first quarter of a run is not counted."""
    return run.ttft.size // 4


def _steady_value(run: Served, promise: Promise, number: int | None) -> float:
    values = {Metric.TTFT: run.ttft, Metric.TPOT: run.tpot, Metric.E2E: run.e2e}[promise.metric][_warm(run) :]
    if number is not None and run.length_class is not None:
        values = values[run.length_class[_warm(run) :] == number]
    return float(np.percentile(values, promise.percentile)) if values.size else math.nan


def _steady_phase(run: Served | None, over: tuple[int, float], limit: float) -> Phase:
    """What all engines together answer in so many seconds at the pace of one."""
    if run is None:
        return Phase(0, math.nan, math.nan, 0)
    (engines, seconds), ttft, done = over, run.ttft[_warm(run) :], np.sort(run.finish)
    pace = (done.size - _warm(run) - 1) / max(float(done[-1] - done[_warm(run)]), 1e-9)
    requests = round(pace * engines * seconds)
    p50, p99 = (float(value) for value in np.percentile(ttft, (50, 99)))
    return Phase(requests, p50, p99, round(requests * float((ttft > limit).mean())))


def _worst(courses: Sequence[Course]) -> Course:
    """Of several loads on the same replicas: of each promise the worst, of requests the load with most of them late."""
    worst = max(courses, key=lambda one: (one.down.late, one.resent))
    promises = []
    for seen in zip(*(one.promises for one in courses), strict=True):
        values = ((one.before, one.away, one.after) for one in seen)
        before, away, after = (_largest(column) for column in zip(*values, strict=True))
        promises.append(PromiseSeen(seen[0].promise, before, away, after))
    return replace(
        worst,
        before=_slowest(worst.before, [one.before for one in courses]),
        down=_slowest(worst.down, [one.down for one in courses]),
        after=_slowest(worst.after, [one.after for one in courses]),
        promises=tuple(promises),
    )


def _slowest(phase: Phase, phases: Sequence[Phase]) -> Phase:
    """Latencies of the slowest load, as the promises beside them have; how many requests, of the one given."""
    p50, p99 = (_largest([getattr(one, name) for one in phases]) for name in ("ttft_p50", "ttft_p99"))
    return replace(phase, ttft_p50=p50, ttft_p99=p99)


def _largest(values: Sequence[float]) -> float:
    """Of what was measured; infinite where nothing was and one has no replica, else not a number."""
    finite = [value for value in values if math.isfinite(value)]
    return max(finite or [value for value in values if math.isinf(value)], default=math.nan)


def _course(
    run: Served,
    replicas: int,
    lost: int,
    times: Sequence[float],
    asked: tuple[float, Sequence[tuple[Promise, int | None]]],
) -> Course:
    _, begin, back, end = times
    limit, promises = asked
    late = (run.arrive + run.ttft > begin) & (run.arrive <= end) & (run.ttft > limit)
    last = float(run.arrive[late].max()) if late.any() else back
    stretches = (_calm(run, times), _between(run, begin, back), _between(run, back, end))
    before, down, after = (_phase(run, inside, limit) for inside in stretches)
    return Course(
        replicas=replicas,
        left=replicas - lost,
        before=before,
        down=down,
        after=after,
        resent=run.resent,
        recovered_s=max(last - back, 0.0),
        promises=tuple(_promise(run, one, number, stretches) for one, number in promises),
    )


def _between(run: Served, low: float, high: float) -> Flags:
    return (run.arrive >= low) & (run.arrive < high)


def _calm(run: Served, times: Sequence[float]) -> Flags:
    """Requests that came before the node died and were not lost with it: those that were, however long before, reach an
    engine again after it, and their wait is none of the calm."""
    quiet, begin, *_ = times
    return _between(run, begin / 2, quiet) & (run.ready < begin)


def _promise(run: Served, promise: Promise, number: int | None, stretches: Sequence[Flags]) -> PromiseSeen:
    """A promised percentile in each stretch; of a length class over its requests."""
    values = {Metric.TTFT: run.ttft, Metric.TPOT: run.tpot, Metric.E2E: run.e2e}[promise.metric]
    concerned = np.ones(values.size, np.bool_)
    if number is not None and run.length_class is not None:
        concerned = run.length_class == number

    def seen(stretch: Flags) -> float:
        inside = values[concerned & stretch]
        return float(np.percentile(inside, promise.percentile)) if inside.size else math.nan

    before, away, after = map(seen, stretches)
    return PromiseSeen(promise, before, away, after)


def _phase(run: Served, inside: Flags, limit: float) -> Phase:
    values: Floats = run.ttft[inside]
    p50, p99 = (float(v) for v in np.percentile(values, (50, 99))) if values.size else (math.nan, math.nan)
    return Phase(int(inside.sum()), p50, p99, int((values > limit).sum()))
