"""The CSV report: one row per plan, the same columns always, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence

from optimizer.plan.types import Group, NodeLine, Outcome, Plan, PlanPeriod, Prediction, status_of
from optimizer.units import significant

_FORMULA_STARTS = ("=", "+", "-", "@")
_JOINT = "; "

COLUMNS: tuple[tuple[str, Callable[[Plan], str]], ...] = (
    ("rank", lambda plan: str(plan.rank)),
    ("proven", lambda plan: "yes" if plan.proven else "no"),
    ("monthly_cost", lambda plan: _money(plan.monthly_cents)),
    ("currency", lambda plan: plan.currency),
    ("cost_per_million_output_tokens", lambda plan: _number(plan.cost_per_million_output_tokens)),
    ("cost_per_request", lambda plan: _unit(plan, "per_request")),
    ("cost_per_user_month", lambda plan: _unit(plan, "per_user_month")),
    ("expected_output_tokens_per_month", lambda plan: _unit(plan, "expected_output_tokens_per_month")),
    ("gpus", lambda plan: str(plan.gpus)),
    ("load_factor", lambda plan: _number(plan.load_factor)),
    ("grade", lambda plan: plan.grade),
    ("tie_with", lambda plan: "" if plan.tie_with is None else str(plan.tie_with)),
    ("nodes", lambda plan: str(sum(node.count for node in plan.nodes))),
    ("idle_gpus", lambda plan: str(sum(node.idle_gpus for node in plan.nodes))),
    ("offer_id", lambda plan: _nodes(plan, lambda node: node.offer_id)),
    ("provider", lambda plan: _nodes(plan, lambda node: node.provider)),
    ("instance_type", lambda plan: _nodes(plan, lambda node: node.instance_type)),
    ("region", lambda plan: _nodes(plan, lambda node: node.region)),
    ("node_count", lambda plan: _nodes(plan, lambda node: str(node.count))),
    ("tier", lambda plan: _nodes(plan, lambda node: str(node.tier))),
    ("commitment_months", lambda plan: _nodes(plan, lambda node: str(node.commitment_months))),
    ("price_date", lambda plan: _nodes(plan, lambda node: node.price_date or "")),
    ("price_source", lambda plan: _nodes(plan, lambda node: node.price_source)),
    ("price_evidence", lambda plan: str(plan.price_evidence or "")),
    ("price_ranks_until", lambda plan: _nodes(plan, lambda node: node.ranks_until or "")),
    ("workload", lambda plan: _groups(plan, lambda group: group.workload)),
    ("model", lambda plan: _groups(plan, lambda group: group.model)),
    ("gpu", lambda plan: _groups(plan, lambda group: group.gpu)),
    ("weight_quant", lambda plan: _groups(plan, lambda group: group.weight_quant)),
    ("kv_cache", lambda plan: _groups(plan, lambda group: group.kv_cache)),
    ("tensor_parallel", lambda plan: _groups(plan, lambda group: str(group.tensor_parallel))),
    ("pipeline_parallel", lambda plan: _groups(plan, lambda group: str(group.pipeline_parallel))),
    ("attention_dp", lambda plan: _groups(plan, lambda group: str(group.attention_dp))),
    ("expert_parallel", lambda plan: _groups(plan, lambda group: str(group.expert_parallel))),
    ("replicas", lambda plan: _groups(plan, lambda group: str(group.replicas))),
    ("interconnect", lambda plan: _groups(plan, lambda group: group.interconnect)),
    ("ttft_ms_p50", lambda plan: _predicted(plan, lambda one: one.ttft_ms.p50)),
    ("ttft_ms_p95", lambda plan: _predicted(plan, lambda one: one.ttft_ms.p95)),
    ("tpot_ms_p50", lambda plan: _predicted(plan, lambda one: one.tpot_ms.p50)),
    ("tpot_ms_p95", lambda plan: _predicted(plan, lambda one: one.tpot_ms.p95)),
    ("e2e_s_p95", lambda plan: _predicted(plan, lambda one: one.e2e_s.p95)),
    ("concurrency", lambda plan: _predicted(plan, lambda one: one.concurrency)),
    ("requests_per_second", lambda plan: _predicted(plan, lambda one: one.requests_per_second)),
    ("output_tokens_per_second", lambda plan: _predicted(plan, lambda one: one.output_tokens_per_second)),
    ("capacity_concurrency", lambda plan: _predicted(plan, lambda one: one.capacity.concurrency)),
    ("capacity_requests_per_second", lambda plan: _predicted(plan, lambda one: one.capacity.requests_per_second)),
    (
        "capacity_output_tokens_per_second",
        lambda plan: _predicted(plan, lambda one: one.capacity.output_tokens_per_second),
    ),
    ("binding", lambda plan: _JOINT.join(binding.promise for binding in plan.binding)),
    ("excludes", lambda plan: _JOINT.join(plan.excludes)),
)
"""Column names and how each is read off a plan. Several nodes, groups or workloads share a cell, parted by ``; ``."""

PERIOD_COLUMNS: tuple[tuple[str, Callable[[Plan], str]], ...] = (
    ("period", lambda plan: _periods(plan, lambda period: period.name)),
    ("period_hours", lambda plan: _periods(plan, lambda period: _number(period.hours_per_month))),
    ("period_replicas", lambda plan: _periods(plan, lambda period: _plus(period.replicas))),
    ("period_nodes", lambda plan: _periods(plan, lambda period: _plus(period.nodes))),
    ("period_cost_by_use", lambda plan: _periods(plan, lambda period: _money(period.monthly_cents))),
)
"""Further columns where there is a day profile; numbers of one period are joined by ``+``, in the order of the cells
for groups and nodes."""


def render_csv(outcome: Outcome) -> str:
    """Header and one row per plan; an outcome without plans has the header only. ``status`` comes first in each row."""
    chosen = COLUMNS + (PERIOD_COLUMNS if any(plan.periods for plan in outcome.plans) else ())
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["problem", "status", *(name for name, _ in chosen)])
    for plan in outcome.plans:
        cells = [outcome.problem_name, status_of(outcome), *(read(plan) for _, read in chosen)]
        writer.writerow([safe_cell(cell) for cell in cells])
    return stream.getvalue()


def safe_cell(cell: str) -> str:
    """One line, and never a formula: such a cell gets an apostrophe in front; numbers stay numbers."""
    line = " ".join(cell.splitlines()) if not cell.isprintable() else cell
    if line.lstrip().startswith(_FORMULA_STARTS) and not _is_number(line):
        return f"'{line}"
    return line


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _money(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{significant(value, 6):.10g}"


def _unit(plan: Plan, name: str) -> str:
    return _number(None if plan.unit_costs is None else getattr(plan.unit_costs, name))


def _nodes(plan: Plan, read: Callable[[NodeLine], str]) -> str:
    return _JOINT.join(read(node) for node in plan.nodes)


def _periods(plan: Plan, read: Callable[[PlanPeriod], str]) -> str:
    return _JOINT.join(read(period) for period in plan.periods)


def _plus(numbers: Sequence[int]) -> str:
    return "+".join(map(str, numbers))


def _groups(plan: Plan, read: Callable[[Group], str]) -> str:
    return _JOINT.join(read(group) for group in plan.groups)


def _predicted(plan: Plan, read: Callable[[Prediction], float]) -> str:
    return _JOINT.join(_number(read(prediction)) for prediction in plan.predicted)
