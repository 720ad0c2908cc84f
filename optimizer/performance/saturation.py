"""Where a replica is full, and the wait for a free slot below that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optimizer.performance.flow import TINY, Array, Flow
from optimizer.performance.lengths import LengthMoments
from optimizer.performance.load import flow_at
from optimizer.performance.replicas import Replicas

SATURATION_STEPS = 18
"""Bisection steps to the saturated batch, before a last chord; the error only moves the capacity down."""

_HAIR = 1e-10
"""Relative distance kept from the slots."""


def saturation(r: Replicas, m: LengthMoments) -> Flow:
    """The closed loop that keeps every slot filled: the largest rate and number in flight a replica sustains."""
    low = np.zeros_like(r.slots)
    high = np.minimum(r.slots, m.steps * r.budget / (m.prompt + r.mixed * m.steps))
    best = flow_at(r, m, high, closed=True)
    over = best.inflight > r.slots
    for _ in range(SATURATION_STEPS):
        middle = np.where(over, 0.5 * (low + high), high)
        flow = flow_at(r, m, middle, closed=True)
        inside = flow.inflight <= r.slots
        low = np.where(inside, middle, low)
        high = np.where(inside & over, high, middle)
    return flow_at(r, m, np.maximum(_on_the_slots(r, m, low, high), TINY), closed=True)


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
