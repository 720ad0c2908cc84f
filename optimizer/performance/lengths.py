"""Moments of a workload's token lengths: what the closed forms need to know of a distribution.

A length with a 95th percentile is lognormal with the stated mean, else constant; outputs are clipped at the context
limit and inputs at what the output leaves of it (design.md section 3). Input and output are independent. Those of a
histogram are taken pair by pair, as counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist

import numpy as np

from optimizer.demand import KvSizing, Lengths
from optimizer.length_histogram import Histogram
from optimizer.session_turns import Floats, turns_of

_CELLS = 48
"""Equiprobable cells a lognormal is cut into; moments are sums over the cells' conditional means."""

_PROMPTS = 8
"""Equiprobable values of a prompt of sessions: enough to count chunks."""

_COUNTED_PROMPTS = 20
"""Equiprobable values of a prompt of a histogram, whose few lengths may lie far apart."""

_SCORE_95 = 1.6448536269514722


@dataclass(frozen=True, slots=True)
class PromptState:
    """What is left of the prompts of sessions where so much of them is found: moments over all turns, tokens."""

    mean: float
    square: float
    attended: float  # pairs of a prompt token and one it attends to
    cells: tuple[float, ...]  # equiprobable values


@dataclass(frozen=True, slots=True)
class LengthMoments:
    """Moments over requests, in tokens."""

    input: float
    prompt: float  # input tokens that need prefill: not found in the prefix cache
    prompt_cells: tuple[float, ...]  # equiprobable values of ``prompt``
    prompt_scv: float  # squared coefficient of variation of ``prompt``
    context: float  # tokens a prompt token attends to, mean over prompt tokens
    steps: float  # decode steps: output tokens after the first
    steps_scv: float
    inverse_steps: float  # mean of 1 / steps
    output: float
    resident_seen: float  # KV tokens of a request being decoded, mean over time (length-biased)
    resident: float  # what memory is planned with: the same, or context_max under kv_sizing worst_case
    reserved: float  # the same for engines that reserve room for the whole output on admission
    context_max: int
    found: float = 0.0  # share of the input tokens found in the prefix cache
    prompt_weights: tuple[float, ...] = ()  # of ``prompt_cells``; empty: all alike
    classes: tuple[tuple[str, LengthMoments], ...] = ()  # of a mix of length classes, by name
    left: tuple[PromptState, ...] = ()  # of sessions: where nothing, the shared prefix, all that could be is found


def sigma_of(mean: float, p95: float | None) -> float:
    """Standard deviation of the logarithm of a lognormal with this mean and 95th percentile.

    ln(p95 / mean) = 1.645 s - s^2 / 2, smaller root; no lognormal has p95 / mean above exp(1.353) = 3.87, where s
    stops at 1.645.
    """
    if p95 is None or p95 <= mean:
        return 0.0
    return _SCORE_95 - math.sqrt(max(_SCORE_95**2 - 2.0 * math.log(p95 / mean), 0.0))


