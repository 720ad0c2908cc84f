"""``workloads:`` - what has to be served: model, traffic, token lengths, latency promises, quality.

``tokens:`` - lengths of requests, as one distribution or as length classes.

``slo:`` - latency promises of a workload, or of one of its length classes.

``traffic.profile`` - how the load moves through the day.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from optimizer.demand import KvSizing
from optimizer.problem.fields import (
    Count,
    CountOrZero,
    Looser,
    Name,
    Number,
    PartOf,
    Positive,
    Reads,
    Section,
    Share,
    Text,
    YesNo,
    one_of,
)


class ProfilePeriod(Section):
    """One period of the day. The hours of all periods add up to ``payment.hours_per_month``."""

    name: Name
    """Name of the period."""

    hours_per_month: Annotated[
        float,
        Field(gt=0, le=744),
        Number(
            "hours of the period {name}",
            "hours a month",
            "1",
            Looser.UNKNOWN,
            axis="the hours of all periods add up to payment.hours_per_month: none moves alone",
            monotone=False,
        ),
    ]
    """Hours that the period lasts in a month, all days together."""

    factor: Annotated[
        float,
        Field(ge=0, le=1000),
        Number("load in the period {name}", "times the stated load", "0.01", Looser.DOWN, axis=True),
    ]
    """What the stated load is multiplied by in the period; 0: nothing runs but ``min_replicas``."""

    starts_per_month: Annotated[
        Annotated[float, Field(gt=0, le=744)] | None,
        Number("starts of the period {name}", "times a month", "1", Looser.UNKNOWN, axis=True, monotone=False),
    ] = None
    """How often the period begins in a month; nodes that it needs beyond the period before it are started then.
    null: once a day."""


def is_mapping(value: Any) -> str:
    """Which variant of a value that may be a number or a mapping is meant."""
    return "number" if isinstance(value, (int, float, str, bool, type(None), tuple)) else "mapping"


class PercentileLimits(Section):
    """Limits at percentiles over requests; each one stated must hold."""

    p50: Annotated[Positive | None, PartOf(" p50")] = None
    """Limit for the median request."""

    p90: Annotated[Positive | None, PartOf(" p90")] = None
    """Limit that 90 % of the requests keep."""

    p95: Annotated[Positive | None, PartOf(" p95")] = None
    """Limit that 95 % of the requests keep."""

    p99: Annotated[Positive | None, PartOf(" p99")] = None
    """Limit that 99 % of the requests keep."""


Limit = Annotated[
    Annotated[float, Field(gt=0, le=1e12), Tag("number")] | Annotated[PercentileLimits, Tag("mapping")],
    Discriminator(is_mapping),
]


class SloSection(Section):
    """Latency promises, server-side, over requests. A plain number is read at ``percentile``."""

    ttft_ms: Annotated[Limit | None, Number("TTFT", "ms", "1", Looser.UP, axis=True, promise=True)] = None
    """Time to first token in milliseconds: waiting, prefill and front end, without the client's network."""

    tpot_ms: Annotated[Limit | None, Number("TPOT", "ms", "0.1", Looser.UP, axis=True, promise=True)] = None
    """Time per output token in milliseconds: (E2E - TTFT) / (output tokens - 1)."""

    e2e_s: Annotated[Limit | None, Number("end-to-end time", "s", "0.1", Looser.UP, axis=True, promise=True)] = None
    """Whole request in seconds."""

    tokens_per_second_per_user: Annotated[
        Positive | None, Number("speed for each user", "tokens/s", "0.1", Looser.DOWN, axis=True, promise=True)
    ] = None
    """Output tokens per second that a user sees: the promise TPOT <= 1 / this, at ``percentile``."""

    percentile: Annotated[
        float, Field(ge=1, le=99.9), Number("percentile of plain limits", "", "0.1", Looser.DOWN, axis=True)
    ] = 95
    """Percentile at which plain numbers are read."""


MAX_TOKENS = 1e8
"""Longest length that is believed."""

_ANY_CONTEXT = 1_000_000_000
"""Stands in for a longest request that was not stated."""

MOST_CLASSES = 20
"""Classes that a workload may have."""


