"""Contexts that growing sessions have left in the caches before a run begins.

A run that began with empty caches would have all sessions at once read everything that they ever sent: a pile of work
that no replica meets in a usual hour and that takes minutes to clear, in which requests in flight take the room of what
they would find. So the caches hold from the start what an LRU holds by then: of each session under way the context of
its last turn, as long ago as it waits for its next one, and between them those of sessions that have ended. Under
routers that keep no session on a replica older turns are left out, so a longer warm-up follows there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from optimizer.simulate.draws import Floats, Ints

if TYPE_CHECKING:
    from optimizer.simulate.session_loop import Caches

ENDED_GAPS = 3.0
"""Sessions that ended are laid out as far back as so many 90th percentiles of a gap: what nobody asks for any more
fills a cache as well."""


@dataclass(frozen=True, slots=True)
class ContextsLeft:
    """Contexts that were left before a run begins, the oldest first."""

    session: Ints
    place: Ints  # where the turn that left it is laid out
    lives: npt.NDArray[np.bool_]  # whether the session goes on
    home: Ints  # the replica where it lies, if sessions stick to none


def left_before(
    before: Ints, since: Floats, last: Ints, ends: float, gap_p90_s: float, replicas: int, rng: np.random.Generator
) -> ContextsLeft:
    """``before``: of each session under way where its turn before is laid out (-1: it has taken none), ``since``:
    seconds since it was answered; ``last``: last turns of other sessions, of which ``ends`` end in a second. An ended
    one stands under the name of a session under way, whose group alone matters."""
    back = ENDED_GAPS * gap_p90_s
    ended = round(ends * back) if before.size else 0
    live = np.flatnonzero(before >= 0)
    session = np.concatenate([live, rng.integers(0, max(before.size, 1), ended)])
    place = np.concatenate([before[live], rng.choice(last, ended)])
    age = np.concatenate([since[live], rng.random(ended) * back])
    oldest = np.argsort(-age, kind="stable")
    lives = np.arange(session.size) < live.size
    home = rng.integers(0, replicas, session.size)
    return ContextsLeft(session[oldest], place[oldest], lives[oldest], home)


def fill_caches(h: Caches, held: ContextsLeft, home: Ints | None, shared: float, kv_tokens: float) -> None:
    """Caches hold what was left before, as far as it fits: the newest whole, the oldest not at all. The contexts have
    the numbers after those of the requests to be served."""
    where = held.home if home is None else home[held.session]
    for k in range(h.idle.size):
        here = np.flatnonzero(where == k)
        session, place = held.session[here], held.place[here]
        number = h.session.size - held.session.size + here
        group = h.group[session]
        used = np.unique(group)
        room = max(kv_tokens - shared * used.size, 0.0)
        whole = h.sent[place] + h.answered[place] - shared
        newer = whole[::-1].cumsum()[::-1] - whole
        h.session[number], h.place[number], h.head[number] = session, place, h.reach[place]
        h.left[number] = np.clip(room - newer, 0.0, whole)
        h.order[k, : here.size], h.newest[k] = number, here.size
        h.last[session[held.lives[here]], k] = number[held.lives[here]]
        h.latest[k, group] = number  # the newest of a group comes last
        h.common[k, used] = min(shared, kv_tokens / max(used.size, 1))
        h.idle[k] = float(h.left[number].sum() + h.common[k].sum())
