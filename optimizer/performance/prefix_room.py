"""What replicas find in their prefix caches at any number of requests being decoded, and what that leaves of a prompt.

A table, so that asking costs nothing: the shares themselves are found once for each replica (``hits``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from optimizer.performance.lengths import LengthMoments
from optimizer.performance.retention import RetentionCurve

Array = npt.NDArray[np.float64]

SLOT_SHARES = np.geomspace(1e-3, 1.0, 49)
"""Requests being decoded, as shares of the slots, at which the table stands; log-linear between."""


ROOM_CONTEXTS = np.geomspace(1e-2, 1e5, 136)
TURN_RATES = np.geomspace(1e-4, 1e4, 124)
"""Contexts that fit beside what is in flight, and turns a second, at which a hit table stands; bilinear in logarithms,
good to 0.003 of hit rate."""


@dataclass(frozen=True, slots=True)
class HitTable:
    """A retention curve as a table: of what could be found, the share that is."""

    curve: RetentionCurve
    context: float  # tokens of one
    shares: Array  # by contexts that fit, by turns a second

    def share(self, room: Array, rate: Array) -> Array:
        """With ``room`` tokens free, at ``rate`` turns a second of the replica."""
        row, down = _place(room / self.context, ROOM_CONTEXTS)
        column, right = _place(rate, TURN_RATES)
        t = self.shares
        above = t[row, column] + right * (t[row, column + 1] - t[row, column])
        below = t[row + 1, column] + right * (t[row + 1, column + 1] - t[row + 1, column])
        return np.asarray(np.where(room > 0.0, above + down * (below - above), 0.0))


def hit_table(curve: RetentionCurve, context: float) -> HitTable:
    """The table of a curve."""
    rows = [curve.hit_rate(room * context, TURN_RATES) for room in ROOM_CONTEXTS]
    return HitTable(curve, context, np.array(rows) / curve.ceiling)


def _place(value: Array, axis: Array) -> tuple[npt.NDArray[np.intp], Array]:
    """Where on a geometric axis a value stands: the point below it, and how far on to the next."""
    last = axis.size - 1
    at = np.log(np.maximum(value, axis[0]) / axis[0]) / np.log(axis[-1] / axis[0]) * last
    below = np.minimum(at.astype(np.intp), last - 1)
    return below, np.asarray(np.minimum(at - below, 1.0))


@dataclass(frozen=True, slots=True)
class HostRoom:
    """What of it lies in the memory of the host alone; replicas as columns."""

    arriving: Array  # of what could be found the share that the cards hold, by number being decoded; Poisson arrivals
    held: Array  # the same with a steady number in flight
    token_s: Array  # seconds to bring in one token; 0: the replica keeps nothing there
    floor_s: float  # seconds that any load takes

    def part(self, at: npt.NDArray[np.intp] | slice) -> HostRoom:
        """Some of the replicas."""
        return replace(self, arriving=self.arriving[:, at], held=self.held[:, at], token_s=self.token_s[at])


@dataclass(frozen=True, slots=True)
class Loads:
    """What requests wait for prefixes to be brought in, column by column; seconds over all requests."""

    found: Array  # share of the input tokens that is brought in
    chance: Array  # share of the requests that wait for some
    mean: Array
    square: Array  # mean square


@dataclass(frozen=True, slots=True)
class PrefixRoom:
    """Replicas as columns."""

    slots: Array
    arriving: Array  # of what could be found the share that is, by number being decoded; under Poisson arrivals
    held: Array  # the same with a steady number in flight
    curve: RetentionCurve
    host: HostRoom | None = None  # None: no replica keeps anything in the memory of its host

    def part(self, at: npt.NDArray[np.intp] | slice) -> PrefixRoom:
        """Some of the replicas."""
        host = None if self.host is None else self.host.part(at)
        return replace(self, slots=self.slots[at], arriving=self.arriving[:, at], held=self.held[:, at], host=host)

    def left_of_prompts(self, m: LengthMoments, n: Array, *, closed: bool) -> LengthMoments:
        """Moments of what is left of the prompts with ``n`` requests being decoded, column by column."""
        return prompts_left(m, self.curve, self._at(self.held if closed else self.arriving, n))

    def loads(self, m: LengthMoments, n: Array, *, closed: bool) -> Loads | None:
        """What is brought in from the memory of hosts with ``n`` requests being decoded, and how long that takes. A
        turn finds its whole prefix there, or nothing."""
        if self.host is None:
            return None
        table, near = (self.held, self.host.held) if closed else (self.arriving, self.host.arriving)
        brought = np.maximum(self._at(table, n) - self._at(near, n), 0.0) * (self.host.token_s > 0.0)
        curve, weight = self.curve, float(self.curve.weight.sum())
        head = curve.shared + float((curve.weight * curve.head).sum()) / weight
        square = float((curve.weight * (curve.shared + curve.head) ** 2).sum()) / weight
        uneven = max(square / head**2, 1.0) * (1.0 if m.left else 1.0 + m.prompt_scv)
        found = brought * curve.ceiling
        chance = np.minimum(found * curve.input / head, 1.0)
        each, floor = head * self.host.token_s, self.host.floor_s
        mean = chance * (floor + each)
        return Loads(found, chance, mean, chance * (floor**2 + 2.0 * floor * each + uneven * each**2))

    def _at(self, table: Array, n: Array) -> Array:
        """A table at ``n`` requests being decoded, column by column."""
        below, on = _place(n / self.slots, SLOT_SHARES)
        columns = np.arange(self.slots.size)
        low, high = table[below, columns], table[below + 1, columns]
        return np.asarray(low + on * (high - low))


def prompts_left(m: LengthMoments, curve: RetentionCurve, share: Array) -> LengthMoments:
    """Moments of prompts of which ``share`` of what could be found is: a turn finds its whole prefix or nothing."""
    if m.left:
        return _left_of_turns(m, curve, share)
    part = float(curve.head[0]) / curve.input
    chance, short = share * curve.ceiling / part, 1.0 - part
    square = m.input**2 * (1.0 + m.prompt_scv)
    prompt = np.maximum(m.input * (1.0 - chance * part), 1.0)
    attended = 0.5 * (1.0 - chance) + chance * short * (1.0 - 0.5 * short)
    inputs = [cell / (1.0 - m.found) for cell in m.prompt_cells]
    columns: dict[str, Any] = {
        "found": share * curve.ceiling,
        "prompt": prompt,
        "prompt_scv": np.maximum(square * (1.0 - chance + chance * short**2) / prompt**2 - 1.0, 0.0),
        "context": attended * square / prompt,
        "prompt_cells": (*inputs, *(max(cell * short, 1.0) for cell in inputs)),
        "prompt_weights": (*((1.0 - chance) / len(inputs) for _ in inputs), *(chance / len(inputs) for _ in inputs)),
    }
    return replace(m, **columns)


def _left_of_turns(m: LengthMoments, curve: RetentionCurve, share: Array) -> LengthMoments:
    """The same of sessions: what is found first is the shared prefix, then the context of the turn before. Each turn
    finds all of either, or nothing."""
    common = curve.shared / curve.input
    found = share * curve.ceiling
    some = np.clip(found / max(common, 1e-12), 0.0, 1.0) if common > 0.0 else np.ones_like(share)
    own = np.clip((found - common) / max(curve.ceiling - common, 1e-12), 0.0, 1.0)
    weights = (1.0 - some, some * (1.0 - own), some * own)
    parts = tuple(zip(weights, m.left, strict=True))
    prompt = np.maximum(sum(w * state.mean for w, state in parts), 1.0)
    columns: dict[str, Any] = {
        "found": found,
        "prompt": prompt,
        "prompt_scv": np.maximum(sum(w * state.square for w, state in parts) / prompt**2 - 1.0, 0.0),
        "context": sum(w * state.attended for w, state in parts) / prompt,
        "prompt_cells": tuple(cell for _, state in parts for cell in state.cells),
        "prompt_weights": tuple(w / len(state.cells) for w, state in parts for _ in state.cells),
    }
    return replace(m, **columns)
