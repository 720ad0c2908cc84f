"""What the replay says, in words: beside each plan, and about the configurations it rejected."""

from __future__ import annotations

from collections.abc import Iterator

from optimizer.plan.types import Group, Outcome, Plan, Rejection, ReplayedPromise
from optimizer.problem import place_of
from optimizer.report.layout import BLANK, Line, Style, paragraph
from optimizer.report.words import (
    exact,
    gpu_name,
    kv_name,
    latency_unit,
    money,
    plural,
    promise_of,
    quant_name,
    two_digits,
)


def _is_batch(promise: ReplayedPromise) -> bool:
    """Whether the promise is the hours of a batch run."""
    return place_of(promise.path).section == "traffic"


def replayed(plan: Plan, workload: str | None = None) -> str:
    """``replayed: TTFT p95 0.24 s, TPOT p95 37 ms``; empty where nothing was replayed or promised.

    Of configurations that share a workload the slowest is told.
    """
    slowest: dict[tuple[str, str, str], ReplayedPromise] = {}
    replays = [one for one in plan.simulated if workload in (None, one.workload)]
    for about, promise in (((one.workload, p.path, p.length_class), p) for one in replays for p in one.promises):
        if about not in slowest or promise.simulated_s > slowest[about].simulated_s:
            slowest[about] = promise
    return f"replayed: {', '.join(_seen(promise) for promise in slowest.values())}" if slowest else ""


def _seen(promise: ReplayedPromise) -> str:
    factor, unit = replayed_unit(promise, promise.simulated_s)
    text = f"{replayed_name(promise)} {two_digits(promise.simulated_s * factor)} {unit}"
    if _is_batch(promise):
        text = f"the batch takes {text.removeprefix('the batch ')} of {exact(promise.limit_s * factor)}"
    margin = promise.with_margin_s / promise.simulated_s
    if promise.narrow or not promise.low_s * margin < promise.limit_s < promise.high_s * margin:
        return text
    return f"{text} (too close to tell: {two_digits(promise.low_s * factor)}-{two_digits(promise.high_s * factor)})"


def rejections(outcome: Outcome) -> Iterator[Line]:
    """Each rejected configuration: both numbers, the limit and the smallest repair."""
    if not outcome.rejected:
        return
    yield Line("Rejected by replay", Style.HEADING)
    head = (
        "The closed form proposed these, the request-by-request replay of the same model refused them; "
        "margins.confidence is included in every number:"
    )
    yield from (Line(text) for text in paragraph(head))
    for rejection in outcome.rejected:
        yield from (Line(text) for text in paragraph(_rejection(rejection, outcome.currency), hang="    "))
    yield BLANK


def _rejection(rejection: Rejection, currency: str) -> str:
    group = rejection.group
    which = f"#{rejection.rank}" if rejection.round == 1 else f"#{rejection.rank} of round {rejection.round}"
    amount = money(rejection.monthly_cents, currency)
    missed = ", ".join(_missed(promise) for promise in rejection.missed)
    return f"{which} at {amount}/mo, {group.workload} on {_setup(group)}: {missed}; {_repair(rejection, currency)}"


def _setup(group: Group) -> str:
    stages = f" PP{group.pipeline_parallel}" if group.pipeline_parallel > 1 else ""
    parallel = f"TP{group.tensor_parallel}{stages} x {group.replicas:,}"
    return f"{gpu_name(group.gpu)}, {quant_name(group.weight_quant)}, {kv_name(group.kv_cache)}, {parallel}"


def _missed(promise: ReplayedPromise) -> str:
    factor, unit = replayed_unit(promise, promise.with_margin_s)
    margin = promise.with_margin_s / promise.simulated_s
    before, after = (_three(value * factor) for value in (promise.predicted_s * margin, promise.with_margin_s))
    limit = exact(round(promise.limit_s * factor, 6))
    return f"{replayed_name(promise)} {after} {unit} replayed, {before} predicted, limit {limit}"


def _repair(rejection: Rejection, currency: str) -> str:
    if rejection.replicas_needed is None:
        limits = ", ".join(_limit(promise) for promise in rejection.missed)
        return f"holds at {limits}"
    more = plural(rejection.replicas_needed, "replica")
    if rejection.repaired_cents is None:
        return f"holds with {more} (not in this ranking)"
    return f"holds with {more}, ranked at {money(rejection.repaired_cents, currency)}/mo"


def _limit(promise: ReplayedPromise) -> str:
    factor, unit = replayed_unit(promise, promise.with_margin_s)
    return f"a limit of {_three(promise.with_margin_s * factor)} {unit}"


def replayed_name(promise: ReplayedPromise) -> str:
    """``TTFT p95``; of offline work ``the batch``, whose promise is its hours."""
    if _is_batch(promise):
        return "the batch"
    return promise_of(promise.metric, promise.percentile, promise.length_class)


def replayed_unit(promise: ReplayedPromise, seconds: float) -> tuple[float, str]:
    """Factor and unit a replayed promise reads best in."""
    return (1.0 / 3600.0, "hours") if _is_batch(promise) else latency_unit(promise.limit_s, seconds)


def _three(value: float) -> str:
    return exact(float(f"{value:.3g}"))
