"""The day profile in words: what was asked, how each plan follows it, and a table of the first plan's periods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from optimizer.plan.types import Asked, NodeLine, Outcome, PeriodService, Plan, PlanPeriod
from optimizer.report.layout import BLANK, WIDTH, Line, Style, columns, paragraph
from optimizer.report.words import count, exact, latency, money, tier_name
from optimizer.vocabulary import Tier

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


def day_profile(outcome: Outcome) -> Iterator[Line]:
    """Replicas, nodes and latencies of the first plan in each period."""
    plan = outcome.plans[0]
    if not plan.periods:
        return
    yield Line(f"What #{plan.rank} runs through the day (nodes by way to pay)", Style.HEADING)
    for text in _table(plan):
        yield Line(text)
    for text in paragraph(_paid(plan), hang="    "):
        yield Line(text)
    yield BLANK


def _table(plan: Plan) -> list[str]:
    """The columns that fit: latencies are left out where several workloads take their room."""
    names = [service.workload for service in plan.periods[0].services]
    head = ["period", "hours", *_titles("load", names), *_titles("replicas", [group.workload for group in plan.groups])]
    payments = _payments(plan.nodes)
    head += [*payments, "GPUs", "paid by use", *_titles("TTFT p95", names), *_titles("TPOT p95", names)]
    rows = [tuple(head), *(_row(plan, period, payments) for period in plan.periods)]
    while True:
        lines = columns(rows, "<" + ">" * (len(rows[0]) - 1))
        if max(map(len, lines)) <= WIDTH or not rows[0][-1].startswith("T"):
            return lines
        rows = [row[:-1] for row in rows]


def _titles(title: str, names: Sequence[str]) -> list[str]:
    return [title] if len(names) == 1 else [f"{title} {name}" for name in names]


def _payments(nodes: Sequence[NodeLine]) -> list[str]:
    """Ways to pay, committed ones first, in the words of a column head."""
    order = sorted({node.tier: node for node in nodes}.values(), key=lambda node: node.tier in BY_USE)
    return list(dict.fromkeys(_payment(node) for node in order))


def _payment(node: NodeLine) -> str:
    return tier_name(node.tier, node.commitment_months)


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
