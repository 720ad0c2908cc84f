"""Closed form of one replica under load: continuous batching between an idle card and saturation.

Everything is explicit in n, the mean number of requests being decoded, so nothing is iterated per specification:

* the batch a request finds is b = 1 + n (1 - 1/N) under Poisson arrivals (it sees the others' mean, and itself) and
  max(n, 1) in a closed loop; a decode step then lasts T0 = step(b, b x resident tokens);
* each prompt inserts D seconds of prefill into everybody's decoding: prompts that arrive during one step share the
  next, up to the token budget, P tokens in all, so D = (T1 - T0) x prompt / P with T1 the shared step's duration
  (engines that run prompts alone: D = T1 x prompt / P);
* a token takes tau = T0 / (1 - rate x D), and by Little's law n = rate x decode steps x tau, hence
  rate = n / (steps x T0 + n x D);
* TTFT = front end + rest of the running step + prompts ahead that overflow the budget (Pollaczek-Khinchine on the
  drain time) + own prefill steps; under Poisson arrivals also the wait for a free slot (Sakasegawa 1977);
* saturation is the closed loop that keeps every slot filled, slots = min(max_num_seqs, 90 % of the KV blocks / KV of a
  resident request).

Percentiles follow from variances: the position inside the running step, the spread of prompt lengths, the queue, the
number of others' prefills that hit a request and the fluctuation of n (Poisson arrivals only). Under Poisson arrivals
prefills breed: each prolongs the decoding, in which more arrive, as in a busy period; the variance of their number is
that of a Poisson count over (1 - rate x D)^2 (Borel-Tanner), and 1 - rate x D = T0 / tau. TTFT and TPOT are gamma laws
above their floor, E2E is lognormal. The wait for a slot is rare and long, which no variance describes: its own quantile
(zero for most, exponential for the rest) is added to theirs, as if the slowest were the same.

Against the event simulation (``python -m benchmarks.closed_form``: 9 replicas, 9 shapes of lengths, 10 to 85 % of
saturation), median |ln error|: TPOT mean 3 % Poisson and 0.5 % in flight, TPOT p95 7 % and 8 %, TTFT mean 6 % and 7 %,
TTFT p95 11 % and 16 %, E2E p95 6 % and 9 %. Above 85 % of saturation Poisson TTFT is overstated (the planned tenth of
KV blocks is spare room there), which errs on the safe side.

Where a replica is full, and the wait for a free slot below that.

Replicas at one load each: rates, means, variances, and the percentiles that follow from them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from optimizer.demand import Metric
from optimizer.performance.bisection import bisected
from optimizer.performance.lengths import LengthMoments
from optimizer.performance.prefix_room import Loads
from optimizer.performance.step_load import TINY, Array, Replicas, StepLoad, steps_at
from optimizer.performance.types import gamma_quantile

LARGEST_CV = 1.5
"""Beyond it the cube-root approximation of gamma quantiles turns around."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Replicas at one load each: rates, means and variances."""

    rate: Array  # requests per second
    inflight: Array
    decoding: Array
    ttft: Array
    ttft_var: Array
    ttft_floor: Array
    tpot: Array
    tpot_var: Array
    tpot_floor: Array
    e2e: Array
    e2e_var: Array
    slot_chance: Array  # of having to wait for a free slot
    slot_wait: Array  # mean of those who wait, seconds; in the means above, not in the variances
    found: Array  # share of the input tokens found in the prefix cache
    brought: Array  # of it, what comes from the memory of the host
    classes: tuple[tuple[str, Flow], ...] = ()  # what the requests of each length class of a mix see of it

    def seen_by(self, length_class: str) -> Flow:
        """What the requests of a length class see; of a load that is no mix, what all see."""
        return next((flow for name, flow in self.classes if name == length_class), self)

    def quantile(self, metric: Metric, score: float) -> Array:
        """Quantile of a latency at a normal score."""
        if metric is Metric.TPOT:
            return _shifted_gamma(self.tpot, self.tpot_var, self.tpot_floor, score)
        waited = self.slot_chance * self.slot_wait
        slower = NormalDist().cdf(-score)
        slot = self.slot_wait * np.log(np.maximum(self.slot_chance / slower, 1.0))
        if metric is Metric.E2E:
            return np.asarray(lognormal_quantile(self.e2e - waited, self.e2e_var, score) + slot)
        return np.asarray(_shifted_gamma(self.ttft - waited, self.ttft_var, self.ttft_floor, score) + slot)


def lognormal_quantile(mean: Array, variance: Array, score: float) -> Array:
    """Quantile of a lognormal law of given mean and variance at a normal score."""
    spread = np.log1p(variance / mean**2)
    return np.asarray(mean * np.exp(score * np.sqrt(spread) - 0.5 * spread))


