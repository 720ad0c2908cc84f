"""A recorded stream of requests: arrival, input tokens, output tokens; where recorded, sessions and prompt blocks.

CSV files are read by their header: any file with an arrival and two token columns, whatever they are called (our own,
Azure LLM inference, BurstGPT, Splitwise, Vidur, access logs of vLLM or of OpenAI-style gateways). JSON lines are read
by their keys, nested ones too (Mooncake and Qwen-Bailian with ``hash_ids``, AIBrix with ``requests``, logs with
``usage``). Either may be packed by gzip. Further columns are ignored. Arrivals are seconds, other ticks where the name
or the size says so (those of Mooncake and AIBrix are milliseconds), or dates with a time. Requests without a single
output token failed when they were recorded (BurstGPT marks them so); they are counted, and left out unless their prompt
blocks were recorded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from optimizer.errors import CatalogError, Finding, ProblemError
from optimizer.files.csv_file import MAX_BYTES, MAX_FINDINGS, CsvRow, CsvTable, open_table
from optimizer.files.packed import unpacked
from optimizer.files.text_file import decode_mild, read_bytes
from optimizer.problem.trace_columns import TraceColumns, columns_of, unit_of
from optimizer.problem.trace_times import of_date, ticks_of

MOONCAKE_BLOCK = 512
"""Tokens of a block where the file does not tell: Mooncake's traces and ours of chat and agents."""

SHORTEST = 10
"""Requests below which a trace shows no pattern."""

_RANGE = re.compile(r"(\d+)(?:-(\d+))?", re.ASCII)
_LONGEST_NUMBER = 18
_MOST_BLOCKS = 10_000_000
_MS = 1e3
_MOST_TOKENS = 1e8
_LATEST = 1e19
"""Nanoseconds since 1970 are about 2e18."""

_NO_BLANKS = str.maketrans(dict.fromkeys("[],;", " "))

