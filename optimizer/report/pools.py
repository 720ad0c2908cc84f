"""Prefill and decode pools in words: how many workers of each, and what the plan costs without them."""

from __future__ import annotations

from optimizer.plan.types import Group, Plan
from optimizer.report.screen_words import short_gpu
from optimizer.report.words import money, percent
from optimizer.vocabulary import Role


def pool_sentence(plan: Plan) -> str:
    """Workers of each pool, over what caches go, and what the plan costs without; empty without pools."""
    if not plan.has_pools:
        return ""
    by_role = {group.role: group for group in plan.groups}
    inside = sum(node.count - node.spare for node in plan.nodes) == 1
    over = "inside the node" if inside else "over the nodes' network"
    return (
        f"prefill {_pool(by_role[Role.PREFILL])}, decode {_pool(by_role[Role.DECODE])}; caches sent {over};"
        f" {_without(plan)}"
    )


def _pool(group: Group) -> str:
    return f"{group.replicas:,}x {group.split} {short_gpu(group.gpu)}"


def _without(plan: Plan) -> str:
    if plan.without_pools_cents is None:
        return "no plan without pools is known"
    more = plan.without_pools_cents / plan.monthly_cents - 1.0
    return f"without pools {money(plan.without_pools_cents, plan.currency)} a month (+{percent(more)})"
