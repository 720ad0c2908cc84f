"""Results of ``optimize FILE --format json`` as a comparison reads them back, every wrong value with its place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from optimizer.documents.json_file import JsonDocument, read_json
from optimizer.documents.nodes import Key
from optimizer.documents.scalars import shown
from optimizer.documents.text_file import not_a_file
from optimizer.errors import Finding, UsageError

MAX_BYTES = 64 * 1024 * 1024
"""Largest result read; one of a hundred plans has a megabyte."""

_HEAD = 64
_WHAT = "result of `optimize FILE --format json`"
_MONEY, _NUMBER, _COUNT, _TEXT = "an amount", "a number or null", "a whole number", "text"

_PLAN: Mapping[str, str] = {"monthly_cost": _MONEY, "currency": _TEXT, "grade": _TEXT}
_LISTS: Mapping[str, Mapping[str, str]] = {
    "cost_lines": {"name": _TEXT, "monthly": _MONEY},
    "binding": {"promise": _TEXT, "value": _NUMBER, "limit": _NUMBER, "unit": _TEXT},
    "nodes": {"offer_id": _TEXT, "tier": _TEXT, "count": _COUNT},
    "groups": {
        "workload": _TEXT,
        "gpu": _TEXT,
        "weight_quant": _TEXT,
        "kv_cache": _TEXT,
        "tensor_parallel": _COUNT,
        "pipeline_parallel": _COUNT,
        "replicas": _COUNT,
    },
}
"""What is read of the best plan, and of the items of its lists."""


def is_result(path: Path) -> bool:
    """A JSON object that starts with a problem is a result; everything else is read as a problem file."""
    try:
        unreadable = not_a_file(path, "result or problem file")
        if unreadable is not None:
            raise UsageError([unreadable])
        with path.open("rb") as stream:
            head = stream.read(_HEAD).lstrip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError([Finding(f"cannot be read: {reason}", str(path))]) from error
    return head.startswith(b"{") and b'"problem"' in head


def read_result(path: Path) -> dict[str, Any]:
    """The document of a result. Raises UsageError with everything that a comparison cannot read in it."""
    document = read_json(path, "result", MAX_BYTES)
    if isinstance(document, Finding):
        raise UsageError([Finding(f"is no {_WHAT}: {document.message}", document.file, document.line, document.column)])
    findings = list(_defects(document))
    if findings:
        raise UsageError(findings)
    value: dict[str, Any] = document.value
    return value


def _defects(document: JsonDocument) -> Iterator[Finding]:
    value = document.value
    plans = value.get("plans") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(plans, list) or not isinstance(value.get("status"), str):
        place = ("plans",) if isinstance(value, dict) and not isinstance(plans, list) else ("status",)
        yield document.finding(f"is no {_WHAT}: it needs a status and a list of plans", place)
        return
    if not plans:
        return
    best, path = plans[0], ("plans", 0)
    if not isinstance(best, dict):
        yield document.finding("a plan needs keys with values", path)
        return
    yield from _wrong(document, best, _PLAN, path)
    for name, keys in _LISTS.items():
        items = best.get(name, [])
        if not isinstance(items, list):
            yield document.finding(f"{name} needs a list, not {shown(items)}", (*path, name))
            continue
        for index, item in enumerate(items):
            if isinstance(item, dict):
                yield from _wrong(document, item, keys, (*path, name, index))
            else:
                yield document.finding(f"an item of {name} needs keys, not {shown(item)}", (*path, name, index))


def _wrong(
    document: JsonDocument, item: Mapping[str, object], keys: Mapping[str, str], path: tuple[Key, ...]
) -> Iterator[Finding]:
    for key, kind in keys.items():
        if key not in item:
            yield document.finding(f"the key {key!r} is missing", path)
        elif not _is(item[key], kind):
            yield document.finding(f"{key} needs {kind}, not {shown(item[key])}", (*path, key))


def _is(value: object, kind: str) -> bool:
    if kind == _TEXT:
        return isinstance(value, str)
    if value is None:
        return kind == _NUMBER
    if isinstance(value, bool) or not isinstance(value, int if kind == _COUNT else (int, float)):
        return False
    return abs(value) < 1e300 and math.isfinite(value)