class LengthDistribution(Section):
    """Lognormal lengths, clipped at ``context_max``."""

    mean: Annotated[float, Field(ge=1, le=MAX_TOKENS), PartOf("")]
    """Mean in tokens."""

    p95: Annotated[Annotated[float, Field(ge=1, le=MAX_TOKENS)] | None, PartOf(" p95")] = None
    """95th percentile in tokens; without it every request has the mean length."""


TokenLength = Annotated[
    Annotated[float, Field(ge=1, le=MAX_TOKENS), Tag("number")] | Annotated[LengthDistribution, Tag("mapping")],
    Discriminator(is_mapping),
]


class GapPercentiles(Section):
    """Waits between the requests of a session, lognormal."""

    p50: Annotated[float, Field(gt=0, le=1e7), PartOf(" p50")]
    """Half of the waits are at most that long, in seconds."""

    p90: Annotated[float, Field(gt=0, le=1e7), PartOf(" p90")]
    """Nine in ten are at most that long, in seconds."""


GapLength = Annotated[
    Annotated[float, Field(ge=0, le=1e7), Tag("number")] | Annotated[GapPercentiles, Tag("mapping")],
    Discriminator(is_mapping),
]


_INPUT = Number("input tokens", "tokens", "1", Looser.UNKNOWN, axis=True, monotone=False)
_OUTPUT = Number("output tokens", "tokens", "1", Looser.UNKNOWN, axis=True, monotone=False)
_LONGEST = Number("longest context", "tokens", "1", Looser.DOWN, axis=True, monotone=False, promise=True)


class LengthClass(Section):
    """Requests of alike lengths: short chats, long documents."""

    name: Name
    """Name of the class, used in paths such as ``workloads.chat.tokens.classes.long.slo.ttft_ms``; left out: class_1,
    class_2, ... in the order of the list."""

    input: Annotated[TokenLength, _INPUT]
    """Input tokens: a number (constant), or ``{mean: , p95: }``."""

    output: Annotated[TokenLength, _OUTPUT]
    """Output tokens: a number (constant), or ``{mean: , p95: }``."""

    share: Annotated[
        float,
        Field(gt=0, le=1),
        Number(
            "share of the requests",
            "",
            "0.01",
            Looser.UNKNOWN,
            axis="the shares of all classes add up to 1: none moves alone",
            monotone=False,
            reads=Reads.SHARE,
        ),
    ]
    """Share of the workload's requests; the shares of all classes add up to 1."""

    context_max: Annotated[Count, _LONGEST]
    """Longest input + output of the class, in tokens. Left out: that of ``tokens``; without one there, and with
    constant lengths, input + output."""

    slo: SloSection = SloSection()
    """Latency promises of the class; those it does not state are the workload's."""


class Tokens(Section):
    """Lengths of requests in tokens: one distribution (``input`` and ``output``), or ``classes``."""

    input: Annotated[TokenLength, _INPUT]
    """Input tokens: a number (constant), or ``{mean: , p95: }``. With ``classes``: left out."""

    output: Annotated[TokenLength, _OUTPUT]
    """Output tokens: a number (constant), or ``{mean: , p95: }``. With ``classes``: left out."""

    context_max: Annotated[Count, _LONGEST]
    """Longest input + output that must be accepted, in tokens. May be left out where all lengths are constant."""

    shared_prefix: Annotated[
        Share,
        Number(
            "share of the input found in the prefix cache",
            "",
            "0.01",
            Looser.UNKNOWN,
            axis=True,
            monotone=False,
            reads=Reads.SHARE,
        ),
    ] = 0.0
    """Share of the input tokens found in a prefix cache that still holds them; they still occupy KV cache."""

    requests_per_prefix: Annotated[
        Annotated[int, Field(ge=2, le=1_000_000)] | None,
        Number("requests that share a prefix", "requests", "1", Looser.UNKNOWN, axis=True, monotone=False),
    ] = None
    """Requests that share one prefix (turns of a session, questions to a document); null: all share one. Routers that
    pay no heed to prefixes lose hits when plans are replayed: see ``engine.router``."""

    prefix_gap_s: Annotated[
        GapLength | None,
        Number("time to the next request with the same prefix", "s", "0.1", Looser.UNKNOWN, axis=True, monotone=False),
    ] = None
    """Seconds from an answer to the next request with the same prefix: a number is the mean of an exponential wait,
    ``{p50: , p90: }`` a lognormal one. How much of ``shared_prefix`` is found is then computed from the memory that
    each plan has left. Users with a ``think_time_s`` state it there. null: that all of it is found is assumed, where
    one prefix fits, and the grade is C."""

    kv_sizing: Annotated[KvSizing, Field(strict=False), BeforeValidator(one_of(KvSizing))] = KvSizing.TYPICAL
    """``typical``: what is resident on average; ``worst_case``: every request at ``context_max``."""

    classes: Annotated[tuple[LengthClass, ...], Field(max_length=MOST_CLASSES)] = ()
    """Length classes instead of one distribution: a list of ``{name, input, output, share}``. A replica serves one
    class, or all of them mixed, whichever costs less; every class keeps its own promises either way."""

    split_classes: YesNo = True
    """Whether classes may be served apart. It takes a router, or an application, that knows the class of a request when
    it arrives; ``no``: one endpoint serves the mix."""

    @model_validator(mode="before")
    @classmethod
    def constant_lengths_need_no_context_max(cls, data: Any) -> Any:
        """With constant lengths the longest request is known exactly: input + output. Classes tell all three."""
        if not isinstance(data, dict):
            return data
        data = _with_classes(data)
        if data.get("context_max") is not None or data.get("classes"):
            return data
        longest = _longest(data)
        return data if longest is None else {**data, "context_max": longest}


