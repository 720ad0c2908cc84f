"""Predict measured configurations by replaying their own load pattern on the simulated replica."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
import numpy.typing as npt

from optimizer.calibrate.rows import DECODE_STEP, PROMPT_STEP, MeasuredRow, RowCase
from optimizer.demand import Lengths
from optimizer.performance.host_tier import LOAD_FLOOR_S, host_tokens, load_seconds
from optimizer.performance.lengths import moments_of
from optimizer.performance.memory import memory_table
from optimizer.performance.parameters import Parameters
from optimizer.performance.replicas import coefficients
from optimizer.performance.step import StepCoefficients, step_seconds
from optimizer.performance.types import ReplicaSpec
from optimizer.plan.experiment import MOST_REQUESTS, LoadTest
from optimizer.simulate.load_test import output_rate, runs_of
from optimizer.simulate.replay import Replica
from optimizer.simulate.replica import Arrivals, Pattern, ReplicaTrace, Settings, simulate
from optimizer.vocabulary import Router

OPEN_LOOP_REQUESTS = 150
"""Requests of an open-loop run that does not say: published ones used about 100 to several hundred."""

PAST_FULL = 1.1
"""A steady load of so many times what a replica takes at once keeps it full."""

TTFT_VALUES = 4
"""The first so many fields of a prediction are times to first token."""


@dataclass(frozen=True, slots=True)
class MedianEstimate:
    """Median estimate of one configuration. Latencies in ms; nan where it cannot be computed."""

    ttft_mean: float
    ttft_p50: float
    ttft_p95: float
    ttft_p99: float
    tpot_mean: float
    tpot_p50: float
    tpot_p95: float
    tpot_p99: float
    output_tokens_per_s: float


def kv_tokens_of(cases: Sequence[RowCase]) -> npt.NDArray[np.float64]:
    """Tokens of KV cache of each replica, all blocks, for sequences of the row's resident length.

    These configurations ran, so where the estimate leaves nothing a 50th of the memory is taken, and always room for
    one request.
    """
    table = memory_table([case.spec for case in cases])
    resident = np.array([case.row.input_tokens + 0.5 * case.row.output_tokens for case in cases])
    longest = np.array([case.row.input_tokens + case.row.output_tokens for case in cases])
    budget = np.maximum(table.kv_budget, 0.02 * table.usable)
    tokens: npt.NDArray[np.float64] = np.maximum(budget / table.kv.sequence(resident) * resident, 1.02 * longest + 16)
    return tokens


def beyond_slots(cases: Sequence[RowCase]) -> list[bool]:
    """Whether clients hold more requests than scheduler and cache take at once: TTFT is then a wait for a slot, which
    lasts as long as the run does, and everything follows from the size of the cache.
    """
    cache = kv_tokens_of(cases)
    result = []
    for case, tokens in zip(cases, cache, strict=True):
        row, held = case.row, case.row.input_tokens + case.row.output_tokens
        slots = min(case.spec.max_num_seqs, float(tokens) / held)
        result.append(row.load == "closed_loop" and math.ceil(row.concurrency / case.busy) > slots)
    return result


def settings_of(spec: ReplicaSpec, kv_tokens: float, params: Parameters, open_loop: bool = False) -> Settings:
    """Scheduler, cache and front end of a replica.

    Clients that hold a number of requests in flight resend from the loop that also receives all streams, which costs
    more per request than independent (``open_loop``) arrivals.
    """
    profile = spec.engine.profile
    scopes = (f"engine:{profile}@{params.generation(profile, spec.engine_version)}", f"engine:{profile}")
    share = params.first("frontend_open_share") if open_loop else 1.0
    recipe = f"engine:{profile}/moe@{spec.gpu.arch}" if spec.model.is_moe else ""
    return Settings(
        max_seqs=spec.max_num_seqs,
        token_budget=spec.max_num_batched_tokens * spec.pipeline_parallel,
        kv_tokens=kv_tokens,
        frontend_s=params.first("frontend_ms", *scopes) * 1e-3 * share,
        service_s=params.first("frontend_service_ms", *scopes) * 1e-3 * share,
        mixed=params.first("mixed_steps", *scopes) > 0.5,
        reserve=params.first("reserve_output", *scopes),
        poll_steps=params.first("poll_steps", recipe, *scopes),
        lag_steps=params.first("first_token_lag_steps", *scopes),
    )


def loads_of(case: RowCase) -> list[tuple[int, int]]:
    """How many copies hold how many requests each: those in flight, dealt out evenly; of an arrival rate, all alike."""
    row = case.row
    if row.load not in ("closed_loop", "static_batch"):
        return [(case.busy, 0)]
    each, more = divmod(max(round(row.concurrency), 1), case.busy)
    return [(copies, held) for copies, held in ((case.busy - more, each), (more, each + 1)) if copies]


def pattern_of(case: RowCase, c: StepCoefficients, settings: Settings, start: str, held: int) -> Pattern:
    """The load pattern that a copy saw which held so many requests (of an arrival rate: its share of it)."""
    row = case.row
    base = Pattern(Arrivals.BURST, 1, row.input_tokens, row.output_tokens, length_low=row.length_low)
    if row.load == "static_batch":
        return replace(base, requests=held, concurrency=held)
    if row.load == "open_loop" and math.isfinite(row.request_rate):
        count = int(np.clip(row.requests if row.requests > 0 else OPEN_LOOP_REQUESTS, 20, 2000))
        return replace(
            base, arrivals=Arrivals.POISSON, requests=count, rate=row.request_rate / case.busy, cap=_cap(row, case.busy)
        )
    count = int(row.requests / case.busy) if row.requests > 0 else 10 * held
    count = int(np.clip(count, held, max(10 * held, 20)))
    if start == "burst":
        return replace(base, requests=count, concurrency=held)
    resident = resident_requests(row, settings, held)
    spread = request_seconds(c, resident, row) * held / resident
    return replace(base, arrivals=Arrivals.STEADY, requests=count, concurrency=held, spread_s=spread)


def _cap(row: MeasuredRow, copies: int) -> int:
    """Most requests that a client with a rate lets be in flight on each copy; 0 where it knows no such limit."""
    return max(math.ceil(row.concurrency / copies), 1) if row.concurrency >= 1 else 0


def resident_requests(row: MeasuredRow, settings: Settings, offered: float) -> float:
    """Requests in the batch when ``offered`` are in flight: bounded by the scheduler and the cache."""
    held = row.input_tokens + row.output_tokens * (0.5 + 0.5 * settings.reserve)
    return max(min(offered, settings.max_seqs, settings.kv_tokens / held), 1.0)


def request_seconds(c: StepCoefficients, resident: float, row: MeasuredRow) -> float:
    """Rough duration of one request among ``resident`` others: its own steps, each with a share of prompt work.

    In a steady state the prompts of others spread over the pipeline stages.
    """
    c = c._replace(chunk=0.0)
    prompt = resident * row.input_tokens / row.output_tokens
    kv = resident * (row.input_tokens + row.output_tokens / 2)
    return float(row.output_tokens * step_seconds(c, resident, kv, prompt, row.input_tokens / 2))


def offline(case: RowCase, c: StepCoefficients, settings: Settings) -> MedianEstimate:
    """All is queued at once: the batch stays as full as scheduler and cache let; times to first token are queueing."""
    row = case.row
    offered = row.concurrency / case.busy if row.concurrency > 0 else math.inf
    resident = resident_requests(row, settings, offered)
    seconds = request_seconds(c, resident, row)
    flow = case.busy * resident * row.output_tokens / seconds
    values = [math.nan] * TTFT_VALUES + [1e3 * seconds / row.output_tokens] * TTFT_VALUES + [flow]
    return MedianEstimate(*values)


def predict_cases(cases: Sequence[RowCase], params: Parameters) -> list[MedianEstimate]:
    """Predictions of many cases; more in flight never lowers a figure.

    Requests of one length run in clumps that fall together or not by the number in flight, so a replay of a larger load
    may be lucky. What is promised of a load must hold for all smaller ones (design.md section 4, capability), so luck
    is not predicted: of the stated load and those of 1, 2, 3, 4, 5, 6, 8, 10, 12, ... requests a copy below it the
    highest figure counts.
    """
    c = coefficients([case.spec for case in cases], params)
    cache = kv_tokens_of(cases)
    return [_highest(case, c.row(i), float(cache[i]), params) for i, case in enumerate(cases)]


def _highest(case: RowCase, c: StepCoefficients, kv_tokens: float, params: Parameters) -> MedianEstimate:
    found = [predict_case(case, c, kv_tokens, params)]
    if case.row.load == "closed_loop" and not case.row.router:
        least = min(held for _, held in loads_of(case))
        for held in _ladder(least):
            lighter = replace(case, row=replace(case.row, concurrency=float(held * case.busy)))
            found.append(predict_case(lighter, c, kv_tokens, params))
    columns = zip(*(astuple(prediction) for prediction in found), strict=True)
    return MedianEstimate(*(max(values) for values in columns))


def _ladder(below: int) -> Iterator[int]:
    """Powers of two, three and five times them, below a number."""
    steps = (start * 2**power for power in range(below.bit_length()) for start in (1, 3, 5))
    return (held for held in steps if held < below)


def predict_case(case: RowCase, c: StepCoefficients, kv_tokens: float, params: Parameters) -> MedianEstimate:
    """Replay of one case's own load, given its step coefficients and cache size.

    Rows that state no start pattern get the mixture ``unknown_start_burst_share``.
    """
    drafts = case.spec.speculation
    if drafts is not None and case.row.load not in (DECODE_STEP, PROMPT_STEP) and not case.row.router:
        return _speculating(case, c, kv_tokens, params, drafts.tokens_per_step)
    return _stepwise(case, c, kv_tokens, params)


def _speculating(
    case: RowCase, c: StepCoefficients, kv_tokens: float, params: Parameters, per_step: float
) -> MedianEstimate:
    """The same where a step yields several tokens: the replay counts steps, so outputs are as many steps long as they
    take, and a step holds and reads the tokens of all that was written by then.
    """
    row = case.row
    steps = 1.0 + (row.output_tokens - 1.0) / per_step
    held = (row.input_tokens + 0.5 * row.output_tokens) / (row.input_tokens + 0.5 * steps)
    longer = c._replace(
        kv_token=c.kv_token * held, kv_window_token=c.kv_window_token * held, draft_kv_token=c.draft_kv_token * held,
        window=c.window / held,
    )  # fmt: skip
    found = _stepwise(replace(case, row=replace(row, output_tokens=steps)), longer, kv_tokens / held, params)
    tpots = {name: getattr(found, name) / per_step for name in ("tpot_mean", "tpot_p50", "tpot_p95", "tpot_p99")}
    return replace(found, **tpots, output_tokens_per_s=found.output_tokens_per_s * row.output_tokens / steps)


def _stepwise(case: RowCase, c: StepCoefficients, kv_tokens: float, params: Parameters) -> MedianEstimate:
    """The replay, a token of every sequence a step."""
    row = case.row
    if row.load in (DECODE_STEP, PROMPT_STEP):
        figures = [math.nan] * TTFT_VALUES + [one_step_ms(case, c)] * TTFT_VALUES + [math.nan]
        return MedianEstimate(*figures)
    if row.router:
        return _of_test(case, params)
    settings = settings_of(case.spec, kv_tokens, params, case.row.load == "open_loop")
    if row.load == "offline" or (row.load == "open_loop" and not math.isfinite(row.request_rate)):
        return offline(case, c, settings)
    starts = ("burst", "steady") if row.start == "unknown" and row.load == "closed_loop" else (row.start,)
    outcomes = [_metrics(_traces(case, c, settings, start)) for start in starts]
    values = np.array(outcomes[0])
    if len(outcomes) == 2:
        ttft, rest = params.first("unknown_start_burst_share"), params.first("unknown_start_burst_share_tpot")
        share = np.where(np.arange(len(values)) < TTFT_VALUES, ttft, rest)
        values = np.exp(share * np.log(outcomes[0]) + (1 - share) * np.log(outcomes[1]))
    return MedianEstimate(*(float(value) for value in values))


def one_step_ms(case: RowCase, c: StepCoefficients) -> float:
    """Milliseconds of the engine step that a row states: sequences of ``input_tokens`` each, or one such prompt."""
    row = case.row
    if row.load == PROMPT_STEP:
        return 1e3 * float(step_seconds(c, 0.0, 0.0, row.input_tokens, row.input_tokens / 2))
    return 1e3 * float(step_seconds(c, row.concurrency, row.concurrency * row.input_tokens, 0.0, 0.0))


def replica_for(spec: ReplicaSpec, lengths: Lengths, params: Parameters) -> Replica:
    """Step times, scheduler and all KV blocks of a replica for requests of such lengths."""
    table, resident = memory_table([spec]), moments_of(lengths).resident_seen
    tokens = float(table.kv_budget[0] / table.kv.sequence(resident)[0]) * resident
    drafts = (spec.speculation.tokens, spec.speculation.acceptance) if spec.speculation else (0, 0.0)
    open_loop, closed_loop = (replace(settings_of(spec, tokens, params, way), drafts=drafts) for way in (True, False))
    if spec.host_kv_gib:
        each = float(table.kv.sequence(resident)[0]) / resident
        held, load_s = host_tokens(spec, each), load_seconds(spec, each)
        open_loop, closed_loop = (
            replace(way, host_tokens=held, load_s=load_s, load_floor_s=LOAD_FLOOR_S) for way in (open_loop, closed_loop)
        )
    return Replica(coefficients([spec], params).row(0), open_loop, closed_loop)


def load_test_of(case: RowCase) -> LoadTest:
    """The test that a row describes: one with a ``router``."""
    row = case.row
    lengths = Lengths(
        input_mean=row.input_tokens,
        output_mean=row.output_tokens,
        context_max=row.context_max or int(row.input_tokens + row.output_tokens),
        input_p95=row.input_p95 if row.input_p95 > 0 else None,
        output_p95=row.output_p95 if row.output_p95 > 0 else None,
        shared_prefix=row.shared_prefix,
        requests_per_prefix=row.requests_per_prefix or None,
    )
    count = min(int(row.requests), MOST_REQUESTS) if row.requests > 0 else OPEN_LOOP_REQUESTS
    rate = row.request_rate if math.isfinite(row.request_rate) and row.load != "offline" else None
    cap = int(row.concurrency) if row.concurrency >= 1 and row.load != "offline" else None
    ranks = case.spec.attention_dp
    return LoadTest(lengths, count, rate, cap, -(-case.busy // ranks), Router(row.router), ranks)


def _of_test(case: RowCase, params: Parameters) -> MedianEstimate:
    """Mean over runs of what a client would report."""
    test = load_test_of(case)
    runs = runs_of(replica_for(case.spec, test.lengths, params), test)
    values: list[float] = []
    for name in ("ttft", "tpot"):
        seen = [1e3 * getattr(run, name) for run in runs]
        values.append(float(np.mean([one.mean() for one in seen])))
        values += [float(v) for v in np.mean([np.percentile(one, (50, 95, 99)) for one in seen], axis=0)]
    values.append(float(np.mean([output_rate(run, test) for run in runs])))
    return MedianEstimate(*values)


def _traces(case: RowCase, c: StepCoefficients, settings: Settings, start: str) -> list[tuple[int, ReplicaTrace]]:
    """What happened on the copies, alike ones once, with how many there are."""
    return [(copies, _trace(case, c, settings, start, held)) for copies, held in loads_of(case)]


def _trace(case: RowCase, c: StepCoefficients, settings: Settings, start: str, held: int) -> ReplicaTrace:
    """What happened on a copy that held so many requests.

    Past what scheduler and cache take at once a steady state changes no more: by Little's law each further request in
    flight makes every one wait for one more to end.
    """
    row = case.row
    full = math.ceil(PAST_FULL * resident_requests(row, settings, math.inf))
    if row.load != "closed_loop" or start != "steady" or held <= full:
        return simulate(c, settings, pattern_of(case, c, settings, start, held))
    trace = simulate(c, settings, pattern_of(case, c, settings, start, full))
    wait = (held - full) * row.output_tokens / trace.output_tokens_per_second
    return replace(trace, ttft=trace.ttft + wait, e2e=trace.e2e + wait)


def _metrics(traces: Sequence[tuple[int, ReplicaTrace]]) -> list[float]:
    """Means and percentiles over the requests of all copies, and the tokens per second of all."""
    result = []
    weighed = traces if len(traces) > 1 else [(1, trace) for _, trace in traces]
    for name in ("ttft", "tpot"):
        milliseconds = 1e3 * np.concatenate([np.tile(getattr(trace, name), copies) for copies, trace in weighed])
        result += [float(milliseconds.mean()), *(float(v) for v in np.percentile(milliseconds, (50, 95, 99)))]
    speed = sum(copies * trace.output_tokens_per_second for copies, trace in traces)
    return [max(value, 1e-6) for value in [*result, speed]]
