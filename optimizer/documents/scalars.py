"""Plain scalars of YAML 1.2 (core schema, chapter 10.3): null, true/false, numbers, text."""

from __future__ import annotations

import math
import re

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
