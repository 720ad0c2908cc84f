"""Sessions at work: turns that share a prefix, drawn and served by replicas whose caches are exact LRU.

Stated as ``requests_per_prefix``, the turns of a session are alike long and reuse the same part of each other's prompt.
Stated as ``sessions``, contexts grow from turn to turn. The next turn comes a gap after the answer before. A run begins
as if sessions had long been under way; caches begin empty, or with what growing sessions have left by then
(``contexts_left``). A warm-up is left out of what is measured.

Cheap to import; the event loop is imported when a simulation runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from optimizer.demand import Gap, Lengths, gap_at, mean_gap
from optimizer.performance.step import StepCoefficients
from optimizer.popularity import chances_of
from optimizer.session_turns import drawn_turns, means_of
from optimizer.simulate.contexts_left import ContextsLeft, fill_caches, left_before
from optimizer.simulate.draws import SEED, Floats, Ints, Stream, lengths_for
from optimizer.simulate.fleet import Outage, Served, fleet_of, gone_in, limits_of, requests_in, served_of
from optimizer.simulate.replica import Settings
from optimizer.vocabulary import Router

if TYPE_CHECKING:
    from optimizer.simulate.session_loop import Caches

_SPARE = 8.0
"""Standard deviations of a Poisson number by which more sessions are laid out than should begin."""

_POOL = 200
"""Sessions at least that those under way are taken from."""

_START, _GAP, _AHEAD, _HOME, _GROWN, _SINCE = 31, 32, 33, 34, 35, 36
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
    turns: int  # of a session that begins, where all are alike
    share: float  # of a prompt that a later turn can find
    longest: float
    grown: GrownTurns | None = None  # None: the turns of a session are alike


@dataclass(frozen=True, slots=True)
class GrownTurns:
    """Turns whose contexts grow, laid out session by session; tokens."""

    begins: Ints  # of each session: where the turn that it takes next stands
    turns: Ints  # of each session: that are left
    sent: Floats
    answered: Floats
    reach: Floats  # what the next turn can reuse, beyond the shared prefix
    group: Ints  # of each session: whose shared prefix
    groups: int
    shared: float
    carry: float
    held: ContextsLeft


def arriving(lengths: Lengths, rate: float, count: int, stay_s: float, replicas: int, seed: int = SEED) -> SessionPlan:
    """Sessions that begin as a Poisson stream, so many that ``rate`` turns a second arrive in all; ``stay_s``: about
    how long an answer takes."""
    gaps, turns = lengths.gaps, turns_per_session(lengths)
    rng = np.random.default_rng([seed, _AHEAD])
    between = round(rate * mean_gap(gaps) * (turns - 1) / turns)
    inside = round(rate * stay_s)
    left, gone = _met(gaps, between, rng, seed)
    ahead = np.concatenate([left, rng.random(inside) * stay_s])
    needed = math.ceil(count / turns)
    needed += math.ceil(_SPARE * math.sqrt(needed)) + 20
    starts = np.cumsum(np.random.default_rng([seed, _START]).exponential(turns / rate, needed))
    order = np.argsort(ahead, kind="stable")
    if lengths.sessions is not None:
        since = _since(gaps, gone, ahead, seed)[order]
        grown = _grown(lengths, (between, inside), needed, order, since, rate / turns, replicas, seed)
        return _plan(lengths, (ahead[order], grown.turns[: order.size], starts), count, grown, replicas, seed)
    left = np.concatenate([rng.integers(1, int(turns), between), rng.integers(1, int(turns) + 1, inside)])
    known = (ahead[order], left[order].astype(np.int64), starts)
    return _plan(lengths, known, count, ahead.size + needed, replicas, seed)


def of_people(lengths: Lengths, users: int, count: int, stay_s: float, replicas: int, seed: int = SEED) -> SessionPlan:
    """A closed population: each person takes the turns of one session after the other."""
    gaps, turns = lengths.gaps, turns_per_session(lengths)
    mean = mean_gap(gaps)
    rng = np.random.default_rng([seed, _AHEAD])
    inside = round(users * stay_s / (stay_s + mean))
    left, gone = _met(gaps, users - inside, rng, seed)
    ahead = np.concatenate([left, rng.random(inside) * stay_s])
    order = np.argsort(ahead, kind="stable")
    since, ahead = _since(gaps, gone, ahead, seed)[order], ahead[order]
    if lengths.sessions is not None:
        needed = math.ceil(count / turns)
        needed += users + math.ceil(_SPARE * math.sqrt(needed)) + 20
        ends = users / (stay_s + mean) / turns
        grown = _grown(lengths, (0, users), needed, np.arange(users), since, ends, replicas, seed)
        return _plan(lengths, (ahead, grown.turns[:users], np.zeros(0)), count, grown, replicas, seed)
    still = rng.integers(1, int(turns) + 1, users)
    return _plan(lengths, (ahead, still, np.zeros(0)), count, 2 * users + count // int(turns) + 2, replicas, seed)


def turns_per_session(lengths: Lengths) -> float:
    """Mean number of turns."""
    if lengths.sessions is not None:
        return means_of(lengths.sessions, lengths.context_max).turns
    if lengths.requests_per_prefix is None or not lengths.gaps:
        raise ValueError("sessions need a number of turns and the gap between them")
    return lengths.requests_per_prefix


def _grown(
    lengths: Lengths, under_way: tuple[int, int], fresh: int, order: Ints, since: Floats, ends: float, replicas: int,
    seed: int,
) -> GrownTurns:  # fmt: skip
    """Sessions under way, in the order in which they take their next turns, and fresh ones. ``since``: seconds since
    the last answer of each under way; ``ends``: sessions that end in a second.

    A session is met between two of its turns the more often the more gaps it has, and while it is being answered the
    more often the more turns it has; each of them alike.
    """
    sessions, rng = lengths.sessions, np.random.default_rng([seed, _GROWN])
    assert sessions is not None
    pool = max(2 * sum(under_way), _POOL)
    t = drawn_turns(sessions, lengths.context_max, pool + fresh, rng)
    begins = np.flatnonzero(t.number == 1)
    turns = t.turns[begins]
    met, taken = [], []
    for many, gone in zip(under_way, (1, 0), strict=True):
        weight = turns[:pool] - gone
        who = rng.choice(pool, many, p=weight / weight.sum()) if weight.sum() else np.zeros(0, np.int64)
        met.append(who)
        taken.append(gone + np.floor(rng.random(who.size) * weight[who]).astype(np.int64))
    who, after = np.concatenate(met)[order], np.concatenate(taken)[order]
    group = rng.integers(0, sessions.groups, who.size + fresh)
    if sessions.top_share is not None:
        group = rng.choice(sessions.groups, group.size, p=chances_of(sessions.groups, sessions.top_share))
    rng_of_left = np.random.default_rng([seed, _SINCE, 1])
    before, last = np.where(after > 0, begins[who] + after - 1, -1), (begins + turns - 1)[:pool]
    held = left_before(before, since, last, ends, gap_at(lengths.gaps, 0.9), replicas, rng_of_left)
    return GrownTurns(
        begins=np.concatenate([begins[who] + after, begins[pool:]]),
        turns=np.concatenate([turns[who] - after, turns[pool:]]),
        sent=t.input,
        answered=t.output,
        reach=t.head,
        group=group,
        groups=sessions.groups,
        shared=sessions.shared,
        carry=sessions.carry,
        held=held,
    )


def at_ranks(router: Router, ranks: int) -> Router:
    """How sessions meet engines: a router that keeps them on a replica does not keep them on one of its attention
    ranks, to which the engine deals requests in turn; each of those has a cache of its own."""
    return router if ranks == 1 else Router.ROUND_ROBIN


def attend(
    c: StepCoefficients,
    settings: Settings,
    plan: SessionPlan,
    replicas: int,
    router: Router,
    outage: Outage | None = None,
    *,
    warm: bool = False,
) -> Served:
    """Serve sessions on ``replicas`` replicas whose step times are ``c`` (one row, floats); ``warm``: caches begin with
    what growing sessions left before."""
    from optimizer.simulate.session_loop import NOBODY, Caches, SessionRules, serve_sessions

    total, sessions = plan.output.size, plan.prompt.size
    stream = Stream(np.zeros(total), np.ones(total), plan.output, np.zeros(total))
    r = requests_in(stream, settings)
    r = r._replace(prompt=r.prompt.copy(), output=r.output.copy())
    fleet = fleet_of(settings, total, replicas, router, total if outage is None else 2 * total)
    turns, grown = np.full(sessions, plan.turns, np.int64), plan.grown
    turns[: plan.left.size] = plan.left
    if grown is not None:
        turns = grown.turns.copy()
    groups = 1 if grown is None else grown.groups
    none = np.zeros(0)
    held = grown.held if warm and grown is not None else None
    known_before = total + (0 if held is None else held.session.size)
    caches = Caches(
        session=np.zeros(known_before, np.int64),
        head=np.zeros(known_before),
        left=np.zeros(known_before),
        order=np.zeros((replicas, known_before + 1), np.int64),
        oldest=np.zeros(replicas, np.int64),
        newest=np.zeros(replicas, np.int64),
        idle=np.zeros(replicas),
        last=np.full((sessions, replicas), NOBODY, np.int64),
        turns=turns,
        prompt=plan.prompt,
        home=plan.home,
        group=np.zeros(sessions, np.int64) if grown is None else grown.group,
        following=np.zeros(sessions, np.int64) if grown is None else grown.begins.copy(),
        sent=none if grown is None else grown.sent,
        answered=none if grown is None else grown.answered,
        reach=none if grown is None else grown.reach,
        place=np.zeros(known_before, np.int64),
        common=np.zeros((replicas, groups)),
        using=np.zeros((replicas, groups), np.int64),
        latest=np.full((replicas, groups), NOBODY, np.int64),
        link=np.zeros(replicas),
        brought=np.zeros(total),
        planned=np.zeros(total),
    )
    on_hosts = caches if settings.host_tokens <= 0.0 else _second(caches)
    people, shared, carry = int(plan.starts.size == 0), 0.0, 1.0
    if grown is not None:
        shared, carry = grown.shared, grown.carry
    if held is not None:
        home = plan.home if router is Router.PREFIX_AFFINITY else None
        fill_caches(caches, held, home, shared, settings.kv_tokens)
        if settings.host_tokens > 0.0:
            fill_caches(on_hosts, held, home, shared, settings.host_tokens)
    tier = (settings.host_tokens, settings.load_s, settings.load_floor_s)
    rules = SessionRules(plan.share, plan.turns, plan.longest, people, int(grown is not None), shared, carry, *tier)
    times, ids = np.zeros(sessions + 1), np.zeros(sessions + 1, np.int64)
    known = plan.first.size
    times[:known], ids[:known] = plan.first, np.arange(known)  # ascending, hence a heap
    policy, ended, lost = tuple(Router).index(router), np.zeros(total, np.int64), np.zeros(total, np.int64)
    resent = serve_sessions(
        c, r, fleet, caches, on_hosts, rules, limits_of(settings), policy, times, ids, known, plan.starts, plan.gaps,
        ended, gone_in(outage), lost,
    )  # fmt: skip
    served = served_of(stream, r, settings, float(fleet.most.max()), int(resent), fleet.place)
    return served if settings.host_tokens <= 0.0 else replace(served, brought=caches.brought)


def _second(first: Caches) -> Caches:
    """A second level of the same sessions, empty."""
    own = ("left", "order", "oldest", "newest", "idle", "last", "common", "using", "latest")
    return first._replace(**{name: getattr(first, name).copy() for name in own})


def _plan(
    lengths: Lengths, known: tuple[Floats, Ints, Floats], count: int, sessions: int | GrownTurns, replicas: int,
    seed: int,
) -> SessionPlan:  # fmt: skip
    first, left, starts = known
    grown = sessions if isinstance(sessions, GrownTurns) else None
    many = sessions.turns.size if isinstance(sessions, GrownTurns) else sessions
    prompt, output, turns, share = np.zeros(many), np.zeros(count), 0, 0.0
    if grown is None:
        turns = int(turns_per_session(lengths))
        prompt, _ = lengths_for(lengths, many, seed)
        _, output = lengths_for(lengths, count, seed)
        share = min(lengths.shared_prefix * turns / (turns - 1), 1.0)
    return SessionPlan(
        first=first,
        left=left,
        starts=starts,
        gaps=_drawn(lengths.gaps, count, np.random.default_rng([seed, _GAP])),
        prompt=prompt,
        output=output,
        home=np.random.default_rng([seed, _HOME]).integers(0, replicas, many),
        turns=turns,
        share=share,
        longest=float(lengths.context_max),
        grown=grown,
    )


def _drawn(gaps: tuple[Gap, ...], count: int, rng: np.random.Generator) -> Floats:
    """Gaps at random, of all kinds."""
    if len(gaps) == 1:
        return _of_kind(gaps[0], count, rng)
    kinds = rng.choice(len(gaps), count, p=[gap.share for gap in gaps])
    return np.asarray(np.choose(kinds, [_of_kind(gap, count, rng) for gap in gaps]))


def _of_kind(gap: Gap, count: int, rng: np.random.Generator) -> Floats:
    if gap.sigma is None:
        return np.asarray(rng.exponential(1.0, count) * gap.mean)
    return np.asarray(gap.median * np.exp(gap.sigma * rng.standard_normal(count)))


def _met(gaps: tuple[Gap, ...], count: int, rng: np.random.Generator, seed: int) -> tuple[Floats, Floats]:
    """What is left of gaps at a moment, and what has passed of them: a long one is met more often (length-biased),
    anywhere in it alike."""
    other = np.random.default_rng([seed, _SINCE])
    if len(gaps) == 1:
        return _met_of(gaps[0], count, rng, other)
    met = np.array([gap.share * gap.mean for gap in gaps])
    kinds = rng.choice(len(gaps), count, p=met / met.sum())
    parts = [_met_of(gap, count, rng, other) for gap in gaps]
    left, gone = (np.asarray(np.choose(kinds, [part[side] for part in parts])) for side in (0, 1))
    return left, gone


def _met_of(gap: Gap, count: int, rng: np.random.Generator, other: np.random.Generator) -> tuple[Floats, Floats]:
    if gap.sigma is None:
        return _of_kind(gap, count, rng), _of_kind(gap, count, other)
    met = gap.median * np.exp(gap.sigma * rng.standard_normal(count) + gap.sigma**2)
    left = np.asarray(met * rng.random(count))
    return left, np.asarray(met - left)


def _since(gaps: tuple[Gap, ...], gone: Floats, ahead: Floats, seed: int) -> Floats:
    """Seconds since the last answer of each session under way. Those that are about to be answered, which come last,
    have waited a whole gap when they ask."""
    asking = ahead.size - gone.size
    waited = _drawn(gaps, asking, np.random.default_rng([seed, _SINCE, 2]))
    return np.concatenate([gone, np.maximum(waited - ahead[gone.size :], 0.0)])
