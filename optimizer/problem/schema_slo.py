"""``slo:`` - latency promises of a workload, or of one of its length classes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from optimizer.problem.fields import Looser, Number, PartOf, Positive, Section


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
