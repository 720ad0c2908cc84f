"""How much of a prefix a replica still holds when the next request of its session comes: closed form.

The cache of a replica is least recently used, so what was used at most T seconds ago is held, T the *characteristic
time* (Che, Tung and Wang, Hierarchical web caching systems, IEEE JSAC 20(7), 2002; here in working-set form, Denning
1968): the tokens used within T are as many as fit. A turn leaves its context behind; the next turn of the session takes
it over after a gap, or nobody does, then it fills the cache until T. With r turns a second on the replica

    W(T) = shared + r E[head min(gap, T) + rest T]

where ``head`` is what the next turn reuses and ``rest`` what nobody does; the last turn of a session has no head.
Finished sessions count: they fill the cache as well as live ones do.

A cache of few, large contexts has no sharp T: what was used within a gap g is the sum of a Poisson number of contexts,
with variance V(g) = r E[head^2 min(gap, g) + rest^2 g], so a turn hits with probability
Phi((C - W(g) - head / 2) / sqrt V(g)).

Blocks of a context are not independent references: they are born and die together. The form of Che for independent
references is wrong in kind there (off by up to 0.8 of hit rate) and stands nowhere here.

Against exact LRU over blocks of recorded streams (``python -m benchmarks.retention``, docs/sessions.md, section 3):
within 0.06 of hit rate where a replica holds 30 mean contexts or more; below that too optimistic, and a replay decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from optimizer.demand import Gap, Lengths
from optimizer.popularity import Popularity, popularity_of

Array = npt.NDArray[np.float64]

CELLS = 48
"""Equiprobable cells that a gap between turns is cut into."""

_ENDED = 1e-4
"""Share of the sessions that may be longer than the longest one counted."""

_UNSEEN = 1e-3
"""Chance that a turn looks for an earlier one further back than counted, under routers that pay no heed to sessions."""


@dataclass(frozen=True, slots=True)
class SessionShape:
    """What the turns of a session send; tokens. Turn k sends shared + first + (k - 1) growth, at most the longest
    context, of which the share ``carry`` of the turn before is still a prefix. The number of turns is geometric."""

    turns: float
    first: float
    growth: float
    gaps: tuple[Gap, ...]
    shared: float = 0.0  # of all sessions alike: a system prompt
    carry: float = 1.0
    context_max: float = math.inf


ONE = popularity_of(1, None)
"""All sessions share one prefix."""

_GROUP_CELLS = 64
"""Equiprobable times since a shared prefix was last used, where there are several."""


@dataclass(frozen=True, slots=True)
class RetentionCurve:
    """Reuses of one mean turn, case by case, and what other turns left within the gap of each: per turn a second.

    ``kept`` and ``spread`` times the turn rate are W - shared and V at the gap of the case.
    """

    weight: Array  # such reuses per turn
    head: Array  # tokens reused, beyond what all sessions share
    kept: Array  # token seconds
    spread: Array  # squared token seconds
    shared: float  # tokens that the sessions of a group share
    input: float  # mean input of a turn
    prefixes: Popularity = ONE  # the different shared prefixes; what follows matters where there are several
    seconds: Array = field(default_factory=lambda: np.zeros(1))  # gap of each case
    touched: Array = field(default_factory=lambda: np.zeros(1))  # sessions used within it, per turn a second
    ended: float = 1.0  # share of the turns that are the last of their session
    base: float = 0.0  # tokens that a turn leaves behind for good, where nobody takes them over any more

    @property
    def ceiling(self) -> float:
        """Share of the input that is found with memory without end."""
        return (self.shared + float((self.weight * self.head).sum())) / self.input

    def hit_rate(self, capacity: Array | float, rate: Array | float) -> Array:
        """Share of the input tokens found by a replica that holds ``capacity`` tokens beside what is in flight, at
        ``rate`` turns a second of its own."""
        room = np.asarray(capacity, dtype=np.float64)[..., None]
        turns = np.asarray(rate, dtype=np.float64)[..., None]
        late = room - self._common(turns * self.touched) - turns * self.kept - 0.5 * self.head
        found = normal_cdf(late / np.sqrt(np.maximum(turns * self.spread, 1e-12)))
        found = found * np.clip((room - self.shared) / np.maximum(self.head, 1e-12), 0.0, 1.0)  # no more than fits
        own = (self.weight * self.head * found).sum(axis=-1)
        common = np.clip(room[..., 0], 0.0, self.shared)
        if self.prefixes is not ONE:
            again = (self.weight * found).sum(axis=-1)
            common = common * (again + (1.0 - again) * self._by_others(room, turns))
        return np.asarray((common + own) / self.input)

    def _common(self, sessions: Array) -> Array | float:
        """Tokens of the shared prefixes that so many sessions use, each of one group at random."""
        return self.shared if self.prefixes is ONE else self.shared * self.prefixes.used(sessions)

    def _by_others(self, room: Array, turns: Array) -> Array:
        """Share of the turns that find the shared prefix because another session of their group has used it: of those
        that look for it alone, as the first turn of a session does."""
        order = np.argsort(self.seconds)
        seconds, touched, kept = self.seconds[order], self.touched[order], self.kept[order]
        edges = (np.arange(_GROUP_CELLS) + 0.5) / _GROUP_CELLS
        sessions = self.prefixes.since(edges)  # that were used since
        beyond = np.maximum(sessions / turns - touched[-1], 0.0) / self.ended
        since = np.interp(sessions / turns, touched, seconds) + beyond
        rest = np.interp(since, seconds, kept) + beyond * self.base
        held = room - self._common(sessions) - turns * rest
        return np.asarray(np.mean(np.clip(held / max(self.shared, 1e-12), 0.0, 1.0), axis=-1))


def normal_cdf(score: Array) -> Array:
    """Standard normal distribution function: the error function by Abramowitz and Stegun (1964), 7.1.26, off by at most
    1.5e-7."""
    x = np.abs(score) / math.sqrt(2.0)
    t = 1.0 / (1.0 + 0.3275911 * x)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    tail = 0.5 * series * np.exp(-np.minimum(x * x, 700.0))
    return np.asarray(np.where(score >= 0.0, 1.0 - tail, tail))


def _cells(gap: Gap) -> Array:
    """Conditional means (exponential) or middles (lognormal) of equiprobable cells of a gap."""
    if gap.sigma is None:
        left = 1.0 - np.arange(CELLS + 1) / CELLS  # chance to be longer than each edge
        beyond = np.where(left > 0.0, left * (1.0 - np.log(np.maximum(left, 1e-300))), 0.0)
        return np.asarray(gap.mean * CELLS * (beyond[:-1] - beyond[1:]))
    scores = np.array([NormalDist().inv_cdf((i + 0.5) / CELLS) for i in range(CELLS)])
    return np.asarray(gap.median * np.exp(gap.sigma * scores))


def gap_cells(gaps: Sequence[Gap]) -> tuple[Array, Array]:
    """Seconds and weights of the cells of all kinds together."""
    seconds = np.concatenate([_cells(gap) for gap in gaps])
    weights = np.concatenate([np.full(CELLS, gap.share / CELLS) for gap in gaps])
    return seconds, weights / weights.sum()


def session_curve(shape: SessionShape, replicas: int = 1, *, sticky: bool = True) -> RetentionCurve:
    """Retention of one replica. Where sessions stick to a replica it sees whole sessions, whatever their number.

    A router that pays no heed to sessions (round robin, least loaded) sends each turn to any of the ``replicas``, which
    finds there the context of j turns ago with probability (1 / R)(1 - 1 / R)^(j - 1): an older, shorter one, after the
    sum of j gaps.
    """
    places = 1 if sticky else replicas
    k, alive = _alive(shape.turns)
    sent = np.minimum(shape.shared + shape.first + shape.growth * (k - 1), shape.context_max)
    own = np.maximum(sent - shape.shared, 0.0)
    cases = [
        (*cells, shape.carry**back * own[: max(own.size - back, 0)], chance * alive[back:] / shape.turns)
        for back, chance, cells in _earlier(shape.gaps, places)
        if back < alive.size
    ]
    base, square = float((alive * own).sum() / shape.turns), float((alive * own**2).sum() / shape.turns)
    weights, heads, kept, spread = ([np.zeros(0)] for _ in range(4))
    for seconds, shares, head, weight in cases:
        mean, variance = base * seconds, square * seconds
        for gone, gone_shares, taken, of_turns in cases:
            left = own[: taken.size]
            early = seconds - (gone_shares * np.minimum(gone, seconds[:, None])).sum(axis=1)  # taken over before
            mean = mean - float((of_turns * taken).sum()) * early
            variance = variance - float((of_turns * (left**2 - (left - taken) ** 2)).sum()) * early
        weights.append(np.outer(weight, shares).ravel())
        heads.append(np.repeat(head, seconds.size))
        kept.append(np.tile(mean, head.size))
        spread.append(np.tile(variance, head.size))
    return RetentionCurve(
        np.concatenate(weights),
        np.concatenate(heads),
        np.concatenate(kept),
        np.concatenate(spread),
        shape.shared,
        float((alive * sent).sum() / shape.turns),
    )


def _alive(turns: float) -> tuple[Array, Array]:
    """Turn numbers, and the share of the sessions that have so many turns; their sum is the mean number of turns."""
    stay = 1.0 - 1.0 / turns
    longest = 1 if stay <= 0.0 else math.ceil(math.log(_ENDED) / math.log(stay)) + 1
    k = np.arange(1, longest + 1, dtype=np.float64)
    alive = stay ** (k - 1.0)
    return k, np.asarray(alive * (turns / alive.sum()))


def _earlier(gaps: Sequence[Gap], places: int) -> Iterator[tuple[int, float, tuple[Array, Array]]]:
    """How many turns ago the last one on the same replica was, the chance of that, and the seconds since."""
    one = gap_cells(gaps)
    chance, missed, back, since = 1.0 / places, 1.0, 1, one
    while missed > _UNSEEN:
        yield back, chance * missed, since
        missed *= 1.0 - chance
        back, since = back + 1, _sum(since, one)


def _sum(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array]:
    """Distribution of the sum of two independent waits, in equiprobable cells again."""
    seconds = (one[0][:, None] + other[0]).ravel()
    weights = (one[1][:, None] * other[1]).ravel()
    order = np.argsort(seconds)
    above = np.cumsum(weights[order])
    edges = np.searchsorted(above, np.arange(1, CELLS) / CELLS * above[-1])
    parts = zip(np.split(seconds[order], edges), np.split(weights[order], edges), strict=True)
    cells = [(float((s * w).sum() / w.sum()), float(w.sum())) for s, w in parts if w.size]  # conditional means
    return np.array([s for s, _ in cells]), np.array([w for _, w in cells])


def prefix_curve(lengths: Lengths, input_mean: float, input_square: float, output_mean: float) -> RetentionCurve:
    """Retention of the stated share of a prompt under affinity: ``requests_per_prefix`` turns of a session, each of
    which reuses the same part of the prompt of the turn before. The rest of a prompt and its answer are of no further
    use and fill the cache. Without a stated gap the next turn comes at once: what is found is bounded by what fits."""
    turns = lengths.requests_per_prefix
    if turns is None:
        raise ValueError("a prefix that all requests share is always in use")
    part, again = lengths.shared_prefix * turns / (turns - 1), (turns - 1) / turns
    seconds, shares = gap_cells((lengths.prefix_gap or Gap(mean_s=0.0),))
    early = seconds - (shares * np.minimum(seconds, seconds[:, None])).sum(axis=1)
    head, context = part * input_mean, input_mean + output_mean
    rest = context - head
    return RetentionCurve(
        weight=again * shares,
        head=np.full_like(seconds, head),
        kept=context * seconds - again * head * early,
        spread=(context**2 * seconds - again * (context**2 - rest**2) * early) * input_square / input_mean**2,
        shared=0.0,
        input=input_mean,
    )
