"""Words for what a plan drafts: speculative decoding."""

from __future__ import annotations

from optimizer.plan.types import Group, Plan
from optimizer.report.words import money, percent

_METHODS = {"mtp": "the model's own prediction layers (MTP)", "eagle3": "an EAGLE-3 head"}


def drafting_of(group: Group) -> str:
    """How a group drafts, and what is taken for granted; empty where it does not."""
    drafts = group.drafts
    if drafts is None:
        return ""
    head = "" if drafts.method == "mtp" else f", {drafts.head}"
    tokens = "1 token" if drafts.tokens == 1 else f"{drafts.tokens} tokens"
    return (
        f"{tokens} a step by {_METHODS[drafts.method]}{head}; {percent(drafts.acceptance)} of drafts accepted, the low"
        f" end of what is published ({drafts.source})"
    )


def drafts_told(plan: Plan) -> str:
    """How the groups of a plan draft, as the beginning of a sentence."""
    told = dict.fromkeys(f"{group.workload}: {drafting_of(group)}" for group in plan.groups if group.drafts)
    return f"Drafts: {'; '.join(told)}"


def without_drafts(plan: Plan, other: Plan | None, *, most_load: bool) -> str:
    """What the best plan that drafts nothing costs; where the most load is sought, how much it carries as well."""
    if other is None:
        return "without speculation nothing keeps every promise"
    costs = f"without speculation {money(other.monthly_cents, plan.currency)} a month"
    if most_load:
        return f"{costs} for {percent(other.load_factor / plan.load_factor)} of the load"
    more = other.monthly_cents / plan.monthly_cents - 1.0
    return f"{costs} ({'+' if more >= 0 else ''}{percent(more)})"
