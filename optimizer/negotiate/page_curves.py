"""What a page draws beside the outcome: every feasible configuration, what more load costs, what each promise costs.

Each point is a configuration that keeps every rule alone; its cost is that of its cheapest allowed nodes, so shared
nodes and limits over the whole plan are left to the ranking.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from optimizer.progress import NO_LIMIT, Say, silent

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.demand import Load
    from optimizer.fleet.lower_bounds import UsableOptions
    from optimizer.performance.types import Behaviour
    from optimizer.problem import Problem
    from optimizer.whatif.case import Case

HUNDREDTHS = 100

LOADS = (100, 125, 150, 175, 200, 250, 300, 350, 400)
"""Hundredths of the load at which the staircase is asked first; between two of one cost it has no step."""

MOST_LOADS = 120
"""Loads that are asked at most: a plan of hundreds of nodes has a step every hundredth."""

PROMISE_FACTORS = (0.5, 2.0)
"""Multiples of each promised latency at which the cheapest plan is computed."""

CONFIDENCES = (0.5, 0.95)
"""Further levels of ``margins.confidence``."""


@dataclass(frozen=True, slots=True)
class Point:
    """One feasible configuration of one workload."""

    workload: str
    gpu: str
    weight_quant: str
    kv_cache: str
    gpus: int  # of a replica
    split: str  # how they share the work
    replicas: int
    nodes: int
    monthly_cents: int
    ttft_p95_s: float  # median estimate at the planned load
    output_tokens_per_second: float  # what the replicas carry at the asked confidence


@dataclass(frozen=True, slots=True)
class Stair:
    """The cheapest plan at a multiple of the load; None where nothing keeps every promise. Of each stretch of one cost
    both ends are kept."""

    factor: float
    monthly_cents: int | None

    def goes_on_in(self, after: Stair) -> bool:
        """Whether it is known what load between the two costs: they cost the same, or nothing lies between."""
        apart = round((after.factor - self.factor) * HUNDREDTHS)
        return self.monthly_cents == after.monthly_cents or apart <= 1


@dataclass(frozen=True, slots=True)
class Turn:
    """The cheapest plan with one figure of the problem changed; None where nothing keeps every promise."""

    path: str
    before: float
    after: float
    monthly_cents: int | None


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything a page draws."""

    points: tuple[Point, ...]
    stairs: tuple[Stair, ...]
    turns: tuple[Turn, ...]


def picture_of(case: Case, progress: Say = silent) -> Picture:
    """Compute the drawing of a problem that has an answer, however long it takes."""
    from optimizer.fleet.funnel import configuration_allowed

    progress("drawing what more load and other promises cost")
    case = replace(case, clock=NO_LIMIT)
    rules = case.candidates.rules
    lean = case.only(lambda one: configuration_allowed(one, rules))
    return Picture(tuple(_points(lean)), tuple(_stairs(lean)), tuple(_turns(lean)))


def _points(case: Case) -> Iterator[Point]:
    from optimizer.fleet.funnel import configuration_allowed, kept_points
    from optimizer.fleet.lower_bounds import UsableOptions

    rules = case.candidates.rules
    market = UsableOptions(option for option in case.options if not rules.forbidden_by(option))
    for index, workload in enumerate(rules.workloads):
        chosen = []
        for candidate in case.candidates.candidates:
            if candidate.workload == index and configuration_allowed(candidate, rules):
                points = kept_points(candidate, rules)
                best = _cheapest(candidate, points, workload.load, market, rules.reserve(candidate))
                chosen += [(candidate, *best)] if best else []
        behaviours = _at_load(case, index, workload.load, [(one, replicas) for one, _, replicas, _ in chosen])
        for (candidate, cents, replicas, carried), behaviour in zip(chosen, behaviours, strict=True):
            spec = candidate.spec
            yield Point(
                workload=workload.name,
                gpu=spec.gpu.id,
                weight_quant=spec.weight_quant,
                kv_cache=spec.kv_cache,
                gpus=spec.gpus,
                split=spec.split,
                replicas=replicas,
                nodes=candidate.nodes_for(replicas) + rules.reserve(candidate),
                monthly_cents=cents + rules.fixed_cents,
                ttft_p95_s=behaviour.ttft.p95,
                output_tokens_per_second=carried * replicas * _output_mean(case, index),
            )


