"""Sessions at work: turns that share a prefix, drawn and served by replicas whose caches are exact LRU.

``requests_per_prefix`` turns of a session are alike long and reuse the same part of each other's prompt; the next one
comes ``prefix_gap`` after the answer before. A run begins as if sessions had long been under way, but with empty
caches, so a warm-up is left out of what is measured.

Cheap to import; the event loop is imported when a simulation runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from optimizer.demand import Gap, Lengths
from optimizer.performance.step import StepCoefficients
from optimizer.simulate.draws import SEED, Floats, Ints, Stream, lengths_for
from optimizer.simulate.fleet import Outage, Served, fleet_of, gone_in, limits_of, requests_in, served_of
from optimizer.simulate.replica import Settings
from optimizer.vocabulary import Router

_START, _GAP, _AHEAD, _HOME = 31, 32, 33, 34
"""Streams of random numbers of their own."""


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """Sessions to serve; seconds and tokens."""

    first: Floats  # next turn of each session under way, ascending
    left: Ints  # turns that each of them still takes
    starts: Floats  # when new sessions begin; none where people begin them
    gaps: Floats  # from the end of each answer to the next turn, in the order in which answers end
    prompt: Floats  # of each session
    output: Floats  # of each request
    home: Ints  # replica of each session, where the router keeps it on one
    turns: int
    share: float  # of a prompt that a later turn can find
    longest: float


def arriving(lengths: Lengths, rate: float, count: int, stay_s: float, replicas: int, seed: int = SEED) -> SessionPlan:
    """Sessions that begin as a Poisson stream, so many that ``rate`` turns a second arrive in all; ``stay_s``: about
    how long an answer takes."""
    gap, turns = _known(lengths)
    rng = np.random.default_rng([seed, _AHEAD])
    between = round(rate * gap.mean * (turns - 1) / turns)
    inside = round(rate * stay_s)
    ahead = np.concatenate([_residual(gap, between, rng), rng.random(inside) * stay_s])
    left = np.concatenate([rng.integers(1, turns, between), rng.integers(1, turns + 1, inside)])
    needed = math.ceil(count / turns)
    needed += math.ceil(6.0 * math.sqrt(needed)) + 20
    starts = np.cumsum(np.random.default_rng([seed, _START]).exponential(turns / rate, needed))
    order = np.argsort(ahead, kind="stable")
    known = (ahead[order], left[order].astype(np.int64), starts)
    return _plan(lengths, known, count, ahead.size + needed, replicas, seed)


def of_people(lengths: Lengths, users: int, count: int, stay_s: float, replicas: int, seed: int = SEED) -> SessionPlan:
    """A closed population: each person takes the turns of one session after the other."""
    gap, turns = _known(lengths)
    rng = np.random.default_rng([seed, _AHEAD])
    inside = round(users * stay_s / (stay_s + gap.mean))
    ahead = np.sort(np.concatenate([_residual(gap, users - inside, rng), rng.random(inside) * stay_s]))
    left = rng.integers(1, turns + 1, users)
    return _plan(lengths, (ahead, left, np.zeros(0)), count, 2 * users + count // turns + 2, replicas, seed)


def attend(
    c: StepCoefficients,
    settings: Settings,
    plan: SessionPlan,
    replicas: int,
    router: Router,
    outage: Outage | None = None,
) -> Served:
    """Serve sessions on ``replicas`` replicas whose step times are ``c`` (one row, floats)."""
    from optimizer.simulate.session_loop import NOBODY, Caches, SessionRules, serve_sessions

    total, sessions = plan.output.size, plan.prompt.size
    stream = Stream(np.zeros(total), np.ones(total), plan.output, np.zeros(total))
    r = requests_in(stream)
    r = r._replace(prompt=r.prompt.copy())
    fleet = fleet_of(settings, total, replicas, router, total if outage is None else 2 * total)
    turns = np.full(sessions, plan.turns, np.int64)
    turns[: plan.left.size] = plan.left
    caches = Caches(
        session=np.zeros(total, np.int64),
        head=np.zeros(total),
        left=np.zeros(total),
        order=np.zeros((replicas, total + 1), np.int64),
        oldest=np.zeros(replicas, np.int64),
        newest=np.zeros(replicas, np.int64),
        idle=np.zeros(replicas),
        last=np.full((sessions, replicas), NOBODY, np.int64),
        turns=turns,
        prompt=plan.prompt,
        home=plan.home,
    )
    rules = SessionRules(plan.share, plan.turns, plan.longest, int(plan.starts.size == 0))
    times, ids = np.zeros(sessions + 1), np.zeros(sessions + 1, np.int64)
    known = plan.first.size
    times[:known], ids[:known] = plan.first, np.arange(known)  # ascending, hence a heap
    policy, ended, lost = tuple(Router).index(router), np.zeros(total, np.int64), np.zeros(total, np.int64)
    resent = serve_sessions(
        c, r, fleet, caches, rules, limits_of(settings), policy, times, ids, known, plan.starts, plan.gaps, ended,
        gone_in(outage), lost,
    )  # fmt: skip
    return served_of(stream, r, settings, float(fleet.most.max()), int(resent), fleet.place)


def _known(lengths: Lengths) -> tuple[Gap, int]:
    gap, turns = lengths.prefix_gap, lengths.requests_per_prefix
    if gap is None or turns is None:
        raise ValueError("sessions need a number of turns and the gap between them")
    return gap, turns


def _plan(
    lengths: Lengths, known: tuple[Floats, Ints, Floats], count: int, sessions: int, replicas: int, seed: int
) -> SessionPlan:
    gap, turns = _known(lengths)
    first, left, starts = known
    prompt, _ = lengths_for(lengths, sessions, seed)
    _, output = lengths_for(lengths, count, seed)
    return SessionPlan(
        first=first,
        left=left,
        starts=starts,
        gaps=_drawn(gap, count, np.random.default_rng([seed, _GAP])),
        prompt=prompt,
        output=output,
        home=np.random.default_rng([seed, _HOME]).integers(0, replicas, sessions),
        turns=turns,
        share=min(lengths.shared_prefix * turns / (turns - 1), 1.0),
        longest=float(lengths.context_max),
    )


def _drawn(gap: Gap, count: int, rng: np.random.Generator) -> Floats:
    """Gaps at random."""
    if gap.sigma is None:
        return np.asarray(rng.exponential(1.0, count) * gap.mean)
    return np.asarray(gap.median * np.exp(gap.sigma * rng.standard_normal(count)))


def _residual(gap: Gap, count: int, rng: np.random.Generator) -> Floats:
    """What is left of gaps at a moment: a long one is met more often (length-biased), anywhere in it alike."""
    if gap.sigma is None:
        return _drawn(gap, count, rng)
    met = gap.median * np.exp(gap.sigma * rng.standard_normal(count) + gap.sigma**2)
    return np.asarray(met * rng.random(count))
