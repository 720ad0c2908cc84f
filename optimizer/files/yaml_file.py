"""Strict YAML 1.2: one document of mappings, lists and plain values, every value with its line and column.

Built on the event stream of ruamel.yaml, without recursion, so that depth and expansion can be bounded. Refused, each
with its place: duplicate and non-text keys, tags, merge keys, several documents, other YAML versions, NaN and infinity,
tabs as indentation, aliases that expand to more than ``MAX_NODES`` values or contain themselves, nesting beyond
``MAX_DEPTH``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.error import StreamMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from optimizer.errors import Finding
from optimizer.files.nodes import (
    MappingEntry,
    MappingNode,
    Node,
    NotFiniteError,
    ScalarNode,
    SequenceNode,
    SourcePlace,
    resolve,
    shorten,
)
from optimizer.files.text_file import CONTROL
from optimizer.files.yaml_syntax import SCANNER_ESCAPES, escaped_finding, syntax_finding, tab_finding

MAX_DEPTH = 32
"""Deepest nesting accepted; section 3 of a problem file needs 7."""

MAX_NODES = 20_000
"""Most values a document may hold once its aliases are expanded."""


class _RefusedError(Exception):
    """The document cannot be read any further."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def parse_yaml(text: str, file: str) -> tuple[Node | None, tuple[Finding, ...]]:
    """The document and everything wrong with it as YAML; None where nothing of it can be read."""
    tab = tab_finding(text, file)
    if tab is not None:
        return None, (tab,)
    builder = _NodeBuilder(file)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
    except _RefusedError as refused:
        return None, (*builder.findings, refused.finding)
    except YAMLError as error:
        return None, (*builder.findings, syntax_finding(error, text, file))
    except SCANNER_ESCAPES as error:
        return None, (*builder.findings, escaped_finding(error, text, file, builder.line))
    root = builder.root
    if root is None or (isinstance(root, ScalarNode) and not root.raw and not root.quoted):
        hint = "a problem file needs at least a list of workloads"
        return None, (*builder.findings, Finding("holds no values, only blanks or comments", file, 1, 1, hint))
    return root, tuple(builder.findings)


def parse_value(text: str, file: str) -> tuple[Node | None, tuple[Finding, ...]]:
    """A single YAML value from a command line: places carry ``file`` but no line."""
    builder = _NodeBuilder(file, numbered=False)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
    except _RefusedError as refused:
        return None, (*builder.findings, refused.finding)
    except (YAMLError, *SCANNER_ESCAPES):
        return None, (Finding(f"{shorten(text)!r} is not a YAML value", file, hint="put text in quotes"),)
    return builder.root or ScalarNode(SourcePlace(file), None, ""), tuple(builder.findings)


@dataclass(slots=True)
class _Open:
    """A collection whose end has not been seen yet."""

    place: SourcePlace
    is_mapping: bool
    anchor: str | None
    items: list[Node] = field(default_factory=list)
    entries: list[MappingEntry] = field(default_factory=list)
    key: tuple[str, SourcePlace] | None = None
    keep: bool = True  # False: the value of a refused key
    seen: dict[str, SourcePlace] = field(default_factory=dict)  # where each key stands first
    size: int = 1


