"""The candidates of a problem with the rules that they are held to, and how many each rule leaves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.candidates.enumerate import CandidateBuilder, PartAsked
from optimizer.candidates.pools import PoolSet
from optimizer.candidates.types import Candidate
from optimizer.fleet.funnel import CandidateKey, Physical, build_funnel, configuration_allowed, kept_points
from optimizer.fleet.requirements import LATENCY_OBJECTIVES, UserRules, objective_promises, user_rules
from optimizer.plan.types import FunnelStep
from optimizer.pricing.types import NodeOption
from optimizer.progress import NO_LIMIT, Clock

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.fleet.instance import CarriedShares
    from optimizer.performance import Parameters
    from optimizer.performance.operating_points import Memo
    from optimizer.problem import Problem


@dataclass(frozen=True, slots=True)
class CandidateSet:
    """Every candidate that is physically and legally possible, and how many each rule leaves."""

    candidates: tuple[Candidate, ...]  # sorted by content key
    rules: UserRules
    enumerated: int  # combinations looked at
    feasible: int  # left when every rule and promise has been applied to each alone
    funnel: tuple[FunnelStep, ...]
    warnings: tuple[str, ...] = ()
    note: str = ""  # what would bring back what the confidence margin removed
    pools: PoolSet | None = None  # pairs of pools that compete with the candidates
    carried: tuple[CarriedShares, ...] = ()  # in mixes what replays showed; where they decide, one of each candidate


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
    builder = CandidateBuilder(problem, catalog, params, rules.objective in LATENCY_OBJECTIVES, memo)
    found: list[Candidate] = []
    for index in range(len(rules.workloads)):
        if not clock.over:
            found.extend(builder.candidates(index, node_types, _asked(builder, rules, index)))
    if clock.over:
        return CandidateSet((), rules, builder.enumerated, 0, (FunnelStep("enumerated", builder.enumerated, None),))
    candidates = tuple(sorted(found, key=lambda candidate: candidate.key))
    stands = {option.node_type.key for option in options if not rules.forbidden_by(option)}
    in_the_race = [c for c in candidates if c.node_type.key in stands and configuration_allowed(c, rules)]
    without_margin = _without_margin(builder, in_the_race, rules, problem.margins.confidence)
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
    rules: UserRules,
    params: Parameters,
    known: CandidateSet,
    memo: Memo | None = None,
    *,
    ladder: bool = False,
    unchanged: Collection[int] = (),
) -> CandidateSet:
    """The replicas of a candidate set with the loads they carry under a problem that asks the same of their memory.

    For a caller that asks about many promises one after the other; ``rules`` are those of the problem, the funnel stays
    that of ``known``, ``memo`` keeps what the promises do not change. ``unchanged``: parts that are promised the same.
    """
    builder = CandidateBuilder(problem, catalog, params, ladder or rules.objective in LATENCY_OBJECTIVES, memo)
    found: list[Candidate] = []
    for index in range(len(rules.workloads)):
        mine = [candidate for candidate in known.candidates if candidate.workload == index]
        if index in unchanged:
            found += mine
            continue
        asked = _asked(builder, rules, index)
        points = builder.points([candidate.spec for candidate in mine], index, asked, problem.margins.confidence)
        found += [replace(candidate, points=able) for candidate, able in zip(mine, points, strict=True) if able]
    return replace(known, candidates=tuple(sorted(found, key=lambda candidate: candidate.key)), rules=rules)


def _asked(builder: CandidateBuilder, rules: UserRules, index: int) -> PartAsked:
    """What operating points of a part must state."""
    asked, stated = rules.workloads[index], builder.parts[index].workload.slo
    return PartAsked(objective_promises(asked, rules.objective, stated.percentile)[0], asked.load)


def _without_margin(
    builder: CandidateBuilder, candidates: Sequence[Candidate], rules: UserRules, confidence: float
) -> dict[CandidateKey, Candidate]:
    """Candidates that keep every promise at confidence 0.5 only, with the points they have there."""
    if confidence <= 0.5:
        return {}
    failing = [candidate for candidate in candidates if not kept_points(candidate, rules)]
    found: dict[CandidateKey, Candidate] = {}
    for index in range(len(builder.parts)):
        mine = [candidate for candidate in failing if candidate.workload == index]
        points = builder.points([candidate.spec for candidate in mine], index, _asked(builder, rules, index), 0.5)
        for candidate, of_candidate in zip(mine, points, strict=True):
            moved = replace(candidate, points=of_candidate)
            if kept_points(moved, rules):
                found[candidate.key] = moved
    return found
