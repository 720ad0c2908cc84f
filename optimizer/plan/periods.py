"""The day profile as it was asked for, and what a plan runs in each of its periods."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AskedPeriod:
    """One period of the day profile as the file states it."""

    name: str
    hours_per_month: float
    factor: float  # on the stated load


@dataclass(frozen=True, slots=True)
class PeriodService:
    """One workload in one period of the day profile: its load and what its users see, the median estimate."""

    workload: str
    factor: float  # on the stated load
    requests_per_second: float
    output_tokens_per_second: float
    concurrency: float
    ttft_p95_ms: float | None  # None: no load
    tpot_p95_ms: float | None


@dataclass(frozen=True, slots=True)
class PlanPeriod:
    """What runs in one period of the day profile."""

    name: str
    hours_per_month: float
    starts_per_month: float
    gpus: int  # of all nodes
    replicas: tuple[int, ...]  # in the order of the plan's groups
    nodes: tuple[int, ...]  # in the order of the plan's node lines
    monthly_cents: int  # of nodes paid by use, in the period and for starting as it begins
    services: tuple[PeriodService, ...]
