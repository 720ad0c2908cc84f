"""One problem held ready to be asked again and again: each edit redoes only what it can change.

A load, a budget, a limit, a price or a rule leaves the physics of every replica as it was; a latency limit or the
confidence changes what a replica may carry, not which replicas there are. What changes is decided by comparing what the
physics reads, never by the path of an edit.

What a problem's answer is judged by: its objective first, then money, each in the unit that a reader knows.

The best plan under an edit, and how far along an axis that plan is thought to hold.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from optimizer.errors import OutOfTimeError
from optimizer.performance.operating_points import Memo
from optimizer.planning.inputs import Inputs, loads_of
from optimizer.problem import pools_wanted
from optimizer.problem.figures import Looser
from optimizer.progress import NO_LIMIT, Clock
from optimizer.whatif.axes import Axis

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.demand import Load
    from optimizer.fleet.candidate_set import CandidateSet
    from optimizer.fleet.types import FleetResult, FleetSolution, SolveSettings
    from optimizer.plan.types import Plan
    from optimizer.planning.replicas_replayed import ReplayMemory
    from optimizer.pricing import NodeOption
    from optimizer.problem import Figure, Problem


@dataclass(frozen=True)
class Within:
    """A part of the market that a case is confined to."""

    candidate: Callable[[Candidate], bool]
    option: Callable[[NodeOption], bool]


@dataclass(frozen=True)
class WaysToPay:
    """All ways to pay for nodes, and all that they follow from."""

    source: tuple[object, ...]
    options: tuple[NodeOption, ...]

    @classmethod
    def of(cls, inputs: Inputs, options: tuple[NodeOption, ...]) -> WaysToPay:
        """The ways to pay that were priced under some inputs."""
        from optimizer.pricing import terms_of

        problem, catalog = inputs.problem, inputs.catalog
        tables = (catalog.offers, catalog.gpus, catalog.providers, catalog.regions)
        stated = (terms_of(problem, catalog), problem.offers, problem.hardware.owned)
        return cls((*stated, *(_Same(table) for table in tables)), options)

    def under(self, inputs: Inputs) -> WaysToPay:
        """The ways to pay under other inputs: these, where nothing that they follow from has changed."""
        from optimizer.pricing import node_options

        if WaysToPay.of(inputs, ()).source == self.source:
            return self
        return WaysToPay.of(inputs, node_options(inputs.problem, inputs.catalog))


NEAR = 3
"""Times the money of a plan, what is asked a little more of is looked for first."""


@dataclass(frozen=True, eq=False, slots=True)
class _Same:
    """A table of the catalog, compared by identity."""

    table: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.table is self.table

    def __hash__(self) -> int:
        return id(self.table)


@dataclass(frozen=True)
class Case:
    """A problem with its priced nodes and its candidates."""

    inputs: Inputs
    options: tuple[NodeOption, ...]
    candidates: CandidateSet
    replicas: tuple[object, ...]  # what decided which candidates there are
    priced: WaysToPay  # all ways to pay under its inputs, whatever it is narrowed to
    within: Within | None = None  # what alone may be used, whatever is edited
    clock: Clock = NO_LIMIT  # when every solve must have ended
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)  # of the replicas: the same for all edits
    replays: ReplayMemory | None = field(default=None, compare=False, repr=False)  # None: plans are not replayed
    mixes_by_replays: bool = True  # not while ways out of a problem without a plan are looked for, which asks too much

    def edited(self, sets: Sequence[str]) -> Case:
        """The same problem with further ``PATH=VALUE`` edits. Raises ``ProblemError`` where they do not fit."""
        return self.with_inputs(self.inputs.with_sets(sets)) if sets else self

    def with_inputs(self, inputs: Inputs) -> Case:
        """Another state of the inputs, with as much of the work done here as it leaves valid."""
        from optimizer.fleet.candidate_set import with_points
        from optimizer.fleet.requirements import user_rules

        priced = self.priced.under(inputs)
        options = priced.options
        replicas = _replicas(inputs, options)
        if replicas != self.replicas:
            opened = replace(_opened(inputs, options, self.clock), replays=self.replays)
            return replace(opened, mixes_by_replays=self.mixes_by_replays).confined(self.within)
        problem, catalog = inputs.problem, inputs.catalog
        rules = user_rules(problem, catalog, options).knowing(self.candidates.rules)
        if (before := _promises(self.inputs.problem)) != (after := _promises(problem)):
            same = before.unchanged(after)
            params, known = inputs.params, self.candidates
            candidates = with_points(problem, catalog, rules, params, known, self.memo, unchanged=same)
        else:
            candidates = replace(self.candidates, rules=rules)
        if self.within is not None:
            options = tuple(one for one in options if self.within.option(one))
        return replace(self, inputs=inputs, options=options, candidates=candidates, priced=priced)

    def only(
        self,
        candidate: Callable[[Candidate], bool] = lambda _: True,
        option: Callable[[NodeOption], bool] = lambda _: True,
    ) -> Case:
        """The case with only the candidates and ways to pay that pass; the user's rules stay as they are.

        An edit keeps the selection of candidates where it leaves the replicas as they are, and lists all ways to pay.
        """
        kept = tuple(one for one in self.candidates.candidates if candidate(one))
        options = tuple(one for one in self.options if option(one))
        candidates = replace(self.candidates, candidates=kept)
        return replace(self, options=options, candidates=candidates)

    def confined(self, within: Within | None) -> Case:
        """The case with nothing but a part of the market, in every edit of it too."""
        return self if within is None else replace(self.only(within.candidate, within.option), within=within)

    def allowed(self) -> Case:
        """Without candidates that the user's rules about cards, formats and offers rule out anyway.

        For asking about loads, latencies, money and limits: such edits never bring those candidates back.
        """
        from optimizer.fleet.funnel import configuration_allowed

        rules = self.candidates.rules
        types = {option.node_type.key for option in self.options if not rules.forbidden_by(option)}
        return self.only(candidate=lambda one: one.node_type.key in types and configuration_allowed(one, rules))

    def cheaper_than(self, cents: int, *, alone: bool = False) -> Case:
        """Without candidates that are part of no plan below that cost, however loose the latency promises.

        ``alone``: judged by their own nodes only, whatever the others may come to cost. What a candidate costs at least
        is told of one that serves a workload or a class alone: all stay where kinds may share one, or do one phase.
        """
        if self.candidates.rules.mixed or pools_wanted(self.inputs.problem):
            return self
        from optimizer.fleet.cost_floors import CostFloors

        least = CostFloors(self.candidates, self.options, alone=alone)
        return self.only(candidate=lambda one: least.cents(one) < cents)

    def solve(self, top: int = 1, settings: SolveSettings | None = None) -> FleetResult:
        """The best plan, or the best so many, proven and, where the case replays, keeping every promise as replayed.

        Raises ``OutOfTimeError`` where the clock ended the search.
        """
        from optimizer.fleet import SolveSettings, solve_fleet
        from optimizer.planning.ties import best_as_estimated

        problem = self.inputs.problem
        wanted = replace(self.candidates, rules=replace(self.candidates.rules, top=top))
        how = settings or SolveSettings(clock=self.clock)
        if self.replays is not None and (result := self._as_replayed(wanted, how, self.replays)):
            return result
        if self.replays is None:
            result = best_as_estimated(self.inputs, wanted, self.options, how)
        else:
            result = solve_fleet(problem, wanted, self.options, loads_of(problem), how)
            result = self._replayed(wanted, result, how, self.replays)
        if self.clock.over and result.status in ("feasible", "unknown"):
            raise OutOfTimeError
        return result

    def solve_near(self, cents: int, settings: SolveSettings) -> FleetResult:
        """The best plan where it is likely to cost little more than that: what costs far more is looked at only where
        nothing else serves. A plan found beyond what was looked at need not be the best. Raises ``OutOfTimeError``
        where the clock ended the search."""
        if settings.at_most is None and self.candidates.rules.objective == "minimize_cost":
            near = self.solve(settings=replace(settings, at_most=NEAR * cents))
            if near.solutions and near.solutions[0].monthly_cents <= NEAR * cents:
                return near
        return self.solve(settings=settings)

    def _as_replayed(self, wanted: CandidateSet, how: SolveSettings, memory: ReplayMemory) -> FleetResult | None:
        """The answer where replays decide both ways how many replicas are needed; None where they do not, or where the
        time was up."""
        from optimizer.planning.replay import best_as_replayed

        if wanted.rules.mixed and not self.mixes_by_replays:
            return None
        return best_as_replayed(self.inputs, wanted, self.options, how, self.clock, memory, self.memo)

    def _replayed(
        self, wanted: CandidateSet, result: FleetResult, how: SolveSettings, memory: ReplayMemory
    ) -> FleetResult:
        """What survives of the result when replayed, ties settled."""
        from optimizer.planning.replay import survivors

        left = survivors(self.inputs, wanted, self.options, result, lambda _: None, self.clock, memory, how, tell=False)
        return left.result

    def plans(self, result: FleetResult, *, tested: bool = True) -> tuple[Plan, ...]:
        """The plans of a result with their replays, each recomputed by the solver-free check; ``tested``: with what the
        tests before signing would show, which takes longer than the check."""
        from optimizer.planning.assemble import assemble, confirm
        from optimizer.planning.replay import with_replays

        plans = assemble(self.inputs, result.solutions, self.options)
        if self.replays is not None:
            plans = with_replays(self.inputs, result, plans, self.replays, tested=tested)
        confirm(self.inputs, plans)
        return plans


def open_case(inputs: Inputs, *, simulate: bool = False, clock: Clock = NO_LIMIT) -> Case:
    """Price the nodes and predict every replica of a problem; ``simulate``: replay every plan that is asked for."""
    from optimizer.planning.replicas_replayed import ReplayMemory
    from optimizer.pricing import node_options

    case = _opened(inputs, node_options(inputs.problem, inputs.catalog), clock)
    return replace(case, replays=ReplayMemory(inputs.known.replays)) if simulate else case


def case_of(
    inputs: Inputs,
    options: tuple[NodeOption, ...],
    candidates: CandidateSet,
    clock: Clock = NO_LIMIT,
    memo: Memo | None = None,
    replays: ReplayMemory | None = None,
) -> Case:
    """A case of work that was done already."""
    replicas = _replicas(inputs, options)
    priced = WaysToPay.of(inputs, options)
    return Case(inputs, options, candidates, replicas, priced, clock=clock, memo=memo or Memo(), replays=replays)


def _opened(inputs: Inputs, options: tuple[NodeOption, ...], clock: Clock = NO_LIMIT) -> Case:
    from optimizer.fleet.candidate_set import enumerate_candidates

    memo = inputs.known.memo
    candidates = enumerate_candidates(inputs.problem, inputs.catalog, options, inputs.params, memo=memo)
    return case_of(inputs, options, candidates, clock, memo)


def _replicas(inputs: Inputs, options: Sequence[NodeOption]) -> tuple[object, ...]:
    """What decides which replicas there are, how fast, how much memory each has and how precise it is."""
    from optimizer.problem import parts_of

    problem, stated = inputs.problem, inputs.problem.engine
    served = tuple((part.workload.model, part.lengths, _sides(part.load)) for part in parts_of(problem))
    settings = (
        stated.name,
        stated.version,
        stated.gpu_memory_utilization,
        stated.max_num_seqs,
        stated.max_num_batched_tokens,
        stated.speculative,
        stated.disaggregation,  # drafts are not planned in pools
        *(workload.task for workload in problem.workloads),
    )
    sizes = (*stated.tensor_parallel, 0, *stated.pipeline_parallel, 0, *(stated.attention_dp or ()))
    custom, types = problem.hardware.custom, frozenset(option.node_type.key for option in options)
    return (inputs.params.version, served, settings, sizes, custom, types)


@dataclass(frozen=True, slots=True)
class _Promises:
    """What decides how much of a load each replica carries: what each part is promised, and what of all of them."""

    of_parts: tuple[object, ...]
    of_all: tuple[object, ...]

    def unchanged(self, after: _Promises) -> frozenset[int]:
        """The parts of which nothing differs."""
        if self.of_all != after.of_all:
            return frozenset()
        pairs = enumerate(zip(self.of_parts, after.of_parts, strict=True))
        return frozenset(index for index, (one, other) in pairs if one == other)


def _promises(problem: Problem) -> _Promises:
    from optimizer.fleet.requirements import LATENCY_OBJECTIVES
    from optimizer.problem import parts_of

    promised = tuple(
        (part.workload.slo.percentile, *((p.metric, p.percentile, p.limit_s) for p in part.slo.promises))
        for part in parts_of(problem)
    )
    objective = problem.objective if problem.objective in LATENCY_OBJECTIVES else None
    return _Promises(promised, (problem.margins.confidence, objective))


def _sides(load: Load) -> tuple[object, ...]:
    """Which kinds of load are stated: arrivals, requests in flight, people and how long they think, batch work."""
    return (*(floor > 0 for floor in load.floors), load.think_s, load.is_batch)


_SCALE = {"minimize_cost": 100.0, "maximize_load": 1e3, "minimize_ttft": 1e3, "minimize_tpot": 1e3}
"""Solver's units in one of the reader's: money a month, times the planned load, milliseconds; GPUs are counted."""


@dataclass(frozen=True, slots=True)
class Goal:
    """The objective of a problem as its reader knows it."""

    objective: str
    percentile: float | None  # of the latency that is minimised; None: no latency, or several percentiles
    states_load: bool  # False: the file states no traffic, and one request in flight is the unit of load

    def reached(self, winner: Winner) -> float | None:
        """What an answer reaches: money a month, times the load, ms (error margin included) or GPUs; None: nothing."""
        if winner.solution is None:
            return None
        return winner.solution.objective / _SCALE.get(self.objective, 1.0)


def goal_of(case: Case) -> Goal:
    """The goal of a problem."""
    from optimizer.fleet.requirements import objective_promises
    from optimizer.problem import parts_of, rate_floors

    problem, rules = case.inputs.problem, case.candidates.rules
    percentiles = set()
    for part, asked in zip(parts_of(problem), rules.workloads, strict=True):
        slo, minimised = objective_promises(asked, rules.objective, part.workload.slo.percentile)
        percentiles |= {slo.promises[index].percentile for index in minimised}
    return Goal(
        objective=rules.objective,
        percentile=percentiles.pop() if len(percentiles) == 1 else None,
        states_load=any(w.traffic.concurrency or rate_floors(w) for w in problem.workloads),
    )


def score(winner: Winner) -> tuple[float, float]:
    """How good an answer is: the problem's objective, then money; less is better, none is infinity."""
    if winner.solution is None:
        return (float("inf"), float("inf"))
    value = winner.solution.objective
    return (-value if winner.result.objective == "maximize_load" else value, winner.solution.monthly_cents)


