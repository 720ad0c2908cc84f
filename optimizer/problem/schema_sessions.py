"""``sessions:`` of a workload - conversations and agents: turns that send what came before, and the waits between."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag

from optimizer.problem.fields import Looser, Number, PartOf, Reads, Section, YesNo, one_of
from optimizer.problem.schema_tokens import MAX_TOKENS, GapPercentiles
from optimizer.problem.schema_workload import is_mapping
from optimizer.vocabulary import DocumentsStand

MOST_GAP_KINDS = 8
MOST_TURNS = 10_000
MOST_DOCUMENTS = 10_000

_Tokens = Annotated[float, Field(ge=1, le=MAX_TOKENS)]
_Turns = Annotated[float, Field(ge=1, le=MOST_TURNS)]


class TurnCount(Section):
    """How many turns sessions have: geometric with this mean, or with a 90th percentile as wide as stated."""

    mean: Annotated[_Turns, PartOf("")]
    """Mean."""

    p90: Annotated[_Turns | None, PartOf(" p90")] = None
    """90th percentile; left out: geometric (2.3 means in long sessions)."""


class SharedPrompt(Section):
    """What the prompts of many sessions begin with: system prompt and tools."""

    tokens: Annotated[
        float,
        Field(ge=0, le=MAX_TOKENS),
        Number("shared prefix of sessions", "tokens", "1", Looser.UNKNOWN, axis=True, monotone=False),
    ]
    """Tokens at the beginning of every prompt that all sessions of a group share."""

    groups: Annotated[
        int,
        Field(ge=1, le=100_000),
        Number("different shared prefixes", "prefixes", "1", Looser.DOWN, axis=True, monotone=False),
    ] = 1
    """How many different ones there are, equally used."""


class TurnLength(Section):
    """A length that differs from turn to turn: its mean and one percentile. Lognormal; where no lognormal has such a
    p90 or p95 (above 2.27 and 3.87 means), a gamma law, up to 3.02 and 5.8 means."""

    mean: Annotated[_Tokens, PartOf("")]
    """Mean in tokens."""

    p50: Annotated[_Tokens | None, PartOf(" p50")] = None
    """Median in tokens, below the mean."""

    p90: Annotated[_Tokens | None, PartOf(" p90")] = None
    """90th percentile in tokens. State one of p50, p90 and p95; without, all are alike."""

    p95: Annotated[_Tokens | None, PartOf(" p95")] = None
    """95th percentile in tokens."""


SessionLength = Annotated[
    Annotated[float, Field(ge=1, le=MAX_TOKENS), Tag("number")] | Annotated[TurnLength, Tag("mapping")],
    Discriminator(is_mapping),
]


class GapKind(Section):
    """One kind of wait, lognormal: of tools, of people."""

    share: Annotated[
        float,
        Field(gt=0, le=1),
        Number(
            "share of the waits",
            "",
            "0.01",
            Looser.UNKNOWN,
            axis="the shares of all kinds add up to 1: none moves alone",
            monotone=False,
            reads=Reads.SHARE,
        ),
    ]
    """Share of all waits that are of the kind; those of all kinds add up to 1."""

    p50_s: Annotated[
        float,
        Field(gt=0, le=1e7),
        Number("median wait", "s", "0.1", Looser.UNKNOWN, axis=True, monotone=False),
    ]
    """Half of the waits are at most that long, in seconds."""

    p90_s: Annotated[
        float,
        Field(gt=0, le=1e7),
        Number("p90 of the waits", "s", "0.1", Looser.UNKNOWN, axis=True, monotone=False),
    ]
    """Nine in ten are at most that long, in seconds."""


def _gap_variant(value: Any) -> str:
    """A number, percentiles, or kinds of waits."""
    return "list" if isinstance(value, (tuple, list)) else is_mapping(value)


SessionGap = Annotated[
    Annotated[float, Field(gt=0, le=1e7), Tag("number")]
    | Annotated[GapPercentiles, Tag("mapping")]
    | Annotated[tuple[GapKind, ...], Field(min_length=1, max_length=MOST_GAP_KINDS), Tag("list")],
    Discriminator(_gap_variant),
]


class Sessions(Section):
    """Conversations and agents. Each turn sends the shared prefix, the first input, and all new inputs and answers
    since; lengths of requests, what of them could be found in a cache and how often users ask follow from here, so
    ``tokens`` states ``context_max`` and ``kv_sizing`` only. A session ends before the turn that would go beyond
    ``context_max``."""

    turns: Annotated[
        Annotated[float, Field(ge=1, le=MOST_TURNS), Tag("number")] | Annotated[TurnCount, Tag("mapping")],
        Discriminator(is_mapping),
        Number("turns of a session", "turns", "1", Looser.UNKNOWN, axis=True, monotone=False),
    ]
    """Requests of a session: ``{mean: , p90: }``, ``{mean: }`` alone (geometric), or a number (all alike)."""

    shared_prefix: SharedPrompt | None = None
    """System prompt and tools, ``{tokens: , groups: 1}``; null: sessions share nothing."""

    first_input: Annotated[
        SessionLength, Number("first input of a session", "tokens", "1", Looser.UNKNOWN, axis=True, monotone=False)
    ]
    """Tokens that the first turn sends beyond the shared prefix: a number, or ``{mean: , p50: | p90: | p95: }``."""

    new_input: Annotated[
        SessionLength, Number("new input of a turn", "tokens", "1", Looser.UNKNOWN, axis=True, monotone=False)
    ]
    """Tokens that every later turn adds: the message of the user, or what a tool returned."""

    output: Annotated[
        SessionLength, Number("output tokens of a turn", "tokens", "1", Looser.UNKNOWN, axis=True, monotone=False)
    ]
    """Tokens of an answer, those of reasoning included."""

    output_kept: YesNo = True
    """Whether the answer is part of the next prompt; ``no``: clients leave it out, as they do reasoning."""

    carry: Annotated[
        float,
        Field(ge=0, le=1),
        Number(
            "context carried to the next turn",
            "",
            "0.01",
            Looser.UNKNOWN,
            axis=True,
            monotone=False,
            reads=Reads.SHARE,
        ),
    ] = 1.0
    """Share of a session's own context that is still a prefix of its next prompt: less than 1 where clients edit what
    came before. The prompt does not become shorter by it: compaction is not modelled."""

    gap: Annotated[
        SessionGap,
        Number("wait before the next turn", "s", "0.1", Looser.UNKNOWN, axis=True, monotone=False),
    ]
    """Seconds from an answer to the next turn of its session, think time or tool: a number is the mean of an
    exponential wait, ``{p50: , p90: }`` a lognormal one; or a list of kinds ``{share: , p50_s: , p90_s: }``."""


class Documents(Section):
    """What is looked up for prompts: passages (RAG), or the one document that a session is about.

    A cache finds a prefix: a passage only behind the same passages in the same order. Behind the system prompt they are
    others in each prompt, so that only the system prompt is found again, whatever the memory (RAGPulse: 0.31 of the
    input). A document that stands first in all prompts of its sessions is found where another session about it went to
    the same replica."""

    per_request: Annotated[
        int,
        Field(ge=1, le=1000),
        Number("documents in a prompt", "documents", "1", Looser.UNKNOWN, axis=True, monotone=False),
    ] = 1
    """How many stand in each prompt; 1 where they stand first."""

    tokens: Annotated[_Tokens, Number("document", "tokens", "1", Looser.UNKNOWN, axis=True, monotone=False)]
    """Tokens of one."""

    distinct: Annotated[
        int | None,
        Field(ge=1, le=MOST_DOCUMENTS),
        Number("different documents", "documents", "1", Looser.DOWN, axis=True, monotone=False),
    ] = None
    """How many different ones there are. Of no account behind the system prompt."""

    top10_share: Annotated[
        float | None,
        Field(gt=0, le=0.99),
        Number(
            "share of the most asked tenth of the documents",
            "",
            "0.01",
            Looser.UP,
            axis=True,
            monotone=False,
            reads=Reads.SHARE,
        ),
    ] = None
    """Share of the sessions that ask for one of the most asked tenth of the documents; how often each is asked follows
    Zipf's law. Null: all alike. Of no account behind the system prompt."""

    position: Annotated[DocumentsStand, Field(strict=False), BeforeValidator(one_of(DocumentsStand))] = (
        DocumentsStand.AFTER_SYSTEM
    )
    """``after_system``: other passages in each prompt, behind the system prompt and before the session's own context.
    ``first``: the document that the session is about, before the system prompt, the same in all of its turns."""
