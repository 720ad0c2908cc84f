"""Replicas at one load each: rates, means, variances, and the percentiles that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from optimizer.performance.percentiles import gamma_quantile
from optimizer.workload import Metric

Array = npt.NDArray[np.float64]

TINY = 1e-12

LARGEST_CV = 1.5
"""Beyond it the cube-root approximation of gamma quantiles turns around."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Replicas at one load each: rates, means and variances."""

    rate: Array  # requests per second
    inflight: Array
    decoding: Array
    ttft: Array
    ttft_var: Array
    ttft_floor: Array
    tpot: Array
    tpot_var: Array
    tpot_floor: Array
    e2e: Array
    e2e_var: Array
    slot_chance: Array  # of having to wait for a free slot
    slot_wait: Array  # mean of those who wait, seconds; in the means above, not in the variances
    classes: tuple[tuple[str, Flow], ...] = ()  # what the requests of each length class of a mix see of it

    def seen_by(self, length_class: str) -> Flow:
        """What the requests of a length class see; of a load that is no mix, what all see."""
        return next((flow for name, flow in self.classes if name == length_class), self)

    def quantile(self, metric: Metric, score: float) -> Array:
        """Quantile of a latency at a normal score."""
        if metric is Metric.TPOT:
            return _shifted_gamma(self.tpot, self.tpot_var, self.tpot_floor, score)
        waited = self.slot_chance * self.slot_wait
        slower = NormalDist().cdf(-score)
        slot = self.slot_wait * np.log(np.maximum(self.slot_chance / slower, 1.0))
        if metric is Metric.E2E:
            return np.asarray(lognormal_quantile(self.e2e - waited, self.e2e_var, score) + slot)
        return np.asarray(_shifted_gamma(self.ttft - waited, self.ttft_var, self.ttft_floor, score) + slot)


def lognormal_quantile(mean: Array, variance: Array, score: float) -> Array:
    """Quantile of a lognormal law of given mean and variance at a normal score."""
    spread = np.log1p(variance / mean**2)
    return np.asarray(mean * np.exp(score * np.sqrt(spread) - 0.5 * spread))


def _shifted_gamma(mean: Array, variance: Array, floor: Array, score: float) -> Array:
    """Gamma law above a floor; its coefficient of variation above it is at most ``LARGEST_CV``, widening downward."""
    above = np.minimum(np.maximum(mean - floor, np.sqrt(variance) / LARGEST_CV), mean)
    return np.asarray(np.maximum(mean - above + gamma_quantile(above + TINY, variance, score), np.minimum(floor, mean)))
