"""Commented problem files to start from: one per kind of question, with safe margins."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

from optimizer.errors import Finding, UsageError
from optimizer.handover.json_schema import MODELINE


class Starter(StrEnum):
    """A kind of question."""

    CHATBOT = "chatbot"
    RAG = "rag"
    BATCH = "batch"
    AGENTS = "agents"
    OFFICE = "office"
    VOICE = "voice"


@dataclass(frozen=True, slots=True)
class StarterFigures:
    """What the user states at once; None: as the starter has it. Latencies in milliseconds, at p95."""

    model: str | None = None
    users: int | None = None
    ttft_ms: float | None = None
    tpot_ms: float | None = None


def render_starter(kind: Starter, figures: StarterFigures = StarterFigures(), language: str = "en") -> str:
    """The problem file of a kind, ready to edit, with its comments in a language; its first line tells editors where
    the schema is.

    Raises ``UsageError`` with every figure that a file of this kind has no place for.
    """
    text = _template(f"new/{kind}.yaml")
    missing = []
    for option, pattern, value in _places(figures):
        if value is None:
            continue
        found = re.search(pattern, text)
        if found is None:
            missing.append(Finding(f"{option}: a file for {kind} has no such figure", hint="leave the option out"))
            continue
        text = f"{text[: found.start()]}{found[1]}{value}{found[2]}{text[found.end() :]}"
    if missing:
        raise UsageError(missing)
    return f"{MODELINE}\n{_commented(text, language)}"


_COMMENT = re.compile(r"((?:^|(?<=\s))# *)(.*)$", re.MULTILINE)


def _commented(text: str, language: str) -> str:
    """With every comment told in the language; keys and values stay, and so do those that are commented out."""
    if language == "en":
        return text
    told = json.loads(_template(f"{language}_starters.json"))
    return _COMMENT.sub(lambda found: f"{found[1]}{told.get(found[2], found[2])}", text)


def _template(name: str) -> str:
    return resources.files("optimizer.handover").joinpath(f"templates/{name}").read_text(encoding="utf-8")


def _places(figures: StarterFigures) -> tuple[tuple[str, str, str | None], ...]:
    """Option, where its figure stands with what stays before and after it, and the figure as written. A comment about
    the figure that was there goes with it."""
    users = None if figures.users is None else str(figures.users)
    latencies = (None if value is None else f"{value:g}" for value in (figures.ttft_ms, figures.tpot_ms))
    ttft, tpot = latencies
    model = None if figures.model is None else json.dumps(figures.model, ensure_ascii=False)
    if figures.model is not None and _PLAIN.fullmatch(figures.model):
        model = figures.model
    return (
        ("--model", r"(\bmodel: )\S+( *(?:#.*)?)", model),
        ("--users", r"(\busers: \{active: )\d+(\b)", users),
        ("--ttft", r"(\bttft_ms: \{p95: )[\d.]+(\}).*", ttft),
        ("--tpot", r"(\btpot_ms: \{p95: )[\d.]+(\}).*", tpot),
    )


_PLAIN = re.compile(r"[A-Za-z][\w./-]*")
"""A name that YAML reads as a text without quotes, whatever stands around it."""
