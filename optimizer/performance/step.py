"""Duration of one engine step: the single formula that the closed form, the simulation and the fit all use.

An engine step advances every resident sequence by one token and works off some prompt tokens. ``step_seconds`` is
branch-free arithmetic on the fields of :class:`StepCoefficients`, so the same source serves numpy arrays (one entry per
specification) and, compiled by numba, plain floats. The fields are derived in ``coefficients``; all are seconds unless
said otherwise, and efficiencies, link and engine factors are folded into them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64] | float
"""One number per specification, or one number."""


class StepCoefficients(NamedTuple):
    """Coefficients of the step time of one replica (floats) or of many (arrays)."""

    stages: Values  # pipeline stages; each works on 1/stages of the sequences at a time
    dense_read: Values  # reading the always-used weights once
    expert_read: Values  # reading every routed expert once
    miss: Values  # chance that one token misses a given expert, 1 - k/E; 1 for dense models
    dense_token: Values  # arithmetic of the always-used weights, per token
    expert_token: Values  # arithmetic of the routed experts, per token
    expert_pad: Values  # arithmetic of padding each expert that is hit up to a tile, all experts hit
    gemm_sharpness: Values  # exponent of the smooth maximum of reading and arithmetic (no unit)
    layer_fixed: Values  # launches, norms, GEMM floors: every step
    token_elementwise: Values  # activations read and written outside GEMMs, per token
    head_read: Values  # reading the output head once
    head_sequence: Values  # arithmetic of the output head and sampling, per sequence
    kv_token: Values  # reading one token of KV of the full-attention layers
    kv_window_token: Values  # reading one token of KV of the sliding-window layers
    window: Values  # tokens of the sliding window (no unit; infinite where there is none)
    state_sequence: Values  # reading and writing the state of linear-attention layers, per sequence
    kv_fixed: Values  # ramp of the decode attention kernels: small caches are read below bandwidth
    kv_sharpness: Values  # exponent of the smooth maximum of ramp and reading (no unit)
    pair: Values  # prompt attention arithmetic per (query, key) pair, full-attention layers
    pair_window: Values  # the same for sliding-window layers
    prefill_fixed: Values  # fixed cost of prompt attention kernels, in steps with prompt tokens
    link_latency: Values  # latency of all all-reduces of a step
    link_token: Values  # wire time of all all-reduces, per token
    link_sharpness: Values  # exponent of the smooth maximum of latency and wire time (no unit)
    hop_fixed: Values  # passing a micro-batch between pipeline stages, all hops
    hop_token: Values  # the same, per token
    step_fixed: Values  # scheduler, sampling and host work, every step
    step_sequence: Values  # host work per resident sequence
    step_prompt_token: Values  # host work per prompt token
    chunk: Values  # most prompt tokens that one pipeline stage takes at a time (no unit)
    hot_spread: Values  # how far the fullest expert group lies above the mean one; 0: experts are not dealt (no unit)
    skew_choice: Values  # squared excess of the busiest group's arithmetic, times tokens: chance of routing (no unit)
    skew_kept: Values  # squared excess of the busiest group's arithmetic that no number of tokens evens out (no unit)
    rank_spread: Values  # how far the fullest attention rank lies above the mean one, times sqrt(sequences) (no unit)
    exchange_fixed: Values  # synchronising the ranks of an attention-DP group before and after the experts, a step
    exchange_token: Values  # sending one decoded token to its experts and back, all layers
    exchange_prompt_token: Values  # the same of one prompt token
    exchange_hidden: Values  # share of the shorter of exchange and computing that the longer hides (0: none, no unit)
    floor_captured: Values  # least duration of a step with prompt tokens that replays a captured graph
    floor_eager: Values  # the same of a step too large for the graphs
    captured: Values  # most tokens of a step that replays a captured graph (no unit)
    drafted: Values  # tokens drafted for a decoding sequence, which a step verifies beside its own (no unit)
    draft_fixed: Values  # drafting before a step: all passes of one sequence
    draft_sequence: Values  # the same, for each further sequence
    draft_kv_token: Values  # the same, reading one token of the draft's own cache

    def row(self, index: int) -> StepCoefficients:
        """The coefficients of one specification, as floats."""
        return StepCoefficients(*(float(np.asarray(field)[index]) for field in self))

    def take(self, indices: Sequence[int] | npt.NDArray[np.intp]) -> StepCoefficients:
        """The coefficients of some specifications, as arrays."""
        return StepCoefficients(*(np.asarray(field)[indices] for field in self))


def step_seconds(c: Any, decode_batch: Any, decode_kv_tokens: Any, prefill_tokens: Any, prefill_context: Any) -> Any:
    """Seconds of one step.

    ``decode_batch`` sequences each produce a token, holding ``decode_kv_tokens`` tokens of KV in all;
    ``prefill_tokens`` prompt tokens are worked off, each attending ``prefill_context`` tokens on average (half the
    prompt for a whole prompt on an empty cache). With p pipeline stages each stage sees 1/p of the sequences and
    tokens at a time, and a token passes p stages, so the time is that of the whole depth for 1/p of the work. Prompts
    cannot be spread like that: one shorter than a chunk crosses the stages one after the other, as a whole.
    Weights and arithmetic overlap in part: (read^s + arithmetic^s)^(1/s), the form fitted to kernel timings.

    Where experts are dealt to groups of GPUs the fullest group sets the pace: of ``hit`` of the experts on average it
    touches ``hit + spread sqrt(hit (1 - hit))`` (largest of e binomial counts), never more than all. Attention ranks
    run in lock step, so the fullest one's cache counts, and every expert layer exchanges tokens. A host that launches
    kernels one by one bounds a prompt step from below: sqrt(work^2 + floor^2).

    With speculative decoding a sequence brings ``drafted`` more tokens into the step, which read its cache once, and
    the drafts are made before it.
    """
    batch = decode_batch / c.stages
    kv = decode_kv_tokens / c.stages
    prompt = np.maximum(prefill_tokens / c.stages, np.minimum(prefill_tokens, c.chunk))
    width = batch * (1.0 + c.drafted)
    tokens = width + prompt
    length = kv / np.maximum(batch, 1e-9)
    hit = 1.0 - c.miss**tokens
    hot = np.minimum(hit + c.hot_spread * np.sqrt(hit * (1.0 - hit)), 1.0)
    skewed = c.expert_token * np.sqrt(c.skew_choice * tokens + c.skew_kept * tokens * tokens)
    read = c.dense_read + c.expert_read * hot
    arithmetic = (c.dense_token + c.expert_token) * tokens + skewed + c.expert_pad * hot
    s = c.gemm_sharpness
    gemm = (read**s + arithmetic**s) ** (1.0 / s)
    fullest = 1.0 + c.rank_spread / np.sqrt(np.maximum(batch, 1.0))
    cache = c.kv_token * kv + c.kv_window_token * batch * np.minimum(length, c.window) + c.state_sequence * batch
    cache = cache * fullest
    a = c.kv_sharpness
    decoding = np.minimum(decode_batch, 1.0)
    attention = decoding * ((cache + 1e-12) ** a + (c.kv_fixed + 1e-12) ** a) ** (1.0 / a)
    span = np.minimum(prefill_context, c.window)
    prefill = prompt * (c.pair * prefill_context + c.pair_window * span) + c.prefill_fixed * np.minimum(
        prefill_tokens, 1.0
    )
    r = c.link_sharpness
    link = ((c.link_latency + 1e-12) ** r + (c.link_token * tokens + 1e-12) ** r) ** (1.0 / r)
    head = c.head_read + c.head_sequence * width
    drafting = decoding * c.draft_fixed + c.draft_sequence * batch + c.draft_kv_token * kv
    hops = c.hop_fixed + c.hop_token * tokens
    host = c.step_fixed + c.step_sequence * decode_batch + c.step_prompt_token * prefill_tokens
    work = gemm + attention + prefill + link + head + hops + c.layer_fixed + c.token_elementwise * tokens + drafting
    exchange = c.exchange_fixed + c.exchange_token * width + c.exchange_prompt_token * prompt
    device = work + exchange - c.exchange_hidden * np.minimum(work, exchange)
    eager = (tokens > c.captured) * 1.0
    floor = (c.floor_captured + eager * (c.floor_eager - c.floor_captured)) * np.minimum(prefill_tokens, 1.0)
    return np.sqrt(device * device + floor * floor) + host
