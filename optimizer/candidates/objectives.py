"""Objectives that minimise a latency, and what operating points must state for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.candidates.rules import WorkloadRules
from optimizer.workload import Metric, Promise, Slo

if TYPE_CHECKING:
    pass


UNLIMITED_S = 1e6
"""Limit of a latency that is minimised without having been promised: no replica is this slow and still stable."""


LATENCY_OBJECTIVES = {"minimize_ttft": Metric.TTFT, "minimize_tpot": Metric.TPOT}
"""Objectives that minimise a latency, and which."""


def objective_promises(asked: WorkloadRules, objective: str, percentile: float) -> tuple[Slo, tuple[int, ...]]:
    """Promises whose latencies operating points must state, and the indices of those whose largest is minimised.

    It is the highest percentile stated of the metric, of a mix of length classes for each class; a metric without a
    promise gets one that always holds.
    """
    metric = LATENCY_OBJECTIVES.get(objective)
    if metric is None:
        return asked.slo, ()
    promises, found = list(asked.slo.promises), list[int]()
    for length_class in asked.classes or ("",):
        stated = [i for i, p in enumerate(promises) if (p.metric, p.length_class) == (metric, length_class)]
        if not stated:
            stated = [len(promises)]
            promises.append(Promise(metric, percentile, UNLIMITED_S, "objective", length_class))
        found.append(max(stated, key=lambda index: (promises[index].percentile, -index)))
    return Slo(tuple(promises)), tuple(found)
