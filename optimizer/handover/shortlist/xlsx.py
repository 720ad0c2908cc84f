"""The workbook as .xlsx: text is always text, formulas carry the value we computed, the same bytes every time."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

from optimizer.handover.language import need
from optimizer.handover.safe_text import plain
from optimizer.handover.shortlist.cells import Cell, Look, Row, Sheet, Workbook

_CREATED = datetime(2026, 1, 1)
"""A fixed stamp: the file is a function of its content."""

_FORMULA_STARTS = ("=", "+", "-", "@")
_RIGHT: dict[str, Any] = {"align": "right", "valign": "top", "indent": 1}
"""A number keeps clear of the text in the next column."""

_FORMATS: dict[Look, dict[str, Any]] = {
    Look.TITLE: {"bold": True, "font_size": 14},
    Look.HEAD: {
        "bold": True,
        "bg_color": "#E8EDF3",
        "bottom": 1,
        "text_wrap": True,
        "valign": "top",
        "align": "left",
        "indent": 1,
    },
    Look.TEXT: {"text_wrap": True, "valign": "top", "align": "left", "indent": 1},
    Look.NOTE: {"italic": True, "font_color": "#505050"},
    Look.LINE: {"valign": "top"},
    Look.MONO: {"font_name": "Consolas", "text_wrap": True, "valign": "top"},
    Look.RANK: {"num_format": "0", "align": "left", "valign": "top", "indent": 1},
    Look.COUNT: {"num_format": "#,##0", **_RIGHT},
    Look.NUMBER: {"num_format": "#,##0.00", **_RIGHT},
    Look.MONEY: {"num_format": "#,##0.00", **_RIGHT},
    Look.RATE: {"num_format": "#,##0.0000", **_RIGHT},
    Look.PERCENT: {"num_format": "0.0%", **_RIGHT},
    Look.TOTAL: {"num_format": "#,##0.00", "bold": True, "top": 1, **_RIGHT},
    Look.LABEL: {"bold": True, "top": 1, "valign": "top", "align": "left", "indent": 1},
    Look.BLANK: {"bg_color": "#FFF6D6", "border": 1, "border_color": "#D8C88A"},
}
_WRAPPED = (Look.TEXT, Look.HEAD, Look.MONO)
_LINE_HEIGHT = 15.0
_WIDE_FROM = 0x2E7F
"""Characters from here on (CJK) take two columns."""

_CHANGEABLE = {"bg_color": "#DCEBFA", "border": 1, "border_color": "#9DBDDD"}


def render_xlsx(book: Workbook) -> bytes:
    """The bytes of the file."""
    xlsxwriter = need("xlsxwriter")
    stream = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    file = xlsxwriter.Workbook(stream, options)
    file.set_properties({"title": plain(book.title), "author": "LLM deployment optimizer", "created": _CREATED})
    file.set_calc_mode("auto")
    formats = _Formats(file)
    for sheet in book.sheets:
        _write(file.add_worksheet(sheet.title), sheet, formats)
    for name, reference in book.names:
        file.define_name(name, f"={reference}")
    file.close()
    return stream.getvalue()


class _Formats:
    """Each combination of look and kind once."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._made: dict[tuple[Look, bool, bool], Any] = {}

    def of(self, cell: Cell, quoted: bool) -> Any:
        key = (cell.look, cell.changeable, quoted)
        if key not in self._made:
            properties = {**_FORMATS[cell.look], **(_CHANGEABLE if cell.changeable else {})}
            self._made[key] = self._file.add_format({**properties, **({"quote_prefix": True} if quoted else {})})
        return self._made[key]


def _write(target: Any, sheet: Sheet, formats: _Formats) -> None:
    for column, width in enumerate(sheet.widths):
        target.set_column(column, column, width)
    for row, cells in enumerate(sheet.rows):
        target.set_row(row, _height(cells, sheet.widths))
        for column, cell in enumerate(cells):
            if cell is not None:
                _put(target, row, column, cell, formats)
    if sheet.landscape:
        target.set_landscape()
    if any(sheet.frozen):
        target.freeze_panes(*sheet.frozen)
    target.set_paper(9)
    target.fit_to_pages(1, 0)
    target.set_footer("&L&A&R&P / &N")
    target.hide_gridlines(1)


def _height(cells: Row, widths: tuple[int, ...]) -> float:
    """Tall enough for the longest wrapped text: not every program fits rows by itself."""
    lines = 1
    for cell, width in zip(cells, widths, strict=False):
        if cell is not None and isinstance(cell.value, str) and cell.look in _WRAPPED:
            wide = sum(2 if ord(char) > _WIDE_FROM else 1 for char in cell.value)
            lines = max(lines, -(-wide // max(1, width - 3)))
    title = any(cell is not None and cell.look is Look.TITLE for cell in cells)
    return _LINE_HEIGHT * lines + (6 if title else 0)


def _put(target: Any, row: int, column: int, cell: Cell, formats: _Formats) -> None:
    if cell.formula is not None:
        value = "" if cell.value is None else cell.value
        target.write_formula(row, column, f"={cell.formula}", formats.of(cell, False), value)
    elif cell.value is None:
        target.write_blank(row, column, None, formats.of(cell, False))
    elif isinstance(cell.value, str):
        text = plain(cell.value)
        target.write_string(row, column, text, formats.of(cell, text.startswith(_FORMULA_STARTS)))
    else:
        target.write_number(row, column, cell.value, formats.of(cell, False))
