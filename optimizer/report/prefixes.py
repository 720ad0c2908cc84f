"""What prefix caches find of the input: as replayed, what is lost, and what a node more brings."""

from __future__ import annotations

from collections.abc import Iterator

from optimizer.plan.types import CacheHits, Outcome, Plan, Prediction
from optimizer.report.words import percent
from optimizer.vocabulary import Router

_APART = 0.05
"""Hit rate by which replay and closed form differ noticeably."""

_LOST = 0.005
"""Less of the input that is not found is not told."""


def hits_of(plan: Plan, prediction: Prediction) -> CacheHits | None:
    """What the prefix caches of a workload find: as replayed where it was, what a node more brings beside it; None:
    no prefix is shared."""
    estimated, several = prediction.prefix, 0
    found, host, shares = 0.0, 0.0, 0.0
    for group, replay in zip(plan.groups, plan.simulated, strict=False):
        if replay.workload == prediction.workload and replay.prefix_hit_rate is not None:
            found, shares, several = found + group.share * replay.prefix_hit_rate, shares + group.share, several + 1
            host += group.share * replay.host_hit_rate
    if estimated is None or not several:
        return estimated
    more = estimated.one_more_node
    if more is not None:
        more = min(max(found / shares + more - estimated.found, 0.0), max(estimated.could, found / shares))
    return CacheHits(estimated.could, found / shares, more, host / shares)


def prefix_lines(outcome: Outcome, plan: Plan) -> Iterator[str]:
    """What prefix caches find, what is evicted before it is asked for again, and what one more node would find."""
    asked = {one.workload: one for one in outcome.asked}
    for one in plan.predicted:
        hits, about = hits_of(plan, one), asked.get(one.workload)
        stated = about.stated if about is not None else None
        if hits is None or one.prefix is None or stated is None:
            continue
        whose = f"{one.workload}: " if len(plan.predicted) > 1 else ""
        if stated.lengths.assumes_hits:
            yield f"{whose}{percent(hits.found)} of the input found in the cache: gap not stated, hits assumed"
        if stated.lengths.earns_hits:
            text = f"{whose}{percent(hits.found)} of the input found in the cache"
            if any(group.host_kv_gib for group in plan.groups if group.workload == one.workload):
                text += f" ({percent(hits.host)} brought in from the memory of the host)"
            lost = hits.could - hits.found
            if abs(hits.found - one.prefix.found) > _APART:
                text += f" ({percent(one.prefix.found)} in closed form: the replay decides)"
            routers = {replay.router for replay in plan.simulated}
            sticky = routers == {Router.PREFIX_AFFINITY}
            text += "" if routers else " by a router that keeps sessions on a replica"
            where = "evicted before its next turn" if sticky else "evicted before its next turn or on another replica"
            text += f", {percent(lost)} {where}" if lost >= _LOST else ", nothing evicted"
            if hits.one_more_node is not None:
                text += f"; with one more node {percent(hits.one_more_node)}"
            yield text
