"""Model error as multiplicative bands: truth / prediction, by promise and grade.

``catalogs/performance/bands.csv`` holds the 5, 10, 90 and 95 % quantiles of truth / prediction over published
measurements, each predicted by a fit that saw nothing of its source x GPU x model group (``optimize validate --refit``
writes it). A confidence of 0.5 means no margin.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from statistics import NormalDist

from optimizer.catalog.loader import default_root
from optimizer.performance.parameters import file_of
from optimizer.performance.types import Band, Grade
from optimizer.workload import Metric

Bands = Mapping[tuple[str, str, Grade], Band]
"""By figure, engine profile (blank: all engines) and grade."""

_EDGE, _NEAR = 0.95, 0.9


def error_factor(metric: Metric, grade: Grade, quantile: float, engine: str = "") -> float:
    """Truth / prediction at a quantile: at 0.9, nine in ten truths lie below prediction x factor.

    The end-to-end time takes the band of TPOT, which makes up most of it. ``engine``: profile of the engine; blank, or
    one with few measurements: what holds for all engines together.
    """
    return factor_in(named_band("ttft" if metric is Metric.TTFT else "tpot", grade, engine), quantile)


def band(metric: Metric, grade: Grade, engine: str = "") -> Band:
    """The two-sided 90 % band."""
    return Band(error_factor(metric, grade, 1 - _EDGE, engine), error_factor(metric, grade, _EDGE, engine))


def throughput_factor(grade: Grade, quantile: float, engine: str = "") -> float:
    """Truth / prediction of the saturation rate that is exceeded with probability ``quantile`` (below one)."""
    return factor_in(named_band("throughput", grade, engine), 1.0 - quantile)


def factor_in(limits: Band, quantile: float) -> float:
    """Truth / prediction at a quantile: log-linear in the normal score through one half, the near and the far quantile.

    The error has heavier tails than a lognormal, so the far quantile alone would put the near ones too far out.
    """
    above = quantile >= 0.5
    end, near = (limits.high, limits.near_high) if above else (limits.low, limits.near_low)
    score, far, middle = (abs(NormalDist().inv_cdf(q)) for q in (quantile, _EDGE, _NEAR))
    if near is None or score >= far:
        return math.exp(math.log(end) * score / far)
    if score <= middle:
        return math.exp(math.log(near) * score / middle)
    share = (score - middle) / (far - middle)
    return math.exp((1.0 - share) * math.log(near) + share * math.log(end))


def band_name(figure: str, *, beyond_slots: bool) -> str:
    """Name of a figure's band: more requests offered than a replica takes at once have bands of their own.

    No plan is made there (a number in flight never exceeds the slots), but measurements are.
    """
    return f"{figure}_beyond_slots" if beyond_slots else figure


def named_band(figure: str, grade: Grade, engine: str = "") -> Band:
    """The band of a figure by its name in the file: tpot, ttft, ttft_unknown_start, throughput, offline, ..."""
    return band_in(_table(), figure, grade, engine)


def band_in(bands: Bands, figure: str, grade: Grade, engine: str) -> Band:
    """The engine's own band where it has one, else that of all engines."""
    return bands.get((figure, engine, grade)) or bands[figure, "", grade]


def read_bands(root: Path) -> Bands:
    """The bands of a catalog directory; the packaged ones where it has none of its own."""
    with file_of(root, "performance", "bands.csv").open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        return {
            (row["figure"], row["engine"], Grade(row["grade"])): Band(
                *(float(row[name]) for name in ("low", "high", "near_low", "near_high"))
            )
            for row in rows
        }


@cache
def _table() -> Bands:
    """The packaged bands; read once, as they never change while a program runs."""
    return read_bands(default_root())