def _longest(data: dict[str, Any]) -> int | None:
    """Input + output where both are constant."""
    lengths = [data.get(key) for key in ("input", "output")]
    constant = [length for length in lengths if isinstance(length, (int, float)) and 1 <= length <= MAX_TOKENS]
    return math.ceil(sum(constant)) if len(constant) == len(lengths) else None


def _with_classes(data: dict[str, Any]) -> dict[str, Any]:
    """Names and longest requests of the classes filled in; means over the classes as ``input`` and ``output``.

    What cannot be told gets a number that no check finds fault with, as the class, or the missing ``context_max`` of
    ``tokens``, is refused for itself.
    """
    classes = data.get("classes")
    if not isinstance(classes, tuple) or not classes or not all(isinstance(one, dict) for one in classes):
        return data
    named = [{"name": f"class_{number}", **one} for number, one in enumerate(classes, start=1)]
    longest = [one.get("context_max") or data.get("context_max") or _longest(one) for one in named]
    filled = tuple({**one, "context_max": most or _ANY_CONTEXT} for one, most in zip(named, longest, strict=True))
    known = [most for most in longest if isinstance(most, int)]
    told: dict[str, Any] = {"classes": filled}
    if data.get("context_max") is None and len(known) == len(filled):
        told["context_max"] = max(known)
    for key in ("input", "output"):
        mean = _mean([(one.get(key), one.get("share")) for one in filled])
        if data.get(key) is None:
            told[key] = mean or 1.0
    return {**data, **told}


def _mean(lengths: list[tuple[Any, Any]]) -> float | None:
    """Mean over requests of the classes; None where a length or a share is no sound number."""
    means = [length.get("mean") if isinstance(length, dict) else length for length, _ in lengths]
    shares = [share for _, share in lengths]
    if not all(isinstance(value, (int, float)) and 0 < value <= MAX_TOKENS for value in (*means, *shares)):
        return None
    mean: float = sum(mean * share for mean, share in zip(means, shares, strict=True)) / sum(shares)
    return max(1.0, mean)


__all__ = [
    "MAX_TOKENS",
    "Batch",
    "LengthClass",
    "LengthDistribution",
    "Limit",
    "PercentileLimits",
    "Quality",
    "SloSection",
    "TokenLength",
    "Tokens",
    "Traffic",
    "Users",
]


class Users(Section):
    """People at the keyboard; not requests in flight. ``peak_factor``, ``margins.load_headroom`` and the factors of a
    day profile multiply their number."""

    active: Annotated[Positive, Number("active users", "users", "1", Looser.DOWN, axis=True, promise=True)]
    """People using it at the same time at the peak."""

    requests_per_user_per_hour: Annotated[
        Positive | None,
        Number("requests per user and hour", "requests per user and hour", "0.1", Looser.DOWN, axis=True),
    ] = None
    """Requests that one of them sends per hour. State this or ``think_time_s``."""

    think_time_s: Annotated[
        Positive | None, Number("time between requests of a user", "s", "0.1", Looser.UP, axis=True)
    ] = None
    """Seconds between an answer and the same user's next request, exponential with this mean: a closed population.
    With ``sessions`` neither is stated: the time follows from ``sessions.gap``.
    There are never more requests in flight than users; they send users / (think time + response time) a second, which
    each plan answers for itself, and at least what the limits of the promises add up to. A part of the response that
    nothing is promised about may take twice as long as for a lone request. State this or
    ``requests_per_user_per_hour``."""


