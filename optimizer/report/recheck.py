"""What ``optimize verify`` prints: what was rechecked and agrees, or what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.report.json_plan import Json, dump
from optimizer.report.words import labelled

if TYPE_CHECKING:
    from optimizer.negotiate.recheck import Rechecked

_SHOWN = 40
_COLUMN, _WIDTH = 9, 80


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
        said = [(one.part, one.what) for one in answer.agreed] + [("not", one) for one in answer.not_rechecked]
        return [head, *(line for part, what in said for line in labelled(part, what, _COLUMN, _WIDTH))]
    count = len(answer.disagreements)
    first = answer.disagreements[:_SHOWN]
    shown = [line for one in first for line in labelled(one.part, one.what, _COLUMN, _WIDTH)]
    rest = [f"  ... and {count - _SHOWN:,} more"] if count > _SHOWN else []
    return [f"{answer.path}: does not agree, {count:,} thing{'s' * (count != 1)}:", *shown, *rest]
