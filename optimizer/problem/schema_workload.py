"""``workloads:`` - what has to be served: model, traffic, token lengths, latency promises, quality."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from optimizer.problem.fields import Count, CountOrZero, Name, Positive, Section, Share, Text, one_of
from optimizer.problem.schema_profile import ProfilePeriod
from optimizer.workload import KvSizing

MAX_TOKENS = 1e8
"""Longest length that is believed."""


def _is_mapping(value: Any) -> str:
    return "number" if isinstance(value, (int, float, str, bool, type(None), tuple)) else "mapping"


class Users(Section):
    """People at the keyboard; not requests in flight."""

    active: Positive
    """People using it at the same time at the peak."""

    requests_per_user_per_hour: Positive | None = None
    """Requests that one of them sends per hour. State this or ``think_time_s``."""

    think_time_s: Positive | None = None
    """Seconds between an answer and the same user's next request. State this or ``requests_per_user_per_hour``."""


class Batch(Section):
    """Offline work: only throughput matters, and only the hours used are billed."""

    requests: Positive
    """Requests of one run."""

    within_hours: Annotated[float, Field(gt=0, le=744)]
    """Hours in which a run has to be finished."""

    runs_per_month: Annotated[float, Field(gt=0, le=100_000)] = 30
    """Runs in a month."""


class Traffic(Section):
    """The load. Of several floors the larger counts, never their sum."""

    concurrency: Positive | None = None
    """Requests in flight at the peak."""

    requests_per_second: Positive | None = None
    """Poisson arrivals per second."""

    output_tokens_per_second: Positive | None = None
    """Output tokens per second of all requests together."""

    users: Users | None = None
    """People instead of requests."""

    peak_factor: Annotated[float, Field(ge=1, le=1000)] = 1.0
    """What the stated load is multiplied by at the peak."""

    trace: Text | None = None
    """Recorded requests to replay plans with instead of Poisson arrivals: a CSV relative to this file (columns
    arrival_s, input_tokens, output_tokens, or as in the Azure LLM inference and BurstGPT traces), scaled to the stated
    rate. It changes the replay only; the load is what the other keys state."""

    batch: Batch | None = None
    """Offline work instead of the above."""

    profile: Annotated[tuple[ProfilePeriod, ...], Field(min_length=1)] | None = None
    """Periods of the day in the order in which they follow each other, each with its hours per month and a factor on
    the load. Workloads with a profile state the same periods; one without runs its load in all of them. Batch work
    runs in the periods of factor 1. Nodes paid by use follow the profile, committed ones are paid always."""

    min_replicas: CountOrZero = 0
    """Replicas kept running whatever the load."""


class LengthDistribution(Section):
    """Lognormal lengths, clipped at ``context_max``."""

    mean: Annotated[float, Field(ge=1, le=MAX_TOKENS)]
    """Mean in tokens."""

    p95: Annotated[float, Field(ge=1, le=MAX_TOKENS)] | None = None
    """95th percentile in tokens; without it every request has the mean length."""


TokenLength = Annotated[
    Annotated[float, Field(ge=1, le=MAX_TOKENS), Tag("number")] | Annotated[LengthDistribution, Tag("mapping")],
    Discriminator(_is_mapping),
]


class Tokens(Section):
    """Lengths of requests in tokens."""

    input: TokenLength
    """Input tokens: a number (constant), or ``{mean: , p95: }``."""

    output: TokenLength
    """Output tokens: a number (constant), or ``{mean: , p95: }``."""

    context_max: Count
    """Longest input + output that must be accepted, in tokens. May be left out where both lengths are constant."""

    shared_prefix: Share = 0.0
    """Share of the input tokens found in the prefix cache; they still occupy KV cache."""

    requests_per_prefix: Annotated[int, Field(ge=2, le=1_000_000)] | None = None
    """Requests that share one prefix (turns of a session, questions to a document); null: all share one. Routers that
    pay no heed to prefixes lose hits when plans are replayed: see ``engine.router``."""

    kv_sizing: Annotated[KvSizing, Field(strict=False), BeforeValidator(one_of(KvSizing))] = KvSizing.TYPICAL
    """``typical``: what is resident on average; ``worst_case``: every request at ``context_max``."""

    @model_validator(mode="before")
    @classmethod
    def constant_lengths_need_no_context_max(cls, data: Any) -> Any:
        """With constant lengths the longest request is known exactly: input + output."""
        if not isinstance(data, dict) or data.get("context_max") is not None:
            return data
        lengths = [data.get(key) for key in ("input", "output")]
        constant = [length for length in lengths if isinstance(length, (int, float)) and 1 <= length <= MAX_TOKENS]
        if len(constant) == len(lengths):
            return {**data, "context_max": math.ceil(sum(constant))}
        return data


class PercentileLimits(Section):
    """Limits at percentiles over requests; each one stated must hold."""

    p50: Positive | None = None
    """Limit for the median request."""

    p90: Positive | None = None
    """Limit that 90 % of the requests keep."""

    p95: Positive | None = None
    """Limit that 95 % of the requests keep."""

    p99: Positive | None = None
    """Limit that 99 % of the requests keep."""


Limit = Annotated[
    Annotated[float, Field(gt=0, le=1e12), Tag("number")] | Annotated[PercentileLimits, Tag("mapping")],
    Discriminator(_is_mapping),
]


class SloSection(Section):
    """Latency promises, server-side, over requests. A plain number is read at ``percentile``."""

    ttft_ms: Limit | None = None
    """Time to first token in milliseconds: waiting, prefill and front end, without the client's network."""

    tpot_ms: Limit | None = None
    """Time per output token in milliseconds: (E2E - TTFT) / (output tokens - 1)."""

    e2e_s: Limit | None = None
    """Whole request in seconds."""

    tokens_per_second_per_user: Positive | None = None
    """Output tokens per second that a user sees: the promise TPOT <= 1 / this, at ``percentile``."""

    percentile: Annotated[float, Field(ge=1, le=99.9)] = 95
    """Percentile at which plain numbers are read."""


class Quality(Section):
    """How much accuracy a smaller precision may cost."""

    min_recovery: Share = 0.97
    """Floor on weight recovery x KV recovery against the native precision, as a share."""


class Workload(Section):
    """One model with its traffic and promises. Workloads share nodes, never replicas."""

    name: Name
    """Name of the workload, used in paths such as ``workloads.chat.slo.ttft_ms``."""

    model: Text
    """Id in catalogs/models.csv, or the path of a Hugging Face config.json relative to this file."""

    traffic: Traffic = Traffic()
    """The load; may be left out under ``objective: maximize_load`` only."""

    tokens: Tokens
    """Token lengths."""

    slo: SloSection = SloSection()
    """Latency promises."""

    quality: Quality = Quality()
    """Floor on accuracy."""
