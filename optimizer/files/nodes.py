"""What a YAML document becomes: values that remember where they stand.

Plain scalars of YAML 1.2 (core schema, chapter 10.3): null, true/false, numbers, text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from optimizer.errors import Finding

Key = str | int
"""A step of a path: a mapping key or the index of a list item."""


@dataclass(frozen=True, slots=True)
class SourcePlace:
    """Where a value stands: in a file, or in a command-line option (then without line)."""

    file: str
    line: int | None = None
    column: int | None = None

    def finding(self, message: str, hint: str | None = None) -> Finding:
        """A finding at this place."""
        return Finding(message, self.file, self.line, self.column, hint)


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value. ``refused``: a finding about it exists already, so it counts as absent."""

    place: SourcePlace
    value: str | int | float | bool | None
    raw: str
    quoted: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list."""

    place: SourcePlace
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MappingEntry:
    """A key of a mapping with its value."""

    key: str
    place: SourcePlace
    value: Node


@dataclass(frozen=True, slots=True)
class MappingNode:
    """A mapping, keys in file order."""

    place: SourcePlace
    entries: tuple[MappingEntry, ...]

    def get(self, key: str) -> MappingEntry | None:
        """The entry of a key."""
        return next((entry for entry in self.entries if entry.key == key), None)


Node = ScalarNode | SequenceNode | MappingNode


def child(node: Node, key: Key) -> Node | None:
    """The value at one step, or None."""
    if isinstance(node, MappingNode) and isinstance(key, str):
        entry = node.get(key)
        return entry.value if entry else None
    if isinstance(node, SequenceNode) and isinstance(key, int) and 0 <= key < len(node.items):
        return node.items[key]
    return None


def plain(node: Node) -> object:
    """The document as plain values: dict, tuple and scalars; a refused value is None in a list, absent in a mapping."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, SequenceNode):
        return tuple(plain(item) for item in node.items)
    return {entry.key: plain(entry.value) for entry in node.entries if not _is_refused(entry.value)}


def refused_paths(node: Node, path: tuple[Key, ...] = ()) -> Iterator[tuple[Key, ...]]:
    """Paths of the values that a finding exists for already."""
    if isinstance(node, ScalarNode):
        if node.refused:
            yield path
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.items):
            yield from refused_paths(item, (*path, index))
    else:
        for entry in node.entries:
            yield from refused_paths(entry.value, (*path, entry.key))


def _is_refused(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.refused


def without(node: Node, paths: frozenset[tuple[Key, ...]], here: tuple[Key, ...] = ()) -> Node:
    """The document with the values at some paths taken out."""
    if isinstance(node, SequenceNode):
        kept = ((index, item) for index, item in enumerate(node.items) if (*here, index) not in paths)
        return SequenceNode(node.place, tuple(without(item, paths, (*here, index)) for index, item in kept))
    if isinstance(node, MappingNode):
        entries = (entry for entry in node.entries if (*here, entry.key) not in paths)
        return MappingNode(
            node.place,
            tuple(
                MappingEntry(entry.key, entry.place, without(entry.value, paths, (*here, entry.key)))
                for entry in entries
            ),
        )
    return node


def with_entry(node: Node, path: tuple[Key, ...], key: str, value: Node) -> Node:
    """The document with one more key in the mapping at a path; unchanged where no mapping is there."""
    if isinstance(node, SequenceNode) and path:
        items = (with_entry(item, path[1:], key, value) if i == path[0] else item for i, item in enumerate(node.items))
        return SequenceNode(node.place, tuple(items))
    if not isinstance(node, MappingNode):
        return node
    if not path:
        return MappingNode(node.place, (*node.entries, MappingEntry(key, node.place, value)))
    entries = (
        MappingEntry(entry.key, entry.place, with_entry(entry.value, path[1:], key, value))
        if entry.key == path[0]
        else entry
        for entry in node.entries
    )
    return MappingNode(node.place, tuple(entries))


_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.?(?:inf|Inf|INF|nan|NaN|NAN|Infinity)")
_MAX_DIGITS = 40
_SMALLEST = 1e-9
"""Nearest to zero that a number of any use comes; nearer ones divide to infinity."""


class NotFiniteError(ValueError):
    """Infinity, not-a-number, or a number beyond every use."""


def resolve(raw: str) -> str | int | float | bool | None:
    """The value of a plain (unquoted) scalar; ``yes`` and ``no`` stay text, as YAML 1.2 has it."""
    if raw in _NULL:
        return None
    if raw in _BOOL:
        return _BOOL[raw]
    if _NOT_FINITE.fullmatch(raw):
        raise NotFiniteError(f"{raw} is not a finite number")
    if _INT.fullmatch(raw):
        return _integer(raw)
    if _FLOAT.fullmatch(raw):
        value = float(raw)
        if not math.isfinite(value) or 0 < abs(value) < _SMALLEST or len(raw) > _MAX_DIGITS:
            raise NotFiniteError(f"{shorten(raw)} is no sensible number")
        return value
    return raw


def _integer(raw: str) -> int:
    if len(raw) > _MAX_DIGITS:
        raise NotFiniteError(f"{shorten(raw)} is no sensible number")
    return int(raw, 0) if raw[:2] in ("0o", "0x") else int(raw)


def shown(value: object) -> str:
    """A value of a document for a message, cut to 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def shorten(raw: str, width: int = 60) -> str:
    """A value for a message, cut to ``width`` characters."""
    line = " ".join(raw.split())
    return line if len(line) <= width else f"{line[: width - 3]}..."