_FLOORS = {
    "requests_per_second": "requests_per_second",
    "output_tokens_per_second": "output_tokens_per_second",
    "sessions_per_second": "sessions_per_second",
    "active": "users",
    "concurrent_sessions": "users",
    "requests_per_user_per_hour": "users",
    "think_time_s": "users",
    "requests": "batch",
}
"""Figures of the traffic that a rate is in proportion to (a think time: to one over it), with the floor they set."""


@dataclass(frozen=True)
class Winner:
    """What is best for one state of a problem; no solution where nothing keeps every promise."""

    case: Case
    result: FleetResult

    @property
    def solution(self) -> FleetSolution | None:
        """The best plan as the solver sees it."""
        return self.result.solutions[0] if self.result.solutions else None

    @property
    def cents(self) -> int | None:
        """Its cost a month."""
        return self.solution.monthly_cents if self.solution else None

    @property
    def identity(self) -> object:
        """Configuration and nodes: what is bought and how it is set up, whatever the number of replicas started."""
        if self.solution is None:
            return self.result.status
        groups = tuple(group.candidate.key for group in self.solution.groups)
        return (groups, tuple((choice.option.key, choice.count) for choice in self.solution.nodes))

    def sketch(self) -> Plan | None:
        """The plan in full, not confirmed: for a guess, never for a report."""
        from optimizer.planning.assemble import assemble

        case, first = self.case, replace(self.result, solutions=self.result.solutions[:1])
        plans = assemble(case.inputs, first.solutions, case.options)
        if case.replays is not None:
            from optimizer.planning.replay import with_replays

            plans = with_replays(case.inputs, first, plans, case.replays, tested=False)
        return plans[0] if plans else None

    def plan(self) -> Plan | None:
        """The plan in full, confirmed by the solver-free check; without its tests, as no answer to a question has room
        for those."""
        plans = self.case.plans(self.result, tested=False)
        return plans[0] if plans else None


