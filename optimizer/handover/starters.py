"""Commented problem files to start from: one per kind of question, with safe margins."""

from __future__ import annotations

from enum import StrEnum
from importlib import resources

from optimizer.handover.json_schema import MODELINE


class Starter(StrEnum):
    """A kind of question."""

    CHATBOT = "chatbot"
    RAG = "rag"
    BATCH = "batch"
    AGENTS = "agents"
    OFFICE = "office"


def render_starter(kind: Starter) -> str:
    """The problem file of a kind, ready to edit; its first line tells editors where the schema is."""
    text = resources.files("optimizer.handover").joinpath(f"templates/new/{kind}.yaml").read_text(encoding="utf-8")
    return f"{MODELINE}\n{text}"
