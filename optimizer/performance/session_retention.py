"""The retention curve of a replica that serves sessions whose contexts grow.

Its sums run over the turns that ``session_turns`` lays out, so growing contexts, kept answers, sessions that end at the
longest context and the spread of every length are in them as they are in a replay.
"""

from __future__ import annotations

import numpy as np

from optimizer.demand import SessionLengths
from optimizer.performance.retention import RetentionCurve, gap_cells
from optimizer.popularity import popularity_of
from optimizer.session_turns import SessionTurns, turns_of

_HEADS = 4
"""Values of what a turn finds of the one before: short and long sessions."""


def growing_curve(sessions: SessionLengths, context_max: int) -> RetentionCurve:
    """Retention of one replica that sessions stick to, whatever the number of replicas.

    A turn leaves its own context, answer included, of which the next one takes over the head after a gap. Shared
    prefixes stand apart: they are held once for each group.
    """
    t = turns_of(sessions, context_max)
    seconds, shares = gap_cells(sessions.gaps)
    early = seconds - (shares * np.minimum(seconds, seconds[:, None])).sum(axis=1)  # taken over before
    base, square = float(t.own.mean()), float((t.own**2).mean())
    taken, freed = _taken_over(t)
    again = float(t.has_next.mean())
    heads = np.array_split(np.sort(t.reused[t.number > 1]), _HEADS)
    parts = [(float(part.mean()), part.size / t.number.size) for part in heads if part.size]
    parts = parts or [(0.0, 0.0)]  # single questions: what their group shares is found by others alone
    head, weight = (np.array([pair[at] for pair in parts]) for at in (0, 1))
    return RetentionCurve(
        weight=np.outer(weight, shares).ravel(),
        head=np.repeat(head, seconds.size),
        kept=np.tile(base * seconds - taken * early, head.size),
        spread=np.tile(square * seconds - freed * early, head.size),
        shared=sessions.shared,
        input=float(t.input.mean()),
        prefixes=popularity_of(sessions.groups, sessions.top_share),
        seconds=np.tile(seconds, head.size),
        touched=np.tile(seconds - again * early, head.size),
        ended=1.0 - again,
        base=base - taken,
    )


def _taken_over(t: SessionTurns) -> tuple[float, float]:
    """Of a mean turn, tokens that the next one takes over, and by how much that lowers the mean square of what lies
    idle."""
    head = np.where(t.has_next, t.head, 0.0)
    return float(head.mean()), float((t.own**2 - (t.own - head) ** 2).mean())