def _shifted_gamma(mean: Array, variance: Array, floor: Array, score: float) -> Array:
    """Gamma law above a floor; its coefficient of variation above it is at most ``LARGEST_CV``, widening downward."""
    above = np.minimum(np.maximum(mean - floor, np.sqrt(variance) / LARGEST_CV), mean)
    return np.asarray(np.maximum(mean - above + gamma_quantile(above + TINY, variance, score), np.minimum(floor, mean)))


NEAR_ONE = 0.999
"""Prefill may fill at most this share of all steps in the closed form."""

LIFE_AVERAGING = 0.7
"""A request averages the fluctuation of n over its own life: 2/3 (constant service) to 0.74 (exponential)."""


def flow_at(r: Replicas, m: LengthMoments, decoding: Array, *, closed: bool) -> Flow:
    """Behaviour with a mean of ``decoding`` requests being decoded; ``closed``: a steady number held in flight.

    The mean is over time under Poisson arrivals and over steps in a closed loop. There N = n (1 + w / steps), w the
    steps between issue and first token, and the N - 1 others insert their share of prompts into one's decoding.
    """
    n = np.maximum(decoding, TINY)
    loads = None
    if r.prefixes is not None:
        loads = r.prefixes.loads(m, n, closed=closed)
        m = r.prefixes.left_of_prompts(m, n, closed=closed)
    m = r.in_steps(m)
    s = steps_at(r, m, n, closed=closed)
    front = r.frontend_s + r.service_s + _deterministic_queue(s.rate, r.service_s)
    others = np.minimum(s.batch - 1.0, 1.0) if closed else -np.expm1(-n)
    wait, wait_var = _residual(s, front, others, closed=closed)
    queue, queue_var = _prefill_queue(s, m, others if closed else 1.0)
    chunks = _chunks(m, s.room)
    own = chunks * s.base + np.maximum(m.prompt, np.minimum(s.room, m.prompt * (1.0 + s.arrivals))) * s.slope
    ttft = front + wait + queue + own
    sharing = np.minimum(s.arrivals, s.room / m.prompt)  # others' prompts in the same step, Poisson
    ttft_var = wait_var + queue_var + (s.slope * m.prompt) ** 2 * (m.prompt_scv + sharing * (1.0 + m.prompt_scv))
    brought, loading, loading_var = _loading(s, loads)
    ttft, ttft_var = ttft + loading, ttft_var + loading_var
    if closed:
        usual = s.mixed_share * s.step + (1.0 - s.mixed_share) * s.decode
        inflight = n * (1.0 + ((front + wait + loading) / usual + queue / s.full + chunks) / m.steps)
        tpot = s.decode + np.maximum(1.0 - 1.0 / np.maximum(inflight, 1.0), 0.0) * s.arrivals * s.insert
        rate = inflight / (m.steps * tpot + ttft)
    else:
        tpot = n / (s.rate * m.steps)
        rate = s.rate
        inflight = n + rate * ttft
    growth = 1.0 - np.minimum(r.alone_s / tpot, 1.0)
    clump = np.maximum(s.step - r.mixed * s.decode, s.insert)  # prompts that share a step hit together
    hits = np.maximum(tpot - s.decode, 0.0) * clump * (1.0 + m.prompt_scv) * m.inverse_steps
    if not closed:
        hits = hits * (tpot / s.decode) ** 2
    if r.drafts is not None:  # luck with the drafts of all its steps: a request's own part of the spread
        hits = hits + r.drafts.scatter * tpot**2 * m.inverse_steps
    swing = 0.0 if closed else (tpot * growth) ** 2 * LIFE_AVERAGING / np.maximum(n * (1.0 - growth), 1.0)
    tpot_var = hits + swing
    flow = Flow(
        rate=rate,
        inflight=inflight,
        decoding=n,
        ttft=ttft,
        ttft_var=ttft_var,
        ttft_floor=r.frontend_s + s.base,
        tpot=tpot,
        tpot_var=tpot_var,
        tpot_floor=np.minimum(_fastest(r), tpot),
        e2e=ttft + m.steps * tpot,
        e2e_var=ttft_var + (m.steps * tpot) ** 2 * m.steps_scv + m.steps**2 * tpot_var,
        slot_chance=np.zeros_like(n),
        slot_wait=np.zeros_like(n),
        found=m.found + np.zeros_like(n),
        brought=brought + np.zeros_like(n),
    )
    if not m.classes:
        return _per_token(flow, r)
    shared = _Shared(ttft - own, wait_var + queue_var, sharing * (1.0 + m.prompt_scv) * m.prompt**2, hits, swing)
    classes = tuple((name, _seen_by(of, m, s, flow, shared)) for name, of in m.classes)
    return _per_token(replace(flow, classes=classes), r)


