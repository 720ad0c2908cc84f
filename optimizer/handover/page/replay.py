"""The first plan's benchmark replayed request by request on a simulated replica, beside what was predicted."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.handover.launch.facts import load_facts
from optimizer.handover.launch.measurement import measurement_csv
from optimizer.handover.launch.server import servers_of

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog
    from optimizer.plan.types import Outcome, Prediction

Predict = Callable[[Sequence[str], Sequence[dict[str, str]]], str]
"""Takes the header and the rows of a table of configurations; answers the table with simulated columns as CSV."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One latency of one workload in milliseconds: the closed form of the plan beside the simulation."""

    workload: str
    what: str
    predicted_ms: float
    simulated_ms: float


def replay(outcome: Outcome, catalog: Catalog, predict: Predict) -> tuple[Replayed, ...]:
    """Simulate the benchmark of every server of the first plan."""
    servers = servers_of(outcome, outcome.plans[0], catalog, load_facts(), None)
    found: list[Replayed] = []
    for server in servers:
        rows = list(csv.DictReader(io.StringIO(measurement_csv(server))))
        (row,) = csv.DictReader(io.StringIO(predict(list(rows[0]), rows)))
        for what, planned, column in _pairs(server.prediction):
            simulated = row.get(column, "")
            if simulated:
                found.append(Replayed(server.group.workload, what, planned, float(simulated)))
    return tuple(found)


def _pairs(planned: Prediction) -> tuple[tuple[str, float, str], ...]:
    ttft, tpot = planned.ttft_ms, planned.tpot_ms
    return (
        ("TTFT p50", ttft.p50, "pred_ttft_ms_p50"),
        ("TTFT p95", ttft.p95, "pred_ttft_ms_p95"),
        ("TPOT p50", tpot.p50, "pred_tpot_ms_p50"),
        ("TPOT p95", tpot.p95, "pred_tpot_ms_p95"),
    )
