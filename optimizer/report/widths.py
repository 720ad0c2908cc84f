"""Text as wide as a terminal shows it: an East-Asian character takes two columns, and lines may break between two."""

from __future__ import annotations

import re
import textwrap

_NO_START = "，。；：、！？）》」』】…”’"
"""What never begins a line (the rule of Chinese typesetting, GB/T 15834)."""

_NO_END = "（《「『【“‘"
"""What never ends a line."""

_WIDE = "\u1100-\u115f\u2e80-\u303e\u3041-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60"
_ONE = rf"(?![{_NO_END}{_NO_START}])[{_WIDE}]|[^ \t\n{_WIDE}{_NO_END}{_NO_START}]+"
_UNIT = re.compile(rf"([ \t\n]+)|([{_NO_END}]*(?:{_ONE})?[{_NO_START}]*)")
"""Blanks, or what stays together: one wide character or one word, with the marks that belong to it."""


def columns_of(text: str) -> int:
    """Columns that a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def padded(text: str, size: int, side: str = "<") -> str:
    """The text with blanks to so many columns, on its right (``<``) or left (``>``)."""
    blanks = " " * (size - columns_of(text))
    return f"{blanks}{text}" if side == ">" else f"{text}{blanks}"


def wrap(
    text: str, width: int, head: str = "", hang: str = "", *, break_words: bool = False, hyphens: bool = False
) -> list[str]:
    """Running text in lines of at most so many columns, the first after ``head``, the others after ``hang``."""
    if columns_of(text) == len(text) and columns_of(head) == len(head):
        return textwrap.wrap(
            text,
            width,
            initial_indent=head,
            subsequent_indent=hang,
            break_long_words=break_words,
            break_on_hyphens=hyphens,
        )
    lines: list[str] = []
    line, blank, empty = head, "", True
    for space, whole in _UNIT.findall(text):
        unit = whole
        if space:
            blank = "" if empty else space
            continue
        if unit and not empty and columns_of(f"{line}{blank}{unit}") > width:
            lines.append(line)
            line, blank = hang, ""
        while break_words and columns_of(f"{line}{unit}") > width and len(unit) > 1:
            most = max(width - columns_of(line), 1)
            lines.append(line + unit[:most])
            line, unit = hang, unit[most:]
        if unit:
            line, blank, empty = f"{line}{blank}{unit}", "", False
    return lines if empty else [*lines, line]
