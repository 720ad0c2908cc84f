"""JSON as we print it: money with two decimals, six significant digits, the same bytes for the same values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from optimizer.units import significant

_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Money:
    """An amount that prints with exactly two decimals."""

    cents: int


@dataclass(frozen=True, slots=True)
class Exact:
    """A number that prints as it was read, with all its digits."""

    value: float


Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | float | bool | Money | Exact | None"


def dump(value: Json) -> str:
    """Nested values as indented JSON with a final newline."""
    return _dump(value, "") + "\n"


def in_money(amount: float | None) -> Money | None:
    """Currency units as money; non-finite or absent figures have none."""
    return Money(math.floor(amount * 100 + 0.5)) if amount is not None and math.isfinite(amount) else None


def _number(value: float) -> str:
    """Six significant digits without trailing zeros; whole numbers stay whole."""
    if not math.isfinite(value):
        return "null"
    rounded = value if isinstance(value, int) or float(value).is_integer() else significant(value, _DIGITS)
    return repr(int(rounded) if float(rounded).is_integer() and abs(rounded) < 2**53 else rounded)


def _dump(value: Json, indent: str) -> str:
    """Indented JSON; written here because ``json`` cannot print money with two decimals."""
    if isinstance(value, Money):
        sign = "-" if value.cents < 0 else ""
        return f"{sign}{abs(value.cents) // 100}.{abs(value.cents) % 100:02d}"
    if isinstance(value, Exact):
        return json.dumps(int(value.value) if value.value.is_integer() else value.value)
    if value is None or isinstance(value, (bool, str)):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return _number(value)
    deeper = indent + "  "
    if isinstance(value, Mapping):
        items = [f"{json.dumps(key)}: {_dump(item, deeper)}" for key, item in value.items()]
        opening, closing = "{", "}"
    else:
        items = [_dump(item, deeper) for item in value]
        opening, closing = "[", "]"
    if not items:
        return opening + closing
    return f"{opening}\n{deeper}" + f",\n{deeper}".join(items) + f"\n{indent}{closing}"
