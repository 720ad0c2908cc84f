"""``workloads:`` - what has to be served: traffic, latency promises, quality.

``slo:`` - latency promises of a workload, or of one of its length classes.

``traffic.profile`` - how the load moves through the day.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from optimizer.problem.fields import (
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
    """Offline work: only throughput matters. Only the hours used are billed; beside online workloads all hours, or
    those of its profile."""

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
