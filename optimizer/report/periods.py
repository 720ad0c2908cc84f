"""The day profile in words: what was asked, how each plan follows it, and a table of the first plan's periods.

What the replay says, in words: beside each plan, and about the configurations it rejected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from optimizer.plan.types import (
    Asked,
    Group,
    Minimality,
    NodeLine,
    Outcome,
    PeriodService,
    Plan,
    PlanPeriod,
    Rejection,
    ReplayedPromise,
)
from optimizer.problem import place_of
from optimizer.report.layout import BLANK, WIDTH, Block, Line, Passage, Say, Style, columns, said
from optimizer.report.widths import columns_of
from optimizer.report.words import (
    cache_words,
    count,
    exact,
    gpu_name,
    latency,
    latency_unit,
    money,
    percent,
    plural,
    promise_of,
    quant_name,
    tier_name,
    two_digits,
    two_digits_beyond,
)
from optimizer.vocabulary import Role, Tier

BY_USE = (Tier.ON_DEMAND, Tier.SPOT)


def asked_profile(asked: Asked) -> str:
    """``day 240 h a month x 1, night 490 h x 0.1``; what is kept running whatever the load."""
    parts = [f"{one.name} {exact(one.hours_per_month)} h x {exact(one.factor)}" for one in asked.periods]
    text = f"{', '.join(parts)} (hours a month x factor on the load)" if parts else ""
    if asked.min_replicas:
        kept = f"at least {asked.min_replicas:,} replicas" if asked.min_replicas > 1 else "at least 1 replica"
        text = f"{text}; {kept}" if text else kept
    return text


def followed(plan: Plan) -> str:
    """``nodes: day 4, evening 2, night 1``: how a plan follows the profile; nothing without one."""
    if not plan.periods:
        return ""
    counts = [f"{period.name} {sum(period.nodes):,}" for period in plan.periods]
    return f"nodes: {', '.join(counts)}"


def day_profile(outcome: Outcome) -> Iterator[Block]:
    """Replicas, nodes and latencies of the first plan in each period."""
    plan = outcome.plans[0]
    if not plan.periods:
        return
    yield Line(f"What #{plan.rank} runs through the day (nodes by way to pay)", Style.HEADING)
    yield _DayRows(plan)
    yield Passage(_paid(plan), hang="    ")
    yield BLANK


@dataclass(frozen=True, slots=True)
class _DayRows:
    """The periods of a plan as a table."""

    plan: Plan

    def lines(self, say: Say) -> Iterator[Line]:
        """As printed."""
        return (Line(text) for text in _table(self.plan, say))


def _table(plan: Plan, say: Say = str) -> list[str]:
    """The columns that fit: latencies are left out where several workloads take their room."""
    names = [service.workload for service in plan.periods[0].services]
    head = ["period", "hours", *_titles("load", names), *_titles("replicas", [group.workload for group in plan.groups])]
    payments = _payments(plan.nodes)
    head += [*payments, "GPUs", "by use", *_titles("TTFT p95", names), *_titles("TPOT p95", names)]
    rows = [tuple(head), *(_row(plan, period, payments) for period in plan.periods)]
    while True:
        lines = columns(said(rows, say), "<" + ">" * (len(rows[0]) - 1))
        if max(map(columns_of, lines)) <= WIDTH or not rows[0][-1].startswith("T"):
            return lines
        rows = [row[:-1] for row in rows]


def _titles(title: str, names: Sequence[str]) -> list[str]:
    return [title] if len(names) == 1 else [f"{title} {name}" for name in names]


def _payments(nodes: Sequence[NodeLine]) -> list[str]:
    """Ways to pay, committed ones first, in the words of a column head."""
    order = sorted({node.tier: node for node in nodes}.values(), key=lambda node: node.tier in BY_USE)
    return list(dict.fromkeys(_payment(node) for node in order))


def _payment(node: NodeLine) -> str:
    return tier_name(node.tier, node.commitment_months).replace(" commitment", "")


def _row(plan: Plan, period: PlanPeriod, payments: Sequence[str]) -> tuple[str, ...]:
    nodes = dict.fromkeys(payments, 0)
    for line, number in zip(plan.nodes, period.nodes, strict=True):
        nodes[_payment(line)] += number
    return (
        period.name,
        exact(round(period.hours_per_month, 2)),
        *(_load(service) for service in period.services),
        *(f"{replicas:,}" for replicas in period.replicas),
        *(f"{number:,}" for number in nodes.values()),
        f"{period.gpus:,}",
        money(period.monthly_cents, plan.currency),
        *(_latency(service.ttft_p95_ms) for service in period.services),
        *(_latency(service.tpot_p95_ms) for service in period.services),
    )


def _load(service: PeriodService) -> str:
    tokens = f", {count(service.output_tokens_per_second)} tok/s" if service.output_tokens_per_second else ""
    return f"x {exact(service.factor)}{tokens}"


def _latency(ms: float | None) -> str:
    return "-" if ms is None else latency(ms / 1e3)


def _paid(plan: Plan) -> str:
    by_use = sum(period.monthly_cents for period in plan.periods)
    committed = sum(node.monthly_cents for node in plan.nodes) - by_use
    parts = []
    if committed:
        parts.append(f"{money(committed, plan.currency)} for committed nodes, paid always")
    if by_use:
        parts.append(f"{money(by_use, plan.currency)} for nodes paid by use, in the hours of each period and of starts")
    return f"{' and '.join(parts) or 'nothing to pay for nodes'}; each period keeps every promise by itself"


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


def fewer_replicas(plan: Plan, workload: str | None = None) -> str:
    """``1 replica fewer: TPOT p95 58 ms replayed, 62 with its margin, of 50``, or why there is no smaller number."""
    pairs = zip(plan.minimality, plan.groups, strict=False)  # none where plans were not replayed
    mine = [(group, text) for one, group in pairs if workload in (None, one.workload) and (text := _fewer(one))]
    told = dict.fromkeys(text for _, text in mine)
    if len(told) > 1:  # whose: without a name the second would deny the first
        told = dict.fromkeys(f"{_name_among([one for one, _ in mine], group)}: {text}" for group, text in mine)
    return "; ".join(told)


def _name_among(groups: Sequence[Group], mine: Group) -> str:
    """What tells a group apart: its workload and class; among several of the same its role, or its card."""
    part = (mine.workload, mine.length_class)
    alike = [one for one in groups if (one.workload, one.length_class) == part]
    words = [] if len({one.workload for one in groups}) == 1 else [mine.workload]
    words += [mine.length_class] if mine.length_class else []
    if len(alike) > 1:
        words.append(gpu_name(mine.gpu) if mine.role is Role.SERVE else str(mine.role))
    return " ".join(words) or mine.workload


def _fewer(one: Minimality) -> str:
    fewer = one.fewer
    if fewer is None:
        return one.reason
    kind = "replica" if one.role is Role.SERVE else "worker"
    gone = f"{plural(one.replicas - fewer.replicas, kind)} fewer"
    if fewer.left is not None:
        gone += f", {fewer.left:,} left"
    if fewer.metric is None:
        used = two_digits_beyond(100 * fewer.replayed * fewer.margin, 100 * fewer.limit)
        return f"{gone}: {used} % of what it can carry, at most {percent(fewer.limit)}"
    if place_of(fewer.promise).section == "traffic":
        factor, unit, name = 1.0 / 3600.0, "hours", "the batch"
    else:
        factor, unit = latency_unit(fewer.limit, fewer.replayed)
        name = promise_of(fewer.metric, fewer.percentile, one.length_class)
    worst = two_digits_beyond(fewer.replayed * fewer.margin * factor, fewer.limit * factor)
    seen = f"{name} {two_digits(fewer.replayed * factor)} {unit} replayed"
    return f"{gone}: {seen}, {worst} with its margin, of {exact(fewer.limit * factor)}"


def _seen(promise: ReplayedPromise) -> str:
    factor, unit = replayed_unit(promise, promise.simulated_s)
    text = f"{replayed_name(promise)} {two_digits(promise.simulated_s * factor)} {unit}"
    if _is_batch(promise):
        text = f"the batch takes {text.removeprefix('the batch ')} of {exact(promise.limit_s * factor)}"
    margin = promise.with_margin_s / promise.simulated_s
    if promise.narrow or not promise.low_s * margin < promise.limit_s < promise.high_s * margin:
        return text
    return f"{text} (too close to tell: {two_digits(promise.low_s * factor)}-{two_digits(promise.high_s * factor)})"


def rejections(outcome: Outcome) -> Iterator[Block]:
    """Each rejected configuration: both numbers, the limit and the smallest repair."""
    if not outcome.rejected:
        return
    yield Line("Rejected by replay", Style.HEADING)
    head = (
        "The closed form proposed these, the request-by-request replay of the same model refused them; "
        "margins.confidence is included in every number:"
    )
    yield Passage(head)
    for rejection in outcome.rejected:
        yield Passage(rejection_line(rejection, outcome.currency), hang="    ")
    yield BLANK


def rejection_line(rejection: Rejection, currency: str) -> str:
    """One rejected configuration: what it missed and its smallest repair."""
    group = rejection.group
    which = f"#{rejection.rank}" if rejection.round == 1 else f"#{rejection.rank} of round {rejection.round}"
    amount = money(rejection.monthly_cents, currency)
    missed = ", ".join(_missed(promise) for promise in rejection.missed)
    return f"{which} at {amount}/mo, {group.workload} on {_setup(group)}: {missed}; {_repair(rejection, currency)}"


def _setup(group: Group) -> str:
    parallel = f"{group.split} x {group.replicas:,}"
    return f"{gpu_name(group.gpu)}, {quant_name(group.weight_quant)}, {cache_words(group)}, {parallel}"


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
