"""The tests of a plan, simulated: what a server as predicted shows in each, on how many replicas and how many requests
a promise can be told from a broken one.

One replica is tested where it keeps its promises alone. Arrivals that a router deals out come more evenly than the same
share of them at random; where a replica alone would not keep a promise for that reason, more of them are tested behind
the router.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from optimizer.performance import band
from optimizer.performance.accuracy import band_source, grade_of
from optimizer.performance.operating_points import content_of_spec
from optimizer.performance.types import ReplicaSpec
from optimizer.plan.experiment import MOST_REQUESTS, Bracket, Experiment, LoadTest, Offered, Stated, experiment_of
from optimizer.planning.inputs import stated_of
from optimizer.session_turns import means_of
from optimizer.simulate.estimate import percentile_of
from optimizer.simulate.load_test import SEEDS, output_rate, runs_of
from optimizer.simulate.replay import MOST_REPLICAS
from optimizer.units import significant
from optimizer.vocabulary import Router

if TYPE_CHECKING:
    from optimizer.demand import Lengths
    from optimizer.plan.types import Group, Plan, Prediction
    from optimizer.planning.inputs import Inputs
    from optimizer.planning.known import KnownTests
    from optimizer.problem import Part
    from optimizer.simulate.fleet import Served
    from optimizer.simulate.replay import Replica

_SLOWER = 0.15
"""A server as predicted shall pass in 95 of 100 runs, one that is so much slower than the limit fail in 90."""

_ANOTHER = math.sqrt(1.0 + 1.0 / SEEDS)
_ONE_SIDED_95 = 2.015 * _ANOTHER
_ONE_SIDED_90 = 1.476 * _ANOTHER
"""What one more run may differ by, in standard deviations of the six that were simulated (Student's t, 5 degrees of
freedom)."""

_ROUNDS, _ROUNDS_BELOW = 3, 1
"""Times that a test is made larger: of the first plan, and of those below it."""

_ROOM, _MOST_AT_ONCE = 1.3, 8.0
"""Beyond what the scatter seen asks for, and at most so many times as large at once."""


@dataclass(frozen=True, slots=True)
class _Told:
    """A figure over the runs: its mean and how far single runs scatter."""

    mean: float
    scatter: float

    @property
    def high(self) -> float:
        """What 95 of 100 runs stay below."""
        return self.mean + _ONE_SIDED_95 * self.scatter

    @property
    def low(self) -> float:
        """What 95 of 100 runs stay above."""
        return max(self.mean - _ONE_SIDED_95 * self.scatter, 0.0)


def experiments_of(
    inputs: Inputs, plan: Plan, specs: Sequence[ReplicaSpec], known: KnownTests
) -> tuple[Experiment, ...]:
    """The test of each group of a plan; ``specs``: the replicas of its groups, in their order."""
    parts = {part.name: part for part in inputs.parts}
    planned = {one.workload: one for one in plan.predicted}
    router = Router(inputs.problem.engine.router)
    rounds, found = (_ROUNDS if plan.rank == 1 else _ROUNDS_BELOW), []
    for group, spec in zip(plan.groups, specs, strict=True):
        part = parts[group.workload]
        first = _at_once(experiment_of(group, _as_found(part, planned[part.name]), planned[part.name], router), part)
        launched = replace(spec, max_num_seqs=group.max_num_seqs)
        about = (first, content_of_spec(launched), part.lengths, group.replicas, rounds, inputs.params.version)
        if about not in known:
            known[about] = (launched, _simulated(inputs, first, group, part, launched, rounds))
        found.append(known[about][1])
    return tuple(found)


def _as_found(part: Part, planned: Prediction) -> Stated:
    """What a test sends. No client waits as people do between two requests with one prefix, so where hits are earned
    the prefixes of the test are as long as what the plan finds."""
    stated, lengths = stated_of(part), part.lengths
    sent = lengths if lengths.sessions is None else _one_by_one(lengths)
    if lengths.earns_hits and planned.prefix is not None:
        found = round(planned.prefix.found, 2)
        turns = lengths.requests_per_prefix if found > 0.0 else None
        sent = replace(sent, shared_prefix=found, requests_per_prefix=turns, prefix_gap=None)
    return replace(stated, lengths=sent)


def _one_by_one(lengths: Lengths) -> Lengths:
    """Requests as long as the turns of sessions, by mean and 95th percentile. Where something of them is found all
    begin alike, and each finds its share."""
    assert lengths.sessions is not None
    means = means_of(lengths.sessions, lengths.context_max)
    return replace(
        lengths,
        sessions=None,
        input_p95=means.input_p95 if means.input_p95 > means.input else None,
        output_p95=means.output_p95 if means.output_p95 > means.output else None,
    )


def _at_once(one: Experiment, part: Part) -> Experiment:
    if not part.lengths.earns_hits and part.lengths.sessions is None:
        return one
    how = "prefixes are reused at once, and are as long as what the plan finds of them after the stated gap"
    if part.lengths.sessions is not None:
        how = (
            "no client plays these sessions: requests of the same mean and p95 length are sent one by one, and each"
            " finds the share of its prompt that the plan finds on average; what a turn waits that finds nothing is not"
            " tested"
        )
    return replace(one, remark="; ".join(text for text in (one.remark, how) if text))


def _simulated(
    inputs: Inputs, first: Experiment, group: Group, part: Part, spec: ReplicaSpec, rounds: int
) -> Experiment:
    from optimizer.calibrate.forward import replica_for

    replica, one = replica_for(spec, first.test.lengths, inputs.params), first
    told, flow = _runs(replica, one, one.test.lengths)
    for _ in range(rounds):
        larger = _larger(one, told, flow, group.replicas)
        if larger is None:
            break
        one = replace(one, test=larger)
        told, flow = _runs(replica, one, one.test.lengths)
    grade, engine = grade_of(spec, inputs.params, part.lengths)[0], band_source(spec, inputs.params)
    brackets = []
    for bracket, seen in zip(one.brackets, told, strict=True):
        error = band(bracket.metric, grade, engine)
        brackets.append(
            replace(bracket, expected_s=seen.mean, low_s=seen.low * error.low, high_s=seen.high * error.high)
        )
    return replace(one, brackets=tuple(brackets))


def _runs(replica: Replica, one: Experiment, lengths: Lengths) -> tuple[list[_Told], _Told]:
    """What runs show of each bracket, and of the output tokens per second."""
    runs = runs_of(replica, one.test)
    rates = [output_rate(run, one.test) for run in runs]
    return [_told(runs, bracket, lengths) for bracket in one.brackets], _spread(rates)


def _told(runs: Sequence[Served], bracket: Bracket, lengths: Lengths) -> _Told:
    number = {one.name: place for place, one in enumerate(lengths.classes)}.get(bracket.length_class)
    values = []
    for run in runs:
        seen = getattr(run, bracket.metric)
        if number is not None and run.length_class is not None:
            seen = seen[run.length_class == number]
        values.append(percentile_of(seen, bracket.percentile))
    return _spread(values)


def _spread(values: Sequence[float]) -> _Told:
    return _Told(float(np.mean(values)), float(np.std(values, ddof=1)))


def _larger(one: Experiment, told: Sequence[_Told], flow: _Told, replicas: int) -> LoadTest | None:
    """The next test to try; None: this one tells, or no other would."""
    test = one.test
    limited = [(seen, b.limit_s) for seen, b in zip(told, one.brackets, strict=True) if b.limit_s is not None]
    wanted = max((_longer(seen, limit) for seen, limit in limited), default=2.0)
    longer = min(math.ceil(test.requests * wanted), MOST_REQUESTS)
    if one.offered is Offered.AT_ONCE:
        promised = one.least_output_tokens_per_second or 0.0
        return replace(test, requests=longer) if flow.low < promised and longer > test.requests else None
    if wanted <= 1.0:
        return None
    most = min(replicas, MOST_REPLICAS)
    if any(seen.mean > limit for seen, limit in limited) and one.offered is Offered.ARRIVING and test.replicas < most:
        assert test.rate is not None
        count = min(2 * test.replicas, most)
        rate = significant(test.rate * count / test.replicas, 3)
        return replace(test, replicas=count, rate=rate, requests=longer)
    return replace(test, requests=longer) if longer > test.requests else None


def _longer(seen: _Told, limit: float) -> float:
    """How many times as many requests tell a server as predicted from one that is 15 % slower than the limit; at most 1
    where these do. The scatter falls like the square root of their number."""
    slow = _ONE_SIDED_90 * seen.scatter / max(seen.mean, 1e-9) * (1.0 + _SLOWER) / _SLOWER
    room = limit - seen.mean
    good = _ONE_SIDED_95 * seen.scatter / room if room > 0 else math.inf
    need = max(slow, good) ** 2
    return need if need <= 1.0 else min(max(_ROOM * need, 2.0), _MOST_AT_ONCE)