@lru_cache(maxsize=64)
def moments_of(lengths: Lengths) -> LengthMoments:
    """Moments of a workload's lengths, clipped at its longest context."""
    if lengths.classes:
        return _mixed(lengths)
    if lengths.sessions is not None:
        return _of_turns(lengths)
    if lengths.histogram is not None:
        return _as_counted(lengths, lengths.histogram)
    outputs = [min(value, lengths.context_max - 1.0) for value in _cells(lengths.output_mean, lengths.output_p95)]
    inputs = _cells(lengths.input_mean, lengths.input_p95)
    pairs = [(max(min(i, lengths.context_max - o), 1.0), max(o, 1.0)) for i in inputs for o in outputs]
    count = len(pairs)
    share = 1.0 - lengths.shared_prefix
    mean_in = sum(i for i, _ in pairs) / count
    mean_steps = max(sum(o - 1.0 for _, o in pairs) / count, 1.0)
    squares = sum(i * i for i, _ in pairs) / count
    prompt = max(mean_in * share, 1.0)
    attended = share * (1.0 - share / 2.0) * squares / prompt
    weight = sum(max(o - 1.0, 1.0) for _, o in pairs)
    seen = sum(max(o - 1.0, 1.0) * (i + o / 2.0) for i, o in pairs) / weight
    whole = sum(max(o - 1.0, 1.0) * (i + o) for i, o in pairs) / weight
    worst = lengths.kv_sizing is KvSizing.WORST_CASE
    return LengthMoments(
        input=mean_in,
        prompt=prompt,
        prompt_cells=_grouped([max(i * share, 1.0) for i in inputs]),
        prompt_scv=max(squares / mean_in**2 - 1.0, 0.0),
        context=attended,
        steps=mean_steps,
        steps_scv=max(sum(max(o - 1.0, 1.0) ** 2 for _, o in pairs) / count / mean_steps**2 - 1.0, 0.0),
        inverse_steps=sum(1.0 / max(o - 1.0, 1.0) for _, o in pairs) / count,
        output=sum(o for _, o in pairs) / count,
        resident_seen=seen,
        resident=float(lengths.context_max) if worst else seen,
        reserved=float(lengths.context_max) if worst else whole,
        context_max=lengths.context_max,
        found=lengths.shared_prefix,
    )


def _as_counted(lengths: Lengths, counted: Histogram) -> LengthMoments:
    """Moments over the rows of a histogram by their shares; what is a mean over time by their decode steps too."""
    sent, made, share = (np.array(column) for column in (counted.input, counted.output, counted.share))
    left = 1.0 - lengths.shared_prefix
    weight = np.maximum(made - 1.0, 1.0)  # decode steps of a request, and what time goes by

    def mean(values: Floats) -> float:
        return float((share * values).sum())

    mean_in, squares, mean_steps, time = mean(sent), mean(sent**2), max(mean(made - 1.0), 1.0), mean(weight)
    prompt = max(mean_in * left, 1.0)
    seen, whole = mean(weight * (sent + made / 2.0)) / time, mean(weight * (sent + made)) / time
    worst = lengths.kv_sizing is KvSizing.WORST_CASE
    return LengthMoments(
        input=mean_in,
        prompt=prompt,
        prompt_cells=tuple(max(one * left, 1.0) for one in _equal_parts(sent, share)),
        prompt_scv=max(squares / mean_in**2 - 1.0, 0.0),
        context=left * (1.0 - left / 2.0) * squares / prompt,
        steps=mean_steps,
        steps_scv=max(mean(weight**2) / mean_steps**2 - 1.0, 0.0),
        inverse_steps=mean(1.0 / weight),
        output=mean(made),
        resident_seen=seen,
        resident=float(lengths.context_max) if worst else seen,
        reserved=float(lengths.context_max) if worst else whole,
        context_max=lengths.context_max,
        found=lengths.shared_prefix,
    )


def _equal_parts(values: Floats, shares: Floats) -> list[float]:
    """Means of the shortest twentieth, of the next one, and so on; a row may lie in several."""
    order = np.argsort(values, kind="stable")
    ends = np.concatenate(([0.0], np.cumsum(shares[order])))
    below = np.concatenate(([0.0], np.cumsum((values * shares)[order])))
    at = np.interp(np.linspace(0.0, ends[-1], _COUNTED_PROMPTS + 1), ends, below)
    return [float(part) * _COUNTED_PROMPTS / float(ends[-1]) for part in np.diff(at)]


