"""The turns of typical sessions: what each sends, what it is answered, what the next one can find of it.

Turn k sends the shared prefix and its own context: the first input, then for each turn since a new input and, where
answers are kept, the answer before. Of the own context the share ``carry`` is still a prefix of the next prompt. A
session ends after its turns, or before the turn whose prompt and answer would go beyond the longest context; the first
prompt is cut to it. Compaction, which would replace a context by a shorter one, is not modelled. Passages that are
looked up for each turn stand before the own context, which is then never found again (``carry`` 0).

``turns_of`` takes every length and number of turns at evenly spread quantiles and shuffles them (Latin hypercube;
McKay, Beckman and Conover, Technometrics 21(2), 1979), so that means over a hundred thousand turns hardly scatter;
``drawn_turns`` draws them at random.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from optimizer.demand import SessionLengths, SessionMeans, Spread, gap_at, mean_gap
from optimizer.gamma_law import gamma_at, gamma_below, gamma_shape

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_TURNS = 120_000
"""Turns that means are taken over, about."""

_FEWEST, _MOST = 600, 12_000
"""Sessions."""

_CELLS = 2_048
"""Equiprobable cells of a length; each stands for its mean."""

_LONGEST_SESSION = 100_000
"""Turns; a session of more is cut, which one in millions is."""

_SEED = 20260101


@dataclass(frozen=True, slots=True)
class SessionTurns:
    """Turns session by session; tokens."""

    number: Ints  # of the turn in its session, from 1
    turns: Ints  # of its session
    input: Floats
    output: Floats
    own: Floats  # context that the turn leaves behind, shared prefix left out, answer included
    head: Floats  # of ``own``, what a next turn finds
    cut: float  # share of the sessions that end at the longest context

    @property
    def has_next(self) -> npt.NDArray[np.bool_]:
        """Whether another turn of the session follows."""
        return np.asarray(self.number < self.turns)

    @property
    def reused(self) -> Floats:
        """Own tokens of each turn that the turn before has left."""
        before = np.concatenate(([0.0], self.head[:-1]))
        return np.asarray(np.where(self.number > 1, before, 0.0))

    @property
    def turns_mean(self) -> float:
        """Turns of a session."""
        return self.number.size / float((self.number == 1).sum())


@lru_cache(maxsize=32)
def turns_of(sessions: SessionLengths, context_max: int) -> SessionTurns:
    """Turns that stand for all."""
    rng = np.random.default_rng(_SEED)
    count = int(min(max(_TURNS / sessions.turns.mean, _FEWEST), _MOST))
    counts = _even_counts(sessions.turns, count, rng)

    def lengths(spread: Spread, size: int) -> Floats:
        cells = _cells(spread)
        order = rng.permutation(size)
        return np.asarray(cells[(order * cells.size) // size] if size >= cells.size else _thinned(cells, order))

    return _grown(sessions, context_max, counts, lengths)


def drawn_turns(sessions: SessionLengths, context_max: int, count: int, rng: np.random.Generator) -> SessionTurns:
    """Turns of ``count`` sessions at random, in whole tokens."""
    counts = _rounded_turns(sessions.turns, _turns_at(sessions.turns, rng.random(count)), rng.random(count))

    def lengths(spread: Spread, size: int) -> Floats:
        return np.asarray(np.rint(_drawn(spread, size, rng)))

    return _grown(sessions, context_max, counts, lengths)


@lru_cache(maxsize=32)
def means_of(sessions: SessionLengths, context_max: int) -> SessionMeans:
    """Means of what ``turns_of`` says."""
    t = turns_of(sessions, context_max)
    found = float(np.minimum(sessions.shared + t.reused, t.input).mean())
    return SessionMeans(
        turns=t.turns_mean,
        input=float(t.input.mean()),
        output=float(t.output.mean()),
        input_p95=float(np.percentile(t.input, 95)),
        output_p95=float(np.percentile(t.output, 95)),
        reachable=found / float(t.input.mean()),
        cut=t.cut,
        gap_mean_s=mean_gap(sessions.gaps),
        gap_p50_s=gap_at(sessions.gaps, 0.5),
        gap_p90_s=gap_at(sessions.gaps, 0.9),
    )


def _grown(s: SessionLengths, context_max: int, counts: Ints, lengths: Callable[[Spread, int], Floats]) -> SessionTurns:
    total, begins = int(counts.sum()), np.concatenate(([0], np.cumsum(counts)[:-1]))
    number = np.arange(total) - np.repeat(begins, counts) + 1
    first = np.maximum(lengths(s.first, counts.size), 1.0)
    before = s.shared + s.passages
    output = np.clip(lengths(s.output, total), 1.0, max(context_max - before - 1.0, 1.0))
    more = np.maximum(lengths(s.fresh, total), 1.0)
    if s.output_kept:
        more[1:] += output[:-1]
    more[begins] = np.minimum(first, np.maximum(context_max - before - output[begins], 1.0))
    run = np.cumsum(more)
    own = run - np.repeat(run[begins] - more[begins], counts)
    beyond = before + own + output > context_max
    beyond[begins] = False
    ends = np.cumsum(beyond)
    kept = ends == np.repeat(ends[begins] - beyond[begins], counts)
    left = np.add.reduceat(kept, begins)
    own, output, number = own[kept], output[kept], number[kept]
    head = s.carry * (own + (output if s.output_kept else 0.0))
    own = own + s.passages
    return SessionTurns(
        number=number,
        turns=np.repeat(left, left),
        input=s.shared + own,
        output=output,
        own=own + output,
        head=head,
        cut=float((left < counts).mean()),
    )


def _thinned(cells: Floats, order: Ints) -> Floats:
    """Fewer values than cells: means of neighbouring ones."""
    edges = np.linspace(0, cells.size, order.size + 1)
    sums = np.interp(edges, np.arange(cells.size + 1), np.concatenate(([0.0], np.cumsum(cells))))
    return np.asarray((np.diff(sums) / np.diff(edges))[order])


def _even_counts(turns: Spread, count: int, rng: np.random.Generator) -> Ints:
    places = (np.arange(count) + 0.5) / count
    return _rounded_turns(turns, _turns_at(turns, places), rng.permutation(places))


def _turns_at(turns: Spread, quantile: Floats) -> Floats:
    """Turns before they are rounded: geometric without a percentile, else one and a gamma law."""
    if turns.percentile is None:
        if turns.mean <= 1.0:
            return np.ones_like(quantile)
        stay = 1.0 - 1.0 / turns.mean
        return np.asarray(np.maximum(np.ceil(np.log1p(-quantile) / math.log(stay)), 1.0))
    if turns.value is None or turns.value <= turns.mean:
        return np.full_like(quantile, turns.mean)
    shape = gamma_shape((turns.value - 1.0) / (turns.mean - 1.0), turns.percentile)
    return np.asarray(1.0 + (turns.mean - 1.0) * gamma_at(shape, quantile) / shape)


def _rounded_turns(turns: Spread, value: Floats, luck: Floats) -> Ints:
    """Up or down by luck, so that the mean stays."""
    whole = value if turns.percentile is None else np.floor(value + luck)
    return np.asarray(np.clip(whole, 1, _LONGEST_SESSION).astype(np.int64))


def _drawn(spread: Spread, size: int, rng: np.random.Generator) -> Floats:
    sigma = spread.sigma
    if sigma is None:
        shape = _shape(spread)
        return np.asarray(rng.gamma(shape, spread.mean / shape, size))
    if sigma == 0.0:
        return np.full(size, spread.mean)
    return np.asarray(spread.mean * np.exp(sigma * rng.standard_normal(size) - 0.5 * sigma**2))


def _shape(spread: Spread) -> float:
    assert spread.percentile is not None and spread.value is not None
    return gamma_shape(spread.value / spread.mean, spread.percentile)


@lru_cache(maxsize=64)
def _cells(spread: Spread) -> Floats:
    """Conditional means of equiprobable cells, ascending; their mean is the stated one."""
    sigma = spread.sigma
    if sigma == 0.0:
        return np.full(1, spread.mean)
    edges = np.arange(1, _CELLS) / _CELLS
    if sigma is None:
        shape = _shape(spread)
        below = gamma_below(shape + 1.0, gamma_at(shape, edges))
    else:
        normal = NormalDist()
        below = np.array([normal.cdf(normal.inv_cdf(edge) - sigma) for edge in edges.tolist()])
    return np.asarray(spread.mean * _CELLS * np.diff(np.concatenate(([0.0], below, [1.0]))))
