"""Plans as a pandas table, imported only where one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from optimizer.units import from_cents

if TYPE_CHECKING:
    from pandas import DataFrame

Plan: TypeAlias = Any
Prediction: TypeAlias = Any
"""Those of ``types``, which asks this module for its tables."""

Value = str | int | float | bool | None

_COLUMNS: tuple[tuple[str, Callable[[Plan], Value]], ...] = (
    ("rank", lambda plan: plan.rank),
    ("proven", lambda plan: plan.proven),
    ("monthly_cost", lambda plan: from_cents(plan.monthly_cents)),
    ("currency", lambda plan: plan.currency),
    ("cost_per_million_output_tokens", lambda plan: plan.cost_per_million_output_tokens),
    ("gpus", lambda plan: plan.gpus),
    ("load_factor", lambda plan: plan.load_factor),
    ("grade", lambda plan: plan.grade),
    ("nodes", lambda plan: sum(node.count for node in plan.nodes)),
    ("provider", lambda plan: _listed(node.provider for node in plan.nodes)),
    ("instance_type", lambda plan: _listed(node.instance_type for node in plan.nodes)),
    ("region", lambda plan: _listed(node.region for node in plan.nodes)),
    ("tier", lambda plan: _listed(str(node.tier) for node in plan.nodes)),
    ("gpu", lambda plan: _listed(group.gpu for group in plan.groups)),
    ("model", lambda plan: _listed(group.model for group in plan.groups)),
    ("weight_quant", lambda plan: _listed(group.weight_quant for group in plan.groups)),
    ("kv_cache", lambda plan: _listed(group.kv_cache for group in plan.groups)),
    ("tensor_parallel", lambda plan: _listed(group.tensor_parallel for group in plan.groups)),
    ("attention_dp", lambda plan: _listed(group.attention_dp for group in plan.groups)),
    ("expert_parallel", lambda plan: _listed(group.expert_parallel for group in plan.groups)),
    ("replicas", lambda plan: sum(group.replicas for group in plan.groups)),
    ("ttft_ms_p95", lambda plan: _slowest(plan, lambda one: one.ttft_ms.p95)),
    ("tpot_ms_p95", lambda plan: _slowest(plan, lambda one: one.tpot_ms.p95)),
    ("e2e_s_p95", lambda plan: _slowest(plan, lambda one: one.e2e_s.p95)),
)


def plans_frame(plans: Sequence[Plan]) -> DataFrame:
    """One row a plan, named as the columns of the CSV report; money in currency units a month.

    Of several nodes or workloads texts are joined by ``; ``, counts added up, latencies those of the slowest workload.
    """
    import pandas as pd

    rows = [[read(plan) for _, read in _COLUMNS] for plan in plans]
    return pd.DataFrame(rows, columns=[name for name, _ in _COLUMNS])


def _listed(values: Iterable[object]) -> Value:
    """One value as it is, several joined."""
    found = list(values)
    if len(found) == 1 and isinstance(found[0], (str, int)):
        return found[0]
    return "; ".join("" if value is None else str(value) for value in found)


def _slowest(plan: Plan, read: Callable[[Prediction], float | None]) -> float | None:
    return max((value for value in map(read, plan.predicted) if value is not None), default=None)
