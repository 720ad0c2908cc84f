"""Drafts that a plan may use: what is published to draft for a model, in an engine's release, for a kind of text.

A plan is judged at the low end of the published acceptance (exceeded by nineteen of twenty runs), of the model itself
where it was measured, else of all models of the method: what a user's prompts will do nobody knows beforehand, and a
promise stands or falls with it. How deep to draft is a choice of the plan, one of ``DEPTHS``; to draft nothing is one
too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from optimizer.performance.compatibility import native_quant
from optimizer.performance.speculation import EAGLE3, MTP, Speculation, eagle3_head, mtp_layer
from optimizer.vocabulary import split_version

if TYPE_CHECKING:
    from optimizer.catalog.types import DraftFact, Engine, Model

DEPTHS = {MTP: (1, 2, 3), EAGLE3: (1, 2, 3, 5)}
"""Tokens drafted in a step that are considered: the depths of published runs (``data/speculative.csv``)."""

FIRST_RELEASE = {"vllm": (0, 11, 0), "sglang": (0, 5, 12)}
"""Engines, by id, whose options for drafting were read, and the first release of them that was
(``catalogs/engine_options.csv``: ``--speculative-config``, ``--speculative-algorithm``)."""


class StatedDrafts(Protocol):
    """How a replica drafts, as a plan states it."""

    @property
    def method(self) -> str:
        """mtp or eagle3."""

    @property
    def tokens(self) -> int:
        """Drafted in a step."""

    @property
    def acceptance(self) -> float:
        """Chance that a drafted token is accepted, those before it being so."""


@dataclass(frozen=True, slots=True)
class PublishedDraft:
    """One published way to draft for a model on a kind of text."""

    method: str  # mtp or eagle3
    head: str  # what drafts, as it is published
    acceptance: float  # low end of what was published
    source: str


def offered(model: Model, engine: Engine, version: str, task: str, facts: Sequence[DraftFact]) -> list[PublishedDraft]:
    """Every way to draft that is published and supported; empty where ``refusals`` says why not."""
    if next(refusals(model, engine, version, task, facts), ""):
        return []
    found = [(method, _head(model, method, facts), _accepted(model, method, task, facts)) for method in DEPTHS]
    return [
        PublishedDraft(method, head.draft, known.low, known.source)
        for method, head, known in found
        if head is not None and known is not None and known.low is not None
    ]


def refusals(model: Model, engine: Engine, version: str, task: str, facts: Sequence[DraftFact]) -> Iterator[str]:
    """Why nothing can be drafted for a model; nothing where something can."""
    first = FIRST_RELEASE.get(engine.id)
    if first is None:
        known = ", ".join(sorted(FIRST_RELEASE))
        yield f"the options that make {engine.display_name} draft were not read (those of {known} were)"
        return
    if (numbers := split_version(version)) and numbers < first:
        oldest = ".".join(map(str, first))
        yield f"{engine.display_name} {version} is older than {oldest}, the first whose options were read"
    heads = [method for method in DEPTHS if _head(model, method, facts)]
    if not heads:
        yield f"no prediction layers (MTP) and no EAGLE-3 head of {model.id} are known to be published"
    elif not task:
        yield "how often drafts are accepted follows from workloads[].task, which is not stated"
    elif not any(_accepted(model, method, task, facts) for method in heads):
        mine = [fact for fact in facts if fact.method in heads and fact.low and fact.model in ("", model.id)]
        tasks = ", ".join(sorted({fact.task for fact in mine}))
        yield f"no acceptance of {' or '.join(heads)} on {task} is published for {model.id} (only on {tasks})"


def format_refusal(method: str, model: Model, weight_quant: str, pipeline_parallel: int) -> str:
    """Why a method does not go with a format or with stages; empty where it does.

    Whether a checkpoint that somebody quantized keeps the prediction layers is not recorded, so MTP takes the model's
    own format; a head is a checkpoint of its own. Drafts over pipeline stages nobody measured.
    """
    if pipeline_parallel > 1:
        return "drafts are planned on one pipeline stage"
    if method == MTP and weight_quant != native_quant(model):
        return f"prediction layers are known only in the checkpoint's own format, {native_quant(model)}"
    return ""


def choices(model: Model, offers: Sequence[PublishedDraft]) -> Iterator[tuple[PublishedDraft, Speculation]]:
    """Every way at every depth."""
    for offer in offers:
        for depth in DEPTHS[offer.method]:
            yield offer, speculation_of(model, offer.method, depth, offer.acceptance)


def speculation_of(model: Model, method: str, tokens: int, acceptance: float) -> Speculation:
    """How a replica of a model drafts."""
    return Speculation(method, tokens, acceptance, mtp_layer(model) if method == MTP else eagle3_head(model))


def drafted_by(model: Model, drafts: StatedDrafts | None) -> Speculation | None:
    """How a group that states its drafts makes them."""
    return None if drafts is None else speculation_of(model, drafts.method, drafts.tokens, drafts.acceptance)


def _head(model: Model, method: str, facts: Sequence[DraftFact]) -> DraftFact | None:
    own = (fact for fact in facts if fact.model == model.id and fact.method == method and not fact.task)
    return next(own, None)


def _accepted(model: Model, method: str, task: str, facts: Sequence[DraftFact]) -> DraftFact | None:
    """Of the model itself, else of all models together."""
    known = {fact.model: fact for fact in facts if fact.method == method and fact.task == task and fact.low is not None}
    return known.get(model.id) or known.get("")
