"""Tables as other people's programs write them: CSV in several encodings and separators, XLSX with merged cells.

A cell becomes the text that a person sees: 13 % stays ``13%``, a day becomes ISO, an amount keeps the currency sign
that only its format has.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimizer.errors import CatalogError, Finding
from optimizer.files.carried import contents, is_closed, refusal
from optimizer.files.text_file import is_file

if TYPE_CHECKING:
    from openpyxl.cell.cell import Cell
    from openpyxl.worksheet.worksheet import Worksheet

MAX_BYTES = 32 * 1024 * 1024
MAX_ROWS = 200_000

_SEPARATORS = (",", ";", "\t", "|")
_ENCODINGS = ("utf-8-sig", "gb18030")
_PROBED_LINES = 20
_SPLIT_HEAD = re.compile(r"(?:^|[^\d,.])\d{1,3}(?:,\d{3})*$")
_SPLIT_TAIL = re.compile(r"^\d{3}(?:\.\d+)?(?!\d)[^\d]*$")
_FORMAT_SIGN = re.compile(r"\[\$([^\-\]]+)(?:-[0-9A-Fa-f]+)?\]")
_BRACKETS = re.compile(r"\[[^\]]*\]")
_SIGNS = "$€£¥￥"


@dataclass(frozen=True, slots=True)
class TableSheet:
    """One table: its rows with the line (CSV: where the record starts; XLSX: the row) each stands in, from 1."""

    path: Path
    name: str  # of the sheet; blank for a text file
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def read_sheets(path: Path) -> tuple[TableSheet, ...]:
    """Every table of a file. Raises CatalogError where none can be read from it, with the reason."""
    raw = _bytes(path)
    if raw.startswith(b"PK\x03\x04"):
        return tuple(_workbook(path, raw))
    if raw.startswith(b"\xd0\xcf\x11\xe0"):
        raise CatalogError([Finding("an old Excel file (.xls)", str(path), hint="save it as .xlsx or CSV")])
    return (TableSheet(path, "", tuple(_lines(path, _text(path, raw)))),)


def joined_thousands(cells: Sequence[str], width: int) -> tuple[str, ...] | None:
    """A row with cells too many whose amount was cut at its thousands comma (``￥49`` and ``800``), put together.

    None where there is no way, or more than one.
    """
    ways = [tuple(cells)]
    for _ in range(len(cells) - width):
        ways = list(
            dict.fromkeys(
                (*way[:at], f"{way[at].strip()},{way[at + 1].strip()}", *way[at + 2 :])
                for way in ways
                for at in range(len(way) - 1)
                if _SPLIT_HEAD.search(way[at].strip()) and _SPLIT_TAIL.match(way[at + 1].strip())
            )
        )
        if len(ways) > 1:
            return None
    return ways[0] if ways and len(ways[0]) == width else None


def _bytes(path: Path) -> bytes:
    try:
        if is_closed(path):
            raise CatalogError([refusal(path)])
        if not is_file(path):
            raise CatalogError([Finding("no such file" if not path.exists() else "not a file", str(path))])
        raw = contents(path, MAX_BYTES)
        if len(raw) > MAX_BYTES:
            raise CatalogError([Finding(f"larger than {MAX_BYTES // 2**20} MiB", str(path))])
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise CatalogError([Finding(f"cannot be read: {reason}", str(path))]) from None
    if not raw.strip():
        raise CatalogError([Finding("empty: a header line is needed", str(path), 1, 1)])
    return raw


def _text(path: Path, raw: bytes) -> str:
    """UTF-8, UTF-16 with its mark (Excel's "Unicode text"), or GB 18030 (Excel in Chinese)."""
    encodings = ("utf-16",) if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else _ENCODINGS
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise CatalogError([Finding("no text in UTF-8, UTF-16 or GB 18030", str(path), 1, 1, "save it as CSV, UTF-8")])


def _lines(path: Path, text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text))
    line = 1
    try:
        for cells in reader:
            if line > MAX_ROWS:
                raise CatalogError([Finding(f"more than {MAX_ROWS:,} lines", str(path))])
            if any(cell.strip() for cell in cells):
                yield line, tuple(cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise CatalogError([Finding(f"not valid CSV: {error}", str(path), line, 1)]) from None


def _separator(text: str) -> str:
    """The separator that cuts the first lines into the most cells; a comma where none does."""
    head = text.splitlines()[:_PROBED_LINES]

    def cells(separator: str) -> int:
        try:
            return max((len(row) for row in csv.reader(head, delimiter=separator)), default=0)
        except csv.Error:
            return 0

    return max(_SEPARATORS, key=cells)


def _workbook(path: Path, raw: bytes) -> Iterator[TableSheet]:
    try:
        import openpyxl
    except ModuleNotFoundError:
        message = "an Excel workbook, which needs the package openpyxl"
        hint = "pip install 'llm-deployment-optimizer[quotes]', or save the sheet as CSV"
        raise CatalogError([Finding(message, str(path), hint=hint)]) from None
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and extensions, which hold no figures
            book = openpyxl.load_workbook(io.BytesIO(raw), data_only=True)
            sheets = [TableSheet(path, sheet.title, tuple(_cells(sheet))) for sheet in book.worksheets]
    except Exception as error:  # whatever a broken archive makes the library raise
        raise CatalogError([Finding(f"cannot be read as a workbook: {type(error).__name__}", str(path))]) from None
    filled = [sheet for sheet in sheets if sheet.rows]
    if not filled:
        raise CatalogError([Finding("empty: a header line is needed", str(path), 1, 1)])
    yield from filled


def _cells(sheet: Worksheet) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Rows with anything in them; a merged cell stands in every row it spans."""
    filled: dict[tuple[int, int], str] = {}
    for area in sheet.merged_cells.ranges:
        text = _seen(sheet.cell(area.min_row, area.min_col))
        down = range(area.min_row + 1, min(area.max_row, MAX_ROWS) + 1)
        filled |= {(row, area.min_col): text for row in down}
    for number, row in enumerate(sheet.iter_rows(max_row=min(sheet.max_row, MAX_ROWS)), start=1):
        cells = tuple(filled.get((number, at), "") or _seen(cell) for at, cell in enumerate(row, start=1))
        if any(cells):
            yield number, cells


def _seen(cell: Cell | Any) -> str:
    """The cell as it is seen, as far as it says something."""
    value, form = cell.value, str(getattr(cell, "number_format", "") or "")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (date, time)):
        return value.date().isoformat() if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, (int, float)):
        return f"{value * 100:.10g}%" if "%" in form else _sign(form) + _figure(value)
    return "" if value is None else str(value).strip()


def _figure(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(value)


def _sign(form: str) -> str:
    stated = _FORMAT_SIGN.search(form)
    if stated:
        return stated[1].strip()
    plain = _BRACKETS.sub("", form)
    return next((sign for sign in _SIGNS if sign in plain), "")
