"""How wide a band has to be for a group, and a source, that is in none of the errors it is made of.

Errors lie in groups (source x GPU x model x engine), groups in sources: what is new to a band comes as a whole. Three
things follow, none of them fitted to a coverage:

- *the place of one more group*: of G groups each leaves 1/(G + 1) of the chance to the one that is new, which may lie
  beyond all of them, so a tail of a is cut at (a (G + 1) - 1) / G of what was seen (hierarchical conformal prediction:
  Lee, Barber and Willett, "Distribution-free inference with hierarchical data", 2023);
- *few groups have no such quantiles*: none is taken beyond half of a tail, which is where that rule puts it for
  2 (1 - a) / a groups (38 and 18); fewer ones widen the band by Student's t over that of so many;
- *sources*: with a share b of the spread between sources, S of them show 1 - b/S of it, and a new one differs from
  their mean by 1 + b/S.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

TAILS = (0.05, 0.10)
"""Of the far and the near quantile, on either side."""

_NORMAL = NormalDist()


def levels(groups: int) -> tuple[float, float, float, float]:
    """Quantiles of what was seen that stand for those at 5, 10, 90 and 95 % of a further group."""
    far, near = (max((tail * (groups + 1) - 1.0) / groups, tail / 2.0) for tail in TAILS)
    return far, near, 1.0 - near, 1.0 - far


def widening(groups: int, sources: int, between: float) -> Floats:
    """Factors on the logarithms of the four quantiles; ``between``: share of the spread that lies between sources."""
    share = between / max(sources, 1)
    of_sources = math.sqrt((1.0 + share) / (1.0 - share))
    far, near = (_of_few(groups, tail) for tail in TAILS)
    return of_sources * np.array([far, near, near, far])


def _of_few(groups: int, tail: float) -> float:
    enough = round(2.0 * (1.0 - tail) / tail)
    score, reached = (student(1.0 - tail, max(n - 1, 1)) for n in (min(groups, enough), enough))
    return score / reached


def student(quantile: float, freedom: int) -> float:
    """Student's t at a quantile above one half: exact for one and two degrees of freedom, else the expansion in 1/n of
    Abramowitz and Stegun, 26.7.5 (within 1 % up to the 95 % quantile)."""
    if freedom == 1:
        return math.tan(math.pi * (quantile - 0.5))
    if freedom == 2:
        return (2.0 * quantile - 1.0) * math.sqrt(2.0 / (4.0 * quantile * (1.0 - quantile)))
    z, n = _NORMAL.inv_cdf(quantile), float(freedom)
    first = (z**3 + z) / 4.0
    second = (5.0 * z**5 + 16.0 * z**3 + 3.0 * z) / 96.0
    third = (3.0 * z**7 + 19.0 * z**5 + 17.0 * z**3 - 15.0 * z) / 384.0
    return z + first / n + second / n**2 + third / n**3


def between_share(logs: Floats, weights: Floats, sources: npt.NDArray[np.intp]) -> tuple[float, int]:
    """Share of the spread of errors that lies between sources, and its degrees of freedom (zero: one source alone).

    Errors beyond the 5 and 95 % quantile count as these: one wrong row must not make a spread.
    """
    ends = np.quantile(logs, (TAILS[0], 1.0 - TAILS[0]), weights=weights, method="inverted_cdf")
    seen = np.clip(logs, *ends)
    held = np.bincount(sources, weights)
    known = held > 0.0
    count = int(known.sum())
    if count < 2:
        return 0.0, 0
    part = held[known] / held.sum()
    means = np.bincount(sources, weights * seen)[known] / held[known]
    middle = float(part @ means)
    shown = float(part @ (means - middle) ** 2)
    within = float(weights @ (seen - middle) ** 2 / weights.sum()) - shown
    between = shown / (1.0 - float(part @ part))  # S sources show 1 - sum of squared parts of it
    return between / max(between + within, 1e-12), count - 1