def _cheapest(
    candidate: Candidate, points: Sequence[int], load: Load, market: UsableOptions, reserve: int
) -> tuple[int, int, float] | None:
    """Cents, replicas and requests per second of one replica at the cheapest operating point."""
    from optimizer.fleet.lower_bounds import nodes_running, replicas_running

    found: list[tuple[int, int, float]] = []
    for index in points:
        point = candidate.points[index]
        replicas = replicas_running(point, load)
        if replicas is not None:
            cents = market.cheapest_running(candidate.node_type, nodes_running(candidate, replicas, reserve))
            found += [(cents, max(replicas), point.requests_per_second)] if cents is not None else []
    return min(found, default=None)


def _at_load(case: Case, index: int, load: Load, chosen: Sequence[tuple[Candidate, int]]) -> list[Behaviour]:
    """One replica of each configuration at its share of the load; arrivals where they are stated, else people."""
    from optimizer.performance import behaviours
    from optimizer.problem import parts_of

    specs = [candidate.spec for candidate, _ in chosen]
    lengths = parts_of(case.inputs.problem)[index].lengths
    if load.requests_per_second:
        shares = [load.requests_per_second / replicas for _, replicas in chosen]
        return behaviours(specs, lengths, case.inputs.params, rates=shares)
    if load.users:
        shares = [load.users / replicas for _, replicas in chosen]
        return behaviours(specs, lengths, case.inputs.params, users=shares, think_s=load.think_s)
    shares = [load.inflight / replicas for _, replicas in chosen]
    return behaviours(specs, lengths, case.inputs.params, inflights=shares)


def _output_mean(case: Case, index: int) -> float:
    from optimizer.problem import parts_of

    return parts_of(case.inputs.problem)[index].lengths.output_mean


def _stairs(case: Case) -> Iterator[Stair]:
    """Load is raised as headroom, on top of what the problem states. More load never costs less, so that halving the
    stretches whose ends differ finds every step; the widest first, as there may be too many."""
    if case.inputs.problem.objective == "maximize_load":
        return
    stated = case.inputs.problem.margins.load_headroom

    def cost(place: int) -> int | None:
        return _cost(case, [f"margins.load_headroom={(1 + stated) * place / HUNDREDTHS - 1:.12g}"])

    known = {place: cost(place) for place in LOADS}
    while len(known) < _most_loads(case.inputs.problem):
        apart = [(right - left, -left) for left, right in pairwise(sorted(known)) if known[left] != known[right]]
        width, left = max(apart, default=(0, 0))
        if width <= 1:
            break
        middle = width // 2 - left
        known[middle] = cost(middle)
    places = sorted(known)
    for before, place, after in zip([0, *places], places, [*places[1:], 0], strict=False):
        if not known.get(before, -1) == known[place] == known.get(after, -1):
            yield Stair(place / HUNDREDTHS, known[place])


def _most_loads(problem: Problem) -> int:
    """People and sessions are replayed over minutes and hours: of them no load is asked beside the first."""
    long = any(one.sessions is not None or one.traffic.users is not None for one in problem.workloads)
    return len(LOADS) if long else MOST_LOADS


def _turns(case: Case) -> Iterator[Turn]:
    from optimizer.problem import figure_of, slo_of

    if case.inputs.problem.objective == "maximize_load":
        return
    for workload in case.inputs.problem.workloads:
        for promise in {one.path: one for one in slo_of(workload).promises}.values():
            if figure_of(promise.path).is_speed:
                continue
            scale = 1.0 if promise.metric == "e2e" else 1e3
            limit = promise.limit_s * scale
            for factor in PROMISE_FACTORS:
                after = limit * factor
                yield Turn(promise.path, limit, after, _cost(case, [f"{promise.path}={after:.12g}"]))
    confidence = case.inputs.problem.margins.confidence
    for level in CONFIDENCES:
        if level != confidence:
            yield Turn("margins.confidence", confidence, level, _cost(case, [f"margins.confidence={level}"]))


def _cost(case: Case, sets: Sequence[str]) -> int | None:
    """Cents per month of the cheapest plan under edits; None where there is none, or the edits make no sense."""
    from optimizer.errors import ProblemError

    try:
        solutions = case.edited(["objective=minimize_cost", *sets]).solve().solutions
    except ProblemError:
        return None
    return solutions[0].monthly_cents if solutions else None
