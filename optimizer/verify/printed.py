"""Rules about what is printed beside a plan: grades, predictions, bindings and the key it is ranked by.

Rules about the list of plans as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, product
from math import isclose
from typing import TYPE_CHECKING

from optimizer.demand import Metric, Promise, part_name
from optimizer.performance import band, grade_of, is_upper_bound
from optimizer.performance.types import Behaviour, Grade, Percentiles
from optimizer.plan.key import plan_key
from optimizer.plan.types import KeptPromise, LatencyMs, Plan, Prediction, ReplayedPromise
from optimizer.problem import place_of
from optimizer.units import SHARE_UNITS
from optimizer.verify.case import CheckedCase, Mismatch
from optimizer.verify.service import GroupAtLoad, is_replayed, median, with_margin
from optimizer.vocabulary import NVLINK_CLASS, Link

if TYPE_CHECKING:
    from optimizer.problem import Problem


TOLERANCE = 1e-6
"""Relative: printed figures are not rounded before they are verified."""

_SCALES = {"s": 1.0, "ms": 1e3}


def grades(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """A plan is graded like its worst group, each workload like its worst group."""
    if case.plan.has_pools:
        return
    if case.plan.grade != _worst(served):
        yield Mismatch("grades", "grade", _worst(served), case.plan.grade, "the worst grade of its groups")
    for prediction in case.plan.predicted:
        expected = _worst(_groups_of(prediction, served))
        if prediction.grade != expected:
            path = f"predicted[{prediction.workload}].grade"
            yield Mismatch("grades", path, expected, prediction.grade, "the worst grade of its groups")
        yield from _reasons(case, prediction, _groups_of(prediction, served))
        yield from _layouts(case, prediction, _groups_of(prediction, served))


def _layouts(case: CheckedCase, prediction: Prediction, served: list[GroupAtLoad]) -> Iterator[Mismatch]:
    """Grade A of attention ranks or dealt experts rests on rows of that card and engine: read off the table itself."""
    for spec in (entry.group.spec for entry in served):
        if prediction.grade != Grade.A or spec.attention_dp == spec.expert_parallel == 1:
            continue
        spans = spec.attention_dp > 1 and spec.crosses_nodes
        kind = "wide_ranks" if spans else "ranks" if spec.attention_dp > 1 else "experts"
        card = spec.gpu.sibling or spec.gpu.id
        rows = {(cell.gpu, cell.engine, cell.layout) for cell in case.params.coverage}
        if (card, spec.engine.profile, kind) not in rows:
            path = f"predicted[{prediction.workload}].grade"
            told = f"nobody measured {kind} under {spec.engine.profile} on {card}"
            yield Mismatch("grades", path, "B or C", prediction.grade, told)


def _reasons(case: CheckedCase, prediction: Prediction, served: list[GroupAtLoad]) -> Iterator[Mismatch]:
    """Every sentence that lowers a grade is printed, and models served with techniques not modelled are marked."""
    for entry in served:
        reasons = grade_of(entry.group.spec, case.params, entry.group.lengths)[1]
        if missing := [reason for reason in reasons if reason not in prediction.grade_reasons]:
            path = f"predicted[{prediction.workload}].grade_reasons"
            yield Mismatch("grades", path, missing, prediction.grade_reasons, "a sentence is not printed")
        bound = is_upper_bound(entry.group.spec.model)
        if prediction.upper_bound != bound:
            path = f"predicted[{prediction.workload}].upper_bound"
            yield Mismatch("grades", path, bound, prediction.upper_bound, "whether a plan's cost is an upper bound")


def predictions(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """One prediction per workload, or length class served apart: the median estimate under the fullest of its loads.

    Where several groups share the workload: means weighed by their shares, percentiles of the slowest group.
    """
    printed = sorted(prediction.workload for prediction in case.plan.predicted)
    asked = sorted({group.name for group in case.groups})
    if printed != asked:
        yield Mismatch("predictions", "predicted", asked, printed, "one prediction per workload or class")
    for prediction in case.plan.predicted:
        groups = _groups_of(prediction, served)
        if groups and prediction.length_class != groups[0].group.part.length_class:
            path, of_class = f"predicted[{prediction.workload}].length_class", groups[0].group.part.length_class
            yield Mismatch("predictions", path, of_class, prediction.length_class, "length class of its groups")
        if groups and groups[0].stated.each:
            yield from _prediction(prediction, groups)


def kept_promises(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """Every promise is listed with its limit, its estimate under the worse load, and its 90 % band."""
    for prediction in case.plan.predicted:
        groups = _groups_of(prediction, served)
        listed = {(one.path, one.percentile, one.length_class): one for one in prediction.promises}
        for promise in groups[0].group.slo.promises if groups else ():
            printed = listed.get((promise.path, promise.percentile, promise.length_class))
            if printed is None or (printed.limit_s, printed.metric) != (promise.limit_s, promise.metric):
                found = printed and printed.limit_s
                yield Mismatch("kept promises", promise.path, promise.limit_s, found, "a promise and its limit")
            else:
                yield from _promise(printed, promise, groups)


def bindings(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """Every promise is listed with its limit and its value, margin included, under the worse load, as replayed where
    plans are; slacks follow."""
    for binding in case.plan.binding:
        slack = 1 - binding.value / binding.limit
        if not isclose(binding.slack, slack, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield Mismatch("bindings", binding.promise, slack, binding.slack, "slack of a promise")
        if slack < -TOLERANCE:
            yield Mismatch("bindings", binding.promise, f"at most {binding.limit}", binding.value, "a broken promise")
        if binding.of != _whose(case, binding.promise):
            yield Mismatch("bindings", binding.promise, _whose(case, binding.promise), binding.of, "whose limit it is")
    listed = {(binding.workload, binding.promise): binding for binding in case.plan.binding}
    for entry in served:
        for promise in entry.group.slo.promises:
            found = listed.get((part_name(entry.group.name, promise.length_class), promise.path))
            expected = entry.group.part.length_class or promise.length_class
            if found is not None and found.length_class != expected:
                yield Mismatch("bindings", promise.path, expected, found.length_class, "length class of a promise")
    for (workload, promise), seconds in _with_margins(case, served).items():
        printed = listed.get((workload, promise.path))
        scale = _SCALES.get(printed.unit, 0.0) if printed else 0.0
        if printed is None or not isclose(printed.value, seconds * scale, rel_tol=TOLERANCE):
            yield Mismatch("bindings", promise.path, seconds, printed and printed.value, "seconds, margin included")
        if printed is None or not isclose(printed.limit, promise.limit_s * scale, rel_tol=TOLERANCE):
            yield Mismatch("bindings", promise.path, promise.limit_s, printed and printed.limit, "limit of a promise")


def _with_margins(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> dict[tuple[str, Promise], float]:
    """Seconds that each promise of each workload comes to: the worst of its groups."""
    values: dict[tuple[str, Promise], float] = {}
    for entry, replay in zip(served, case.plan.simulated, strict=False) if is_replayed(case) else ():
        for promise in entry.group.slo.promises:
            seconds = max((one.with_margin_s for one in replay.promises if _is_of(one, promise)), default=0.0)
            about = (part_name(entry.group.name, promise.length_class), promise)
            values[about] = max(seconds, values.get(about, 0.0))
    for entry in served if not is_replayed(case) else ():
        for promise, behaviour in product(entry.group.slo.promises, entry.stated.each):
            seconds = with_margin(behaviour, promise, entry, case.problem.margins.confidence)
            about = (part_name(entry.group.name, promise.length_class), promise)
            values[about] = max(seconds, values.get(about, 0.0))
    return values


def _is_of(replayed: ReplayedPromise, promise: Promise) -> bool:
    return (replayed.path, replayed.length_class) == (promise.path, promise.length_class)


def _whose(case: CheckedCase, path: str) -> str:
    """Whose a quota or a stock is; of other limits and promises nothing is said."""
    place = place_of(path)
    if place.section == "offers":
        return place.names[0]
    if place.section == "hardware.quota":
        quota = case.problem.hardware.quota[int(place.names[0])]
        return ", ".join(part for part in (quota.provider, quota.gpu) if part)
    return ""


def key(case: CheckedCase, served: tuple[GroupAtLoad, ...]) -> Iterator[Mismatch]:
    """The plan is ranked under the key that its groups and nodes make."""
    del served
    expected = plan_key(case.plan.groups, case.plan.nodes, case.problem.ranking.distinct_by)
    if case.plan.key != expected:
        yield Mismatch("key", "key", expected.parts, case.plan.key.parts, "the key of its groups and nodes")


def _groups_of(prediction: Prediction, served: tuple[GroupAtLoad, ...]) -> list[GroupAtLoad]:
    return [entry for entry in served if entry.group.name == prediction.workload]


def _worst(served: tuple[GroupAtLoad, ...] | list[GroupAtLoad]) -> str | None:
    order = list(Grade)
    return max((str(entry.grade) for entry in served), key=lambda grade: order.index(Grade(grade)), default=None)


def _prediction(prediction: Prediction, groups: list[GroupAtLoad]) -> Iterator[Mismatch]:
    busiest = [max(entry.stated.each, key=lambda found: found.inflight) for entry in groups]
    whole = [(behaviour, entry.group.group.replicas) for behaviour, entry in zip(busiest, groups, strict=True)]
    parts = [
        (behaviour, entry.group.group.share / SHARE_UNITS, entry)
        for behaviour, entry in zip(busiest, groups, strict=True)
    ]
    figures = [
        ("concurrency", sum(b.inflight * n for b, n in whole), prediction.concurrency),
        ("requests_per_second", sum(b.requests_per_second * n for b, n in whole), prediction.requests_per_second),
        (
            "output_tokens_per_second",
            sum(b.output_tokens_per_second * n for b, n in whole),
            prediction.output_tokens_per_second,
        ),
        *_latency("ttft_ms", [(b.ttft, share) for b, share, _ in parts], 1e3, prediction.ttft_ms),
        *_latency("tpot_ms", [(b.tpot, share) for b, share, _ in parts], 1e3, prediction.tpot_ms),
        *_latency("e2e_s", [(b.e2e, share) for b, share, _ in parts], 1, prediction.e2e_s),
        *_interval(Metric.TTFT, parts, prediction.ttft_interval_ms),
        *_interval(Metric.TPOT, parts, prediction.tpot_interval_ms),
    ]
    for name, expected, found in figures:
        if not isclose(expected, found, rel_tol=TOLERANCE):
            path = f"predicted[{prediction.workload}].{name}"
            yield Mismatch("predictions", path, expected, found, "the median estimate at the planned load")


def _latency(
    name: str, groups: list[tuple[Percentiles, float]], scale: float, printed: LatencyMs
) -> Iterator[tuple[str, float, float]]:
    yield f"{name}.mean", sum(values.mean * scale * share for values, share in groups), printed.mean
    for part in ("p50", "p90", "p95", "p99"):
        slowest = max(getattr(values, part) for values, _ in groups)
        yield f"{name}.{part}", slowest * scale, getattr(printed, part)


def _interval(
    metric: Metric, groups: list[tuple[Behaviour, float, GroupAtLoad]], printed: tuple[float, float]
) -> Iterator[tuple[str, float, float]]:
    means = [
        (getattr(behaviour, metric).mean * 1e3 * share, band(metric, entry.grade, entry.engine))
        for behaviour, share, entry in groups
    ]
    yield f"interval.{metric}_ms.low", sum(mean * spread.low for mean, spread in means), printed[0]
    yield f"interval.{metric}_ms.high", sum(mean * spread.high for mean, spread in means), printed[1]


def _promise(printed: KeptPromise, promise: Promise, groups: list[GroupAtLoad]) -> Iterator[Mismatch]:
    estimates = [
        (median(behaviour, promise), entry.grade, entry.engine) for entry in groups for behaviour in entry.stated.each
    ]
    if not estimates:
        return
    estimate, grade, engine = max(estimates)
    spread = band(promise.metric, grade, engine)
    figures = (
        ("estimate", estimate, printed.estimate_s),
        ("low", estimate * spread.low, printed.low_s),
        ("high", estimate * spread.high, printed.high_s),
    )
    for name, expected, found in figures:
        if not isclose(expected, found, rel_tol=TOLERANCE):
            yield Mismatch("kept promises", f"{promise.path} {name}", expected, found, "seconds under the worse load")


TIE = 0.03
"""Plans closer than this in cost are marked as a tie (design.md section 7)."""


def ranks(problem: Problem, plans: Sequence[Plan]) -> Iterator[Mismatch]:
    """Ranks count from 1, and there are no more plans than asked for."""
    if [plan.rank for plan in plans] != list(range(1, len(plans) + 1)):
        yield Mismatch("ranks", "plans", "1, 2, 3, ...", [plan.rank for plan in plans], "ranks")
    if len(plans) > problem.ranking.top:
        yield Mismatch("ranks", "ranking.top", problem.ranking.top, len(plans), "more plans than asked for")


def order(problem: Problem, plans: Sequence[Plan]) -> Iterator[Mismatch]:
    """No plan is better than one ranked before it, by the objective and then by cost."""
    for better, worse in pairwise(plans):
        if _value(problem, worse) < _value(problem, better):
            path = f"plans[{worse.rank}]"
            yield Mismatch("order", path, _value(problem, better), _value(problem, worse), "better than the one before")


def distinct(problem: Problem, plans: Sequence[Plan]) -> Iterator[Mismatch]:
    """Every two plans differ under ``ranking.distinct_by``."""
    seen: dict[object, int] = {}
    for plan in plans:
        if plan.key in seen:
            found = f"ranks {seen[plan.key]} and {plan.rank}"
            yield Mismatch("distinct", "ranking.distinct_by", "different keys", found, "the same plan twice")
        seen.setdefault(plan.key, plan.rank)


def flagged_first(problem: Problem, plans: Sequence[Plan]) -> Iterator[Mismatch]:
    """TP >= 4 over PCIe is never rank 1 unless the user names the card (in gpus, owned or a quote)."""
    hardware = problem.hardware
    listed = hardware.gpus if isinstance(hardware.gpus, tuple) else ()
    named = {*listed, *(entry.gpu for entry in hardware.owned), *(quote.gpu for quote in problem.offers)}
    for group in plans[0].groups if plans else ():
        slow = group.link not in NVLINK_CLASS or group.link is Link.NVLINK_PAIR
        if slow and group.tensor_parallel >= 4 and group.gpu not in named:
            found = f"TP{group.tensor_parallel} over {group.link}"
            yield Mismatch("flagged first", "plans[1]", "a measured topology", found, f"{group.gpu} is not named")


def ties(problem: Problem, plans: Sequence[Plan]) -> Iterator[Mismatch]:
    """A plan said to tie with another is within 3 % of its cost."""
    del problem
    by_rank = {plan.rank: plan for plan in plans}
    for plan in plans:
        if plan.tie_with is None:
            continue
        other = by_rank.get(plan.tie_with)
        if other is None or abs(plan.monthly_cents - other.monthly_cents) > TIE * max(other.monthly_cents, 1):
            found = other and other.monthly_cents
            yield Mismatch("ties", f"plans[{plan.rank}].tie_with", plan.monthly_cents, found, "not within 3 %")


RankingRule = Callable[["Problem", Sequence[Plan]], Iterator[Mismatch]]

RANKING_RULES: tuple[RankingRule, ...] = (ranks, order, distinct, flagged_first, ties)
"""Every rule about the list."""


def _value(problem: Problem, plan: Plan) -> tuple[float, ...]:
    """What plans are ordered by; latencies are compared inside the solver's own points only, so not here."""
    match str(problem.objective):
        case "maximize_load":
            return (-plan.load_factor, plan.monthly_cents)
        case "minimize_gpus":
            return (plan.gpus, plan.monthly_cents)
        case "minimize_cost":  # of plans at equal money the better one comes first, which may have more GPUs
            return (plan.monthly_cents,)
    return ()
