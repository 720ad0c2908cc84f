"""``engine.kv_tiers: host`` asks for nodes whose memory is known; without one no search would find a way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.errors import Finding, ProblemError
from optimizer.vocabulary import KvTiers

if TYPE_CHECKING:
    from optimizer.fleet.candidate_set import CandidateSet
    from optimizer.pricing import NodeOption
    from optimizer.problem import Problem


def hosts_are_known(
    problem: Problem, candidates: CandidateSet, options: tuple[NodeOption, ...]
) -> tuple[NodeOption, ...]:
    """The options. Raises ``ProblemError`` where every replica has to keep KV cache in the memory of its host, and no
    node that may be used states enough of it."""
    if problem.engine.kv_tiers is not KvTiers.HOST:
        return options
    rules = candidates.rules
    usable = [one for one in options if rules.gpu_allowed(one.node_type.gpu.id) and not rules.forbidden_by(one)]
    if usable and not any(option.node_type.host_gib for option in usable):
        message = "engine.kv_tiers: host, but no node that may be used states host_memory_gib, and enough of it"
        hint = "state host_memory_gib of your quotes or owned nodes, allow other offers, or write kv_tiers: any"
        raise ProblemError([Finding(message, problem.path, hint=hint)])
    return options
