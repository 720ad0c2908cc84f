"""Lines of a text report: segments wrapped at a fixed width, never inside a segment unless it alone is too long."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

WIDTH = 100
"""Columns of a report, on a pipe always, on a terminal at most."""


class Style(Enum):
    """What a line is; the terminal gives each a look, a pipe none."""

    PLAIN = "plain"
    HEADING = "heading"
    STRONG = "strong"
    QUIET = "quiet"
    CAUTION = "caution"


@dataclass(frozen=True, slots=True)
class Line:
    """One printed line."""

    text: str
    style: Style = Style.PLAIN


BLANK = Line("")


def segments(
    parts: Iterable[str], *, indent: str = "", joint: str = " | ", hang: str | None = None, width: int = WIDTH
) -> list[str]:
    """Join ``parts`` with ``joint``, starting a new line (indented by ``hang``) where the next one would not fit."""
    hang = indent if hang is None else hang
    lines: list[str] = []
    current = ""
    for part in parts:
        if not part:
            continue
        longer = f"{current}{joint}{part}" if current else f"{indent if not lines else hang}{part}"
        if current and len(longer) > width:
            lines.append(current)
            longer = f"{hang}{part}"
        current = longer
    if current:
        lines.append(current)
    return [piece for line in lines for piece in fold(line, hang, width)]


def fold(line: str, hang: str, width: int = WIDTH) -> list[str]:
    """Break one line at blanks where it exceeds ``width``; words longer than the width stay whole."""
    if len(line) <= width:
        return [line.rstrip()]
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line.strip(),
        width,
        initial_indent=indent,
        subsequent_indent=hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


def paragraph(text: str, *, indent: str = "  ", hang: str | None = None) -> list[str]:
    """Running text, indented."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if hang is None else hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


def labelled(label: str, text: str, column: int) -> list[str]:
    """``label`` in a column of its own, ``text`` wrapped beside it."""
    return paragraph(text, indent=f"  {label:<{column}}", hang=" " * (column + 2))


def columns(rows: Sequence[Sequence[str]], align: str, *, indent: str = "  ", gap: str = "  ") -> list[str]:
    """Rows as aligned columns; ``align`` holds one of ``<`` and ``>`` per column."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(align))]
    lines = []
    for row in rows:
        cells = (f"{cell:{side}{size}}" for cell, side, size in zip(row, align, widths, strict=True))
        lines.append((indent + gap.join(cells)).rstrip())
    return lines
