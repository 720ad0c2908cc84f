"""The ranking with prefill and decode pools in it: proposed by the solver, replayed, asked again until certified.

Pools enter once the cheapest plans of replicas that do both phases are known; under ``any`` they are listed only where
they cost less than the cheapest of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optimizer.planning.inputs import loads_of
from optimizer.planning.pool_search import PoolSearch
from optimizer.planning.pool_ties import PoolTies

if TYPE_CHECKING:
    from optimizer.candidates.types import Candidate
    from optimizer.fleet.candidate_set import CandidateSet
    from optimizer.fleet.types import FleetResult, SolveSettings
    from optimizer.planning.inputs import Inputs
    from optimizer.planning.replicas_replayed import ReplayMemory
    from optimizer.pricing import NodeOption
    from optimizer.progress import Clock

ROUNDS = 200
"""The solver is asked at most so often."""


@dataclass(frozen=True)
class WithPools:
    """The ranking, and what it took."""

    result: FleetResult
    candidates: CandidateSet
    complete: bool  # every plan is replayed, and nothing cheaper is left open
    replayed: int  # pairs of pools
    pairs: int  # that a connector joins and a fluid leaves
    ties: PoolTies  # what else may stand on the nodes of a plan


def with_pools(
    inputs: Inputs,
    wanted: CandidateSet,
    plain: FleetResult,
    racing: Sequence[Candidate],
    options: Sequence[NodeOption],
    memory: ReplayMemory,
    settings: SolveSettings,
    clock: Clock,
) -> WithPools:
    """The ranking of plain replicas with what pools put before it; with ``required`` of pools alone."""
    from optimizer.fleet import solve_fleet

    rules = wanted.rules
    below = plain.solutions[0].monthly_cents if plain.solutions and not rules.pools_required else None
    search = PoolSearch(inputs, wanted, racing, options, memory, clock)
    if rules.pools_required:
        wanted = replace(wanted, candidates=())
    result, complete = plain, False
    limit = search.run(below, rules.top)
    for _ in range(ROUNDS):
        pools = search.rows(below, limit)
        if clock.over:
            break
        if pools is None:
            complete = True
            break
        asked = replace(wanted, pools=pools)
        result = solve_fleet(inputs.problem, asked, options, loads_of(inputs.problem), settings)
        pooled = [one for one in result.solutions if one.has_pools]
        refused = sum(not search.certified(one) for one in pooled)
        if clock.over or settings.clock.over:
            break
        if refused:
            continue
        if limit != below and not _is_full(result, rules.top, limit):
            limit = search.run(below, len(search.pairs) + 1)
            continue
        complete = True
        break
    ties = PoolTies(search, inputs.catalog, rules, below)
    if complete:
        listed = ties.listed(result.solutions)
        told = [f"engine.disaggregation: {why}" for why in [search.why_none()] if why]
        result = replace(result, solutions=listed, screened=plain.screened, warnings=(*result.warnings, *told))
    return WithPools(result, wanted, complete, len(search.replayer.replayed), len(search.pairs), ties)


def _is_full(result: FleetResult, top: int, limit: int | None) -> bool:
    """Whether the ranking is as long as asked for below the limit that pairs were looked at under."""
    found = result.solutions
    return len(found) == top and (limit is None or all(one.monthly_cents < limit for one in found if one.has_pools))
