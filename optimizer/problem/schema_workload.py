"""``workloads:`` - what has to be served: model, traffic, token lengths, latency promises, quality."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from optimizer.problem.fields import CountOrZero, Looser, Name, Number, Positive, Reads, Section, Share, Text
from optimizer.problem.schema_profile import ProfilePeriod
from optimizer.problem.schema_slo import Limit, PercentileLimits, SloSection
from optimizer.problem.schema_tokens import MAX_TOKENS, LengthClass, LengthDistribution, TokenLength, Tokens

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
    "Workload",
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
