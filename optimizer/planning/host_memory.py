"""``engine.kv_tiers: host`` asks for nodes whose memory is known and enough; without one no search would find a way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimizer.errors import ProblemError
from optimizer.performance.host_tier import HOST_SHARE, KEPT_GIB
from optimizer.problem import stated_at
from optimizer.vocabulary import KvTiers

if TYPE_CHECKING:
    from optimizer.fleet.requirements import UserRules
    from optimizer.pricing import NodeOption
    from optimizer.problem import Problem


def no_host_memory(problem: Problem, rules: UserRules, options: Sequence[NodeOption]) -> str:
    """Why no node that may be used keeps KV cache in the memory of its host, where every replica has to; else empty."""
    if problem.engine.kv_tiers is not KvTiers.HOST:
        return ""
    usable = [one for one in options if rules.gpu_allowed(one.node_type.gpu.id) and not rules.forbidden_by(one)]
    if not usable or any(option.node_type.host_gib for option in usable):
        return ""
    stated = [one.offer.host_memory_gib for one in usable if one.offer.host_memory_gib is not None]
    if not stated:
        return "engine.kv_tiers: host, but no node that may be used states host_memory_gib"
    kept = f"{HOST_SHARE:.0%} of it less {KEPT_GIB:.0f} GiB".replace("%", " %")
    return f"engine.kv_tiers: host, but {max(stated):g} GiB is the most that a node has, and KV cache gets {kept}"


def ask_for_host_memory(problem: Problem, rules: UserRules, options: Sequence[NodeOption]) -> None:
    """Raises ``ProblemError`` where ``no_host_memory`` gives a reason."""
    if message := no_host_memory(problem, rules, options):
        hint = "state host_memory_gib of your quotes or owned nodes, allow other offers, or write kv_tiers: any"
        raise ProblemError([stated_at(problem, ("engine", "kv_tiers")).finding(message, hint)])
