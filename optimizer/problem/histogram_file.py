"""``tokens.histogram: lengths.csv``: the rows of the file in place of its name, each value where it stands in the file,
so that whatever is wrong with one is told by file, line and column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from optimizer.errors import CatalogError, Finding
from optimizer.files.csv_file import CsvRow, read_table
from optimizer.files.nodes import Key, MappingEntry, MappingNode, Node, ScalarNode, SequenceNode, SourcePlace, child
from optimizer.files.text_file import beside
from optimizer.problem.schema_tokens import MOST_ROWS, ROW_KEYS

_MOST_FINDINGS = 20
"""Defects of one file that are listed."""


def with_histograms(root: Node, folder: Path) -> tuple[Node, tuple[Finding, ...]]:
    """The document with the rows of every file that a workload names as its histogram. A row stands in for those of a
    file that cannot be read, so that all else is still checked."""
    findings: list[Finding] = []
    workloads = child(root, "workloads")
    for index in range(len(workloads.items) if isinstance(workloads, SequenceNode) else 0):
        path: tuple[Key, ...] = ("workloads", index, "tokens", "histogram")
        stated: Node | None = root
        for key in path:
            stated = None if stated is None else child(stated, key)
        if isinstance(stated, ScalarNode) and isinstance(stated.value, str):
            rows, found = _rows(stated.value, stated.place, folder)
            root = _put(root, path, rows)
            findings += found
    return root, tuple(findings)


def _rows(name: str, place: SourcePlace, folder: Path) -> tuple[SequenceNode, list[Finding]]:
    try:
        table = read_table(beside(folder, name), ROW_KEYS)
    except CatalogError as error:
        return _stand_in(place), list(_told(error.findings, name, place))
    if not table.lines and not table.findings:
        return _stand_in(place), [place.finding(f"{name}: holds no rows", "a row for each length that was counted")]
    if len(table.lines) > MOST_ROWS:
        hint = "count into fewer, wider bins: `optimize trace FILE -o problem.yaml` does so for a recorded trace"
        message = f"{name}: holds {len(table.lines):,} rows; at most {MOST_ROWS:,} are taken"
        return _stand_in(place), [place.finding(message, hint)]
    rows = tuple(_row(row) for row in table)
    if table.findings:
        return _stand_in(place), list(_told(table.findings, name, place))
    return SequenceNode(SourcePlace(str(table.path), 1, 1), rows), []


def _told(findings: Sequence[Finding], name: str, place: SourcePlace) -> Iterator[Finding]:
    """What is wrong in a line of the file by that line, what is wrong with the file where it is named."""
    for finding in findings[:_MOST_FINDINGS]:
        yield finding if finding.line else place.finding(f"{name}: {finding.message}", finding.hint)


def _row(row: CsvRow) -> MappingNode:
    entries = []
    for key in ROW_KEYS:
        value = row.number(key)
        at = SourcePlace(str(row.table.path), *row.table.place(row.line, row.table.index[key]))
        entries.append(MappingEntry(key, at, ScalarNode(at, value, row.text(key))))
    return MappingNode(entries[0].place, tuple(entries))


def _stand_in(place: SourcePlace) -> SequenceNode:
    entries = tuple(MappingEntry(key, place, ScalarNode(place, 1.0, "1")) for key in ROW_KEYS)
    return SequenceNode(place, (MappingNode(place, entries),))


def _put(node: Node, path: tuple[Key, ...], value: Node) -> Node:
    """The document with the value at a path that it has replaced."""
    if not path:
        return value
    if isinstance(node, SequenceNode):
        items = (_put(item, path[1:], value) if index == path[0] else item for index, item in enumerate(node.items))
        return SequenceNode(node.place, tuple(items))
    assert isinstance(node, MappingNode)
    entries = (
        MappingEntry(one.key, one.place, _put(one.value, path[1:], value)) if one.key == path[0] else one
        for one in node.entries
    )
    return MappingNode(node.place, tuple(entries))
