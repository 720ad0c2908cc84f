"""What a YAML document becomes: values that remember where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from optimizer.errors import Finding

Key = str | int
"""A step of a path: a mapping key or the index of a list item."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: in a file, or in a command-line option (then without line)."""

    file: str
    line: int | None = None
    column: int | None = None

    def finding(self, message: str, hint: str | None = None) -> Finding:
        """A finding at this place."""
        return Finding(message, self.file, self.line, self.column, hint)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value. ``refused``: a finding about it exists already, so it counts as absent."""

    place: Place
    value: str | int | float | bool | None
    raw: str
    quoted: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping with its value."""

    key: str
    place: Place
    value: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping, keys in file order."""

    place: Place
    entries: tuple[Entry, ...]

    def get(self, key: str) -> Entry | None:
        """The entry of a key."""
        return next((entry for entry in self.entries if entry.key == key), None)


Node = Scalar | Sequence | Mapping


def child(node: Node, key: Key) -> Node | None:
    """The value at one step, or None."""
    if isinstance(node, Mapping) and isinstance(key, str):
        entry = node.get(key)
        return entry.value if entry else None
    if isinstance(node, Sequence) and isinstance(key, int) and 0 <= key < len(node.items):
        return node.items[key]
    return None


def plain(node: Node) -> object:
    """The document as plain values: dict, tuple and scalars; a refused value is None in a list, absent in a mapping."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return tuple(plain(item) for item in node.items)
    return {entry.key: plain(entry.value) for entry in node.entries if not _is_refused(entry.value)}


def refused_paths(node: Node, path: tuple[Key, ...] = ()) -> Iterator[tuple[Key, ...]]:
    """Paths of the values that a finding exists for already."""
    if isinstance(node, Scalar):
        if node.refused:
            yield path
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield from refused_paths(item, (*path, index))
    else:
        for entry in node.entries:
            yield from refused_paths(entry.value, (*path, entry.key))


def _is_refused(node: Node) -> bool:
    return isinstance(node, Scalar) and node.refused


def without(node: Node, paths: frozenset[tuple[Key, ...]], here: tuple[Key, ...] = ()) -> Node:
    """The document with the values at some paths taken out."""
    if isinstance(node, Sequence):
        kept = ((index, item) for index, item in enumerate(node.items) if (*here, index) not in paths)
        return Sequence(node.place, tuple(without(item, paths, (*here, index)) for index, item in kept))
    if isinstance(node, Mapping):
        entries = (entry for entry in node.entries if (*here, entry.key) not in paths)
        return Mapping(
            node.place,
            tuple(Entry(entry.key, entry.place, without(entry.value, paths, (*here, entry.key))) for entry in entries),
        )
    return node


def with_entry(node: Node, path: tuple[Key, ...], key: str, value: Node) -> Node:
    """The document with one more key in the mapping at a path; unchanged where no mapping is there."""
    if isinstance(node, Sequence) and path:
        items = (with_entry(item, path[1:], key, value) if i == path[0] else item for i, item in enumerate(node.items))
        return Sequence(node.place, tuple(items))
    if not isinstance(node, Mapping):
        return node
    if not path:
        return Mapping(node.place, (*node.entries, Entry(key, node.place, value)))
    entries = (
        Entry(entry.key, entry.place, with_entry(entry.value, path[1:], key, value)) if entry.key == path[0] else entry
        for entry in node.entries
    )
    return Mapping(node.place, tuple(entries))