def ask(case: Case, sets: Sequence[str] = (), settings: SolveSettings | None = None) -> Winner:
    """The best plan under edits. Raises ``ProblemError`` where they do not fit."""
    edited = case.edited(sets)
    return Winner(edited, edited.solve(settings=settings))


def near(case: Case, known: Winner | None) -> Winner:
    """The best plan, looked for first among what costs little more than a known one."""
    from optimizer.fleet.types import SolveSettings

    how = SolveSettings(clock=case.clock)
    cents = None if known is None else known.cents
    return Winner(case, case.solve(settings=how) if cents is None else case.solve_near(cents, how))


def guess_on(axis: Axis) -> Callable[[int, Winner], int | None]:
    """A guess of the last position at which the answer of another position still holds."""

    def guess(index: int, winner: Winner) -> int | None:
        edge = edge_of(winner, axis.figure, axis.values[index])
        if edge is None:
            return None
        if axis.figure.number.looser is Looser.DOWN:
            return bisect_right(axis.values, edge * (1 + 1e-9)) - 1
        return bisect_right(axis.values, -edge * (1 - 1e-9), key=lambda value: -value) - 1

    return guess


def edge_of(winner: Winner, figure: Figure, value: float) -> float | None:
    """The value of a load or latency field at which a plan stops keeping every promise; None where it is not known."""
    if winner.solution is None:
        return None
    if figure.is_promise:
        return _latency_edge(winner, figure)
    scale = _load_edge(winner, figure) if figure.section == "traffic" else None
    if scale is None:
        return None
    return value / scale if figure.loosens_up else value * scale


