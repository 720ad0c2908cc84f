"""What ``optimize verify`` prints: what was rechecked and agrees, or what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.report.json_plan import Json, dump
from optimizer.report.layout import Say, labelled

if TYPE_CHECKING:
    from optimizer.negotiate.recheck import Rechecked

_SHOWN = 40
_COLUMN, _WIDTH = 9, 80


def render_recheck(answer: Rechecked, style: str = "text", say: Say = str) -> str:
    """The statement as ``text`` or ``json``."""
    return dump(_document(answer)) if style == "json" else "\n".join(_lines(answer, say)) + "\n"


def _document(answer: Rechecked) -> Json:
    return {
        "file": answer.path,
        "holds": answer.holds,
        "agreed": [{"part": one.part, "what": one.what} for one in answer.agreed],
        "disagreements": [{"part": one.part, "what": one.what} for one in answer.disagreements],
        "not_rechecked": list(answer.not_rechecked),
    }


def _lines(answer: Rechecked, say: Say) -> list[str]:
    if answer.holds:
        head = f"{answer.path}: agrees. Rechecked without the solver:"
        said = [(one.part, one.what) for one in answer.agreed] + [("not", one) for one in answer.not_rechecked]
        return [say(head), *(line for part, what in said for line in labelled(say(part), say(what), _COLUMN, _WIDTH))]
    count = len(answer.disagreements)
    first = answer.disagreements[:_SHOWN]
    shown = [line for one in first for line in labelled(say(one.part), say(one.what), _COLUMN, _WIDTH)]
    rest = ["  " + say(f"... and {count - _SHOWN:,} more")] if count > _SHOWN else []
    return [say(f"{answer.path}: does not agree, {count:,} thing{'s' * (count != 1)}:"), *shown, *rest]