class _NodeBuilder:
    """Turns events into nodes, counting what aliases expand to."""

    def __init__(self, file: str, *, numbered: bool = True) -> None:
        self.findings: list[Finding] = []
        self.root: Node | None = None
        self.line = 1
        self._file = file
        self._numbered = numbered
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Node | None, int]] = {}
        self._documents = 0
        self._aliases = False

    def take(self, event: Event) -> None:
        """Consume one event."""
        place = self._place(event.start_mark)
        self.line = place.line or self.line
        if isinstance(event, DocumentStartEvent):
            self._start_document(event, place)
        elif isinstance(event, ScalarEvent):
            self._refuse_tag(event, place)
            self._add(self._scalar(event, place), 1, event.anchor)
        elif isinstance(event, CollectionStartEvent):
            self._refuse_tag(event, place)
            self._open(_Open(place, isinstance(event, MappingStartEvent), event.anchor))
        elif isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            self._close()
        elif isinstance(event, AliasEvent):
            self._alias(event, place)

    def _place(self, mark: StreamMark | None) -> SourcePlace:
        if mark is None or not self._numbered:
            return SourcePlace(self._file)
        return SourcePlace(self._file, mark.line + 1, mark.column + 1)

    def _start_document(self, event: DocumentStartEvent, place: SourcePlace) -> None:
        self._documents += 1
        if self._documents > 1:
            hint = "one file, one document: delete the line ---"
            raise _RefusedError(place.finding("a second document starts here", hint))
        if event.version is not None and tuple(event.version) != (1, 2):
            version = ".".join(str(part) for part in event.version)
            self.findings.append(place.finding(f"YAML {version} is asked for", "delete the %YAML line: 1.2 is read"))
        if event.tags:
            self.findings.append(place.finding("%TAG directives are not read", "delete the %TAG line"))

    def _refuse_tag(self, event: ScalarEvent | CollectionStartEvent, place: SourcePlace) -> None:
        if event.tag is not None:
            hint = "delete the tag; text that starts with ! needs quotes"
            self.findings.append(place.finding(f"the tag {shorten(str(event.tag))} is not read", hint))

    def _scalar(self, event: ScalarEvent, place: SourcePlace) -> ScalarNode:
        raw = event.value.rstrip("\n") if event.style in ("|", ">") else event.value
        control = CONTROL.search(raw)
        if control is not None:
            message = f"{shorten(raw)!r} holds the control character U+{ord(control[0]):04X}"
            self.findings.append(
                place.finding(message, "what may not stand in the file may not be written as an escape")
            )
            return ScalarNode(place, None, raw, refused=True)
        if event.style is not None or event.tag is not None:
            return ScalarNode(place, raw, raw, quoted=True, refused=event.tag is not None)
        try:
            return ScalarNode(place, resolve(raw), raw)
        except NotFiniteError as error:
            self.findings.append(place.finding(str(error), "leave the key out, or write null, for 'no limit'"))
            return ScalarNode(place, None, raw, refused=True)

    def _open(self, opened: _Open) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise _RefusedError(
                opened.place.finding(f"is nested more than {MAX_DEPTH} levels deep", "a bracket too many?")
            )
        top = self._stack[-1] if self._stack else None
        if top and top.is_mapping and top.key is None:
            hint = "a key is plain text followed by a colon; braces around a value need a key before them"
            raise _RefusedError(opened.place.finding("a list or mapping stands where a key is expected", hint))
        if opened.anchor is not None:
            self._anchors[opened.anchor] = (None, 0)
        self._stack.append(opened)

    def _close(self) -> None:
        done = self._stack.pop()
        node: Node = (
            MappingNode(done.place, tuple(done.entries))
            if done.is_mapping
            else SequenceNode(done.place, tuple(done.items))
        )
        self._add(node, done.size, done.anchor)

    def _alias(self, event: AliasEvent, place: SourcePlace) -> None:
        if event.anchor not in self._anchors:
            hint = "text that starts with * needs quotes"
            raise _RefusedError(place.finding(f"*{event.anchor} refers to nothing defined before it", hint))
        self._aliases = True
        node, size = self._anchors[event.anchor]
        if node is None:
            raise _RefusedError(place.finding(f"*{event.anchor} contains itself", "write the value out"))
        self._add(node, size, None)

    def _add(self, node: Node, size: int, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = (node, size)
        if not self._stack:
            self.root = node
            return
        top = self._stack[-1]
        top.size += size
        if top.size > MAX_NODES:
            verb = "expands to" if self._aliases else "brings the file to"
            hint = "aliases (*name) multiply: write the values out" if self._aliases else "is this the right file?"
            raise _RefusedError(node.place.finding(f"{verb} more than {MAX_NODES:,} values", hint))
        if not top.is_mapping:
            top.items.append(node)
        elif top.key is None:
            self._take_key(top, node)
        else:
            if top.keep:
                top.entries.append(MappingEntry(top.key[0], top.key[1], node))
            top.key = None

    def _take_key(self, top: _Open, node: Node) -> None:
        place = node.place
        text = node.raw if isinstance(node, ScalarNode) else ""
        top.key, top.keep = (text, place), True
        first = top.seen.get(text)
        if isinstance(node, ScalarNode) and node.refused:
            top.keep = False
        elif not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            top.keep = False
            hint = "keys are words; text that looks like a number or a yes needs quotes"
            self.findings.append(place.finding(f"the key {shorten(text)!r} is not text", hint))
        elif text == "<<":
            top.keep = False
            self.findings.append(place.finding("merge keys (<<) are not part of YAML 1.2", "write the keys out"))
        elif first is not None:
            top.keep = False
            hint = f"it stands first in line {first.line}: keep one of the two"
            self.findings.append(place.finding(f"the key {shorten(text)!r} stands here a second time", hint))
        else:
            top.seen[text] = place
