"""What a report is made of before it has a language and a width: lines, running text, rows; and how they are laid out.

A sentence is translated as a whole, before it is wrapped; its columns are those of a terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from optimizer.report.widths import columns_of, padded, wrap

WIDTH = 80
"""Columns of a report, on a pipe always, on a terminal at most."""

_LEAST_COLUMN = 16
"""Columns that a folded first column keeps."""

Say = Callable[[str], str]
"""A sentence in the reader's language; ``str``: as it was written."""


class Name(str):
    """What somebody called something: the same in any language."""

    __slots__ = ()


def told(parts: Iterable[str], say: Say) -> list[str]:
    """Each part in the reader's language; names as they are."""
    return [part if isinstance(part, Name) or not part else say(part) for part in parts]


class Style(Enum):
    """What a line is; the terminal gives each a look, a pipe none."""

    PLAIN = "plain"
    HEADING = "heading"
    STRONG = "strong"
    QUIET = "quiet"
    CAUTION = "caution"


class Block(Protocol):
    """A part of a report."""

    def lines(self, say: Say) -> Iterable[Line]:
        """As printed."""


@dataclass(frozen=True, slots=True)
class Line:
    """One printed line; ``command``: typed as it stands in any language."""

    text: str
    style: Style = Style.PLAIN
    command: bool = False

    def lines(self, say: Say) -> Iterable[Line]:
        """Itself; what indents it stays."""
        words = self.text.lstrip()
        if self.command or not words:
            return (self,)
        return (Line(self.text[: len(self.text) - len(words)] + say(words), self.style),)


@dataclass(frozen=True, slots=True)
class Passage:
    """Running text, or several texts, each said by itself; ``label`` in a column of its own before it."""

    text: str | tuple[str, ...]
    indent: str = "  "
    hang: str | None = None
    style: Style = Style.PLAIN
    label: str = ""
    column: int = 0

    def lines(self, say: Say) -> Iterable[Line]:
        """Wrapped at the width of a report."""
        text = say(self.text) if isinstance(self.text, str) else "".join(told(self.text, say))
        hang = self.indent + " " * self.column if self.hang is None else self.hang
        head = self.indent + padded(say(self.label) if self.label else "", self.column)
        return [Line(line, self.style) for line in wrap(text, WIDTH, head, hang)]


@dataclass(frozen=True, slots=True)
class Joined:
    """Short texts side by side; a new line begins where the next would not fit, never inside one that fits alone."""

    parts: tuple[str, ...]
    indent: str = ""
    joint: str = " | "
    hang: str | None = None
    style: Style = Style.PLAIN

    def lines(self, say: Say) -> Iterable[Line]:
        """Wrapped at the width of a report."""
        lines = segments(told(self.parts, say), indent=self.indent, joint=self.joint, hang=self.hang)
        return [Line(line, self.style) for line in lines]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as aligned columns; ``align`` holds one of ``<`` and ``>`` per column."""

    rows: tuple[tuple[str, ...], ...]
    align: str

    def lines(self, say: Say) -> Iterable[Line]:
        """A line a row, more where the first column has to fold."""
        return [Line(line) for line in columns(said(self.rows, say), self.align)]


@dataclass(frozen=True, slots=True)
class RemarkedRows:
    """Rows under a head, with a remark at the end that goes on below itself; ``align`` is of the columns before it."""

    rows: tuple[tuple[str, ...], ...]
    align: str

    def lines(self, say: Say) -> Iterator[Line]:
        """As printed."""
        rows = said(self.rows, say)
        texts = columns([row[:-1] for row in rows], self.align, folds=False)
        wide = max(map(columns_of, texts))
        for number, (text, row) in enumerate(zip(texts, rows, strict=True)):
            if number == 0:
                yield Line(f"{padded(text, wide)}  {row[-1]}", Style.HEADING)
            else:
                words = padded(text, wide).lstrip()
                indent = " " * (wide - columns_of(words))
                yield from (Line(line) for line in wrap(f"{words}  {row[-1]}", WIDTH, indent, " " * (wide + 2)))


def said(rows: Iterable[Sequence[str]], say: Say) -> list[tuple[str, ...]]:
    """Every cell in the reader's language."""
    return [tuple(told(row, say)) for row in rows]


def drawn(blocks: Iterable[Block], say: Say = str) -> Iterator[Line]:
    """The lines of a report in the reader's language."""
    for block in blocks:
        yield from block.lines(say)


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
        if current and columns_of(longer) > width:
            lines.append(current)
            longer = f"{hang}{part}"
        current = longer
    if current:
        lines.append(current)
    return [piece for line in lines for piece in fold(line, hang, width)]


def fold(line: str, hang: str, width: int = WIDTH) -> list[str]:
    """Break one line at blanks where it exceeds ``width``; words longer than the width stay whole."""
    if columns_of(line) <= width:
        return [line.rstrip()]
    indent = line[: len(line) - len(line.lstrip())]
    return wrap(line.strip(), width, indent, hang)


def paragraph(text: str, *, indent: str = "  ", hang: str | None = None, width: int = WIDTH) -> list[str]:
    """Running text, indented."""
    return wrap(text, width, indent, indent if hang is None else hang)


def labelled(label: str, text: str, column: int, width: int = WIDTH) -> list[str]:
    """``label`` in a column of its own, ``text`` wrapped beside it."""
    return paragraph(text, indent=f"  {padded(label, column)}", hang=" " * (column + 2), width=width)


def columns(
    rows: Sequence[Sequence[str]], align: str, *, indent: str = "  ", gap: str = "  ", folds: bool = True
) -> list[str]:
    """Rows as aligned columns.

    Where they are wider than a report, the first column goes on below itself; unless ``folds`` a row is one line.
    """
    widths = [max(columns_of(row[i]) for row in rows) for i in range(len(align))]
    over = len(indent) + sum(widths) + len(gap) * (len(widths) - 1) - WIDTH
    folds = folds and align[0] == "<" and 0 < over <= widths[0] - _LEAST_COLUMN
    if folds:
        widths[0] -= over
    lines = []
    for row in rows:
        first, *rest = wrap(row[0], widths[0], break_words=True, hyphens=True) or [""] if folds else [row[0]]
        cells = (padded(cell, size, side) for cell, side, size in zip((first, *row[1:]), align, widths, strict=True))
        lines.append((indent + gap.join(cells)).rstrip())
        lines += [f"{indent}{piece}" for piece in rest]
    return lines
