"""The few spreadsheet functions that a shortlist uses, evaluated on an .xlsx file: fast enough for every problem."""

from __future__ import annotations

import io
import math
import re
from typing import Any

import openpyxl

Value = float | str | None
_REFERENCE = re.compile(r"(?:'((?:[^']|'')+)'!)?\$?([A-Z]{1,2})\$?(\d+)(?::\$?([A-Z]{1,2})\$?(\d+))?")
_TEXT = re.compile(r'"[^"]*"')


def _round(value: float, digits: float) -> float:
    factor = 10.0**digits
    return math.copysign(math.floor(abs(value) * factor + 0.5) / factor, value)


def _pmt(rate: float, periods: float, present: float, future: float = 0.0) -> float:
    if rate == 0:
        return -(present + future) / periods
    growth = (1 + rate) ** periods
    return -(present * growth + future) * rate / (growth - 1)


def _flat(values: tuple[Any, ...]) -> list[float]:
    found: list[float] = []
    for value in values:
        found += _flat(tuple(value)) if isinstance(value, list) else [value] if isinstance(value, (int, float)) else []
    return found


class Spreadsheet:
    """Evaluates formulas on demand; inputs may be changed."""

    def __init__(self, data: bytes) -> None:
        self.book = openpyxl.load_workbook(io.BytesIO(data))
        self.names = {name: item.attr_text for name, item in self.book.defined_names.items()}
        self.done: dict[tuple[str, str], Value] = {}

    def change(self, sheet: str, cell: str, value: float) -> None:
        """Type a number into a cell."""
        self.book[sheet][cell].value = value
        self.done.clear()

    def value(self, sheet: str, cell: str) -> Value:
        """What the cell shows."""
        key = (sheet, cell)
        if key not in self.done:
            held = self.book[sheet][cell]
            self.done[key] = self._evaluate(sheet, str(held.value)[1:]) if held.data_type == "f" else held.value
        return self.done[key]

    def formulas(self) -> list[tuple[str, str]]:
        """Where formulas stand."""
        return [(s.title, c.coordinate) for s in self.book for row in s for c in row if c.data_type == "f"]

    def _evaluate(self, sheet: str, text: str) -> Value:
        strings: list[str] = []

        def keep(found: re.Match[str]) -> str:
            strings.append(found[0][1:-1])
            return f"_s[{len(strings) - 1}]"

        code = _TEXT.sub(keep, text)
        for name, reference in self.names.items():
            code = re.sub(rf"\b{name}\b", reference.replace("\\", ""), code)
        read: list[Value | list[Value]] = []

        def refer(found: re.Match[str]) -> str:
            read.append(self._read(found[1].replace("''", "'") if found[1] else sheet, found))
            return f"_r[{len(read) - 1}]"

        code = _REFERENCE.sub(refer, code)
        code = re.sub(r"(?<![<>=])=(?!=)", "==", code).replace("<>", "!=")
        functions = {
            "ROUND": _round,
            "PMT": _pmt,
            "ABS": abs,
            "SUM": lambda *v: sum(_flat(v)),
            "MIN": lambda *v: min(_flat(v)),
            "RANK": lambda value, values, _: 1 + sum(one < value - 0.001 for one in _flat(tuple(values))),
            "CONCATENATE": lambda *v: "".join(str(int(one) if isinstance(one, float) else one) for one in v),
            "TEXT": lambda value, form: {"#,##0.00": f"{value:,.2f}"}[form],
            "COUNT": lambda *v: len(_flat(v)),
            "IF": lambda test, yes, no: yes() if test else no(),
        }
        code = _lazy(code)
        result: Value = eval(code, {"__builtins__": {}, **functions, "_r": read, "_s": strings})
        return result

    def _read(self, sheet: str, found: re.Match[str]) -> Value | list[Value]:
        if found[4] is None:
            value = self.value(sheet, f"{found[2]}{found[3]}")
            return "" if value is None else value
        cells = self.book[sheet][f"{found[2]}{found[3]}:{found[4]}{found[5]}"]
        return [self.value(sheet, cell.coordinate) for row in cells for cell in row]


def _lazy(code: str) -> str:
    """Branches of IF are evaluated only when taken."""
    start = code.find("IF(")
    if start < 0:
        return code
    depth, parts, last = 0, [], start + 3
    for place in range(start + 3, len(code)):
        char = code[place]
        if char == "," and depth == 0:
            parts.append(code[last:place])
            last = place + 1
        depth += (char in "([") - (char in ")]")
        if depth < 0:
            parts.append(code[last:place])
            test, yes, no = (_lazy(part) for part in parts)
            return f"{code[:start]}IF({test},lambda:{yes},lambda:{no}){_lazy(code[place + 1 :])}"
    raise AssertionError(code)
