"""``tokens:`` - lengths of requests, as one distribution, as length classes, or as counted (a histogram)."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from optimizer.demand import KvSizing
from optimizer.length_histogram import histogram_of
from optimizer.problem.fields import (
    Count,
    Looser,
    Name,
    Number,
    PartOf,
    Reads,
    Section,
    Share,
    YesNo,
    one_of,
)
from optimizer.problem.schema_workload import SloSection, is_mapping

__all__ = [
    "MAX_TOKENS",
    "MOST_ROWS",
    "ROW_KEYS",
    "GapPercentiles",
    "HistogramRow",
    "LengthClass",
    "LengthDistribution",
    "TokenLength",
    "Tokens",
    "rows_of_a_file",
]

MAX_TOKENS = 1e8
"""Longest length that is believed."""

_ANY_CONTEXT = 1_000_000_000
"""Stands in for a longest request that was not stated."""

MOST_CLASSES = 20
"""Classes that a workload may have."""

MOST_ROWS = 1000
"""Rows of a histogram."""

_ROW = "the rows of a histogram belong together: state another one"


def rows_of_a_file(value: Any) -> Any:
    """A validator: the rows themselves. Where the problem file names a file, its rows stand here when this is asked."""
    if isinstance(value, str):
        raise PydanticCustomError("histogram_file", "expected the rows of the file that it names")
    if isinstance(value, (list, tuple)) and not value:
        raise PydanticCustomError("histogram_rows", "it needs a row {input, output, share} for each length")
    return value


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


class HistogramRow(Section):
    """Requests of one input and one output length."""

    input: Annotated[
        float,
        Field(ge=1, le=MAX_TOKENS),
        Number("input tokens of a row", "tokens", "1", Looser.UNKNOWN, axis=_ROW, monotone=False),
    ]
    """Input tokens."""

    output: Annotated[
        float,
        Field(ge=1, le=MAX_TOKENS),
        Number("output tokens of a row", "tokens", "1", Looser.UNKNOWN, axis=_ROW, monotone=False),
    ]
    """Output tokens."""

    share: Annotated[
        float,
        Field(gt=0, le=1),
        Number(
            "share of the requests of a row",
            "",
            "0.01",
            Looser.UNKNOWN,
            axis="the shares of all rows add up to 1: none moves alone",
            monotone=False,
            reads=Reads.SHARE,
        ),
    ]
    """Share of the requests that are so long; the shares of all rows add up to 1."""


class Tokens(Section):
    """Lengths of requests in tokens: one distribution (``input`` and ``output``), ``classes``, or a ``histogram``."""

    input: Annotated[TokenLength, _INPUT]
    """Input tokens: a number (constant), or ``{mean: , p95: }``. With ``classes`` or a ``histogram``: left out."""

    output: Annotated[TokenLength, _OUTPUT]
    """Output tokens: a number (constant), or ``{mean: , p95: }``. With ``classes`` or a ``histogram``: left out."""

    context_max: Annotated[Count, _LONGEST]
    """Longest input + output that must be accepted, in tokens. May be left out where all lengths are constant, or those
    of a ``histogram``."""

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

    histogram: Annotated[tuple[HistogramRow, ...], Field(max_length=MOST_ROWS), BeforeValidator(rows_of_a_file)] = ()
    """Lengths as counted, where no law describes them (answers of reasoning models): a list of ``{input, output,
    share}``, or a CSV file with these columns, beside this one. Input and output of a row belong together. One
    distribution, not split into classes. `optimize trace` writes one where it is needed."""

    @model_validator(mode="before")
    @classmethod
    def constant_lengths_need_no_context_max(cls, data: Any) -> Any:
        """With constant lengths the longest request is known exactly: input + output. Classes and a histogram tell all
        three."""
        if not isinstance(data, dict):
            return data
        data = _with_counted(_with_classes(data))
        if data.get("context_max") is not None or data.get("classes") or data.get("histogram"):
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
    if classes is None or classes == ():
        return data
    if not isinstance(classes, tuple) or not all(isinstance(one, dict) for one in classes):
        return _beside_what_is_refused(data)
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


def _with_counted(data: dict[str, Any]) -> dict[str, Any]:
    """Means and the longest request of a histogram filled in, as those of classes are."""
    rows = data.get("histogram")
    if rows is None or data.get("classes"):
        return data
    if not isinstance(rows, tuple) or not rows:
        return _beside_what_is_refused(data)
    found = [_row(row) for row in rows]
    sound = [row for row in found if row is not None]
    counted = histogram_of(sound if len(sound) == len(found) else [(1.0, 1.0, 1.0)])
    told = {
        "input": counted.input_mean,
        "output": counted.output_mean,
        "context_max": math.ceil(counted.longest) if len(sound) == len(found) else _ANY_CONTEXT,
    }
    return {**told, **{key: value for key, value in data.items() if value is not None}}


def _beside_what_is_refused(data: dict[str, Any]) -> dict[str, Any]:
    """Lengths that no check finds fault with, as what should tell them is refused for itself."""
    told = {"input": 1.0, "output": 1.0, "context_max": _ANY_CONTEXT}
    return {**told, **{key: value for key, value in data.items() if value is not None}}


def _row(row: Any) -> tuple[float, float, float] | None:
    """Input, output and share of a row; None where one of them is refused for itself."""
    values = [row.get(key) for key in ROW_KEYS] if isinstance(row, dict) else []
    numbers = [float(value) for value in values if isinstance(value, (int, float))]
    if len(numbers) < len(ROW_KEYS):
        return None
    sent, made, share = numbers
    return (sent, made, share) if 1 <= min(sent, made) <= max(sent, made) <= MAX_TOKENS and 0 < share <= 1 else None


ROW_KEYS = ("input", "output", "share")
"""Keys of a row of a histogram, and the columns of its file."""


def _mean(lengths: list[tuple[Any, Any]]) -> float | None:
    """Mean over requests of the classes; None where a length or a share is no sound number."""
    means = [length.get("mean") if isinstance(length, dict) else length for length, _ in lengths]
    shares = [share for _, share in lengths]
    if not all(isinstance(value, (int, float)) and 0 < value <= MAX_TOKENS for value in (*means, *shares)):
        return None
    mean: float = sum(mean * share for mean, share in zip(means, shares, strict=True)) / sum(shares)
    return max(1.0, mean)
