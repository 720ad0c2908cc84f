"""Every replica configuration that is physically and legally possible, with its operating points.

Enumerated are node types x weight formats x KV types x tensor-parallel x pipeline-parallel sizes for each workload.
Removed here, and nowhere else: a card the engine does not run on, a format the card or model has no way to serve, a
tensor-parallel degree that does not divide the model, a replica that neither fits a node nor fills whole nodes joined
by a stated fabric, and one whose memory cannot hold the weights and one request of ``context_max``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.candidates.funnel import CandidateKey, Physical, build_funnel, configuration_allowed, kept_points
from optimizer.candidates.objectives import LATENCY_OBJECTIVES, objective_promises
from optimizer.candidates.replica import Setting, content_of, fits_nodes, replica_on
from optimizer.candidates.rules import UserRules, user_rules
from optimizer.candidates.types import Candidate, CandidateSet
from optimizer.clock import NO_LIMIT, Clock
from optimizer.performance.types import OperatingPoint, ReplicaSpec
from optimizer.plan.types import FunnelStep
from optimizer.pricing.types import NodeOption, NodeType
from optimizer.units import floor_guarded
from optimizer.workload import Lengths

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.performance import Parameters
    from optimizer.performance.memo import Memo
    from optimizer.problem import Part, Problem

_TENSOR_PARALLEL = (1, 2, 4, 8)
_PIPELINE_PARALLEL = (1, 2, 4)


def enumerate_candidates(
    problem: Problem,
    catalog: Catalog,
    options: Sequence[NodeOption],
    params: Parameters,
    *,
    clock: Clock = NO_LIMIT,
    memo: Memo | None = None,
) -> CandidateSet:
    """All candidates of a problem, sorted by content, and the funnel.

    Where latency is what is traded, under the objectives that minimise one, there are operating points at smaller loads
    too. Where the time is up there are no candidates. ``memo`` keeps what a later question about promises leaves as it
    is.
    """
    rules = user_rules(problem, catalog, options)
    by_key = {option.node_type.key: option.node_type for option in options}
    node_types = [by_key[key] for key in sorted(by_key)]
    builder = _Builder(problem, catalog, params, rules.objective in LATENCY_OBJECTIVES, memo)
    found: list[Candidate] = []
    for index in range(len(rules.workloads)):
        if not clock.over:
            found.extend(builder.candidates(index, node_types, rules))
    if clock.over:
        return CandidateSet((), rules, builder.enumerated, 0, (FunnelStep("enumerated", builder.enumerated, None),))
    candidates = tuple(sorted(found, key=lambda candidate: candidate.key))
    stands = {option.node_type.key for option in options if not rules.forbidden_by(option)}
    in_the_race = [c for c in candidates if c.node_type.key in stands and configuration_allowed(c, rules)]
    without_margin = builder.without_margin(in_the_race, rules)
    summary = build_funnel(candidates, rules, options, Physical(builder.enumerated, builder.removed), without_margin)
    return CandidateSet(
        candidates=candidates,
        rules=rules,
        enumerated=builder.enumerated,
        feasible=summary.remaining,
        funnel=summary.steps,
        warnings=summary.warnings,
        note=summary.note,
    )


def with_points(
    problem: Problem,
    catalog: Catalog,
    options: Sequence[NodeOption],
    params: Parameters,
    known: CandidateSet,
    memo: Memo | None = None,
    *,
    ladder: bool = False,
) -> CandidateSet:
    """The replicas of a candidate set with the loads they carry under a problem that asks the same of their memory.

    For a caller that asks about many promises one after the other; the funnel stays that of ``known``, ``memo`` keeps
    what the promises do not change.
    """
    rules = user_rules(problem, catalog, options)
    builder = _Builder(problem, catalog, params, ladder or rules.objective in LATENCY_OBJECTIVES, memo)
    found: list[Candidate] = []
    for index in range(len(rules.workloads)):
        mine = [candidate for candidate in known.candidates if candidate.workload == index]
        points = builder.points([candidate.spec for candidate in mine], index, rules, problem.margins.confidence)
        found += [replace(candidate, points=able) for candidate, able in zip(mine, points, strict=True) if able]
    return replace(known, candidates=tuple(sorted(found, key=lambda candidate: candidate.key)), rules=rules)


_NEAR_SLOTS = 5e-9
"""Relative distance below a whole number at which the slots of a replica are full."""


class _Builder:
    """Builds the candidates of each workload and counts what is impossible."""

    def __init__(
        self, problem: Problem, catalog: Catalog, params: Parameters, ladder: bool, memo: Memo | None = None
    ) -> None:
        from optimizer.problem import parts_of

        self._memo = memo
        self._problem, self._catalog, self._params, self._ladder = problem, catalog, params, ladder
        self._parts = parts_of(problem)
        self.enumerated = 0
        self.removed: Counter[str] = Counter()

    def candidates(self, index: int, node_types: Sequence[NodeType], rules: UserRules) -> Iterator[Candidate]:
        """Candidates of one workload that can run at all. Performance is computed once per replica, not per node."""
        from optimizer.performance import memory_bills, recovery
        from optimizer.performance.grades import grades_of
        from optimizer.performance.starting import settled

        setting = self._setting(self._parts[index])
        places = [(node_type, spec, content_of(spec)) for node_type, spec in self._places(setting, node_types)]
        specs = {content: spec for _, spec, content in places}
        if setting.max_num_seqs is None:
            specs = dict(zip(specs, settled(list(specs.values())), strict=True))
        bills = dict(zip(specs, memory_bills(list(specs.values()), self._lengths(index)), strict=True))
        confidence = self._problem.margins.confidence
        points = dict(zip(specs, self.points(list(specs.values()), index, rules, confidence), strict=True))
        able = [content for content in specs if points[content]]
        grades = dict(zip(able, grades_of([specs[content] for content in able], self._params), strict=True))
        kept: dict[tuple[str, str], float] = {}
        for node_type, spec, content in places:
            if not points[content]:
                self.removed["memory"] += 1
                continue
            formats = (spec.weight_quant, spec.kv_cache)
            if formats not in kept:
                kept[formats] = recovery(self._catalog, setting.model, *formats)
            yield Candidate(
                workload=index,
                node_type=node_type,
                spec=specs[content],
                bill=bills[content],
                points=points[content],
                grade=grades[content],
                recovery=kept[formats],
            )

    def without_margin(self, candidates: Sequence[Candidate], rules: UserRules) -> dict[CandidateKey, Candidate]:
        """Candidates that keep every promise at confidence 0.5 only, with the points they have there."""
        if self._problem.margins.confidence <= 0.5:
            return {}
        failing = [candidate for candidate in candidates if not kept_points(candidate, rules)]
        found: dict[CandidateKey, Candidate] = {}
        for index in range(len(self._parts)):
            mine = [candidate for candidate in failing if candidate.workload == index]
            points = self.points([candidate.spec for candidate in mine], index, rules, 0.5)
            for candidate, of_candidate in zip(mine, points, strict=True):
                moved = replace(candidate, points=of_candidate)
                if kept_points(moved, rules):
                    found[candidate.key] = moved
        return found

    def points(
        self, specs: Sequence[ReplicaSpec], index: int, rules: UserRules, confidence: float
    ) -> list[tuple[OperatingPoint, ...]]:
        """Operating points of each replica of a workload; none where it cannot run."""
        from optimizer.performance import operating_points

        asked, workload = rules.workloads[index], self._parts[index].workload
        slo, _ = objective_promises(asked, rules.objective, workload.slo.percentile)
        lengths, load = self._lengths(index), asked.load
        ladder, memo = self._ladder, self._memo
        points = operating_points(specs, lengths, slo, load, confidence, self._params, ladder=ladder, memo=memo)
        return points if load.inflight == 0 else [_whole_requests(of_spec) for of_spec in points]

    def _places(self, setting: Setting, node_types: Sequence[NodeType]) -> Iterator[tuple[NodeType, ReplicaSpec]]:
        """Node types and replicas that pass every gate but memory."""
        from optimizer.performance import engine_refusal, kv_caches, legal_tp, weight_quants

        engine, model = self._problem.engine, setting.model
        tensor = sorted({*_TENSOR_PARALLEL, *engine.tensor_parallel})
        pipeline = sorted({*_PIPELINE_PARALLEL, *engine.pipeline_parallel})
        legal = {quant: frozenset(legal_tp(model, quant)) for quant in setting.engine.weight_quants}
        sizes = len(tensor) * len(pipeline)
        formats = len(setting.engine.weight_quants) * len(setting.engine.kv_caches)
        for node_type in node_types:
            self.enumerated += formats * sizes
            gpu = node_type.gpu
            if engine_refusal(gpu, setting.engine):
                self.removed["engine runs on the card"] += formats * sizes
                continue
            quants = weight_quants(gpu, model, setting.engine, setting.version)
            caches = kv_caches(gpu, setting.engine, setting.version)
            self.removed["precision"] += (formats - len(quants) * len(caches)) * sizes
            for quant in quants:
                for tp in tensor:
                    if tp not in legal[quant]:
                        self.removed["tensor parallel divides the model"] += len(pipeline) * len(caches)
                        continue
                    for pp in pipeline:
                        if pp > model.num_layers or not fits_nodes(node_type, tp, pp):
                            self.removed["fits a node or fills nodes"] += len(caches)
                            continue
                        for cache in caches:
                            yield node_type, replica_on(setting, node_type, (quant, cache), (tp, pp))

    def _lengths(self, index: int) -> Lengths:
        return self._parts[index].lengths

    def _setting(self, part: Part) -> Setting:
        stated = self._problem.engine
        engine = self._catalog.engines[stated.name]
        return Setting(
            model=self._catalog.models[part.workload.model],
            engine=engine,
            utilization=stated.gpu_memory_utilization,
            max_num_seqs=stated.max_num_seqs,
            max_num_batched_tokens=stated.max_num_batched_tokens,
            max_model_len=part.lengths.context_max,
            version=stated.version or "",
        )


def _whole_requests(points: tuple[OperatingPoint, ...]) -> tuple[OperatingPoint, ...]:
    """Points that hold whole requests in flight: N over R replicas puts ceil(N / R) on one of them.

    Slots are counted in full, from which the search for a point keeps a billionth away.
    """
    return tuple(
        replace(point, inflight=held)
        for point in points
        if (held := float(floor_guarded(point.inflight * (1.0 + _NEAR_SLOTS)))) >= 1.0
    )
