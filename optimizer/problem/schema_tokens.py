"""``tokens:`` - lengths of requests, as one distribution or as length classes."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from optimizer.problem.fields import Count, Looser, Name, Number, PartOf, Reads, Section, Share, YesNo, one_of
from optimizer.problem.schema_slo import SloSection, is_mapping
from optimizer.workload import KvSizing

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
    """Share of the input tokens found in the prefix cache; they still occupy KV cache."""

    requests_per_prefix: Annotated[
        Annotated[int, Field(ge=2, le=1_000_000)] | None,
        Number("requests that share a prefix", "requests", "1", Looser.UNKNOWN, axis=True, monotone=False),
    ] = None
    """Requests that share one prefix (turns of a session, questions to a document); null: all share one. Routers that
    pay no heed to prefixes lose hits when plans are replayed: see ``engine.router``."""

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
