"""Model error as multiplicative bands: truth / prediction, by promise and grade.

``catalogs/performance/bands.csv`` holds the 5 % and 95 % quantiles of truth / prediction over published measurements,
each predicted by a fit that saw nothing of its source x GPU x model group (``optimize validate --refit`` writes it).
Between them either half is taken as lognormal around one, so that a confidence of 0.5 means no margin.
"""

from __future__ import annotations

import csv
import math
from functools import cache
from statistics import NormalDist

from optimizer.catalog.loader import default_root
from optimizer.performance.types import Band, Grade
from optimizer.workload import Metric

_EDGE = 0.95


def error_factor(metric: Metric, grade: Grade, quantile: float) -> float:
    """Truth / prediction at a quantile: at 0.9, nine in ten truths lie below prediction x factor.

    The end-to-end time takes the band of TPOT, which makes up most of it.
    """
    return factor_in(named_band("ttft" if metric is Metric.TTFT else "tpot", grade), quantile)


def band(metric: Metric, grade: Grade) -> Band:
    """The two-sided 90 % band."""
    return Band(error_factor(metric, grade, 1 - _EDGE), error_factor(metric, grade, _EDGE))


def throughput_factor(grade: Grade, quantile: float) -> float:
    """Truth / prediction of the saturation rate that is exceeded with probability ``quantile`` (below one)."""
    return factor_in(named_band("throughput", grade), 1.0 - quantile)


def factor_in(limits: Band, quantile: float) -> float:
    """Truth / prediction at a quantile, given the 5 % and 95 % quantiles."""
    end = limits.high if quantile >= 0.5 else limits.low
    share = abs(NormalDist().inv_cdf(quantile)) / NormalDist().inv_cdf(_EDGE)
    return math.exp(math.log(end) * share)


def band_name(figure: str, *, beyond_slots: bool) -> str:
    """Name of a figure's band: more requests offered than a replica takes at once have bands of their own.

    No plan is made there (a number in flight never exceeds the slots), but measurements are.
    """
    return f"{figure}_beyond_slots" if beyond_slots else figure


def named_band(figure: str, grade: Grade) -> Band:
    """The band of a figure by its name in the file: tpot, ttft, ttft_unknown_start, throughput, offline, ..."""
    return _table()[figure, grade]


@cache
def _table() -> dict[tuple[str, Grade], Band]:
    """The packaged bands; read once, as they never change while a program runs."""
    with (default_root() / "performance" / "bands.csv").open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        return {(row["figure"], Grade(row["grade"])): Band(float(row["low"]), float(row["high"])) for row in rows}
