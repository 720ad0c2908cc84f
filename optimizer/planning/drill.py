"""Failure drill: a node of a plan dies while requests arrive, and returns; with and without a spare node.

The arrivals (or the people of a closed population), lengths and replicas are those of the replay. A dead node's
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

from optimizer.demand import Metric
from optimizer.errors import UsageError
from optimizer.performance import behaviours
from optimizer.planning.assemble import spec_of
from optimizer.planning.replicas_replayed import replica_of, say_replaying
from optimizer.simulate.draws import Floats, first_questions, poisson, routed, stream, thinking
from optimizer.simulate.fleet import Outage, Served, Talk, converse, serve
from optimizer.simulate.sessions import arriving, at_ranks, attend, of_people
from optimizer.units import SHARE_UNITS, ceil_guarded
from optimizer.vocabulary import Router

if TYPE_CHECKING:
    from optimizer.demand import Load
    from optimizer.plan.types import Plan
    from optimizer.planning.inputs import Inputs

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
class Course:
    """What users saw in one run."""

    replicas: int
    left: int  # replicas while the node is down
    before: Phase
    down: Phase
    after: Phase
    resent: int  # in flight on the node when it died, sent again
    recovered_s: float  # from the node's return until the last late request had arrived; 0: none was late


@dataclass(frozen=True, slots=True)
class GroupDrill:
    """One workload of the plan with and without a spare node."""

    workload: str
    gpu: str
    share: float  # of the workload
    rate: float
    limit_s: float  # of TTFT; "late" is above it
    promised: bool  # the limit is one of the problem file's, else twice the calm p99
    without_spare: Course
    with_spare: Course


def drill(
    inputs: Inputs,
    plan: Plan,
    minutes: float,
    router: Router | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[GroupDrill, ...]:
    """Let one node with the replicas of each group die for ``minutes``; without a router it is the problem's.

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
    thinking = [_are_people(loads[plan.groups[index].workload]) for index in online]
    say_replaying(say, arrivals=not all(thinking), held=False, people=any(thinking))
    router = router or Router(inputs.problem.engine.router)
    return tuple(_drilled(inputs, plan, index, 60.0 * minutes, router) for index in online)


def _drilled(inputs: Inputs, plan: Plan, index: int, away_s: float, router: Router) -> GroupDrill:
    group = plan.groups[index]
    predicted = next(one for one in plan.predicted if one.workload == group.workload)
    part = next(one for one in inputs.parts if one.name == group.workload)
    rate = predicted.requests_per_second * group.share / SHARE_UNITS
    lengths, spec = part.lengths, spec_of(inputs, group)
    lost = min(max(group.gpus_per_node // spec.gpus, 1), group.replicas)
    stay = predicted.e2e_s.mean
    if not _are_people(part.load):
        open_loop = behaviours([spec], lengths, inputs.params, rates=[rate / group.replicas])[0].e2e.mean
        stay = open_loop if math.isfinite(open_loop) else stay
    gap = lengths.prefix_gap if lengths.earns_hits else None
    begin = max(60.0, 10.0 * stay, 0.0 if gap is None else 2.0 * gap.mean)
    quiet = begin - 2.0 * stay  # who arrives later is still there when the node dies
    times = (quiet, begin, begin + away_s, begin + away_s + max(0.5 * away_s, 5.0 * stay))
    count = math.ceil(rate * times[-1] + 5.0 * math.sqrt(rate * times[-1]) + 10.0)
    ranks = spec.attention_dp
    if count * (group.replicas + lost) * ranks > LARGEST:
        raise UsageError(f"{count:,} requests on {group.replicas} replicas are too many to replay: lower --minutes")
    given, replica = stream(poisson(rate, count), lengths), replica_of(inputs, spec, lengths)
    outage, talk = Outage(begin, begin + away_s, 0, lost * ranks), None
    if _are_people(part.load):
        users = ceil_guarded(rate * (part.load.think_s + stay))
        talk = Talk(first_questions(users, part.load.think_s + stay), thinking(part.load.think_s, count))

    def run(replicas: int) -> Served:
        engines = replicas * ranks
        if lengths.earns_hits:
            sessions = arriving(lengths, rate, count, stay, engines)
            if talk is not None:
                sessions = of_people(lengths, talk.first.size, count, stay, engines)
            launched = replace(replica.open_loop, max_seqs=group.max_num_seqs)
            return attend(replica.c, launched, sessions, engines, at_ranks(router, ranks), outage)
        requests = routed(given, lengths, engines, router, ranks)
        if talk is not None:
            return converse(replica.c, replica.open_loop, requests, talk, engines, router, outage)
        return serve(replica.c, replica.open_loop, requests, engines, router, outage)

    runs = {n: run(n) for n in sorted({group.replicas, group.replicas + lost})}
    stated = [p.limit_s for p in part.slo.promises if p.metric is Metric.TTFT]
    first = runs[group.replicas]
    calm = first.ttft[(first.arrive > begin / 2) & (first.arrive < quiet)]
    limit = max(stated) if stated else 2.0 * float(np.percentile(calm, 99)) if calm.size else math.inf
    courses = [_course(run, n, lost, times, limit) for n, run in runs.items()]
    share = group.share / SHARE_UNITS
    return GroupDrill(part.name, group.gpu, share, rate, limit, bool(stated), courses[0], courses[1])


def _are_people(load: Load) -> bool:
    """Whether requests come from a closed population, who wait for a slow answer before they ask again."""
    return load.users > 0 and not load.requests_per_second


def _course(run: Served, replicas: int, lost: int, times: Sequence[float], limit: float) -> Course:
    quiet, begin, back, end = times
    late = (run.arrive + run.ttft > begin) & (run.arrive <= end) & (run.ttft > limit)
    last = float(run.arrive[late].max()) if late.any() else back
    return Course(
        replicas=replicas,
        left=replicas - lost,
        before=_phase(run, begin / 2, quiet, limit),
        down=_phase(run, begin, back, limit),
        after=_phase(run, back, end, limit),
        resent=run.resent,
        recovered_s=max(last - back, 0.0),
    )


def _phase(run: Served, low: float, high: float, limit: float) -> Phase:
    inside = (run.arrive >= low) & (run.arrive < high)
    values: Floats = run.ttft[inside]
    p50, p99 = (float(v) for v in np.percentile(values, (50, 99))) if values.size else (math.nan, math.nan)
    return Phase(int(inside.sum()), p50, p99, int((values > limit).sum()))
