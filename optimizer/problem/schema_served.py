"""``workloads:`` - one model with its traffic, lengths or sessions, promises and quality."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from optimizer.problem.fields import Name, Section, Text, one_of
from optimizer.problem.schema_sessions import Documents, Sessions
from optimizer.problem.schema_tokens import Tokens
from optimizer.problem.schema_workload import Quality, SloSection, Traffic
from optimizer.problem.session_lengths import filled_tokens
from optimizer.vocabulary import TextTask


class Workload(Section):
    """One model with its traffic and promises. Workloads share nodes, never replicas."""

    name: Name
    """Name of the workload, used in paths such as ``workloads.chat.slo.ttft_ms``."""

    model: Text
    """Id in catalogs/models.csv, or the path of a Hugging Face config.json relative to this file."""

    task: Annotated[TextTask, Field(strict=False), BeforeValidator(one_of(TextTask))] | None = None
    """The kind of text that is written: ``chat``, ``code``, ``reasoning`` or ``rag``. How often drafts are accepted
    under ``engine.speculative`` follows from it; left out, nothing is drafted."""

    traffic: Traffic = Traffic()
    """The load; may be left out under ``objective: maximize_load`` only."""

    tokens: Tokens
    """Token lengths."""

    sessions: Sessions | None = None
    """Conversations and agents, whose turns are the requests; beside ``tokens: {context_max: }``."""

    documents: Documents | None = None
    """What is looked up for the prompts of sessions; with ``sessions`` only."""

    slo: SloSection = SloSection()
    """Latency promises."""

    quality: Quality = Quality()
    """Floor on accuracy."""

    @model_validator(mode="before")
    @classmethod
    def sessions_tell_lengths(cls, data: Any) -> Any:
        """Mean lengths of the turns as ``tokens.input`` and ``tokens.output``. Where sessions are no sound ones, they
        are refused for themselves."""
        if not isinstance(data, dict) or data.get("sessions") is None:
            return data
        tokens = data.get("tokens")
        if not isinstance(tokens, dict):
            return data
        stated = data.get("documents")
        try:
            sessions = Sessions.model_validate(data["sessions"])
            documents = None if stated is None else Documents.model_validate(stated)
        except ValidationError:
            return {**data, "tokens": filled_tokens(tokens, None)}
        return {**data, "tokens": filled_tokens(tokens, sessions, documents)}
