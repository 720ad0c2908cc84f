"""A prefill pool that feeds a decode pool, request by request: what happens under load to disaggregated serving.

A prompt waits for a rank of a prefill worker, which takes prompts in rounds: the attention ranks of a worker run in
lock step, so a round lasts as long as its fullest rank and prompts that come meanwhile wait for its end (gated rounds;
with one rank: a queue before one server). Then the request is handed over, its KV cache sent, and it waits for a slot
of the decode worker with the fewest requests. Its first token is out after its first decode step, and no prompt
disturbs its decoding.

Decode steps between two events of a worker are taken at once, at the step time of the middle of the stretch.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optimizer.simulate.replica import SEED, Arrivals, Pattern, ReplicaTrace, draw_lengths

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RoundTimes:
    """Seconds of a prefill round by the prompt tokens of its fullest rank (``tokens``, ascending): where one rank alone
    has work, and where all have."""

    tokens: Floats
    alone: Floats
    full: Floats

    def seconds(self, tokens: float, busy: int, ranks: int) -> float:
        """A round in which ``busy`` of the ranks have up to so many tokens: each busy rank adds alike."""
        alone = float(np.interp(tokens, self.tokens, self.alone))
        if busy <= 1:
            return alone
        full = float(np.interp(tokens, self.tokens, self.full))
        return alone + (full - alone) * (busy - 1) / (ranks - 1)


@dataclass(frozen=True, slots=True)
class PrefillPool:
    """``workers`` of ``ranks`` attention ranks each; a rank takes prompts of up to ``budget`` tokens in a round, or a
    longer one by itself."""

    workers: int
    ranks: int
    budget: float
    rounds: RoundTimes


@dataclass(frozen=True, slots=True)
class DecodePool:
    """``workers`` with up to ``slots`` requests each.

    A step of so many requests of a worker (the index of both arrays) takes ``fixed + token x its KV tokens`` seconds.
    """

    workers: int
    slots: int
    fixed: tuple[float, ...]
    token: tuple[float, ...]
    advance: float = 1.0  # tokens that a request gets out of a step


@dataclass(frozen=True, slots=True)
class Between:
    """What a request passes outside the workers, in seconds."""

    frontend_s: float
    service_s: float  # the front end takes one request after the other
    handoff_s: float  # router, connection, scheduling on the other side
    kv_s_per_token: float  # sending the KV cache of one prompt token


class _PrefillWorker:
    """Prompts that wait at a prefill worker, and the round that runs."""

    def __init__(self, pool: PrefillPool) -> None:
        self.pool = pool
        self.waiting: deque[int] = deque()
        self.running: list[int] = []
        self.load = 0.0  # tokens waiting and running

    def start(self, prompt: list[float]) -> float | None:
        """Begin a round with what waits, each prompt on the emptiest rank. Its seconds; None where nothing begins."""
        if self.running or not self.waiting:
            return None
        pool = self.pool
        ranks = [(0.0, index) for index in range(pool.ranks)]
        while self.waiting:
            size, (tokens, index) = prompt[self.waiting[0]], ranks[0]
            if tokens > 0 and tokens + size > pool.budget:
                break
            heapq.heapreplace(ranks, (tokens + size, index))
            self.running.append(self.waiting.popleft())
        busy = sum(tokens > 0 for tokens, _ in ranks)
        return pool.rounds.seconds(max(tokens for tokens, _ in ranks), busy, pool.ranks)


class _DecodeWorker:
    """Who decodes at a worker, by the step after which each ends, and the stretch of steps that runs."""

    def __init__(self, pool: DecodePool) -> None:
        self.pool = pool
        self.waiting: deque[int] = deque()
        self.ends: list[tuple[float, int]] = []
        self.step = 0.0  # steps made at ``since``
        self.since = 0.0
        self.kv = 0.0
        self.each = 0.0  # seconds of a step of the stretch
        self.stamp = 0  # of the stretch: what an older one planned is void

    @property
    def load(self) -> int:
        """PooledRequests that decode or wait."""
        return len(self.ends) + len(self.waiting)

    def catch_up(self, now: float) -> float:
        """Make the steps that have begun by ``now``; when the last of them ends."""
        if not self.ends:
            self.since = max(self.since, now)
            return self.since
        begun = max(math.ceil((now - self.since) / self.each - 1e-9), 0)
        steps = min(begun, self.ends[0][0] - self.step)
        self.kv += steps * len(self.ends) * self.pool.advance
        self.step += steps
        self.since += steps * self.each
        return self.since

    def stretch(self) -> float:
        """Begin a stretch of steps until the next request ends; when that is."""
        self.stamp += 1
        count = len(self.ends)
        if not count:
            return math.inf
        steps = self.ends[0][0] - self.step
        middle = self.kv + 0.5 * count * steps * self.pool.advance
        self.each = self.pool.fixed[count] + self.pool.token[count] * middle
        return self.since + steps * self.each


_SENT, _ARRIVED, _ROUND_OVER, _HANDED_OVER, _STRETCH_OVER = range(5)


class _Run:
    """One run of the two pools: of the ``requests`` the first ``given`` come by themselves, each further one is sent
    when an earlier one ends, never before its time."""

    def __init__(
        self, prefill: PrefillPool, decode: DecodePool, between: Between, requests: PooledRequests, given: int
    ) -> None:
        self.between, self.total = between, requests.arrive.size
        self.prompt: list[float] = requests.prompt.tolist()
        made = np.maximum(np.ceil((requests.output - 1.0) / decode.advance), 0.0) + 1.0
        self.steps: list[float] = made.tolist()
        self.arrive: list[float] = requests.arrive.tolist()
        self.sent, self.handed, self.first, self.finish = ([0.0] * self.total for _ in range(4))
        self.before = [_PrefillWorker(prefill) for _ in range(prefill.workers)]
        self.after = [_DecodeWorker(decode) for _ in range(decode.workers)]
        self.events: list[tuple[float, int, int, int, int]] = []
        self.order = 0
        self.front = 0.0
        self.following = min(given, self.total)
        for i in range(self.following):
            self._put(self.arrive[i], _SENT, i)

    def _put(self, time: float, kind: int, which: int, stamp: int = 0) -> None:
        self.order += 1
        heapq.heappush(self.events, (time, self.order, kind, which, stamp))

    def run(self) -> None:
        """Work off every event."""
        while self.events:
            now, _, kind, which, stamp = heapq.heappop(self.events)
            if kind == _SENT:  # the front end first
                self.front = max(self.front, now) + self.between.service_s
                self.sent[which] = self.front + self.between.frontend_s
                self._put(self.sent[which], _ARRIVED, which)
            elif kind == _ARRIVED:
                chosen = min(range(len(self.before)), key=lambda worker: self.before[worker].load)
                self.before[chosen].waiting.append(which)
                self.before[chosen].load += self.prompt[which]
                self._round(chosen, now)
            elif kind == _ROUND_OVER:
                self._hand_over(which, now)
            elif kind == _HANDED_OVER:
                chosen = min(range(len(self.after)), key=lambda worker: self.after[worker].load)
                worker = self.after[chosen]
                worker.waiting.append(which)
                if len(worker.ends) < worker.pool.slots:
                    self._admit(chosen, now)
            elif stamp == self.after[which].stamp:
                self._admit(which, now)

    def _round(self, which: int, now: float) -> None:
        seconds = self.before[which].start(self.prompt)
        if seconds is not None:
            self._put(now + seconds, _ROUND_OVER, which)

    def _hand_over(self, which: int, now: float) -> None:
        """A round is over: its requests go to the decode pool, the next round begins."""
        worker, between = self.before[which], self.between
        for i in worker.running:
            worker.load -= self.prompt[i]
            self._put(now + between.handoff_s + between.kv_s_per_token * self.prompt[i], _HANDED_OVER, i)
        worker.running = []
        self._round(which, now)

    def _admit(self, which: int, now: float) -> None:
        """At the end of the running step requests leave, others take their slots, and the next stretch begins."""
        worker = self.after[which]
        time = worker.catch_up(now)
        while worker.ends and worker.ends[0][0] <= worker.step:
            _, i = heapq.heappop(worker.ends)
            self.finish[i] = time
            worker.kv -= self.prompt[i] + self.steps[i] * worker.pool.advance
            if self.following < self.total:  # its client sends the next one
                self.arrive[self.following] = max(self.arrive[self.following], time)
                self._put(self.arrive[self.following], _SENT, self.following)
                self.following += 1
        fresh = []
        while worker.waiting and len(worker.ends) < worker.pool.slots:
            i = worker.waiting.popleft()
            heapq.heappush(worker.ends, (worker.step + self.steps[i], i))
            worker.kv += self.prompt[i]
            self.handed[i] = worker.since
            fresh.append(i)
        end = worker.stretch()
        for i in fresh:
            self.first[i] = worker.since + worker.each
        if end < math.inf:
            self._put(end, _STRETCH_OVER, which, worker.stamp)


@dataclass(frozen=True, slots=True)
class PooledRequests:
    """PooledRequests in the order in which they are sent: seconds, tokens."""

    arrive: Floats
    prompt: Floats
    output: Floats


@dataclass(frozen=True, slots=True)
class PooledTimes:
    """What became of each request, seconds: when it was sent, its prompt waited at a worker, it got its slot of the
    decode pool, its first token was out and its last."""

    arrive: Floats
    ready: Floats
    admit: Floats
    first: Floats
    finish: Floats


def serve_pools(
    prefill: PrefillPool, decode: DecodePool, between: Between, requests: PooledRequests, given: int | None = None
) -> PooledTimes:
    """Serve requests on the two pools; with ``given`` so many come by themselves, and as many are held in flight."""
    run = _Run(prefill, decode, between, requests, requests.arrive.size if given is None else given)
    run.run()
    return PooledTimes(*(np.array(times) for times in (run.arrive, run.sent, run.handed, run.first, run.finish)))


def simulate_pools(prefill: PrefillPool, decode: DecodePool, between: Between, pattern: Pattern) -> ReplicaTrace:
    """Replay ``pattern`` on the two pools."""
    warm = pattern.concurrency if pattern.arrivals is Arrivals.STEADY else 0
    requests, given = _requests_of(pattern, max(pattern.requests, 1) + warm)
    served = serve_pools(prefill, decode, between, requests, given)
    arrive, first, finish, output = served.arrive, served.first, served.finish, requests.output
    keep = slice(warm, arrive.size)
    end = float(finish.max())
    rate = float(output.sum()) / max(end, 1e-9)
    if warm:  # the tail in which no client sends any more does not count
        begin, last = float(arrive[warm]), float(arrive.max())
        seen = np.minimum(finish, last) - np.maximum(first, begin)
        overlap = np.clip(seen / np.maximum(finish - first, 1e-9), 0.0, 1.0)
        rate = float((output * overlap).sum()) / max(last - begin, 1e-9)
    return ReplicaTrace(
        ttft=(first - arrive)[keep],
        tpot=((finish - first) / np.maximum(output - 1.0, 1.0))[keep],
        e2e=(finish - arrive)[keep],
        output=output[keep],
        duration=end,
        output_tokens_per_second=rate,
    )


def _requests_of(pattern: Pattern, total: int) -> tuple[PooledRequests, int]:
    """The requests of a benchmark's load, and how many of them wait for no other."""
    prompt, output = draw_lengths(pattern, total)
    arrive, given = np.zeros(total), min(pattern.concurrency, total)
    if pattern.arrivals is Arrivals.POISSON:
        rng = np.random.default_rng(SEED + 1)
        arrive = np.cumsum(rng.exponential(1.0 / pattern.rate, total))
        given = min(pattern.cap, total) if pattern.cap else total
    elif pattern.arrivals is Arrivals.STEADY:
        arrive[:given] = [i * pattern.spread_s / given for i in range(given)]
    return PooledRequests(arrive, prompt, output), given
