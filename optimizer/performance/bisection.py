"""Bisection of many brackets in lockstep, several halvings with one look at the function.

Asking a closed form about one replica takes about as long as about fifty, so where brackets are few all midpoints of
the next halvings are asked at once and the path through them is followed afterwards: the same midpoints, to the last
bit, as one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from optimizer.performance.step_load import Array

AT_ONCE = 300
"""About so many points are asked at once: fewer cost hardly less, more cost more than the calls they save."""

MOST_HALVINGS = 7
"""Halvings with one look, however few the brackets."""

GRID = (0.004, 0.01, 0.025, 0.06, 0.12, 0.2, 0.3, 0.42, 0.56, 0.7, 0.85, 1.0)
"""Shares of the saturated batch that are looked at before the first bracket is halved."""


FINE_GRID = tuple(np.interp(np.arange(1, 4 * len(GRID) + 1) / 4.0, np.arange(len(GRID) + 1), (0.0, *GRID)).tolist())
"""Four times as many."""


def first_bracket(found: npt.NDArray[np.bool_], grid: Sequence[float] = GRID) -> tuple[Array, Array]:
    """The shares between which something is first found, column by column, of what was found at those of the grid, row
    by row; twice the last one where it is nowhere."""
    first = np.where(found.any(axis=0), found.argmax(axis=0), len(grid))
    padded = np.array([0.0, *grid, grid[-1]])
    return padded[first], padded[np.minimum(first + 1, len(grid))]


def bisected(
    low: Array, high: Array, halvings: int, beyond: Callable[[Array], npt.NDArray[np.bool_]]
) -> tuple[Array, Array]:
    """The brackets after so many halvings; ``beyond`` says of points, row by row, whether what is sought lies below."""
    shape, left, columns = low.shape, halvings, np.arange(low.size)
    low, high = low.reshape(-1), high.reshape(-1)
    while left > 0:
        depth = min(_depth(low.size), left)
        left -= depth
        if depth == 1:
            middle = 0.5 * (low + high)
            over = beyond(middle)
            low, high = np.where(over, low, middle), np.where(over, middle, high)
            continue
        points = np.stack([low, high])
        for _ in range(depth):
            finer = np.empty((2 * len(points) - 1, low.size))
            finer[::2], finer[1::2] = points, 0.5 * (points[:-1] + points[1:])
            points = finer
        bad = beyond(points[1:-1])
        at = np.zeros(low.size, dtype=np.intp)
        for level in reversed(range(depth)):
            half = 1 << level
            at = np.where(bad[at + half - 1, columns], at, at + half)
        low, high = points[at, columns], points[at + 1, columns]
    return low.reshape(shape), high.reshape(shape)


def _depth(brackets: int) -> int:
    """Halvings with one look."""
    return min(max((AT_ONCE // max(brackets, 1) + 1).bit_length() - 1, 1), MOST_HALVINGS)
