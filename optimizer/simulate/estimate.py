"""Percentiles of a simulated run with confidence intervals, on runs made longer until the intervals are narrow.

Latencies of neighbouring requests are alike, so the interval comes from batch means (Law, Simulation Modeling and
Analysis, section 9.5.3): the run is cut into ten consecutive batches, each long against the time a request stays and
long enough to show the percentile; the batches' percentiles are close to independent, and Student's t gives the
interval of their mean.

What a chart shows of a replayed run: how latencies are spread, and how full queue and KV cache are over time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from optimizer.demand import Metric
from optimizer.simulate.fleet import Served

BATCHES = 10
STUDENT_T = 2.262
"""97.5 % quantile of Student's t with nine degrees of freedom."""

NARROW = 0.05
"""An interval is narrow when its half-width is at most this share of the value."""

TAIL_REQUESTS = 10
"""Requests a batch should see beyond the percentile."""

DOUBLINGS = 3
"""A run is made at most eight times as long as it began."""

SMALLEST, LARGEST = 1_000, 40_000
"""Requests measured in a first and in a longest run."""

PRINTED = (50.0, 90.0, 95.0, 99.0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A percentile of a metric, and the value whose exceeding matters: a run close to it is made longer.

    ``length_class`` is the number of a class of a mix whose requests alone count, ``share`` their part of all requests.
    """

    metric: Metric
    percentile: float
    limit_s: float = math.inf
    length_class: int | None = None
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A percentile with its 95 % confidence interval, in seconds."""

    value: float
    low: float
    high: float

    @property
    def narrow(self) -> bool:
        """Whether the interval is as narrow as asked for."""
        return self.high - self.low <= 2.0 * NARROW * self.value


@dataclass(frozen=True, slots=True)
class MeasuringWindow:
    """Requests to send: ``warm`` and ``cool`` ones at the ends are left out of what is measured."""

    warm: int
    measured: int
    cool: int

    @property
    def total(self) -> int:
        """All requests sent."""
        return self.warm + self.measured + self.cool


@dataclass(frozen=True)
class Seen:
    """What the requests of a run saw."""

    estimates: tuple[Estimate, ...]  # one per ``Wanted``
    ttft: tuple[float, ...]  # mean and the printed percentiles, seconds
    tpot: tuple[float, ...]
    e2e: tuple[float, ...]
    prefix_hit_rate: float  # share of the input tokens of the requests measured that was found in the prefix cache
    host_hit_rate: float  # of it, what was brought in from the memory of the host
    requests: int
    window: MeasuringWindow
    run: Callable[[MeasuringWindow], Served]

    @cached_property
    def served(self) -> Served:
        """The whole run, ends included; it is run once more for that."""
        return self.run(self.window)


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of some length showed, whatever the limits that it is held against."""

    estimates: dict[tuple[Metric, float, int | None], Estimate]  # by metric, percentile and length class
    ttft: tuple[float, ...]  # mean and the printed percentiles, seconds
    tpot: tuple[float, ...]
    e2e: tuple[float, ...]
    prefix_hit_rate: float
    host_hit_rate: float


Runs = dict[MeasuringWindow, Run]
"""Runs of the same replicas under the same load: of other lengths, for the same percentiles."""


def observe(
    run: Callable[[MeasuringWindow], Served],
    wanted: Sequence[Wanted],
    resident: float,
    warm: float = 0.0,
    runs: Runs | None = None,
) -> Seen:
    """Simulate until every wanted percentile is narrow, one is missed for certain, or the run is long enough.

    ``resident``: requests in flight at a time; three times as many are sent before measuring begins, or ``warm``.
    ``runs``: those that were run before, for limits that may have been others; they take those run now.
    """
    edge = math.ceil(resident)
    measured, known = _first_length(wanted, edge), {} if runs is None else runs
    for _ in range(DOUBLINGS + 1):
        window = MeasuringWindow(max(3 * edge, math.ceil(warm)), measured, 2 * edge)
        if window not in known:
            known[window] = _run(run(window), window, wanted)
        showed = known[window]
        estimates = tuple(showed.estimates[w.metric, w.percentile, w.length_class] for w in wanted)
        pairs = list(zip(estimates, wanted, strict=True))
        missed = any(e.low > w.limit_s for e, w in pairs)  # for certain: more requests would not bring it back
        if missed or all(e.narrow and not _close(e, w) for e, w in pairs) or measured >= LARGEST:
            break
        measured = min(2 * measured, LARGEST)
    seen = (showed.ttft, showed.tpot, showed.e2e, showed.prefix_hit_rate, showed.host_hit_rate)
    return Seen(estimates, *seen, window.measured, window, run)


def _run(served: Served, window: MeasuringWindow, wanted: Sequence[Wanted]) -> Run:
    keep = slice(window.warm, window.warm + window.measured)
    estimates = {
        (w.metric, w.percentile, w.length_class): estimate(_values(served, keep, w), w.percentile) for w in wanted
    }
    ttft, tpot, e2e = (summary(values[keep]) for values in (served.ttft, served.tpot, served.e2e))
    sent = served.prompt[keep].sum()
    brought = 0.0 if served.brought is None else float(served.brought[keep].sum() / sent)
    return Run(estimates, ttft, tpot, e2e, float(served.found[keep].sum() / sent), brought)


def _values(served: Served, keep: slice, wanted: Wanted) -> Floats:
    """The measured requests that count."""
    values: Floats = getattr(served, wanted.metric)[keep]
    if wanted.length_class is None or served.length_class is None:
        return values
    counts: npt.NDArray[np.bool_] = served.length_class[keep] == wanted.length_class
    return np.asarray(values[counts])


def estimate(values: Floats, percentile: float) -> Estimate:
    """A percentile of a run and its confidence interval."""
    value = percentile_of(values, percentile)
    parts = [percentile_of(part, percentile) for part in np.array_split(values, BATCHES)]
    half = STUDENT_T * float(np.std(parts, ddof=1)) / math.sqrt(BATCHES)
    return Estimate(value, max(value - half, 0.0), value + half)


def percentile_of(values: Floats, percentile: float) -> float:
    """``numpy.percentile``, to the last bit, in a fifth of the time: this is asked hundreds of times a replay."""
    place = (values.size - 1) * (percentile / 100.0)
    low = math.floor(place)
    high, part = min(low + 1, values.size - 1), place - low
    sorted_there = np.partition(values, (low, high))
    below, above = float(sorted_there[low]), float(sorted_there[high])
    return above - (above - below) * (1.0 - part) if part >= 0.5 else below + (above - below) * part


def summary(values: Floats) -> tuple[float, ...]:
    """Mean and the printed percentiles."""
    return (float(values.mean()), *(float(v) for v in np.percentile(values, PRINTED)))


def _close(e: Estimate, wanted: Wanted) -> bool:
    """The limit lies inside the interval: the run cannot tell whether it is kept."""
    return e.low < wanted.limit_s < e.high


def _first_length(wanted: Sequence[Wanted], edge: int) -> int:
    tails = [TAIL_REQUESTS / (1.0 - w.percentile / 100.0) / w.share for w in wanted]
    return min(math.ceil(max(SMALLEST, BATCHES * max(tails, default=0.0), BATCHES * edge)), LARGEST)


Floats = npt.NDArray[np.float64]

PERCENTILES = (*(float(p) for p in range(99)), 99.0, 99.5, 99.9, 100.0)
"""At which a latency curve is known."""

MOMENTS = 240
"""Points in time of a stretch."""

SHOWN_REQUESTS = 600
"""Requests that arrive in the stretch shown."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The stretch of a run around its longest wait for a first token, at evenly spaced moments."""

    seconds: tuple[float, ...]  # from the beginning of the stretch
    waiting: tuple[float, ...]  # requests that have arrived and are not in a batch yet, all replicas
    running: tuple[float, ...]  # requests in the batches, all replicas
    kv_share: tuple[float, ...]  # of the KV blocks of the fullest replica, 1 = all


def curve(seen: Seen, metric: str) -> tuple[float, ...]:
    """Seconds at ``PERCENTILES`` of the requests measured."""
    values: Floats = getattr(seen.served, metric)[_measured(seen)]
    return tuple(float(value) for value in np.percentile(values, PERCENTILES))


def stretch(seen: Seen, kv_tokens: float) -> Stretch:
    """How full the replicas are around the longest wait. A cache holds a prompt from admission on, then each token."""
    run, inside = seen.served, _measured(seen)
    arrive = run.arrive[inside]
    span = float(arrive[-1] - arrive[0])
    length = span * min(1.0, SHOWN_REQUESTS / arrive.size)
    worst = float(arrive[int(np.argmax(run.ttft[inside]))])
    begin = min(max(worst - length / 2.0, float(arrive[0])), float(arrive[-1]) - length)
    moments = np.linspace(begin, begin + length, MOMENTS)
    there = (run.arrive <= moments[-1]) & (run.finish >= moments[0])
    admit, finish = run.admit[there], run.finish[there]
    now = moments[:, None]
    resident = (admit <= now) & (now < finish)
    waiting = ((run.arrive[there] <= now) & (now < admit)).sum(axis=1)
    return Stretch(
        seconds=tuple(float(value) for value in moments - begin),
        waiting=tuple(float(value) for value in waiting),
        running=tuple(float(value) for value in resident.sum(axis=1)),
        kv_share=tuple(float(value) / kv_tokens for value in _fullest(run, there, resident, moments)),
    )


def _fullest(run: Served, there: npt.NDArray[np.bool_], resident: npt.NDArray[np.bool_], moments: Floats) -> Floats:
    """Tokens that the fullest replica holds at each moment; output grows evenly from the first token to the last."""
    first, finish = run.first[there], run.finish[there]
    made = np.clip((moments[:, None] - first) / np.maximum(finish - first, 1e-9), 0.0, 1.0) * run.output[there]
    tokens = np.where(resident, run.prompt[there] + made, 0.0)
    replica = run.replica[there]
    held = [tokens[:, replica == one].sum(axis=1) for one in np.unique(replica)]
    return np.asarray(np.max(held, axis=0))


def _measured(seen: Seen) -> slice:
    return slice(seen.window.warm, seen.window.warm + seen.window.measured)
