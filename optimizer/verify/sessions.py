"""Sessions worked out a second time: taken turn by turn with plain random numbers, counted, and nothing else.

From the counts follow the mean lengths, what of the input could be found, and the characteristic time of a cache of
which sessions leave contexts behind:

    used(T) = shared prefixes of the sessions used within T + r (B T - H E[(T - gap)+])

with r turns a second, B the mean context that a turn leaves behind, H what the next turn takes over of it. Nothing here
is shared with ``session_turns`` or ``performance.session_retention``, which lay turns out evenly and smooth the edge
for caches of few contexts.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from optimizer.gamma_law import gamma_shape
from optimizer.verify.case import CheckedCase, Mismatch

if TYPE_CHECKING:
    from optimizer.demand import Gap, Lengths, SessionLengths, Spread

_TURNS = 60_000
_FEWEST = 500
_ERRORS = 5.0
"""Standard errors of its own count that a figure may be off, beside a hundredth."""

_SCORES = {50.0: 0.0, 90.0: 1.2815515655446004, 95.0: 1.6448536269514722}
_PARTS = 400
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class _Mean:
    value: float
    error: float  # standard error, by sessions

    def agrees(self, other: float) -> bool:
        return abs(other - self.value) <= _ERRORS * self.error + 0.01 * abs(self.value)


@dataclass(frozen=True, slots=True)
class CountedSessions:
    """What turns come to: means over all of them; tokens, shares."""

    turns: _Mean  # of a session
    input: _Mean
    output: _Mean
    reachable: _Mean  # share of the input
    context: float  # left behind by a turn, shared prefix left out
    taken: float  # of it by the next turn
    again: float  # share of the turns that are no first ones
    running: float  # tokens of a request that is being answered, mean over time
    context_scv: float


@lru_cache(maxsize=16)
def counted(sessions: SessionLengths, context_max: int) -> CountedSessions:
    """Take sessions one after the other."""
    draw, rows = random.Random(20261130), []
    looked_up = sessions.shared + sessions.passages  # that stand before a session's own context
    count = max(round(_TURNS / sessions.turns.mean), _FEWEST)
    for _ in range(count):
        own, made, turns = 0.0, 0.0, _turns(sessions.turns, draw)
        sums = [0.0] * 9
        left = 0.0
        for number in range(turns):
            output = min(max(_length(sessions.output, draw), 1.0), max(context_max - looked_up - 1.0, 1.0))
            if number == 0:
                own = max(_length(sessions.first, draw), 1.0)
                own = min(own, max(context_max - output - looked_up, 1.0))
            else:
                own += max(_length(sessions.fresh, draw), 1.0) + (made if sessions.output_kept else 0.0)
                if looked_up + own + output > context_max:
                    break
            kept = sessions.passages + own + output
            for at, value in enumerate((1.0, looked_up + own, output, left, kept, kept**2)):
                sums[at] += value
            sums[6] += float(number > 0)
            sums[7] += max(output - 1.0, 1.0)
            sums[8] += max(output - 1.0, 1.0) * (looked_up + own + output / 2)
            made = output
            left = sessions.carry * (own + (output if sessions.output_kept else 0.0))
        rows.append(sums)
    total = [sum(row[at] for row in rows) for at in range(9)]
    n, base = total[0], total[4] / total[0]
    return CountedSessions(
        turns=_Mean(n / count, _error([row[0] - n / count for row in rows], float(count))),
        input=_ratio(rows, 1, 0),
        output=_ratio(rows, 2, 0),
        reachable=_ratio([[*row[:3], row[3] + sessions.shared * row[0]] for row in rows], 3, 1),
        context=base,
        taken=total[3] / n,
        again=total[6] / n,
        running=total[8] / total[7],
        context_scv=max(total[5] / n / base**2 - 1.0, 0.0),
    )


def _ratio(rows: list[list[float]], above: int, below: int) -> _Mean:
    over = sum(row[below] for row in rows)
    value = sum(row[above] for row in rows) / over
    return _Mean(value, _error([row[above] - value * row[below] for row in rows], over))


def _error(apart: list[float], over: float) -> float:
    return math.sqrt(sum(one * one for one in apart)) / over


def _turns(turns: Spread, draw: random.Random) -> int:
    if turns.percentile is None:
        count = 1
        while draw.random() > 1.0 / turns.mean:
            count += 1
        return count
    value = turns.mean
    if turns.value is not None and turns.value > turns.mean:
        shape = gamma_shape((turns.value - 1.0) / (turns.mean - 1.0), turns.percentile)
        value = 1.0 + draw.gammavariate(shape, (turns.mean - 1.0) / shape)
    return int(value + draw.random())


def _length(spread: Spread, draw: random.Random) -> float:
    if spread.percentile is None or spread.value is None:
        return spread.mean
    score, apart = _SCORES[spread.percentile], 2.0 * math.log(spread.value / spread.mean)
    if apart > score**2:
        shape = gamma_shape(spread.value / spread.mean, spread.percentile)
        return draw.gammavariate(shape, spread.mean / shape)
    sigma = abs(score - math.sqrt(score**2 - apart))
    return draw.lognormvariate(math.log(spread.mean) - sigma**2 / 2, sigma)


def session_lengths(case: CheckedCase) -> Iterator[Mismatch]:
    """Mean lengths and what of the input could be found are those that turns taken one by one have."""
    told = {group.workload.name: group.lengths for group in case.groups}
    for name, lengths in told.items():
        if lengths.sessions is None:
            continue
        mine = counted(lengths.sessions, lengths.context_max)
        for what, expected, found in (
            ("input", mine.input, lengths.input_mean),
            ("output", mine.output, lengths.output_mean),
            ("share of the input that could be found", mine.reachable, lengths.shared_prefix),
        ):
            if not expected.agrees(found):
                yield Mismatch("prefix hits", f"workloads.{name}.sessions", expected.value, found, what)


def found_by_time(lengths: Lengths, pool: float, inflight: float, rate: float, least_contexts: float) -> float | None:
    """Share of the input that a cache of ``pool`` tokens finds at ``rate`` turns a second, beside so many requests in
    flight; None where too few contexts fit for a sharp edge."""
    sessions = lengths.sessions
    assert sessions is not None
    mine = counted(sessions, lengths.context_max)
    free = pool - inflight * mine.running
    if free < least_contexts * (1.0 + mine.context_scv) * mine.context:
        return None

    chances = _chances(sessions.groups, sessions.top_share)

    def sessions_used(seconds: float) -> float:
        return rate * ((1.0 - mine.again) * seconds + mine.again * _waited(sessions.gaps, seconds))

    def used(seconds: float) -> float:
        taken = mine.taken * (seconds - _waited(sessions.gaps, seconds))
        many = sessions_used(seconds)
        groups = sum(-math.expm1(-many * chance) for chance in chances)
        return rate * (mine.context * seconds - taken) + sessions.shared * groups

    low, high = 0.0, 1e8
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if used(middle) < free else (low, middle)
    back = 1.0 - _longer(sessions.gaps, low)
    alone = 1.0 - mine.again * back
    many = sessions_used(low)
    common = 1.0 - alone * sum(chance * math.exp(-many * chance) for chance in chances)
    return (sessions.shared * common + mine.taken * back) / mine.input.value


@lru_cache(maxsize=16)
def _chances(groups: int, top_share: float | None) -> tuple[float, ...]:
    """How often sessions begin with each prefix: alike, or rank^-a with the a that gives the first tenth its share."""
    tenth, low, high = max(round(groups / 10), 1), 0.0, 12.0
    weights = [1.0] * groups
    for _ in range(_HALVINGS if top_share is not None and groups > 1 else 0):
        middle = 0.5 * (low + high)
        weights = [rank**-middle for rank in range(1, groups + 1)]
        low, high = (middle, high) if sum(weights[:tenth]) < (top_share or 0.0) * sum(weights) else (low, middle)
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)


def _waited(gaps: tuple[Gap, ...], seconds: float) -> float:
    """Mean of a gap cut at so many seconds, by the chance that it is longer; the steps grow with time."""
    total, before = 0.0, 0.0
    for part in range(1, _PARTS + 1):
        at = seconds * (part / _PARTS) ** 3
        total += (at - before) * _longer(gaps, 0.5 * (at + before))
        before = at
    return total


def _longer(gaps: tuple[Gap, ...], seconds: float) -> float:
    """Chance that a gap of any kind is longer."""
    total = 0.0
    for gap in gaps:
        if seconds <= 0.0:
            chance = 1.0
        elif gap.p50_s is None or gap.p90_s is None:
            chance = math.exp(-seconds / gap.mean)
        elif gap.p50_s == gap.p90_s:
            chance = float(seconds < gap.p50_s)
        else:
            score = _SCORES[90.0] * math.log(seconds / gap.p50_s) / math.log(gap.p90_s / gap.p50_s)
            chance = 0.5 * math.erfc(score / math.sqrt(2.0))
        total += gap.share * chance
    return total / sum(gap.share for gap in gaps)


def mean_wait(gaps: tuple[Gap, ...]) -> float:
    """Mean of the gaps of all kinds, seconds: median x exp(s^2 / 2) of a lognormal one."""
    total = 0.0
    for gap in gaps:
        if gap.p50_s is None or gap.p90_s is None:
            total += gap.share * (gap.mean_s or 0.0)
        else:
            sigma = math.log(gap.p90_s / gap.p50_s) / _SCORES[90.0]
            total += gap.share * gap.p50_s * math.exp(sigma**2 / 2)
    return total / sum(gap.share for gap in gaps)
