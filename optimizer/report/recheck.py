"""What ``optimize verify`` prints: what was rechecked and agrees, or what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.report.json_plan import Json, dump

if TYPE_CHECKING:
    from optimizer.negotiate.recheck import Rechecked

_SHOWN = 40


def render_recheck(answer: Rechecked, style: str = "text") -> str:
    """The statement as ``text`` or ``json``."""
    return dump(_document(answer)) if style == "json" else "\n".join(_lines(answer)) + "\n"


def _document(answer: Rechecked) -> Json:
    return {
        "file": answer.path,
        "holds": answer.holds,
        "agreed": [{"part": one.part, "what": one.what} for one in answer.agreed],
        "disagreements": [{"part": one.part, "what": one.what} for one in answer.disagreements],
        "not_rechecked": list(answer.not_rechecked),
    }


def _lines(answer: Rechecked) -> list[str]:
    if answer.holds:
        head = f"{answer.path}: agrees. Rechecked without the solver:"
        rows = [f"  {one.part:<9}{one.what}" for one in answer.agreed]
        return [head, *rows, *(f"  not       {one}" for one in answer.not_rechecked)]
    count = len(answer.disagreements)
    shown = [f"  {one.part:<9}{one.what}" for one in answer.disagreements[:_SHOWN]]
    rest = [f"  ... and {count - _SHOWN:,} more"] if count > _SHOWN else []
    return [f"{answer.path}: does not agree, {count:,} thing{'s' * (count != 1)}:", *shown, *rest]
