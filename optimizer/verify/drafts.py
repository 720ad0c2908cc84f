"""Rules about speculative decoding: what a plan drafts with is published, supported, and judged at what was published.

Worked out from the catalogs alone, apart from how candidates are made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from optimizer.verify.case import CheckedCase, GroupCase, Mismatch
from optimizer.vocabulary import Role, Speculative, split_version

if TYPE_CHECKING:
    from optimizer.catalog.types import DraftFact

_RELEASES = {"vllm": (0, 11, 0), "sglang": (0, 5, 12)}
_MOST = {"mtp": 3, "eagle3": 5}
_ALIKE = 1e-12


def published_drafts(case: CheckedCase) -> Iterator[Mismatch]:
    """Drafts only where they are asked for, by what is published, at the low end of its acceptance on the task; of
    every group where they are required. What they take of memory and time the rules of both see in the specification.
    """
    asked = case.problem.engine.speculative
    for group in case.groups:
        path, drafts = f"{group.path}.drafts", group.group.drafts
        if drafts is None:
            if asked is Speculative.REQUIRED:
                yield Mismatch("published drafts", "engine.speculative", "required", None, f"{path}: nothing drafts")
            continue
        head, accepted = _published(case, group)
        spec = group.spec
        numbers = split_version(spec.engine_version)
        first = _RELEASES.get(spec.engine.id)
        own_format = spec.model.native_dtype if spec.model.native_dtype != "fp16" else "bf16"
        rules = (
            ("engine.speculative", asked is not Speculative.OFF, "off", "nobody asked for drafts"),
            (f"{path}.method", head is not None, "something published to draft", "no head is known"),
            (f"{path}.head", head is not None and head.draft == drafts.head, head and head.draft, "what drafts"),
            (f"{path}.tokens", 1 <= drafts.tokens <= _MOST.get(drafts.method, 0), _MOST.get(drafts.method), "depth"),
            (f"{path}.acceptance", _alike(accepted, drafts.acceptance), accepted, "low end of what is published"),
            (f"{group.path}.engine", first is not None, sorted(_RELEASES), "engines that draft"),
            (f"{group.path}.engine_version", not numbers or numbers >= (first or ()), first, "first that drafts"),
            (f"{group.path}.pipeline_parallel", spec.pipeline_parallel == 1, 1, "drafts on several stages"),
            (f"{group.path}.role", group.group.role is Role.SERVE, "serve", "drafts in a pool"),
            (f"{path}.method", group.part.workload.sessions is None, "no sessions", "drafts in sessions"),
            (
                f"{group.path}.weight_quant",
                drafts.method != "mtp" or spec.weight_quant == own_format,
                own_format,
                "prediction layers are in the model's own format",
            ),
        )  # fmt: skip
        for where, holds, expected, message in rules:
            if not holds:
                yield Mismatch("published drafts", where, expected, drafts.words, message)


def _published(case: CheckedCase, group: GroupCase) -> tuple[DraftFact | None, float | None]:
    """The head of the group's model and method, and the low acceptance on the workload's task: its own, or of all."""
    drafts, task, model = group.group.drafts, group.part.workload.task, group.spec.model.id
    assert drafts is not None
    head, own, of_all = None, None, None
    for fact in case.catalog.drafts:
        if fact.method != drafts.method:
            continue
        if fact.model == model and not fact.task:
            head = fact
        elif task is not None and fact.task == str(task):
            own, of_all = (fact.low if fact.model == model else own), (fact.low if not fact.model else of_all)
    return head, own if own is not None else of_all


def _alike(expected: float | None, found: float) -> bool:
    return expected is not None and abs(expected - found) <= _ALIKE