def _mixed(lengths: Lengths) -> LengthMoments:
    """Moments of a mix of length classes: those of its parts weighed by share of the requests.

    What is a mean over prompt tokens or over the time a request is being decoded is weighed by those too.
    """
    parts = [(one.share, moments_of(one.lengths)) for one in lengths.classes]

    def mean(read: Callable[[LengthMoments], float]) -> float:
        return sum(share * read(m) for share, m in parts)

    context_max = max(m.context_max for _, m in parts)
    prompt, steps = mean(lambda m: m.prompt), mean(lambda m: m.steps)
    seen = mean(lambda m: m.steps * m.resident_seen) / steps
    worst = lengths.kv_sizing is KvSizing.WORST_CASE
    cells = [(value, share / len(m.prompt_cells)) for share, m in parts for value in m.prompt_cells]
    return LengthMoments(
        input=mean(lambda m: m.input),
        prompt=prompt,
        prompt_cells=tuple(value for value, _ in cells),
        prompt_scv=max(mean(lambda m: (1.0 + m.prompt_scv) * m.prompt**2) / prompt**2 - 1.0, 0.0),
        context=mean(lambda m: m.prompt * m.context) / prompt,
        steps=steps,
        steps_scv=max(mean(lambda m: (1.0 + m.steps_scv) * m.steps**2) / steps**2 - 1.0, 0.0),
        inverse_steps=mean(lambda m: m.inverse_steps),
        output=mean(lambda m: m.output),
        resident_seen=seen,
        resident=float(context_max) if worst else seen,
        reserved=float(context_max) if worst else mean(lambda m: m.steps * m.reserved) / steps,
        context_max=context_max,
        found=mean(lambda m: m.found * m.input) / mean(lambda m: m.input),
        prompt_weights=tuple(weight for _, weight in cells),
        classes=tuple((one.name, m) for one, (_, m) in zip(lengths.classes, parts, strict=True)),
    )


def _of_turns(lengths: Lengths) -> LengthMoments:
    """Moments over the turns of sessions, with all that could be found; ``left`` says what is left of prompts else."""
    assert lengths.sessions is not None
    t, shared = turns_of(lengths.sessions, lengths.context_max), lengths.sessions.shared
    common = np.minimum(shared, t.input - 1.0)
    states = tuple(_left(t.input, cached) for cached in (0.0 * t.input, common, np.minimum(common + t.reused, t.input)))
    all_, steps = states[-1], t.output - 1.0
    weight = np.maximum(steps, 1.0)
    mean_steps, total = max(float(steps.mean()), 1.0), float(weight.sum())
    seen = float((weight * (t.input + t.output / 2.0)).sum()) / total
    whole = float((weight * (t.input + t.output)).sum()) / total
    worst = lengths.kv_sizing is KvSizing.WORST_CASE
    mean = float(t.input.mean())
    return LengthMoments(
        input=mean,
        prompt=all_.mean,
        prompt_cells=all_.cells,
        prompt_scv=max(all_.square / all_.mean**2 - 1.0, 0.0),
        context=all_.attended / all_.mean,
        steps=mean_steps,
        steps_scv=max(float((weight**2).mean()) / mean_steps**2 - 1.0, 0.0),
        inverse_steps=float((1.0 / weight).mean()),
        output=float(t.output.mean()),
        resident_seen=seen,
        resident=float(lengths.context_max) if worst else seen,
        reserved=float(lengths.context_max) if worst else whole,
        context_max=lengths.context_max,
        found=lengths.shared_prefix,
        left=states,
    )


def _left(sent: Floats, cached: Floats) -> PromptState:
    """What is left of prompts of which so much is cached."""
    left = np.maximum(sent - cached, 1.0)
    cells = [float(part.mean()) for part in np.array_split(np.sort(left), _PROMPTS)]
    attended = 0.5 * (sent**2 - (sent - left) ** 2)
    return PromptState(float(left.mean()), float((left**2).mean()), float(attended.mean()), tuple(cells))


def _grouped(cells: list[float]) -> tuple[float, ...]:
    """Means of groups of six neighbouring cells: enough to count chunks."""
    return tuple(sum(cells[i : i + 6]) / len(cells[i : i + 6]) for i in range(0, len(cells), 6))


def _cells(mean: float, p95: float | None) -> list[float]:
    """Conditional means of the equiprobable cells of a lognormal; one value where it is constant.

    E[X; X < q] = mean x Phi(ln-score of q - s), so the cells' mean is the stated mean exactly.
    """
    sigma = sigma_of(mean, p95)
    if sigma == 0.0:
        return [mean]
    normal = NormalDist()
    edges = [0.0, *(normal.cdf(normal.inv_cdf(i / _CELLS) - sigma) for i in range(1, _CELLS)), 1.0]
    return [mean * _CELLS * (high - low) for low, high in pairwise(edges)]
