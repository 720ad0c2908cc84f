"""What the columns and keys of recorded requests mean, by their names.

Names are taken apart into words: ``num_prefill_tokens``, ``Prefill Tokens`` and ``usage.prefillTokens`` mean the same.
Words that only count (num, n) and where the figure stood in a record (usage, gen_ai, metrics) are passed over; a unit
at the end of an arrival's name is its unit.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

ARRIVAL = (
    "arrival", "arrived at", "arrival time", "arrival timestamp", "timestamp", "request timestamp", "start timestamp",
    "start time", "request start time", "submit time", "submitted at", "received at", "created", "created at",
    "created time", "creation time", "time local", "time iso 8601", "datetime", "date time", "time", "ts",
    "request time",
)  # fmt: skip
INPUT = (
    "input tokens", "context tokens", "request tokens", "prefill tokens", "prompt tokens", "input token count",
    "prompt token count", "input length", "prompt length", "context length", "prefill length", "prompt size",
    "tokens in", "input",
)  # fmt: skip
OUTPUT = (
    "output tokens", "generated tokens", "response tokens", "decode tokens", "completion tokens", "generation tokens",
    "output token count", "completion token count", "candidates token count", "output length", "generation length",
    "response length", "completion length", "decode length", "token size", "tokens out", "output",
)  # fmt: skip
SESSION = ("session", "session id", "conversation id", "chat id", "user session", "thread id", "trace session id")
PARENT = ("parent chat id",)
BLOCKS = ("blocks", "hash ids")
REQUESTS = ("requests", "model requests", "request count")

_UNITS = {
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0, "unix": 1.0, "epoch": 1.0, "utc": 1.0,
    "ms": 1e3, "msec": 1e3, "millis": 1e3, "millisecond": 1e3, "milliseconds": 1e3,
    "us": 1e6, "micros": 1e6, "microseconds": 1e6, "ns": 1e9, "nano": 1e9, "nanos": 1e9, "nanoseconds": 1e9,
}  # fmt: skip
"""Ticks a second of a unit that an arrival's name ends with."""

_COUNTING = {"num", "n", "nr", "number", "of", "count"}
_RECORDS = {"gen", "ai", "llm", "metrics", "attributes", "request", "body", "data", "log", "event", "openai", "vllm"}
_ANSWERS = {*_RECORDS, "usage", "response", "result", "total"}
"""What the name of a figure may begin with; a response time is no arrival."""

_SAME = {"len": "length", "token": "tokens"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


@dataclass(frozen=True, slots=True)
class TraceColumns:
    """The names under which a file holds what a trace needs; None: it does not."""

    arrival: str | None
    input: str | None
    output: str | None
    session: str | None
    parent: str | None  # the request whose conversation this one continues
    blocks: str | None
    requests: str | None  # how many requests a row stands for

    @property
    def of_mooncake(self) -> bool:
        """Whether these are the keys of Mooncake's traces, whose arrivals are milliseconds."""
        return self.blocks is not None and _meant(self.blocks) == ["hash", "ids"] and self.parent is None

    @property
    def missing(self) -> tuple[str, ...]:
        """What is needed and not there."""
        needed = (("an arrival", self.arrival), ("input tokens", self.input), ("output tokens", self.output))
        return tuple(what for what, name in needed if name is None)


def columns_of(names: Iterable[str]) -> TraceColumns:
    """The columns or keys that hold an arrival, lengths, sessions and prompt blocks."""
    return _columns_of(tuple(names))


@lru_cache(maxsize=64)
def _columns_of(names: tuple[str, ...]) -> TraceColumns:
    arrival = _column(names, ARRIVAL, _RECORDS)
    rest = (_column(names, known, _ANSWERS) for known in (INPUT, OUTPUT, SESSION, PARENT, BLOCKS, REQUESTS))
    return TraceColumns(arrival, *rest)


@lru_cache(maxsize=1024)
def unit_of(name: str) -> float | None:
    """Ticks a second of the unit that a name ends with; None where it names none."""
    words = _words(name)
    return _UNITS.get(words[-1]) if len(words) > 1 else None


def _column(names: Sequence[str], known: Sequence[str], first_words: Collection[str]) -> str | None:
    """The name that stands for one of ``known``: whole names before those in which more stands, then in the order of
    ``known``, then the first in the file."""
    wanted = ["".join(_counted_out(one.split())) for one in known]
    whole, inner = dict[str, str](), dict[str, str]()
    for name in reversed(names):
        words = _meant(name)
        whole["".join(words)] = name
        while len(words) > 1 and words[0] in first_words:
            words = words[1:]
            inner["".join(words)] = name
    for found in (whole, inner):
        for one in wanted:
            if one in found:
                return found[one]
    return None


def _meant(name: str) -> list[str]:
    words = _words(name)
    while len(words) > 1 and words[-1] in _UNITS:
        words = words[:-1]
    return _counted_out(words)


def _counted_out(words: Sequence[str]) -> list[str]:
    kept = [_SAME.get(word, word) for word in words if word not in _COUNTING]
    return kept or list(words)


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(unicodedata.normalize("NFKC", name))]
