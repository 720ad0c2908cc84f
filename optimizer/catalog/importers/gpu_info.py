"""The ``GpuInfo`` column of SkyPilot's lists: JSON or a Python literal, MiB or GiB, of one card or of all together."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MAX_CHARS = 10_000
_NEAR = 0.01
"""How near a total must be to size times cards."""

_LARGEST_GIB = 1024
"""A figure below this is GiB, whatever the key says: no card has less than a GiB."""


@dataclass(frozen=True, slots=True)
class GpuInfo:
    """What the column says: the maker's name of the card and the sizes that may be one card's memory, in GiB."""

    name: str = ""
    memory: tuple[float, ...] = ()


def parse_gpu_info(text: str, count: float) -> GpuInfo:
    """Read the column. Text that is neither dialect says nothing.

    A size that times the number of cards is the total is that of one card. Other clouds write one card's or the node's
    memory under both keys, so both readings are kept; the name of the card decides which is a size it comes in.
    """
    data = _loaded(text)
    if not isinstance(data, Mapping):
        return GpuInfo()
    lower = _lowered(data)
    listed = lower.get("gpus")
    card = _lowered(listed[0]) if isinstance(listed, list) and listed and isinstance(listed[0], Mapping) else {}
    info = card.get("memoryinfo")
    size = _size(_lowered(info).get("sizeinmib")) if isinstance(info, Mapping) else None
    total = _size(lower.get("totalgpumemoryinmib")) or _size(card.get("totalgpumemoryinmib"))
    cards = max(count, 1.0)
    if size is not None and total is not None and abs(total - size * cards) <= _NEAR * total:
        readings = {size}
    else:
        stated = size if size is not None else total
        readings = set() if stated is None else {stated, stated / cards}
    name = card.get("name")
    return GpuInfo(name if isinstance(name, str) else "", tuple(sorted(readings)))


def _loaded(text: str) -> Any:
    """JSON, or Python's way of writing the same: single quotes and None."""
    if not text.startswith(("{", "'", '"')) or len(text) > _MAX_CHARS:
        return None
    for dialect in (text, text.replace("'", '"').replace("None", "null")):
        try:
            return json.loads(dialect)
        except (ValueError, RecursionError):
            continue
    return None


def _lowered(data: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key).lower(): value for key, value in data.items()}


def _size(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        return None
    return float(value) if value < _LARGEST_GIB else value / 1024
