"""Step times of a prefill and a decode pool, from the same coefficients as every other replica.

A *round* of a prefill worker is one step per chunk of its fullest rank's prompts. Where one rank alone has prompts, the
others help with its experts, so a round of few prompts is shorter than one of many. A decode worker makes plain decode
steps; its requests are spread evenly over its ranks.
"""

from __future__ import annotations

import math

import numpy as np

from optimizer.performance.expert_ranks import GATHER_RDMA, domain_gpus
from optimizer.performance.memory import memory_table, weight_parts
from optimizer.performance.parameters import Parameters
from optimizer.performance.pooling import TRANSFER_SHARE
from optimizer.performance.rates import link_bandwidth, part_formats
from optimizer.performance.replicas import coefficients
from optimizer.performance.step import StepCoefficients, step_seconds
from optimizer.performance.types import ReplicaSpec
from optimizer.simulate.pools import Between, DecodePool, Floats, PrefillPool, RoundTimes

LEAST_TOKENS, ROUND_SIZES = 16.0, 24
"""Rounds of at least so many tokens are tabled, in so many sizes up to the budget, then by whole budgets."""


def prefill_pool(spec: ReplicaSpec, workers: int, prompt: float, longest: float, params: Parameters) -> PrefillPool:
    """A pool of prefill workers for prompts of a mean and a largest length."""
    budget = float(spec.max_num_batched_tokens)
    whole = np.arange(1, math.ceil(max(longest, budget) / budget) + 2) * budget
    sizes = np.unique(np.concatenate([np.geomspace(LEAST_TOKENS, budget, ROUND_SIZES), whole]))
    factor = prompt_factor(spec, params)
    times = []
    for lone in (True, False):
        c = coefficients([spec], params, lone=lone).row(0)
        times.append(np.array([factor * _round_seconds(c, float(size), prompt, budget) for size in sizes]))
    return PrefillPool(workers, spec.attention_dp, budget, RoundTimes(sizes, *times))


def prompt_factor(spec: ReplicaSpec, params: Parameters) -> float:
    """How much slower than the step model says prompts of a kind of experts are on attention-DP prefill workers."""
    if spec.attention_dp == 1:
        return 1.0
    _, experts = part_formats(spec, weight_parts(spec.model, spec.weight_quant))
    return params.first("pool_prompt_factor", f"arch:{spec.gpu.arch}/{experts}")


def _round_seconds(c: StepCoefficients, tokens: float, prompt: float, budget: float) -> float:
    """Steps of a rank with so many prompt tokens: short prompts together, a long one chunk by chunk."""
    seconds, done = 0.0, 0.0
    while done < tokens - 1e-9:
        chunk = min(budget, tokens - done)
        context = prompt / 2 if prompt <= budget else done + chunk / 2
        seconds += float(step_seconds(c, 0.0, 0.0, chunk, context))
        done += chunk
    return seconds


def decode_slots(spec: ReplicaSpec, workers: int, resident: float, stated: int) -> int:
    """Requests that a decode worker takes at once: what is stated of all workers, else its scheduler's limit on every
    rank; never more than its cache holds."""
    table = memory_table([spec])
    budget = max(float(table.kv_budget[0]), 0.02 * float(table.usable[0]))
    held = budget / float(table.kv.sequence(resident)[0]) * spec.attention_dp
    most = math.ceil(stated / workers) if stated else spec.max_num_seqs * spec.attention_dp
    return max(int(min(most, held)), 1)


def decode_pool(
    spec: ReplicaSpec, workers: int, slots: int, prompt: float, output: float, params: Parameters
) -> DecodePool:
    """A pool of decode workers for requests of such lengths; step times between the first and the last token."""
    c = coefficients([spec], params).row(0)
    requests = np.arange(slots + 1, dtype=np.float64)
    batch = np.maximum(requests / spec.attention_dp, 1.0)
    short, long = _decode_seconds(c, batch, prompt), _decode_seconds(c, batch, prompt + output)
    held = np.maximum(requests, 1.0)
    token = (long - short) / (output * held)
    advance = spec.speculation.tokens_per_step if spec.speculation else 1.0
    fixed = short - token * held * prompt
    return DecodePool(workers, slots, tuple(fixed.tolist()), tuple(token.tolist()), advance)


def _decode_seconds(c: StepCoefficients, batch: Floats, context: float) -> Floats:
    """Steps of so many sequences of a rank."""
    return np.asarray(step_seconds(c, batch, batch * context, 0.0 * batch, 0.0 * batch))


def between(
    prefill: ReplicaSpec, decode: ReplicaSpec, settled: tuple[float, float], gpus: int, params: Parameters
) -> Between:
    """What lies between the pools of ``gpus`` cards; ``settled``: front end of a request and its service, s."""
    kv = float(memory_table([prefill]).kv.per_token[0] + memory_table([prefill]).kv.per_window_token[0])
    engine = f"engine:{decode.engine.profile}"
    handoff = params.first("handoff_ms", engine) * 1e-3
    return Between(*settled, handoff, kv / transfer_rate(prefill, decode, gpus))


def transfer_rate(prefill: ReplicaSpec, decode: ReplicaSpec, gpus: int) -> float:
    """Bytes per second at which a rank sends its cache: over the links inside one domain, else its own adapter.

    Ranks send side by side. One adapter of 400 Gb/s a GPU, as data-centre nodes have.
    """
    if prefill.gpu.id == decode.gpu.id and gpus <= domain_gpus(prefill):
        return TRANSFER_SHARE * link_bandwidth(prefill)
    return GATHER_RDMA
