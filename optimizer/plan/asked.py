"""The question as it was understood, for the head of every report."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.plan.periods import AskedPeriod
from optimizer.workload import LengthShare, Promise


@dataclass(frozen=True, slots=True)
class WorkloadLoad:
    """The planned load of one workload as the report echoes it (Little's law fills in what was not stated)."""

    workload: str
    requests_per_second: float
    output_tokens_per_second: float
    inflight: float  # not a number: not stated, and no plan whose latencies would tell
    decided_by: str
    length_class: str = ""  # the class of a workload that this is the load of
    users: float | None = None  # of a closed population, whose rate and number in flight are those of the best plan
    think_s: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """A load in figures; None: not stated, so each plan has its own."""

    requests_per_second: float | None
    output_tokens_per_second: float | None
    inflight: float | None
    users: float | None


@dataclass(frozen=True, slots=True)
class Demand:
    """The load of a workload in three words: as the file states it; at the peak, ``peak_factor`` and the busiest period
    of a day profile included; and as planned for, ``margins.load_headroom`` on top."""

    workload: str
    stated: Figures
    peak: Figures
    planned: Figures
    peak_by: float  # what the peak is times the stated load
    headroom: float  # what is planned beyond the peak, as a share


@dataclass(frozen=True, slots=True)
class LoadFloor:
    """One traffic figure of the problem file and the load it alone would ask for."""

    path: str  # YAML path
    stated: float  # as written in the file
    requests_per_second: float | None
    inflight: float | None
    wins: bool  # whether it is the floor that counts


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for one workload, as the report echoes it."""

    workload: str
    model: str
    input_tokens: float
    input_p95: float | None
    output_tokens: float
    output_p95: float | None
    context_max: int
    promises: tuple[Promise, ...]
    min_recovery: float | None
    floors: tuple[LoadFloor, ...]
    hours_per_month: float | None  # batch work: the hours used; None = around the clock
    load_hours: float = 730.0  # hours a month in which the load runs and its tokens are made
    periods: tuple[AskedPeriod, ...] = ()  # of the day profile
    min_replicas: int = 0
    length_class: str = ""  # asked of one length class that may be served apart
    class_share: float = 1.0  # of the workload's requests that are of the class
    classes: tuple[LengthShare, ...] = ()  # of a mix
