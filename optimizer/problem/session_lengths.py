"""What ``sessions:`` of a workload means: lengths of its turns and the waits between them, and whether such lengths
exist."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from optimizer.demand import Gap, SessionLengths, Spread
from optimizer.problem.fields import SHARE_TOLERANCE
from optimizer.problem.schema_sessions import Documents, GapKind, Sessions, TurnCount, TurnLength
from optimizer.problem.schema_tokens import GapPercentiles
from optimizer.vocabulary import DocumentsStand

Fault = tuple[tuple[str | int, ...], str, str]
"""Where in ``sessions`` something is wrong, what, and how to mend it."""

_PERCENTILES = (("p50", 50.0), ("p90", 90.0), ("p95", 95.0))
_ANY_CONTEXT = 1_000_000_000
"""Beyond it a longest context is no number of tokens."""


def session_lengths_of(sessions: Sessions, documents: Documents | None = None) -> SessionLengths:
    """Turns, lengths and waits as plain values.

    The document that a session is about is the first part of what its group shares. Passages behind the system prompt
    are others in each prompt, so nothing that stands behind them is found again.
    """
    shared = sessions.shared_prefix
    told = _without_documents(sessions, *((0.0, 1) if shared is None else (shared.tokens, shared.groups)))
    if documents is None:
        return told
    if documents.position is DocumentsStand.FIRST:
        share = documents.top10_share
        return replace(told, shared=told.shared + documents.tokens, groups=documents.distinct or 1, top_share=share)
    return replace(told, passages=documents.per_request * documents.tokens, carry=0.0)


def _without_documents(sessions: Sessions, shared: float, groups: int) -> SessionLengths:
    return SessionLengths(
        turns=_turns(sessions.turns),
        first=_spread(sessions.first_input),
        fresh=_spread(sessions.new_input),
        output=_spread(sessions.output),
        gaps=_gaps(sessions.gap),
        shared=shared,
        groups=groups,
        output_kept=sessions.output_kept,
        carry=sessions.carry,
    )


def filled_tokens(
    tokens: dict[str, Any], sessions: Sessions | None, documents: Documents | None = None
) -> dict[str, Any]:
    """``tokens`` of a file with the mean lengths of the turns as ``input`` and ``output``. What cannot be told gets a
    number that no check finds fault with, as the sessions, or the missing ``context_max``, are refused for themselves.
    """
    longest = tokens.get("context_max")
    told = {"input": 1.0, "output": 1.0}
    if sessions is None or not isinstance(longest, int) or not 2 <= longest <= _ANY_CONTEXT:
        return _beside(tokens, told)
    if not any(faults_of(sessions)) and shortest_context(sessions, documents) <= longest:
        from optimizer.session_turns import means_of

        means = means_of(session_lengths_of(sessions, documents), longest)
        told = {"input": means.input, "output": means.output}
    return _beside(tokens, told)


def _beside(tokens: dict[str, Any], told: dict[str, float]) -> dict[str, Any]:
    return {**told, **{key: value for key, value in tokens.items() if value is not None}}


def shortest_context(sessions: Sessions, documents: Documents | None = None) -> int:
    """The least ``context_max`` that takes the first turn of a mean session."""
    lengths = session_lengths_of(sessions, documents)
    return math.ceil(lengths.shared + lengths.passages + lengths.first.mean + lengths.output.mean)


def faults_of(sessions: Sessions) -> Iterator[Fault]:
    """Numbers of turns, lengths and waits that no law has."""
    yield from _turn_faults(sessions.turns)
    for key in ("first_input", "new_input", "output"):
        length = getattr(sessions, key)
        if isinstance(length, TurnLength):
            yield from _length_faults(length, key)
    yield from _gap_faults(sessions.gap)


def _largest_ratio(percentile: float) -> float:
    from optimizer.gamma_law import largest_ratio

    return largest_ratio(percentile)


def _turn_faults(turns: float | TurnCount) -> Iterator[Fault]:
    if not isinstance(turns, TurnCount) or turns.p90 is None:
        return
    most = _largest_ratio(90.0)
    if turns.p90 < turns.mean:
        message = f"a p90 of {turns.p90:g} turns is below the mean of {turns.mean:g}"
        yield ("turns", "p90"), message, "leave p90 out: the number of turns is then geometric"
    elif turns.p90 - 1.0 > most * (turns.mean - 1.0):
        message = f"a p90 of {turns.p90:g} turns is too far above the mean of {turns.mean:g}"
        hint = f"at most {1.0 + most * (turns.mean - 1.0):.4g} turns; split the sessions into two workloads"
        yield ("turns", "p90"), message, hint


def _length_faults(length: TurnLength, key: str) -> Iterator[Fault]:
    stated = [(name, percentile, getattr(length, name)) for name, percentile in _PERCENTILES if getattr(length, name)]
    if len(stated) > 1:
        names = " and ".join(name for name, _, _ in stated)
        yield (key, stated[-1][0]), f"{names} stand beside each other", "state one of them"
        return
    for name, percentile, value in stated:
        if name == "p50" and value >= length.mean:
            message = f"a p50 of {value:g} tokens is not below the mean of {length.mean:g}"
            yield (key, name), message, "for lengths that are all alike write the number alone"
        elif name != "p50" and value <= length.mean:
            message = f"a {name} of {value:g} tokens is not above the mean of {length.mean:g}"
            yield (key, name), message, "for lengths that are all alike write the number alone"
        elif name != "p50" and value > _largest_ratio(percentile) * length.mean:
            most = _largest_ratio(percentile)
            message = f"a {name} of {value:g} tokens is more than {most:.2f} times the mean of {length.mean:g}"
            yield (key, name), message, "no law with one peak has such a tail: split the sessions into two workloads"


def _gap_faults(gap: float | GapPercentiles | tuple[GapKind, ...]) -> Iterator[Fault]:
    if isinstance(gap, GapPercentiles) and gap.p90 < gap.p50:
        yield ("gap", "p50"), f"the p50 of {gap.p50:g} s is above the p90 of {gap.p90:g} s", "are the two swapped?"
    if not isinstance(gap, tuple):
        return
    for number, kind in enumerate(gap):
        if kind.p90_s < kind.p50_s:
            message = f"the p50 of {kind.p50_s:g} s is above the p90 of {kind.p90_s:g} s"
            yield ("gap", number, "p50_s"), message, "are the two swapped?"
    total = sum(kind.share for kind in gap)
    if abs(total - 1.0) > SHARE_TOLERANCE:
        message = f"the shares of the kinds add up to {total:g}, not to 1"
        yield ("gap", 0, "share"), message, "a share is the part of all waits that are of the kind"


def _turns(turns: float | TurnCount) -> Spread:
    if isinstance(turns, TurnCount):
        return Spread(turns.mean) if turns.p90 is None else Spread(turns.mean, 90.0, turns.p90)
    return Spread(turns, 90.0, turns)


def _spread(length: float | TurnLength) -> Spread:
    if not isinstance(length, TurnLength):
        return Spread(length)
    stated = ((percentile, getattr(length, name)) for name, percentile in _PERCENTILES)
    percentile, value = next(((p, v) for p, v in stated if v is not None), (None, None))
    return Spread(length.mean, percentile, value)


def _gaps(gap: float | GapPercentiles | tuple[GapKind, ...]) -> tuple[Gap, ...]:
    if isinstance(gap, GapPercentiles):
        return (Gap(p50_s=gap.p50, p90_s=gap.p90),)
    if isinstance(gap, tuple):
        total = sum(kind.share for kind in gap)
        return tuple(Gap(p50_s=kind.p50_s, p90_s=kind.p90_s, share=kind.share / total) for kind in gap)
    return (Gap(mean_s=gap),)
