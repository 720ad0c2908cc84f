"""What a chart shows of a replayed run: how latencies are spread, and how full queue and KV cache are over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optimizer.simulate.estimate import Seen
from optimizer.simulate.fleet import Served

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
