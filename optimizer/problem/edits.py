"""``--set PATH=VALUE``: one value of the document replaced before it is checked."""

from __future__ import annotations

from optimizer.documents.nodes import Entry, Mapping, Node, Place, Scalar, Sequence
from optimizer.documents.scalars import shorten
from optimizer.documents.suggest import did_you_mean
from optimizer.documents.yaml_file import parse_value
from optimizer.errors import Finding


class _PathError(Exception):
    """The path leads nowhere."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def apply_set(root: Node, text: str) -> tuple[Node, tuple[Finding, ...]]:
    """The document with one ``PATH=VALUE`` applied; list items are addressed by name, id or index.

    What is written here is checked with the rest of the document, so a wrong value or key is reported with the option.
    """
    option = f"--set {shorten(text, 80)}"
    path, equals, value = text.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        hint = "for example --set workloads.chat.slo.ttft_ms=1500"
        return root, (Finding("needs the form PATH=VALUE", option, hint=hint),)
    node, findings = parse_value(value, option)
    if node is None or findings:
        return root, findings
    try:
        return _put(root, keys, node, Place(option), ""), ()
    except _PathError as error:
        return root, (Finding(str(error), option, hint=error.hint),)


def _put(node: Node | None, keys: list[str], value: Node, place: Place, where: str) -> Node:
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    deeper = f"{where}.{key}" if where else key
    if isinstance(node, Sequence):
        index = _index(node, key, where)
        old = node.items[index] if index < len(node.items) else None
        items = (*node.items[:index], _put(old, rest, value, place, deeper), *node.items[index + 1 :])
        return Sequence(node.place, items)
    if isinstance(node, Scalar) and node.value is not None:
        last = ".".join(keys)
        hint = f"replace it as a whole: --set {where}={{{last}: ...}}"
        raise _PathError(f"{where} is {shorten(node.raw)!r}, which has no keys inside", hint)
    mapping = node if isinstance(node, Mapping) else Mapping(place, ())
    entry = mapping.get(key)
    inner = Entry(
        key, entry.place if entry else place, _put(entry.value if entry else None, rest, value, place, deeper)
    )
    if entry is None:
        return Mapping(mapping.place, (*mapping.entries, inner))
    return Mapping(mapping.place, tuple(inner if other.key == key else other for other in mapping.entries))


def _index(node: Sequence, key: str, where: str) -> int:
    """Index of the list item that a step names; one past the end appends."""
    names = [_name(item) for item in node.items]
    if key in names:
        return names.index(key)
    if key.isascii() and key.isdigit() and int(key) <= len(node.items):
        return int(key)
    stated = [name for name in names if name]
    known = f"items here: {', '.join(stated)}" if stated else f"it has {len(node.items)} items, counted from 0"
    raise _PathError(f"{where} has no item {key!r}", did_you_mean(key, stated) or known)


def _name(item: Node) -> str | None:
    if not isinstance(item, Mapping):
        return None
    for key in ("name", "id"):
        entry = item.get(key)
        if entry is not None and isinstance(entry.value, Scalar):
            return entry.value.raw
    return None