def _fastest(r: Replicas) -> Array:
    """Seconds between two steps of a lone request; where it drafts, with every draft accepted, of an average step."""
    return r.alone_s if r.drafts is None else r.alone_s * r.drafts.yielded / r.width


def _per_token(flow: Flow, r: Replicas) -> Flow:
    """The flow with TPOT per token in place of per step, where a step yields several."""
    if r.drafts is None:
        return flow
    each = r.drafts.yielded
    return replace(
        flow,
        tpot=flow.tpot / each,
        tpot_var=flow.tpot_var / each**2,
        tpot_floor=flow.tpot_floor / each,
        classes=tuple((name, _per_token(one, r)) for name, one in flow.classes),
    )


def _loading(s: StepLoad, loads: Loads | None) -> tuple[Array | float, Array | float, Array | float]:
    """Share of the input that is brought in from the host, and what a request waits for that: mean and variance.

    A replica loads one prefix after the other (M/G/1, Pollaczek-Khinchine), beside its steps.
    """
    if loads is None:
        return 0.0, 0.0, 0.0
    busy = np.minimum(s.rate * loads.mean, NEAR_ONE)
    ahead = s.rate * loads.square / (2.0 * (1.0 - busy))
    mean = loads.mean + loads.chance * ahead
    square = loads.square + 2.0 * loads.mean * ahead + loads.chance * 2.0 * ahead**2
    return loads.found, mean, np.maximum(square - mean**2, 0.0)


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the requests of every length class of a mix have in common."""

    before_prefill: Array  # seconds from arrival to the start of the own prefill
    before_prefill_var: Array
    company: Array  # variance of the others' prompt tokens in the same step
    hits: Array  # variance of TPOT from others' prefills, of a request of the mix's mean 1 / steps
    swing: Array | float


def _seen_by(of: LengthMoments, m: LengthMoments, s: StepLoad, flow: Flow, shared: _Shared) -> Flow:
    """What the requests of one length class see of a mix: its waits and its decoding, but their own prefill and length.

    Every resident request gets one token a step, so the mean TPOT is that of the mix; the fewer steps a request takes,
    the less the prefills that hit it average out.
    """
    chunks = _chunks(of, s.room)
    own = chunks * s.base + np.maximum(of.prompt, np.minimum(s.room, of.prompt + m.prompt * s.arrivals)) * s.slope
    ttft = shared.before_prefill + own
    ttft_var = shared.before_prefill_var + s.slope**2 * (of.prompt**2 * of.prompt_scv + shared.company)
    tpot_var = shared.hits * (of.inverse_steps / m.inverse_steps) + shared.swing
    return replace(
        flow,
        ttft=ttft,
        ttft_var=ttft_var,
        tpot_var=tpot_var,
        e2e=ttft + of.steps * flow.tpot,
        e2e_var=ttft_var + (of.steps * flow.tpot) ** 2 * of.steps_scv + of.steps**2 * tpot_var,
    )


def _residual(s: StepLoad, front: Array, others: Array, *, closed: bool) -> tuple[Array, Array]:
    """Rest of the step running when a prompt reaches the engine: mean and variance.

    Poisson arrivals fall anywhere in it, longer steps more often. In a closed loop the client answers the end of a
    step, so the prompt arrives one front-end delay into what follows.
    """
    if closed:
        chance = s.mixed_share
        long, short = (np.maximum(duration - front, 0.5 * duration) for duration in (s.step, s.decode))
        mean, square = chance * long + (1.0 - chance) * short, chance * long**2 + (1.0 - chance) * short**2
    else:
        share = np.minimum(s.rate * s.prompt_steps * s.step, 1.0)
        mean = (share * s.step + (1.0 - share) * s.decode) / 2.0
        square = (share * s.step**2 + (1.0 - share) * s.decode**2) / 3.0
    return others * mean, others * square - (others * mean) ** 2


def _prefill_queue(s: StepLoad, m: LengthMoments, others: Array | float) -> tuple[Array, Array]:
    """Wait for prompts ahead that do not fit into the same step (M/G/1, Pollaczek-Khinchine): mean and variance.

    A prompt takes c = prompt / room full steps of the queue. Under Poisson arrivals the load is rate x drain time, in
    a closed loop arrivals per step x c, as its arrivals pause with the decoding that causes them.
    """
    drain = m.prompt / s.room * s.full
    busy = np.minimum(s.load(drain, m.prompt / s.room), NEAR_ONE)
    mean = others * busy * drain * (1.0 + m.prompt_scv) / (2.0 * (1.0 - busy))
    return mean, mean**2 * (2.0 - busy) / np.maximum(busy, 1e-3)


def _chunks(m: LengthMoments, room: Array) -> Array:
    """Mean number of steps a prompt is cut into."""
    total = np.zeros_like(room)
    if m.prompt_weights:
        for value, weight in zip(m.prompt_cells, m.prompt_weights, strict=True):
            total += weight * np.ceil(value / room - 1e-9)
        return total
    for value in m.prompt_cells:
        total += np.ceil(value / room - 1e-9)
    return total / len(m.prompt_cells)


def _deterministic_queue(rate: Array, service: Array) -> Array:
    """Mean wait at a server with constant service and Poisson arrivals (M/D/1)."""
    load = np.minimum(rate * service, NEAR_ONE)
    return load * service / (2.0 * (1.0 - load))


SATURATION_STEPS = 18
"""Bisection steps to the saturated batch, before a last chord; the error only moves the capacity down."""

_HAIR = 1e-10
"""Relative distance kept from the slots."""


def saturation(r: Replicas, m: LengthMoments) -> Flow:
    """The closed loop that keeps every slot filled: the largest rate and number in flight a replica sustains."""
    low = np.zeros_like(r.slots)
    steps = r.in_steps(m).steps
    high = np.minimum(r.slots, steps * r.budget / (m.prompt + r.mixed * steps * r.width))
    best = flow_at(r, m, high, closed=True)
    over = best.inflight > r.slots

    def outside(decoding: Array) -> npt.NDArray[np.bool_]:
        return np.logical_not(flow_at(r, m, decoding, closed=True).inflight <= r.slots)

    low, high = bisected(np.where(over, low, high), high, SATURATION_STEPS, outside)
    full = np.maximum(_on_the_slots(r, m, low, high), TINY)
    return flow_at(r, m, full if r.prefixes is None else _peak(r, m, full), closed=True)


PEAK_SHARES = np.geomspace(0.01, 1.0, 24)
PEAK_STEPS = 16


def _peak(r: Replicas, m: LengthMoments, full: Array) -> Array:
    """The number being decoded at which a replica that earns its prefix hits carries most: beyond, requests in flight
    take the room of the prefixes, and more in flight carry less."""
    shares = PEAK_SHARES[:, None] * np.ones_like(full)
    best = flow_at(r, m, shares * full, closed=False).rate.argmax(axis=0)
    last = len(PEAK_SHARES) - 1
    low, high = PEAK_SHARES[np.maximum(best - 1, 0)] * full, PEAK_SHARES[np.minimum(best + 1, last)] * full
    for _ in range(PEAK_STEPS):  # thirds: the rate rises to its peak and falls from there
        third = (high - low) / 3.0
        rising = flow_at(r, m, low + third, closed=False).rate < flow_at(r, m, high - third, closed=False).rate
        low, high = np.where(rising, low + third, low), np.where(rising, high, high - third)
    return np.asarray(low)


def _on_the_slots(r: Replicas, m: LengthMoments, low: Array, high: Array) -> Array:
    """A chord over the last bracket, whose error is that of the bracket squared; a hair below, so that it stays inside.

    Slots are whole: a replica that were a bisection error short of them would hold one request fewer.
    """
    below, above = (flow_at(r, m, end, closed=True).inflight for end in (np.maximum(low, TINY), high))
    rise = np.maximum(above - below, TINY)
    near = np.minimum(low + (r.slots - below) / rise * (high - low), high) * (1.0 - _HAIR)
    inside = flow_at(r, m, np.maximum(near, TINY), closed=True).inflight <= r.slots
    return np.asarray(np.where(inside & (near > low), near, low))


def admission(flow: Flow, r: Replicas, m: LengthMoments, limit: Flow) -> Flow:
    """Poisson arrivals also wait for a free slot: G/G/c by Sakasegawa (1977), Allen-Cunneen variability.

    W = rho^(sqrt(2(c+1))-1) / (1-rho) x (1 + scv) / 2 x 1 / saturation rate; the wait is zero with probability
    1 - rho^(...) and exponential otherwise.
    """
    rho = np.minimum(flow.rate / limit.rate, 1.0 - TINY)
    chance = rho ** (np.sqrt(2.0 * (r.slots + 1.0)) - 1.0)
    when = (1.0 + m.steps_scv) / (2.0 * limit.rate * (1.0 - rho))
    wait = chance * when

    def waited(one: Flow) -> Flow:
        return replace(
            one,
            inflight=one.inflight + one.rate * wait,
            ttft=one.ttft + wait,
            e2e=one.e2e + wait,
            slot_chance=chance,
            slot_wait=when,
            classes=tuple((name, waited(of_class)) for name, of_class in one.classes),
        )

    return waited(flow)
