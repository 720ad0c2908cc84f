"""Errors of held-out predictions, summed up by GPU, family, engine, precision and load."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.calibrate.evidence import is_served
from optimizer.calibrate.forward import Prediction, beyond_slots
from optimizer.calibrate.rows import Case
from optimizer.performance.bands import band_name
from optimizer.performance.types import Grade

TPOT, TTFT, TTFT_UNKNOWN, THROUGHPUT, OFFLINE = "tpot", "ttft", "ttft_unknown_start", "throughput", "offline"
TTFT_P99, TPOT_P99 = "ttft_p99", "tpot_p99"
METRICS = (TPOT, TTFT, TTFT_UNKNOWN, THROUGHPUT, OFFLINE, TTFT_P99, TPOT_P99)


@dataclass(frozen=True, slots=True)
class Error:
    """One predicted figure beside its measurement; ``log`` is ln(predicted / measured)."""

    case: Case
    metric: str
    predicted: float
    measured: float
    grade: Grade
    beyond_slots: bool = False  # more requests offered than the replica takes at once
    covered: bool | None = None  # whether the truth lies inside the 90 % band

    @property
    def engine(self) -> str:
        """Profile of the engine."""
        return self.case.spec.engine.profile

    @property
    def band(self) -> str:
        """Name of the band that the figure has."""
        return band_name(self.metric, beyond_slots=self.beyond_slots)

    @property
    def log(self) -> float:
        """ln(predicted / measured)."""
        return math.log(self.predicted / self.measured)


@dataclass(frozen=True, slots=True)
class Score:
    """Summary of some errors, in percent of the measurement."""

    key: str
    metric: str
    rows: int
    groups: int
    median_error: float
    mean_error: float
    bias: float  # signed median
    coverage: float  # percent of truths inside the 90 % band; nan without bands


def pairs_of(case: Case, p: Prediction) -> Iterable[tuple[str, float, float]]:
    """(metric, predicted, measured) of everything a row states: means, else medians; p99 apart."""
    row = case.row
    if is_served(row):
        yield TPOT, *((p.tpot_mean, row.tpot_ms_mean) if row.tpot_by_mean else (p.tpot_p50, row.tpot_ms_p50))
        metric = TTFT_UNKNOWN if row.start == "unknown" else TTFT
        yield metric, *((p.ttft_mean, row.ttft_ms_mean) if row.ttft_by_mean else (p.ttft_p50, row.ttft_ms_p50))
        if not row.stalled:
            yield TTFT_P99, p.ttft_p99, row.ttft_ms_p99
        yield TPOT_P99, p.tpot_p99, row.tpot_ms_p99
        yield THROUGHPUT, *throughputs(case, p)
    elif row.load == "offline":
        yield OFFLINE, p.output_tokens_per_s, row.output_tokens_per_s


def throughputs(case: Case, p: Prediction) -> tuple[float, float]:
    """Predicted and measured output tokens per second, of like kind.

    Where a row states it: tokens over the run's duration, ramp and tail included. Else, and where a stall is in that
    duration, both are concurrency x output / (TTFT + TPOT (output - 1)), the rate while all slots are taken.
    """
    row = case.row
    if row.output_tokens_per_s > 0 and not row.stalled:
        return p.output_tokens_per_s, row.output_tokens_per_s

    def rate(ttft_ms: float, tpot_ms: float) -> float:
        return row.concurrency * row.output_tokens / (1e-3 * (ttft_ms + tpot_ms * (row.output_tokens - 1.0)))

    if row.stalled and row.tpot_ms_p50 > 0:
        return rate(p.ttft_p50, p.tpot_p50), rate(row.ttft_ms_p50, row.tpot_ms_p50)
    if row.load != "closed_loop" or not (row.ttft_ms_mean > 0 and row.tpot_ms_mean > 0):
        return math.nan, math.nan
    return rate(p.ttft_mean, p.tpot_mean), rate(row.ttft_ms_mean, row.tpot_ms_mean)


def errors_of(cases: Sequence[Case], predictions: Sequence[Prediction], grades: Sequence[Grade]) -> list[Error]:
    """Every figure that is both measured and predicted."""
    return [
        Error(case, metric, predicted, measured, grade, beyond)
        for case, prediction, grade, beyond in zip(cases, predictions, grades, beyond_slots(cases), strict=True)
        for metric, predicted, measured in pairs_of(case, prediction)
        if predicted > 0 and measured > 0 and math.isfinite(predicted)
    ]


def summarise(errors: Iterable[Error], key: Callable[[Error], str]) -> list[Score]:
    """Scores per key and metric, in the order of keys."""
    found: dict[tuple[str, str], list[Error]] = {}
    for error in errors:
        found.setdefault((key(error), error.metric), []).append(error)
    order = {metric: position for position, metric in enumerate(METRICS)}
    return [_score(*at, found[at]) for at in sorted(found, key=lambda at: (order[at[1]], at[0]))]


def _score(key: str, metric: str, errors: Sequence[Error]) -> Score:
    logs = np.array([error.log for error in errors])
    sizes = np.abs(np.expm1(logs)) * 100
    covered = [error.covered for error in errors if error.covered is not None]
    return Score(
        key=key,
        metric=metric,
        rows=len(errors),
        groups=len({error.case.row.group for error in errors}),
        median_error=float(np.median(sizes)),
        mean_error=float(np.mean(sizes)),
        bias=float(np.expm1(np.median(logs)) * 100),
        coverage=100.0 * sum(covered) / len(covered) if covered else math.nan,
    )


def rank_correlation(errors: Iterable[Error], least: int = 5) -> tuple[float, int]:
    """Median Spearman correlation of predicted and measured throughput over grids that differ in GPU, TP or precision.

    A grid is one source, engine release, model, load and pair of lengths; returns the median and how many grids have
    ``least`` rows.
    """
    grids: dict[tuple[str | float, ...], list[Error]] = {}
    for error in errors:
        if error.metric in (THROUGHPUT, OFFLINE):
            row = error.case.row
            release = (row.source, row.engine, row.engine_version, row.load)
            grids.setdefault((*release, row.model, row.input_tokens, row.output_tokens), []).append(error)
    found = []
    for grid in grids.values():
        configurations = {(e.case.row.gpu, e.case.row.tp, e.case.spec.weight_quant) for e in grid}
        if len(grid) >= least and len(configurations) > 1:
            found.append(_spearman([e.predicted for e in grid], [e.measured for e in grid]))
    return (float(np.median(found)), len(found)) if found else (math.nan, 0)


def _spearman(first: Sequence[float], second: Sequence[float]) -> float:
    ranks = [np.argsort(np.argsort(values)).astype(float) for values in (first, second)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
