"""The table that vLLM ``bench serve`` and SGLang ``bench_serving`` print, as the record that they write as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TITLE = re.compile(r"^=+ *Serving Benchmark Result *=+\s*$", re.MULTILINE)
_LINE = re.compile(r"^\s*(?P<name>[A-Za-z0-9][^:]*?)\s*:\s+(?P<value>\S+)\s*$")
_FIGURE = re.compile(r"^(?P<stat>mean|median|std|p\d+(?:\.\d+)?) (?P<figure>ttft|tpot|itl|e2el|e2e latency) \(ms\)$")

_NAMES: Mapping[str, str] = {
    "backend": "backend",
    "successful requests": "completed",
    "failed requests": "failed",
    "maximum request concurrency": "max_concurrency",
    "max request concurrency": "max_concurrency",
    "request rate configured (rps)": "request_rate",
    "traffic request rate": "request_rate",
    "benchmark duration (s)": "duration",
    "total input tokens": "total_input_tokens",
    "total generated tokens": "total_output_tokens",
    "output token throughput (tok/s)": "output_throughput",
}
"""What the tools call a line, and the key of the same figure in their JSON."""

_NONE = frozenset({"none", "not", "n/a"})


@dataclass(frozen=True, slots=True)
class TextRecord:
    """One printed table: its figures by the key that JSON has for them, and the line that each stands on."""

    values: Mapping[str, str | float]
    lines: Mapping[str, int]
    first_line: int


def text_records(text: str) -> list[TextRecord]:
    """Every table in a log; empty where there is none. A run that states no rate sent as fast as it could."""
    starts = [found.start() for found in _TITLE.finditer(text)]
    ends = [*starts[1:], len(text)][: len(starts)]
    return [_record(text, start, end) for start, end in zip(starts, ends, strict=True)]


def _record(text: str, start: int, end: int) -> TextRecord:
    first = text.count("\n", 0, start) + 1
    values: dict[str, str | float] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(text[start:end].splitlines(), start=first):
        found = _LINE.match(line)
        key = None if found is None else _key(found["name"].lower())
        if found is None or key is None or key in values or found["value"].lower() in _NONE:
            continue
        values[key], lines[key] = _value(found["value"]), number
    return TextRecord(values, lines, first)


def _key(name: str) -> str | None:
    figure = _FIGURE.match(name)
    if figure is None:
        return _NAMES.get(name)
    return f"{figure['stat']}_{'e2el' if figure['figure'].startswith('e2e') else figure['figure']}_ms"


def _value(raw: str) -> str | float:
    try:
        return float(raw.replace(",", ""))
    except ValueError:
        return raw
