"""Requests of one replica: sent by clients, queued behind the front end, admitted to the batch, retired.

Every function is plain arithmetic on arrays, compiled into the event loops that call it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from optimizer.simulate.compiled import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


FILLED = 0.95
"""Share of the cache that requests of all ages may fill without overflowing: their sum swings by some percent."""


HAIR = 1e-6
"""Tokens: how far sums of paces that are no whole numbers may be off."""


class ReplicaLimits(NamedTuple):
    """What bounds a replica: scheduler settings, cache size and the front end."""

    max_seqs: int
    token_budget: int  # max_num_batched_tokens
    kv_tokens: float  # cache capacity
    frontend_s: float  # HTTP, tokenization, way to the engine, per request
    service_s: float  # the front end handles one request at a time for this long
    mixed: bool  # prompt and decode share steps (vLLM, TensorRT-LLM); else prompts go first, alone (SGLang)
    poll_steps: float  # decode steps between two looks at the queue (SGLang --scheduler-recv-interval)
    reserve: float  # share of the output still to come that admission keeps room for (TensorRT-LLM: all)


class Requests(NamedTuple):
    """Requests in order of issue and what becomes of them. Times in seconds, lengths in tokens."""

    arrive: Floats  # when the client sends it; in a closed loop only the first ones are given
    ready: Floats  # when the engine sees it
    first: Floats  # first token
    finish: Floats  # last token
    prompt: Floats
    cached: Floats  # prompt tokens found in the prefix cache
    output: Floats
    done: Floats  # prompt tokens in the KV cache (after preemption: to be redone)
    made: Floats  # output tokens made
    due: Floats  # 1 where the step under way puts out a token
    late: Floats  # what the step after the first token took: overlapped schedulers deliver a step late
    admit: Floats  # when it went from the queue into the batch, the last time it did
    pace: Floats  # tokens that it gets out of a step after its first one: 1 but for speculative decoding


@kernel
def issue(r: Requests, index: int, when: float, free: float, limits: ReplicaLimits) -> float:
    """A client sends request ``index``; returns when the front end is free again."""
    r.arrive[index] = when
    begin = max(when, free)
    r.ready[index] = begin + limits.service_s + limits.frontend_s
    return begin + limits.service_s


@kernel
def enqueue(r: Requests, queue: Ints, head: int, tail: int, index: int) -> int:
    """Insert a request into the queue, which is kept in order of arrival at the engine; returns the new tail."""
    place = tail
    while place > head and r.ready[queue[place - 1]] > r.ready[index]:
        queue[place] = queue[place - 1]
        place -= 1
    queue[place] = index
    return tail + 1


@kernel
def admit(
    r: Requests, queue: Ints, span: tuple[int, int], active: Ints, batch: tuple[int, int], used: float, now: float,
    limits: ReplicaLimits,
) -> tuple[int, int, float]:  # fmt: skip
    """Move waiting requests that are ready and fit into the batch; returns queue head, batch size and tokens held.

    ``batch``: its size, and the most that it may have.
    """
    head, tail = span
    count, most = batch
    budget, promised = float(limits.token_budget), 0.0
    for k in range(count):
        i = active[k]
        budget -= max(r.prompt[i] + r.made[i] - r.done[i], 1.0)
        promised += limits.reserve * (r.output[i] - r.made[i])
    while head < tail and count < most and budget > 0:
        i = queue[head]
        if r.ready[i] > now:
            break
        held = r.prompt[i] + r.made[i]
        wanted = limits.reserve * (r.output[i] - r.made[i])
        if used + promised + held + wanted + 1.0 > limits.kv_tokens and count > 0:
            break
        r.done[i] = min(r.cached[i], r.prompt[i] - 1.0)
        used += held
        promised += wanted
        budget -= held - r.done[i]
        active[count] = i
        r.admit[i] = now
        count += 1
        head += 1
    return head, count, used


@kernel
def fitting(r: Requests, active: Ints, count: int, limits: ReplicaLimits) -> int:
    """How many requests like those in the batch the cache holds when they are of all ages, a little short of full."""
    held = 0.0
    for k in range(count):
        i = active[k]
        held += r.prompt[i] + 0.5 * r.output[i]
    return int(FILLED * limits.kv_tokens * count / max(held, 1.0))


@kernel
def retire(r: Requests, active: Ints, count: int, used: float, now: float) -> tuple[int, float]:
    """Take requests that are complete out of the batch; returns its size and tokens held."""
    kept = 0
    for k in range(count):
        i = active[k]
        if r.made[i] < r.output[i] - HAIR:
            active[kept] = i
            kept += 1
        else:
            r.finish[i] = now
            used -= r.prompt[i] + r.made[i]
    return kept, used