def _latency_edge(winner: Winner, figure: Figure) -> float | None:
    plan = winner.sketch()
    reached = [binding.value for binding in plan.binding if binding.promise == figure.path] if plan else []
    if not reached:
        return None
    return 1e3 / max(reached) if figure.is_speed else max(reached)


def _load_edge(winner: Winner, figure: Figure) -> float | None:
    """What the field alone may be multiplied by until the replicas are full."""
    from optimizer.problem import load_of, parts_of, population_of, rate_floors
    from optimizer.problem.load import peak_of

    floor = _FLOORS.get(figure.key)
    if winner.solution is None or not (floor or figure.key == "concurrency"):
        return None
    problem = winner.case.inputs.problem
    workload = next(workload for workload in problem.workloads if workload.name == figure.workload)
    parts = [part.workload.name for part in parts_of(problem)]
    mine = [group for group in winner.solution.groups if parts[group.candidate.workload] == workload.name]
    if len(mine) > 1:
        return None
    group = mine[0]
    scale = workload.traffic.peak_factor * (1.0 + problem.margins.load_headroom) * peak_of(workload.traffic)
    factors = load_of(workload, problem).factors or (1.0,)
    running = zip(group.running or (group.replicas,), factors, strict=True)
    replicas = min((count - group.lost) / factor for count, factor in running if factor)
    if floor is not None:
        if figure.key in ("active", "concurrent_sessions", "think_time_s") and (people := population_of(workload)[0]):
            is_gap = figure.key == "think_time_s"
            return None if is_gap else group.operating_point.users * replicas / (people * scale)
        alone = rate_floors(workload)[floor] * scale
        return group.operating_point.requests_per_second * replicas / alone
    return group.operating_point.inflight * replicas / ((workload.traffic.concurrency or 1.0) * scale)


def nearest(values: Sequence[float], value: float) -> int:
    """Position of the first of ascending values that is not below a value."""
    return min(bisect_left(values, value), len(values) - 1)