_LAYOUT = (
    "a trace has an arrival (arrival_s, TIMESTAMP, ...), input tokens (input_tokens, ContextTokens, ...) and"
    " output tokens (output_tokens, GeneratedTokens, ...) in each row"
)


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in order of arrival; seconds since the first one, tokens."""

    arrival_s: tuple[float, ...]
    input_tokens: tuple[float, ...]
    output_tokens: tuple[float, ...]
    failed: int  # rows without output: left out, unless their blocks are known
    sessions: tuple[int, ...] = ()  # a number per session; empty: not recorded
    blocks: tuple[tuple[int, ...], ...] = ()  # full blocks of each prompt; empty: not recorded
    read_as: tuple[tuple[str, str], ...] = ()  # what was understood: a meaning, the column or key that has it

    def full_blocks(self, block_tokens: int) -> tuple[tuple[int, ...], ...]:
        """The blocks that each prompt fills: engines cache no partial block, some traces list it."""
        return tuple(
            blocks[: int(tokens // block_tokens)] for blocks, tokens in zip(self.blocks, self.input_tokens, strict=True)
        )

    def sessions_by_prefix(self, block_tokens: int) -> tuple[int, ...]:
        """A session number per request, told from the prompts where sessions were not recorded.

        A request continues the latest earlier one all of whose full blocks, two or more, are a prefix of it.
        """
        latest: dict[int, tuple[int, int]] = {}  # what stands for a whole prompt's blocks -> request, session
        numbers: list[int] = []
        count = 0
        for index, blocks in enumerate(self.full_blocks(block_tokens)):
            prefixes = list(accumulate(blocks, lambda before, block: hash((before, block)), initial=0))[2:]
            earlier = max((latest[prefix] for prefix in prefixes if prefix in latest), default=None)
            number = count if earlier is None else earlier[1]
            count += earlier is None
            numbers.append(number)
            if prefixes:
                latest[prefixes[-1]] = (index, number)
        return tuple(numbers)

    @property
    def rate(self) -> float:
        """Requests per second as recorded."""
        return (len(self.arrival_s) - 1) / self.arrival_s[-1]


@dataclass(slots=True)
class _Requests:
    """What was read so far."""

    arrival: list[float] = field(default_factory=list)
    input: list[float] = field(default_factory=list)
    output: list[float] = field(default_factory=list)
    session: list[str] = field(default_factory=list)
    blocks: list[tuple[int, ...]] = field(default_factory=list)
    failed: int = 0
    roots: dict[str, str] = field(default_factory=dict)  # request -> the first one of its conversation
    read_as: dict[str, str] = field(default_factory=dict)

    @property
    def sessions(self) -> tuple[int, ...]:
        """Session numbers as they stand where all are numbers, else in the order in which the names appear. A request
        without a session is one of its own."""
        if all(name.isascii() and name.isdigit() and len(name) <= _LONGEST_NUMBER for name in self.session):
            return tuple(map(int, self.session))
        numbers: dict[str, int] = {}
        names = (name or f"\0{at}" for at, name in enumerate(self.session))
        return tuple(numbers.setdefault(name, len(numbers)) for name in names)

    def conversation(self, request: str, parent: str) -> str:
        """The session of a request that continues another one, or none: named after its first request."""
        root = self.roots.get(parent, request)
        self.roots[request] = root
        return root

    def add(self, when: float, sent: float, made: float, session: str | None, blocks: tuple[int, ...] | None) -> None:
        """One request; one without output is counted, and kept only where its prompt is known to fill a cache."""
        if made < 1.0:
            self.failed += 1
            if blocks is None:
                return
        self.arrival.append(when)
        self.input.append(max(sent, 1.0))
        self.output.append(made)
        self.session.append(session or "")
        self.blocks.append(blocks or ())

    def understood(self, columns: TraceColumns, unit: float) -> None:
        """Note once how the file is read; ``unit``: ticks a second, 0 for dates."""
        ticks = {1.0: "s", 1e3: "ms", 1e6: "us", 1e9: "ns"}.get(unit, "date and time")
        meanings = (
            ("arrival", f"{columns.arrival} ({ticks})"), ("input", columns.input), ("output", columns.output),
            ("session", columns.session), ("blocks", columns.blocks),
        )  # fmt: skip
        for meaning, name in meanings:
            if name is not None:
                self.read_as.setdefault(meaning, name)


def read_trace(path: Path) -> Trace:
    """Read a trace. Raises ``ProblemError`` with a line for every defect."""
    found = _Requests()
    raw = read_bytes(path, "trace", MAX_BYTES)
    inside = raw if isinstance(raw, Finding) else unpacked(raw, str(path), MAX_BYTES)
    if isinstance(inside, Finding):
        raise ProblemError([inside])
    begins = inside.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if begins == b"[":
        hint = "write one object a line (JSON lines): jq -c '.[]' trace.json > trace.jsonl"
        raise ProblemError([Finding("is one JSON list, not a request a line", str(path), 1, 1, hint)])
    findings = (_read_lines if begins == b"{" else _read_csv)(path, inside, found)
    times = found.arrival
    if not findings and (len(times) < SHORTEST or times[-1] <= times[0]):
        message = f"{len(times)} requests over {times[-1] - times[0] if times else 0:g} s show no pattern"
        hint = f"a trace needs {SHORTEST} requests and some time"
        findings = [Finding(message, str(path), None, None, hint)]
    if findings:
        raise ProblemError(findings)
    return Trace(
        tuple(when - times[0] for when in times),
        tuple(found.input),
        tuple(found.output),
        found.failed,
        found.sessions if "session" in found.read_as else (),
        tuple(found.blocks) if "blocks" in found.read_as else (),
        tuple(found.read_as.items()),
    )


def _read_csv(path: Path, raw: bytes, found: _Requests) -> list[Finding]:
    try:
        table = open_table(path, raw)
    except CatalogError as error:
        raise ProblemError(error.findings) from None
    columns = columns_of(table.header)
    if columns.missing:
        missing = " or ".join(columns.missing)
        message = f"not a trace: its header has none of the known layouts, no column holds {missing}"
        raise ProblemError([Finding(message, str(path), 1, 1, _LAYOUT)])
    _rows(table, columns, found)
    return table.findings


def _rows(table: CsvTable, columns: TraceColumns, found: _Requests) -> None:
    arrival, sent_in, made_in = columns.arrival, columns.input, columns.output
    assert arrival is not None and sent_in is not None and made_in is not None
    last = float("-inf")
    for row in table:
        when = _seconds(row, arrival, columns, found)
        sent, made = row.number(sent_in, high=_MOST_TOKENS), row.number(made_in, high=_MOST_TOKENS)
        of_prompt = None if columns.blocks is None else _ranges(row, columns.blocks)
        if columns.requests is not None and (row.number_or_none(columns.requests) or 1.0) > 1.0:
            row.error("stands for several requests: a trace has one in each row", None, columns.requests)
        if when is None:
            continue
        if when < last:
            row.error(f"{arrival} is before that of the line above", "sort the trace by arrival", arrival)
        last = when
        session = None if columns.session is None else row.text(columns.session)
        if session and columns.parent is not None:
            session = found.conversation(session, row.text(columns.parent))
        found.add(when, sent, made, session, of_prompt)


def _ranges(row: CsvRow, column: str) -> tuple[int, ...]:
    """Block numbers written as ``0-33 197``, or as a list ``[0, 1, 197]``."""
    numbers: list[int] = []
    for word in row.text(column).translate(_NO_BLANKS).split():
        match = _RANGE.fullmatch(word)
        first = int(match[1]) if match else 0
        last = int(match[2]) if match and match[2] else first
        if not match or last < first or last - first > _MOST_BLOCKS:
            hint = "write 0-33 197 for the blocks 0 to 33 and 197"
            row.error(f"{column}: {word[:40]!r} is no range of blocks", hint, column)
            return ()
        numbers.extend(range(first, last + 1))
    return tuple(numbers)


def _seconds(row: CsvRow, column: str, columns: TraceColumns, found: _Requests) -> float | None:
    """Seconds as they stand, other ticks where the name or the size says so, or those of a date and time."""
    text = row.text(column)
    if ":" not in text:
        if not text:
            row.error(f"{column} is blank; seconds or a date and time are needed", None, column)
        value = row.number_or_none(column, high=_LATEST)
        if value is None:
            return None
        ticks = ticks_of(value, unit_of(column) or (_MS if columns.of_mooncake else None))
        found.understood(columns, ticks)
        return value / ticks
    when = of_date(text)
    if when is None:
        hint = "write it as 2026-11-16 18:01:51.16, with a zone (+08:00) where it is not UTC"
        row.error(f"{column}: {text[:60]!r} is neither seconds nor a date and time", hint, column)
    else:
        found.understood(columns, 0.0)
    return when


def _read_lines(path: Path, raw: bytes, found: _Requests) -> list[Finding]:
    """JSON lines: one request each, or one moment with its ``requests``."""
    text = decode_mild(raw, str(path))
    if isinstance(text, Finding):
        raise ProblemError([text])
    findings: list[Finding] = []
    last = float("-inf")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if len(findings) >= MAX_FINDINGS:
            break

        def wrong(message: str, key: str = "", number: int = number, line: str = line) -> None:
            column = line.find(f'"{key.rpartition(".")[2]}"') + 1 if key else 1
            findings.append(Finding(message, str(path), number, max(column, 1)))

        for when, request in _of_line(line, found, wrong):
            if when < last:
                wrong("arrives before the line above: sort the trace by arrival")
            last = when
            _add_request(when, request, found, wrong)
    return findings


def _of_line(line: str, found: _Requests, wrong: Callable[..., None]) -> Iterator[tuple[float, Mapping[str, Any]]]:
    """Arrival in seconds and the request itself, or those that arrive together."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        wrong("not valid JSON: every line is an object of its own")
        return
    if not isinstance(value, dict):
        wrong("not an object: a line holds the keys of one request")
        return
    flat = _flat(value)
    columns = columns_of(flat)
    stated = None if columns.arrival is None else flat[columns.arrival]
    when = of_date(stated) if isinstance(stated, str) else _number(stated)
    if when is None or columns.arrival is None:
        wrong("no arrival: a key such as timestamp (milliseconds) is needed", columns.arrival or "")
        return
    together = value.get("requests")
    ticks = 0.0
    if not isinstance(stated, str):
        in_ms = isinstance(together, list) or columns.of_mooncake
        ticks = ticks_of(when, unit_of(columns.arrival) or (_MS if in_ms else None))
        when /= ticks
    if not isinstance(together, list):
        found.understood(columns, ticks)
        yield when, flat
        return
    for one in together:
        if isinstance(one, dict):
            request = _flat(one)
            found.understood(replace(columns_of(request), arrival=columns.arrival), ticks)
            yield when, request
        else:
            wrong("requests: holds something that is not an object", "requests")


