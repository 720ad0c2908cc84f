"""A recorded trace in figures, and a problem file made from it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from optimizer.demand import LARGEST_P95_TO_MEAN
from optimizer.errors import UsageError
from optimizer.handover.safe_text import InOneLine, Value, render_yaml
from optimizer.problem.schema_tokens import ROW_KEYS
from optimizer.problem.trace import MOONCAKE_BLOCK, Trace
from optimizer.simulate.prefix_cache import PrefixHits, PrefixRequest, PrefixRouter, PrefixTiers, prefix_hits

_BUSY_WINDOWS = 60
"""The busiest of so many equal stretches is the peak that a problem file plans for."""


_EDGES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.975, 0.99, 0.997)
"""Where bins of lengths end, as shares of the requests; finer where few requests hold many tokens."""


@dataclass(frozen=True, slots=True)
class TokenFigures:
    """Mean and 95th percentile, in tokens."""

    mean: float
    p95: float


@dataclass(frozen=True, slots=True)
class TraceFigures:
    """What a trace holds. ``sessions`` is None where neither they nor the prompts were recorded."""

    requests: int
    failed: int
    span_s: float
    sessions: int | None
    sessions_inferred: bool
    input: TokenFigures
    output: TokenFigures
    input_tokens: float
    output_tokens: float
    longest: float  # input + output, tokens
    mean_rate: float  # requests per second
    busiest_rate: float  # of the busiest sixtieth of the span


def figures_of(trace: Trace, block_tokens: int) -> TraceFigures:
    """Count and measure a trace."""
    span, count = trace.arrival_s[-1], len(trace.arrival_s)
    width = span / _BUSY_WINDOWS
    windows = [0] * (_BUSY_WINDOWS + 1)
    for when in trace.arrival_s:
        windows[min(int(when / width), _BUSY_WINDOWS)] += 1
    windows[-2] += windows.pop()
    recorded = bool(trace.sessions)
    numbers = trace.sessions or (trace.sessions_by_prefix(block_tokens) if trace.blocks else ())
    return TraceFigures(
        requests=count,
        failed=trace.failed,
        span_s=span,
        sessions=len(set(numbers)) if numbers else None,
        sessions_inferred=bool(numbers) and not recorded,
        input=_lengths(trace.input_tokens),
        output=_lengths(trace.output_tokens),
        input_tokens=sum(trace.input_tokens),
        output_tokens=sum(trace.output_tokens),
        longest=max(sent + made for sent, made in zip(trace.input_tokens, trace.output_tokens, strict=True)),
        mean_rate=trace.rate,
        busiest_rate=max(windows) / width,
    )


def _lengths(tokens: Sequence[float]) -> TokenFigures:
    ordered = sorted(tokens)
    return TokenFigures(fmean(ordered), ordered[math.ceil(0.95 * len(ordered)) - 1])


def hits_of(trace: Trace, block_tokens: int, tiers: PrefixTiers, replicas: int, router: PrefixRouter) -> PrefixHits:
    """The exact share of the input that caches of a size find behind a router. Raises where the trace cannot tell."""
    if not trace.blocks:
        raise UsageError(
            "this trace holds no prompt blocks (blocks or hash_ids), so hit rates cannot be counted:"
            " leave --capacity-tokens, --replicas and --router out"
        )
    sessions = trace.sessions or trace.sessions_by_prefix(block_tokens)
    columns = (trace.arrival_s, sessions, trace.input_tokens, trace.output_tokens)
    requests = [PrefixRequest(*row) for row in zip(*columns, trace.full_blocks(block_tokens), strict=True)]
    return prefix_hits(requests, block_tokens, tiers, replicas, router)


_BLOCKS = (MOONCAKE_BLOCK, 16, 64, 32, 128, 256, 1024, 2048, 8, 4096)
"""Tokens of a block as engines and traces have them, the usual ones first."""

_CLEARLY = 1.02
"""Another size has to fit so many more prompts than the first one."""


def block_tokens_of(trace: Trace) -> int:
    """Tokens of a block as the lengths show them. A prompt of n blocks, the last of which may be partial and may or may
    not be listed, tells between which sizes; the size that suits most prompts is taken, of those that suit as many a
    usual one. Longer prompts tell more closely."""
    if not trace.blocks:
        return MOONCAKE_BLOCK
    pairs = [(tokens, len(blocks)) for tokens, blocks in zip(trace.input_tokens, trace.blocks, strict=True) if blocks]
    if not pairs:
        return MOONCAKE_BLOCK
    tokens, most = max(pairs, key=lambda pair: pair[1])
    step = max(len(pairs) // _PROMPTS, 1)

    def suits(size: int) -> int:
        return sum(sent // size <= held <= -(-sent // size) for sent, held in pairs[::step])

    usual = max(_BLOCKS, key=suits)
    low, high = max(int(tokens // (most + 1)), 1), int(tokens // max(most - 1, 1)) + 1
    sizes = range(low, high + 1, max((high - low) // _SIZES, 1))
    other = max(sizes, key=lambda size: (suits(size), size % 100 == 0, size % 10 == 0))
    return other if suits(other) > _CLEARLY * suits(usual) else usual


_PROMPTS, _SIZES = 2000, 64
"""Prompts that are looked at, and sizes that are tried beside the usual ones; about so many."""


def problem_of(trace: Trace, figures: TraceFigures, model: str, trace_path: Path, context_limit: int | None) -> str:
    """A problem file that replays the trace at the rate of its busiest stretch, ready to edit."""
    longest = math.ceil(figures.longest)
    if context_limit is not None and longest > context_limit:
        raise UsageError(
            f"the longest request of the trace holds {longest:,} tokens; {model} stops at {context_limit:,}:"
            " name a model with a longer context by --model"
        )
    lognormal = _is_lognormal(trace.input_tokens, figures.input) and _is_lognormal(trace.output_tokens, figures.output)
    if lognormal:
        tokens: dict[str, Value] = {
            "input": _distribution(figures.input),
            "output": _distribution(figures.output),
            "context_max": longest,
        }
    else:
        rows = counted(trace, context_limit)
        longest = max(longest, *(math.ceil(sent + made) for sent, made, _ in rows))
        tokens = {
            "context_max": longest,
            "histogram": [InOneLine(zip(ROW_KEYS, row, strict=True)) for row in rows],
        }
    document: dict[str, Value] = {
        "name": f"Load of {trace_path.name}",
        "workloads": [
            {
                "name": "recorded",
                "model": model,
                "traffic": {"requests_per_second": _short(figures.busiest_rate), "trace": str(trace_path)},
                "tokens": tokens,
                "slo": {"ttft_ms": {"p95": 2000}, "tpot_ms": {"p95": 60}},
            }
        ],
        "margins": {"confidence": 0.9, "load_headroom": 0.0},
    }
    comment = (
        f"Made from {trace_path.name}: {figures.requests:,} requests over {figures.span_s / 3600:.2f} hours,"
        f" {figures.mean_rate:.3g} a second on average.\n"
        f"requests_per_second is that of the busiest of {_BUSY_WINDOWS} equal stretches; the latency promises are\n"
        "placeholders: put yours. Prefix-cache hits are not counted in until tokens.shared_prefix states them."
    )
    if not lognormal:
        comment += (
            "\nNo lognormal has such a mean and p95, so the lengths stand as they were counted, in bins that keep the"
            "\nmeans and the 95th percentiles of input and of output."
        )
    return render_yaml([document], comment)


def _is_lognormal(tokens: Sequence[float], found: TokenFigures) -> bool:
    """Whether a lognormal has such a mean and p95; lengths that are all alike pass too."""
    return found.mean < found.p95 <= LARGEST_P95_TO_MEAN * found.mean or max(tokens) - min(tokens) < 1.0


def counted(trace: Trace, context_limit: int | None) -> tuple[tuple[float, float, float], ...]:
    """Input tokens, output tokens and share of the requests, bin by bin. Each bin of inputs stands for its mean, and so
    does each of outputs; what is just the 95th percentile is a bin of its own. Means and p95 stay, and which inputs go
    with which outputs stays by bins."""
    outputs = [max(made, 1.0) for made in trace.output_tokens]
    sent, made = _binned(trace.input_tokens), _binned(outputs)
    pairs = Counter((sent[i], made[o]) for i, o in zip(trace.input_tokens, outputs, strict=True))
    most = math.inf if context_limit is None else float(context_limit)
    return tuple(
        (max(min(i, most - o), 1.0), o, round(number / len(outputs), 9)) for (i, o), number in sorted(pairs.items())
    )


def _binned(lengths: Sequence[float]) -> dict[float, float]:
    """What stands for each length: the mean of its bin."""
    ordered = sorted(lengths)
    p95 = ordered[math.ceil(0.95 * len(ordered)) - 1]
    edges = sorted({p95, *(ordered[min(int(share * len(ordered)), len(ordered) - 1)] for share in _EDGES)})
    bins: dict[tuple[int, bool], list[float]] = {}
    for length in ordered:
        bins.setdefault((bisect_right(edges, length), length == p95), []).append(length)
    return {length: round(fmean(each), 2) for each in bins.values() for length in each}


def _distribution(lengths: TokenFigures) -> Value:
    mean = _short(max(lengths.mean, 1.0))
    return {"mean": mean, "p95": _short(lengths.p95)} if lengths.p95 > lengths.mean else mean


def _short(value: float) -> float:
    """Four significant digits: no more is known of the future."""
    return float(f"{value:.4g}")
