"""How often each of many things is asked for: all alike, or by Zipf's law, the k-th most asked k^-a times the first.

What is stated is the share of the requests that the most asked tenth of them gets; the exponent follows. Requests for
documents and web pages follow the law with an exponent near 1 (Breslau and others, Web caching and Zipf-like
distributions, INFOCOM 1999).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

TENTH = 0.1

_BINS = 32
"""Bins of neighbouring ranks that stand for all of them in closed forms."""

_LARGEST_EXPONENT = 12.0
_HALVINGS = 60
_FEWEST = 1e-6
"""Requests within which none is repeated."""


@dataclass(frozen=True, slots=True)
class Popularity:
    """Bins of things that are asked for about equally often."""

    counts: Floats  # things in each bin
    chances: Floats  # that a request asks for a certain one of them

    def used(self, requests: npt.ArrayLike) -> Floats:
        """Different things that so many requests at random ask for."""
        many = np.asarray(requests, dtype=np.float64)[..., None]
        return np.asarray((self.counts * -np.expm1(-many * self.chances)).sum(axis=-1))

    def since(self, quantiles: Floats) -> Floats:
        """Requests since a thing was last asked for, where the next request asks for it: values that these shares of
        the requests are below."""
        if self.counts.size == 1:
            return np.asarray(-np.log1p(-quantiles) / self.chances[0])
        low, high = np.full_like(quantiles, _FEWEST), -np.log1p(-quantiles) / self.chances.min()
        weights = self.counts * self.chances
        for _ in range(_HALVINGS):
            middle = np.sqrt(low * high)
            below = 1.0 - (weights * np.exp(-middle[:, None] * self.chances)).sum(axis=-1)
            low, high = np.where(below < quantiles, middle, low), np.where(below < quantiles, high, middle)
        return np.asarray(high)


def top_count(things: int) -> int:
    """How many the most asked tenth is, one at least."""
    return max(round(TENTH * things), 1)


@lru_cache(maxsize=32)
def chances_of(things: int, top_share: float | None) -> Floats:
    """The chance of each thing, the most asked first; ``top_share``: of the most asked tenth (None: all alike)."""
    if top_share is None or things == 1:
        return np.full(things, 1.0 / things)
    ranks, top = np.log(np.arange(1, things + 1)), top_count(things)
    low, high = 0.0, _LARGEST_EXPONENT
    weights = np.ones(things)
    for _ in range(_HALVINGS):
        exponent = 0.5 * (low + high)
        weights = np.exp(-exponent * ranks)
        low, high = (exponent, high) if weights[:top].sum() < top_share * weights.sum() else (low, exponent)
    return np.asarray(weights / weights.sum())


@lru_cache(maxsize=32)
def popularity_of(things: int, top_share: float | None) -> Popularity:
    """In bins whose ranks grow in proportion."""
    if top_share is None or things == 1:
        return Popularity(np.array([float(things)]), np.array([1.0 / things]))
    chances = chances_of(things, top_share)
    edges = np.unique(np.rint(np.geomspace(1, things + 1, min(_BINS, things) + 1)).astype(np.int64)) - 1
    sums = np.add.reduceat(chances, edges[:-1])
    counts = np.diff(edges).astype(np.float64)
    if not math.isclose(float(counts.sum()), things):
        raise ValueError("bins leave something out")
    return Popularity(counts, np.asarray(sums / counts))