class Batch(Section):
    """Offline work: only throughput matters, and only the hours used are billed."""

    requests: Annotated[
        Positive, Number("requests of a batch run", "requests", "100", Looser.DOWN, axis=True, promise=True)
    ]
    """Requests of one run."""

    within_hours: Annotated[
        float,
        Field(gt=0, le=744),
        Number("hours for a batch run", "hours", "0.1", Looser.UP, axis=True, monotone=False, promise=True),
    ]
    """Hours in which a run has to be finished."""

    runs_per_month: Annotated[
        float,
        Field(gt=0, le=100_000),
        Number("batch runs a month", "runs", "1", Looser.DOWN, axis=True, monotone=False),
    ] = 30
    """Runs in a month."""


class Traffic(Section):
    """The load. Of several floors the larger counts, never their sum."""

    concurrency: Annotated[
        Positive | None,
        Number("requests in flight", "requests in flight", "1", Looser.DOWN, axis=True, promise=True),
    ] = None
    """Requests in flight at the peak."""

    requests_per_second: Annotated[
        Positive | None, Number("requests per second", "requests/s", "0.1", Looser.DOWN, axis=True, promise=True)
    ] = None
    """Poisson arrivals per second."""

    output_tokens_per_second: Annotated[
        Positive | None,
        Number("output tokens per second", "output tokens/s", "10", Looser.DOWN, axis=True, promise=True),
    ] = None
    """Output tokens per second of all requests together."""

    users: Users | None = None
    """People instead of requests."""

    sessions_per_second: Annotated[
        Positive | None,
        Number("sessions that begin per second", "sessions/s", "0.01", Looser.DOWN, axis=True, promise=True),
    ] = None
    """Sessions that begin each second, Poisson; with ``sessions`` only. Their turns are the requests."""

    concurrent_sessions: Annotated[
        Positive | None,
        Number("sessions at the same time", "sessions", "1", Looser.DOWN, axis=True, promise=True),
    ] = None
    """Sessions under way at any moment, thinking or being answered; with ``sessions`` only. Where one ends another
    begins after such a wait as between turns: a closed population like ``users``."""

    peak_factor: Annotated[
        float,
        Field(ge=1, le=1000),
        Number("peak factor", "times the stated load", "0.01", Looser.DOWN, axis=True),
    ] = 1.0
    """What the stated load is multiplied by at the peak."""

    trace: Text | None = None
    """Recorded requests to replay plans with instead of Poisson arrivals: a CSV relative to this file (columns
    arrival_s, input_tokens, output_tokens, or as in the Azure LLM inference and BurstGPT traces), scaled to the stated
    rate. It changes the replay only; the load is what the other keys state. Users with a think time ask when they ask:
    of the trace only the lengths count for them."""

    batch: Batch | None = None
    """Offline work instead of the above."""

    profile: Annotated[tuple[ProfilePeriod, ...], Field(min_length=1)] | None = None
    """Periods of the day in the order in which they follow each other, each with its hours per month and a factor on
    the load. Workloads with a profile state the same periods; one without runs its load in all of them. Batch work
    runs in the periods of factor 1. Nodes paid by use follow the profile, committed ones are paid always."""

    min_replicas: Annotated[
        CountOrZero, Number("copies of the model at least", "copies", "1", Looser.DOWN, axis=True, promise=True)
    ] = 0
    """Replicas kept running whatever the load, of length classes served apart so many of each."""


class Quality(Section):
    """How much accuracy a smaller precision may cost."""

    min_recovery: Annotated[
        Share,
        Number(
            "quality floor",
            "",
            "0.001",
            Looser.DOWN,
            axis=True,
            ends=(0.5, 1.0),
            promise=True,
            reads=Reads.SHARE,
        ),
    ] = 0.97
    """Floor on weight recovery x KV recovery against the native precision, as a share."""