def _flat(value: Mapping[str, Any], before: str = "", depth: int = 3) -> dict[str, Any]:
    """The keys of an object and of those inside it: ``usage.prompt_tokens``."""
    found: dict[str, Any] = {}
    for key, one in value.items():
        if isinstance(one, dict) and depth > 1:
            found.update(_flat(one, f"{before}{key}.", depth - 1))
        else:
            found[f"{before}{key}"] = one
    return found


def _number(value: object) -> float | None:
    """A finite number from 0 to 1e19; None where it is anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _LATEST:
        return None
    return float(value)


def _add_request(when: float, request: Mapping[str, Any], found: _Requests, wrong: Callable[..., None]) -> None:
    columns = columns_of(request)
    tokens: list[float] = []
    for what, key, known in (
        ("input tokens", columns.input, "input_tokens or input_length"),
        ("output tokens", columns.output, "output_tokens or output_length"),
    ):
        value = None if key is None else _number(request[key])
        if value is None or value > _MOST_TOKENS:
            wrong(f"no {what}: a number under a key such as {known} is needed", key or "")
            return
        tokens.append(value)
    of_prompt: tuple[int, ...] | None = None
    if columns.blocks is not None:
        listed = request[columns.blocks]
        if not isinstance(listed, list) or not all(type(one) is int for one in listed):
            wrong(f"{columns.blocks}: a list of whole numbers is needed", columns.blocks)
            return
        of_prompt = tuple(listed)
    session = None if columns.session is None else _named(request[columns.session])
    if session and columns.parent is not None:
        session = found.conversation(session, _named(request[columns.parent]))
    found.add(when, tokens[0], tokens[1], session, of_prompt)


def _named(value: object) -> str:
    return "" if value is None else str(value)
