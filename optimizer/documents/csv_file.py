"""Strict CSV: a file becomes a table of rows, or findings that say where it cannot be read."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from optimizer.documents.carried import contents
from optimizer.documents.csv_row import MAX_FINDINGS, Row, Table, shown
from optimizer.documents.paths import is_file
from optimizer.documents.suggest import did_you_mean
from optimizer.documents.text_file import control_in, place_in
from optimizer.errors import CatalogError, Finding

__all__ = ["MAX_BYTES", "MAX_FINDINGS", "Row", "Table", "read_open_table", "read_table"]

MAX_BYTES = 256 * 1024 * 1024
"""Largest file read: a hundred times the packaged price list and more."""


def read_table(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Read a CSV file and check its header and the shape of its rows.

    Raises CatalogError where nothing can be read from it: missing, empty, binary, too large, not UTF-8, not CSV,
    columns missing, unknown or twice. Rows with too many or too few cells are findings of the table.
    """
    source = _decoded(path)
    header = _header(path, source)
    _check_header(Table(path, {}, (), source=source), header, required, optional)
    return _table(path, source, header)


def read_open_table(path: Path) -> Table:
    """Read somebody else's CSV file, whatever its columns are called; a name that stands twice counts first."""
    source = _decoded(path)
    return _table(path, source, [name.strip() for name in _header(path, source)])


def _decoded(path: Path) -> str:
    try:
        if not is_file(path):
            raise CatalogError([Finding("no such file" if not path.exists() else "not a file", str(path))])
        raw = contents(path, MAX_BYTES)
        if len(raw) > MAX_BYTES:
            raise CatalogError([Finding(f"larger than {MAX_BYTES // 2**20} MiB", str(path))])
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise CatalogError([Finding(f"cannot be read: {reason}", str(path))]) from None
    if b"\0" in raw:
        hint = "save it as CSV, with the encoding UTF-8"
        place = place_in(raw, raw.index(b"\0"))
        raise CatalogError([Finding("holds NUL bytes: not a text file", str(path), *place, hint)])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = place_in(raw, error.start)
        raise CatalogError([Finding("not UTF-8 text", str(path), *place, "save it as UTF-8")]) from None
    control = control_in(text, str(path))
    if control is not None:
        raise CatalogError([control])
    return text


def _header(path: Path, source: str) -> list[str]:
    try:
        header = next(csv.reader(io.StringIO(source, newline=""), strict=True), [])
    except csv.Error as error:
        raise CatalogError([Finding(f"not valid CSV: {error}", str(path), 1, 1, _QUOTES)]) from None
    if not header:
        raise CatalogError([Finding("empty: a header line is needed", str(path), 1, 1)])
    return header


def _check_header(table: Table, header: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> None:
    known = (*required, *optional)
    hint = "separate the cells by commas" if len(header) == 1 and set(header[0]) & {";", "\t"} else None
    for position, name in enumerate(header):
        if name in header[:position]:
            table.error(f"column {shown(name)} stands twice", 1, position)
        elif name not in known:
            table.error(f"unknown column {shown(name)}", 1, position, hint or did_you_mean(name, known))
    for name in required:
        if name not in header:
            table.error(f"column {name} is missing", 1, 0)
    if table.findings:
        raise CatalogError(table.findings)


def _table(path: Path, source: str, header: Sequence[str]) -> Table:
    """The rows below the header; one with another number of cells is a finding."""
    index = {name: len(header) - 1 - at for at, name in enumerate(reversed(header))}
    lines: list[tuple[int, list[str]]] = []
    table = Table(path, index, lines, source=source, header=tuple(header))
    reader = csv.reader(io.StringIO(source, newline=""), strict=True)
    line = 1  # where the record in hand starts: a stray quote may swallow many lines
    try:
        for cells in reader:
            if line == 1 or len(cells) == len(header):
                lines.append((line, cells))
            elif cells:
                message = f"{len(cells)} cells where the header has {len(header)}"
                table.error(message, line, len(header), "quote text that holds a comma")
            line = reader.line_num + 1
    except csv.Error as error:
        raise CatalogError([Finding(f"not valid CSV: {error}", str(path), line, 1, _QUOTES)]) from None
    del lines[0]
    return table


_QUOTES = 'a quote inside quoted text is written twice, "", and quoted text ends with a quote'
