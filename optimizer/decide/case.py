"""One problem held ready to be asked again and again: each edit redoes only what it can change.

A load, a budget, a limit, a price or a rule leaves the physics of every replica as it was; a latency limit or the
confidence changes what a replica may carry, not which replicas there are. What changes is decided by comparing what the
physics reads, never by the path of an edit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from optimizer.clock import NO_LIMIT, Clock
from optimizer.decide.inputs import Inputs, loads_of
from optimizer.performance.memo import Memo

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate, CandidateSet
    from optimizer.fleet.types import FleetResult, SolveSettings
    from optimizer.plan.types import Plan
    from optimizer.pricing import NodeOption
    from optimizer.problem import Problem
    from optimizer.workload import Load


class OutOfTimeError(Exception):
    """A question could not be answered in the time given."""


@dataclass(frozen=True)
class Within:
    """A part of the market that a case is confined to."""

    candidate: Callable[[Candidate], bool]
    option: Callable[[NodeOption], bool]


@dataclass(frozen=True)
class Case:
    """A problem with its priced nodes and its candidates."""

    inputs: Inputs
    options: tuple[NodeOption, ...]
    candidates: CandidateSet
    replicas: tuple[object, ...]  # what decided which candidates there are
    within: Within | None = None  # what alone may be used, whatever is edited
    clock: Clock = NO_LIMIT  # when every solve must have ended
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)  # of the replicas: the same for all edits

    def edited(self, sets: Sequence[str]) -> Case:
        """The same problem with further ``PATH=VALUE`` edits. Raises ``ProblemError`` where they do not fit."""
        return self.with_inputs(self.inputs.with_sets(sets)) if sets else self

    def with_inputs(self, inputs: Inputs) -> Case:
        """Another state of the inputs, with as much of the work done here as it leaves valid."""
        from optimizer.candidates import user_rules
        from optimizer.candidates.enumerate import with_points
        from optimizer.pricing import node_options

        options = node_options(inputs.problem, inputs.catalog)
        replicas = _replicas(inputs, options)
        if replicas != self.replicas:
            return _opened(inputs, options, self.clock).confined(self.within)
        problem, catalog = inputs.problem, inputs.catalog
        if _promises(self.inputs.problem) != _promises(problem):
            candidates = with_points(problem, catalog, options, inputs.params, self.candidates, self.memo)
        else:
            candidates = replace(self.candidates, rules=user_rules(problem, catalog, options))
        if self.within is not None:
            options = tuple(one for one in options if self.within.option(one))
        return replace(self, inputs=inputs, options=options, candidates=candidates)

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
        from optimizer.candidates import configuration_allowed

        rules = self.candidates.rules
        types = {option.node_type.key for option in self.options if not rules.forbidden_by(option)}
        return self.only(candidate=lambda one: one.node_type.key in types and configuration_allowed(one, rules))

    def cheaper_than(self, cents: int, *, alone: bool = False) -> Case:
        """Without candidates that are part of no plan below that cost, however loose the latency promises.

        ``alone``: judged by their own nodes only, whatever the others may come to cost.
        """
        from optimizer.decide.least import Least

        if self.candidates.rules.mixed:
            return self
        least = Least(self.candidates, self.options, alone=alone)
        return self.only(candidate=lambda one: least.cents(one) < cents)

    def solve(self, top: int = 1, settings: SolveSettings | None = None) -> FleetResult:
        """The best plan, or the best so many, proven. Raises ``OutOfTimeError`` where the clock ended the search."""
        from optimizer.fleet import SolveSettings, solve_fleet

        problem = self.inputs.problem
        wanted = replace(self.candidates, rules=replace(self.candidates.rules, top=top))
        how = settings or SolveSettings(clock=self.clock)
        result = solve_fleet(problem, wanted, self.options, loads_of(problem), how)
        if self.clock.over and result.status in ("feasible", "unknown"):
            raise OutOfTimeError
        return result

    def plans(self, result: FleetResult) -> tuple[Plan, ...]:
        """The plans of a result, each recomputed by the solver-free check."""
        from optimizer.decide.assemble import assemble
        from optimizer.decide.check import confirm

        plans = assemble(self.inputs, result.solutions, self.options)
        confirm(self.inputs, plans)
        return plans


def open_case(inputs: Inputs) -> Case:
    """Price the nodes and predict every replica of a problem."""
    from optimizer.pricing import node_options

    return _opened(inputs, node_options(inputs.problem, inputs.catalog))


def case_of(
    inputs: Inputs,
    options: tuple[NodeOption, ...],
    candidates: CandidateSet,
    clock: Clock = NO_LIMIT,
    memo: Memo | None = None,
) -> Case:
    """A case of work that was done already."""
    return Case(inputs, options, candidates, _replicas(inputs, options), clock=clock, memo=memo or Memo())


def _opened(inputs: Inputs, options: tuple[NodeOption, ...], clock: Clock = NO_LIMIT) -> Case:
    from optimizer.candidates import enumerate_candidates

    memo = Memo()
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
    )
    sizes = (*stated.tensor_parallel, 0, *stated.pipeline_parallel)
    custom, types = problem.hardware.custom, frozenset(option.node_type.key for option in options)
    return (inputs.params.version, served, settings, sizes, custom, types)


def _promises(problem: Problem) -> tuple[object, ...]:
    """What decides how much of a load each replica carries."""
    from optimizer.candidates.objectives import LATENCY_OBJECTIVES
    from optimizer.problem import parts_of

    promised = tuple(
        (part.workload.slo.percentile, *((p.metric, p.percentile, p.limit_s) for p in part.slo.promises))
        for part in parts_of(problem)
    )
    objective = problem.objective if problem.objective in LATENCY_OBJECTIVES else None
    return (promised, problem.margins.confidence, objective)


def _sides(load: Load) -> tuple[bool, bool, bool]:
    """Which kinds of load are stated: arrivals, requests in flight, batch work."""
    return (load.requests_per_second > 0, load.inflight > 0, load.is_batch)
