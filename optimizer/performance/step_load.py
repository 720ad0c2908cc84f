"""Replicas as columns, and their engine steps: how long they take, and how often prompts come.

What waits and percentiles are made of in ``queueing``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from optimizer.performance.lengths import LengthMoments
from optimizer.performance.prefix_room import PrefixRoom
from optimizer.performance.step import StepCoefficients, step_seconds

Array = npt.NDArray[np.float64]

TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Drafts:
    """Tokens that a sequence gets out of a step of speculative decoding, one entry per replica."""

    yielded: Array  # mean
    scatter: Array  # squared coefficient of variation, from one step to the next

    def part(self, at: npt.NDArray[np.intp] | slice) -> Drafts:
        """Some of the replicas."""
        return Drafts(self.yielded[at], self.scatter[at])


@dataclass(frozen=True, slots=True)
class Replicas:
    """Many replicas as columns: step-time coefficients, scheduler limits, front end; of one attention rank each."""

    c: StepCoefficients
    ranks: Array  # attention ranks of a replica, each with its own batch and cache; all else is of one of them
    slots: Array  # most requests resident at once
    budget: Array  # tokens of a step
    mixed: Array  # 1: prompt chunks and decode share steps
    frontend_s: Array
    service_s: Array
    alone_s: Array  # decode step of one request by itself
    idle_s: Array  # step with neither decode nor prompt
    fits: npt.NDArray[np.bool_]
    prefixes: PrefixRoom | None = None  # None: what is found of a prompt does not depend on the load
    drafts: Drafts | None = None  # None: not one of them drafts, a step yields one token

    def part(self, at: npt.NDArray[np.intp] | slice) -> Replicas:
        """Some of the replicas."""
        names = [each.name for each in fields(self) if each.name not in ("c", "prefixes", "drafts")]
        return replace(
            self,
            c=StepCoefficients(*(np.asarray(values)[at] for values in self.c)),
            prefixes=self.prefixes and self.prefixes.part(at),
            drafts=self.drafts and self.drafts.part(at),
            **{name: getattr(self, name)[at] for name in names},
        )

    @property
    def width(self) -> Array:
        """Tokens that a decoding sequence brings into a step: its own and the drafted ones."""
        return 1.0 + np.asarray(self.c.drafted)

    def in_steps(self, m: LengthMoments) -> LengthMoments:
        """The moments with decode steps in place of output tokens, where a step yields several."""
        if self.drafts is None:
            return m
        steps: Any = m.steps / self.drafts.yielded
        inverse: Any = m.inverse_steps * self.drafts.yielded
        classes = tuple((name, self.in_steps(one)) for name, one in m.classes)
        return replace(m, steps=steps, inverse_steps=inverse, classes=classes)


@dataclass(frozen=True, slots=True)
class StepLoad:
    """Durations and arrivals in terms of engine steps."""

    batch: Array  # decoding requests as one of them sees it
    room: Array  # prompt tokens a step can take
    decode: Array  # a step without prompt work
    base: Array  # a step with hardly any prompt work
    step: Array  # a step with ``shared`` prompt tokens
    slope: Array  # seconds per prompt token
    insert: Array  # seconds a prompt adds to everybody's decoding
    shared: Array  # prompt tokens in a step that has any
    rate: Array
    arrivals: Array  # prompts arriving during a step
    prompt_steps: Array  # steps with prompt work per prompt
    closed: bool

    @property
    def full(self) -> Array:
        """A step whose token budget prompts fill."""
        return self.step + (self.room - self.shared) * self.slope

    @property
    def mixed_share(self) -> Array:
        """Share of steps with prompt work, counted in steps."""
        return np.asarray(np.minimum(self.arrivals * self.prompt_steps, 1.0))

    def load(self, drain: Array, chunks: Array) -> Array:
        """Share of the prefill queue's capacity in use."""
        return self.arrivals * chunks if self.closed else self.rate * drain


def steps_at(r: Replicas, m: LengthMoments, n: Array, *, closed: bool) -> StepLoad:
    """Durations of plain and shared steps, and how often prompts arrive. ``m`` counts steps (``Replicas.in_steps``).

    Poisson arrivals come by the clock: rate x duration of the step they find running. In a closed loop a request is
    issued when another one ends, and each of the n decoding ones ends with probability 1 / steps per step, however
    long that step takes: n / steps arrivals per step.
    """
    batch = np.maximum(n, 1.0) if closed else 1.0 + n * (1.0 - 1.0 / r.slots)
    kv = batch * m.resident_seen
    nothing = 0.0 * batch
    decode = step_seconds(r.c, batch, kv, nothing, nothing)
    base = np.where(r.mixed > 0.5, decode, r.idle_s)
    beside = r.mixed * batch
    room = np.maximum(r.budget - beside * r.width, 1.0)
    arrivals = n / m.steps
    for _ in range(1 if closed else 2):
        shared = np.minimum(room, m.prompt * _company(arrivals))
        step = step_seconds(r.c, beside, r.mixed * kv, shared, m.context + nothing)
        insert = (step - r.mixed * decode) * m.prompt / shared
        rate = n / (m.steps * decode + n * insert)
        if not closed:
            share = np.minimum(rate * m.prompt / shared * step, 1.0)
            arrivals = rate * (share * step + (1.0 - share) * decode)
    slope = np.maximum(step - base, TINY) / shared
    return StepLoad(
        batch, room, decode, base, step, slope, insert, shared, rate, arrivals, m.prompt / shared, closed
    )  # fmt: skip


def _company(expected: Array) -> Array:
    """Mean Poisson count given that it is at least one: prompts in a step that has prompts."""
    return np.asarray(np.maximum(expected, TINY) / -np.expm1(-np.maximum(expected, TINY)))
