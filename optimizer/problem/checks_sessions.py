"""Checks of ``sessions`` of a workload, and of what may stand beside them. One function per rule."""

from __future__ import annotations

from collections.abc import Iterator

from optimizer.problem.findings import Issue, KeyPath
from optimizer.problem.schema import Workload
from optimizer.problem.session_lengths import faults_of, filled_tokens, shortest_context
from optimizer.vocabulary import DocumentsStand

_LOADS = ("users", "concurrent_sessions", "sessions_per_second", "requests_per_second")
_OF_SESSIONS = ("concurrent_sessions", "sessions_per_second")
_TOLD = {
    "shared_prefix": "what of the input could be found follows from the sessions",
    "requests_per_prefix": "the sessions tell it as their turns",
    "prefix_gap_s": "the sessions tell it as gap",
    "classes": "the sessions tell the lengths",
    "histogram": "the sessions tell the lengths",
    "split_classes": "sessions have no length classes",
}
"""Keys of ``tokens`` that sessions answer."""

_NO_SESSIONS = {
    "concurrency": "a number held in flight, of which session the next request is nobody says",
    "output_tokens_per_second": "which does not say how many sessions there are",
    "trace": "which tells when each request comes",
    "batch": "where nobody waits between two requests",
}
"""Why a load cannot be that of sessions."""


def check_sessions(workload: Workload, base: KeyPath) -> Iterator[Issue]:
    """Every rule for one workload."""
    if workload.sessions is None:
        yield from _without(workload, base)
        return
    yield from _sound(workload, base)
    yield from _lengths_follow(workload, base)
    yield from _one_load(workload, base)
    yield from _users_alone(workload, base)
    yield from _documents(workload, base)


def _without(workload: Workload, base: KeyPath) -> Iterator[Issue]:
    """A load in sessions needs to know what sessions are."""
    for key in _OF_SESSIONS:
        if getattr(workload.traffic, key) is not None:
            path, message = (*base, "traffic", key), f"{key} stands without sessions"
            yield Issue(path, message, "state sessions: turns, first_input, new_input, output and gap")
    if workload.documents is not None:
        hint = "state sessions: turns, first_input, new_input, output and gap"
        yield Issue((*base, "documents"), "documents stands without sessions", hint)


def _sound(workload: Workload, base: KeyPath) -> Iterator[Issue]:
    """Numbers of turns, lengths and waits that some law has; a first turn that fits."""
    assert workload.sessions is not None
    path = (*base, "sessions")
    context = (*base, "tokens", "context_max")
    found = False
    for where, message, hint in faults_of(workload.sessions):
        found = True
        yield Issue((*path, *where), message, hint, (path,))
    least, longest = shortest_context(workload.sessions, workload.documents), workload.tokens.context_max
    if not found and least > longest:
        message = f"context_max is {longest:,} tokens, but the first turn of a mean session holds {least:,}"
        yield Issue(context, message, "it is the longest input + output", (path, context))


def _documents(workload: Workload, base: KeyPath) -> Iterator[Issue]:
    """One document that a session is about, or passages that hide what stands behind them."""
    documents, sessions = workload.documents, workload.sessions
    if documents is None:
        return
    assert sessions is not None
    path, shared = (*base, "documents"), (*base, "sessions", "shared_prefix")
    about = (path, (*base, "sessions"))
    if documents.position is DocumentsStand.FIRST:
        if documents.per_request != 1:
            message = f"{documents.per_request} documents stand first, of which any order is another prefix"
            yield Issue((*path, "per_request"), message, "state 1, or position: after_system", (path,))
        if documents.distinct is None:
            message = "distinct is missing: how often a document is asked for again follows from it"
            yield Issue(path, message, "state how many different documents there are", (path,))
        if sessions.shared_prefix is not None and sessions.shared_prefix.groups > 1:
            message = f"{sessions.shared_prefix.groups} different prefixes stand behind documents that differ already"
            yield Issue((*shared, "groups"), message, "leave groups out", about)
    elif "carry" in sessions.model_fields_set and sessions.carry > 0.0:
        message = "carry stands beside passages that are others in each prompt: nothing behind them is found again"
        yield Issue((*base, "sessions", "carry"), message, "leave carry out", about)
    share = documents.top10_share
    if share is not None and documents.distinct is None:
        message = "top10_share stands without distinct"
        yield Issue((*path, "top10_share"), message, "state how many different documents there are", (path,))
    elif share is not None and documents.distinct is not None:
        from optimizer.popularity import top_count

        least = top_count(documents.distinct) / documents.distinct
        if share < least:
            message = f"top10_share is {share:g}, but the most asked tenth gets {least:g} where all are asked alike"
            yield Issue((*path, "top10_share"), message, "leave it out for documents asked alike", (path,))


def _lengths_follow(workload: Workload, base: KeyPath) -> Iterator[Issue]:
    """Beside sessions ``tokens`` says how long a context may be, nothing else."""
    tokens, path = workload.tokens, (*base, "tokens")
    about = ((*base, "sessions"), path)
    told = filled_tokens({"context_max": tokens.context_max}, workload.sessions, workload.documents)
    for key in ("input", "output"):
        if getattr(tokens, key) != told[key]:
            message = f"{key} stands beside sessions, which tell the lengths already"
            yield Issue((*path, key), message, f"leave {key} out", about)
    for key, why in _TOLD.items():
        if key in tokens.model_fields_set:
            yield Issue((*path, key), f"{key} stands beside sessions: {why}", f"leave {key} out", about)


def _one_load(workload: Workload, base: KeyPath) -> Iterator[Issue]:
    """Exactly one figure says how many sessions there are."""
    traffic, path = workload.traffic, (*base, "traffic")
    for key, why in _NO_SESSIONS.items():
        if getattr(traffic, key) is not None:
            hint = f"state one of {', '.join(_LOADS)}"
            yield Issue((*path, key), f"{key} stands beside sessions, {why}", hint, ((*base, "sessions"),))
    stated = [key for key in _LOADS if getattr(traffic, key) is not None]
    if len(stated) > 1:
        message = f"{' and '.join(stated)} stand beside each other, which say how many sessions there are"
        yield Issue((*path, stated[-1]), message, "keep one", tuple((*path, key) for key in stated))
    elif not stated and not any(getattr(traffic, key) is not None for key in _NO_SESSIONS):
        message = f"the workload {workload.name!r} does not say how many sessions there are"
        yield Issue(path, message, f"state one of {', '.join(_LOADS)}", (path,))


def _users_alone(workload: Workload, base: KeyPath) -> Iterator[Issue]:
    """When users ask is what ``sessions.gap`` says."""
    users = workload.traffic.users
    if users is None:
        return
    for key in ("requests_per_user_per_hour", "think_time_s"):
        if getattr(users, key) is not None:
            path = (*base, "traffic", "users", key)
            message = f"{key} stands beside sessions, whose gap says when the next request comes"
            yield Issue(path, message, f"leave {key} out", ((*base, "sessions"),))
