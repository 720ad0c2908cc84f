"""Model error as multiplicative bands: truth / prediction is lognormal around one, its width by promise and grade.

The widths are a first reading of residuals with whole source x GPU x model groups left out (issue 3: median error of
TPOT 11 to 15 %, of throughput 11 to 15 %, of TTFT 28 to 38 %; a median error e of a centred lognormal means a standard
deviation of ln(1 + e) / 0.674). Grade C is about twice grade A.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from optimizer.performance.types import Band, Grade
from optimizer.workload import Metric

_LOG_SD = {
    (Metric.TTFT, Grade.A): 0.37,
    (Metric.TTFT, Grade.B): 0.45,
    (Metric.TTFT, Grade.C): 0.70,
    (Metric.TPOT, Grade.A): 0.16,
    (Metric.TPOT, Grade.B): 0.20,
    (Metric.TPOT, Grade.C): 0.35,
    (Metric.E2E, Grade.A): 0.17,
    (Metric.E2E, Grade.B): 0.21,
    (Metric.E2E, Grade.C): 0.37,
}

_THROUGHPUT_LOG_SD = {Grade.A: 0.15, Grade.B: 0.19, Grade.C: 0.33}


def error_factor(metric: Metric, grade: Grade, quantile: float) -> float:
    """Truth / prediction at a quantile: at 0.9, nine in ten truths lie below prediction x factor."""
    return math.exp(_LOG_SD[metric, grade] * NormalDist().inv_cdf(quantile))


def band(metric: Metric, grade: Grade) -> Band:
    """The two-sided 90 % band."""
    return Band(error_factor(metric, grade, 0.05), error_factor(metric, grade, 0.95))


def throughput_factor(grade: Grade, quantile: float) -> float:
    """Truth / prediction of the saturation rate that is exceeded with probability ``quantile`` (below one)."""
    return math.exp(-_THROUGHPUT_LOG_SD[grade] * NormalDist().inv_cdf(quantile))
