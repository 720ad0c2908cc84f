"""A recorded stream of requests: arrival, input tokens, output tokens; where recorded, sessions and prompt blocks.

CSV files are read by their header: any file with an arrival and two token columns, whatever they are called (our own,
Azure LLM inference, BurstGPT, Splitwise, Vidur, access logs of vLLM or of OpenAI-style gateways). JSON lines are read
by their keys (Mooncake with ``hash_ids``, AIBrix with ``requests``). Further columns are ignored. Arrivals are seconds,
milliseconds where the name says so, where they are ticks of the epoch in milliseconds, and in the JSON lines of
Mooncake and AIBrix, or dates with a time. Requests without a single output token failed when they were recorded
(BurstGPT marks them so); they are counted, and left out unless their prompt blocks were recorded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optimizer.errors import CatalogError, Finding, ProblemError
from optimizer.files.csv_file import MAX_BYTES, MAX_FINDINGS, CsvRow, CsvTable, read_open_table
from optimizer.files.text_file import decode_mild, read_bytes

ARRIVAL = (
    "arrival_s", "time_s", "arrival_ms", "time_ms", "timestamp", "timestamp_ms", "arrived_at", "arrival_time",
    "arrival_timestamp", "arrival", "start_time", "request_time", "created", "created_at", "datetime", "time", "ts",
)  # fmt: skip
INPUT = (
    "input_tokens", "context_tokens", "request_tokens", "num_prefill_tokens", "prefill_tokens", "prompt_tokens",
    "num_prompt_tokens", "input_length", "input_len", "prompt_length", "prompt_len", "prompt_size", "n_prompt_tokens",
)  # fmt: skip
OUTPUT = (
    "output_tokens", "generated_tokens", "response_tokens", "num_decode_tokens", "decode_tokens", "completion_tokens",
    "num_completion_tokens", "num_generation_tokens", "generation_tokens", "output_length", "output_len", "token_size",
    "completion_length", "n_completion_tokens",
)  # fmt: skip
SESSION = ("session", "session_id", "conversation_id", "chat_id", "user_session")
BLOCKS = ("blocks", "hash_ids")

MOONCAKE_BLOCK = 512
"""Tokens of a block where the file does not tell: Mooncake's traces and ours of chat and agents."""

SHORTEST = 10
"""Requests below which a trace shows no pattern."""

_FRACTION = re.compile(r"(\.\d{6})\d+")
"""Azure writes seven decimals, Python reads six."""

_RANGE = re.compile(r"(\d+)(?:-(\d+))?", re.ASCII)
_LONGEST_NUMBER = 18
_MOST_BLOCKS = 10_000_000
_EPOCH_MS = 1e11
"""Numbers beyond this are milliseconds since 1970: as seconds they would lie in the year 5138."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in order of arrival; seconds since the first one, tokens."""

    arrival_s: tuple[float, ...]
    input_tokens: tuple[float, ...]
    output_tokens: tuple[float, ...]
    failed: int  # rows without output: left out, unless their blocks are known
    sessions: tuple[int, ...] = ()  # a number per session; empty: not recorded
    blocks: tuple[tuple[int, ...], ...] = ()  # full blocks of each prompt; empty: not recorded

    def full_blocks(self, block_tokens: int) -> tuple[tuple[int, ...], ...]:
        """The blocks that each prompt fills: engines cache no partial block, some traces list it."""
        return tuple(
            blocks[: int(tokens // block_tokens)] for blocks, tokens in zip(self.blocks, self.input_tokens, strict=True)
        )

    def sessions_by_prefix(self, block_tokens: int) -> tuple[int, ...]:
        """A session number per request, told from the prompts where sessions were not recorded.

        A request continues the latest earlier one all of whose full blocks, two or more, are a prefix of it.
        """
        latest: dict[int, tuple[int, int]] = {}  # last full block of a prompt -> request, session
        numbers: list[int] = []
        count = 0
        for index, blocks in enumerate(self.full_blocks(block_tokens)):
            earlier = max((latest[block] for block in blocks[1:] if block in latest), default=None)
            number = count if earlier is None else earlier[1]
            count += earlier is None
            numbers.append(number)
            if len(blocks) >= 2:
                latest[blocks[-1]] = (index, number)
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

    @property
    def sessions(self) -> tuple[int, ...]:
        """Session numbers as they stand where all are numbers, else in the order in which the names appear."""
        if all(name.isascii() and name.isdigit() and len(name) <= _LONGEST_NUMBER for name in self.session):
            return tuple(map(int, self.session))
        numbers: dict[str, int] = {}
        return tuple(numbers.setdefault(name, len(numbers)) for name in self.session)

    def add(self, when: float, sent: float, made: float, session: str | None, blocks: tuple[int, ...] | None) -> None:
        """One request; one without output is counted, and kept only where its prompt is known to fill a cache."""
        if made < 1.0:
            self.failed += 1
            if blocks is None:
                return
        self.arrival.append(when)
        self.input.append(max(sent, 1.0))
        self.output.append(made)
        if session is not None:
            self.session.append(session)
        if blocks is not None:
            self.blocks.append(blocks)


def read_trace(path: Path) -> Trace:
    """Read a trace. Raises ``ProblemError`` with a line for every defect."""
    found = _Requests()
    findings = (_read_lines if path.suffix.lower() in {".jsonl", ".ndjson"} else _read_csv)(path, found)
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
        found.sessions,
        tuple(found.blocks),
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _column(names: Sequence[str], known: Sequence[str]) -> str | None:
    """The name that stands for one of ``known``, in the order of ``known``."""
    plain = {_plain(name): name for name in reversed(names)}
    return next((plain[_plain(one)] for one in known if _plain(one) in plain), None)


def _read_csv(path: Path, found: _Requests) -> list[Finding]:
    try:
        table = read_open_table(path)
    except CatalogError as error:
        raise ProblemError(error.findings) from None
    columns = [_column(table.header, known) for known in (ARRIVAL, INPUT, OUTPUT)]
    arrival, sent, made = columns
    if arrival is None or sent is None or made is None:
        needed = ("an arrival", "input tokens", "output tokens")
        missing = [what for what, name in zip(needed, columns, strict=True) if name is None]
        hint = (
            "a trace has an arrival (arrival_s, TIMESTAMP, ...), input tokens (input_tokens, ContextTokens, ...) and"
            " output tokens (output_tokens, GeneratedTokens, ...) in each row"
        )
        message = f"not a trace: its header has none of the known layouts, no column holds {' or '.join(missing)}"
        raise ProblemError([Finding(message, str(path), 1, 1, hint)])
    session, blocks = (_column(table.header, known) for known in (SESSION, BLOCKS))
    _rows(table, (arrival, sent, made), session, blocks, found)
    return table.findings


def _rows(
    table: CsvTable, columns: tuple[str, str, str], session: str | None, blocks: str | None, found: _Requests
) -> None:
    last = float("-inf")
    for row in table:
        when = _seconds(row, columns[0])
        sent, made = row.number(columns[1], high=1e8), row.number(columns[2], high=1e8)
        of_prompt = None if blocks is None else _ranges(row, blocks)
        if when is None:
            continue
        if when < last:
            row.error(f"{columns[0]} is before that of the line above", "sort the trace by arrival", columns[0])
        last = when
        found.add(when, sent, made, None if session is None else row.text(session), of_prompt)


def _ranges(row: CsvRow, column: str) -> tuple[int, ...]:
    """Block numbers written as ``0-33 197``."""
    numbers: list[int] = []
    for word in row.text(column).split():
        match = _RANGE.fullmatch(word)
        first = int(match[1]) if match else 0
        last = int(match[2]) if match and match[2] else first
        if not match or last < first or last - first > _MOST_BLOCKS:
            hint = "write 0-33 197 for the blocks 0 to 33 and 197"
            row.error(f"{column}: {word[:40]!r} is no range of blocks", hint, column)
            return ()
        numbers.extend(range(first, last + 1))
    return tuple(numbers)


def _seconds(row: CsvRow, column: str) -> float | None:
    """Seconds as they stand, milliseconds where the name or the size says so, or those of a date and time."""
    text = row.text(column)
    if ":" not in text:
        if not text:
            row.error(f"{column} is blank; seconds or a date and time are needed", None, column)
        value = row.number_or_none(column)
        return None if value is None else _from_ticks(value, _plain(column).endswith("ms"))
    when = _day_and_time(text)
    if when is None:
        row.error(f"{column}: {text[:60]!r} is neither seconds nor a date and time", None, column)
    return when


def _from_ticks(value: float, milliseconds: bool) -> float:
    return value / 1000.0 if milliseconds or value > _EPOCH_MS else value


def _day_and_time(text: str) -> float | None:
    """A time without a zone is taken as UTC, so that no clock change of this machine's zone can bend the trace."""
    try:
        when = datetime.fromisoformat(_FRACTION.sub(r"\1", text.strip()))
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _read_lines(path: Path, found: _Requests) -> list[Finding]:
    """JSON lines: one request each, or one moment with its ``requests``."""
    raw = read_bytes(path, "trace", MAX_BYTES)
    text = raw if isinstance(raw, Finding) else decode_mild(raw, str(path))
    if isinstance(text, Finding):
        raise ProblemError([text])
    findings: list[Finding] = []
    last = float("-inf")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        if len(findings) >= MAX_FINDINGS:
            break

        def wrong(message: str, number: int = number) -> None:
            findings.append(Finding(message, str(path), number, 1))

        for when, request in _of_line(line, wrong):
            if when < last:
                wrong("arrives before the line above: sort the trace by arrival")
            last = when
            _add_request(when, request, found, wrong)
    return findings


def _of_line(line: str, wrong: Callable[[str], None]) -> Iterator[tuple[float, Mapping[str, Any]]]:
    """Arrival in seconds and the request itself, or those that arrive together."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        wrong("not valid JSON: every line is an object of its own")
        return
    if not isinstance(value, dict):
        wrong("not an object: a line holds the keys of one request")
        return
    key = _column(list(value), ARRIVAL)
    stated = None if key is None else value[key]
    when = _day_and_time(stated) if isinstance(stated, str) else _number(stated)
    if when is None:
        wrong("no arrival: a key such as timestamp (milliseconds) is needed")
        return
    together = value.get("requests")
    if not isinstance(stated, str):
        ticks = "hash_ids" in value or isinstance(together, list) or _plain(key or "").endswith("ms")
        when = _from_ticks(when, ticks)
    if not isinstance(together, list):
        yield when, value
        return
    for one in together:
        if isinstance(one, dict):
            yield when, one
        else:
            wrong("requests: holds something that is not an object")


def _number(value: object) -> float | None:
    """A finite number from 0 to 1e18; None where it is anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1e18:
        return None
    return float(value)


def _add_request(when: float, request: Mapping[str, Any], found: _Requests, wrong: Callable[[str], None]) -> None:
    keys = list(request)
    tokens: list[float] = []
    for what, known in (("input tokens", INPUT), ("output tokens", OUTPUT)):
        key = _column(keys, known)
        value = None if key is None else _number(request[key])
        if value is None or value > 1e8:
            wrong(f"no {what}: a number under a key such as {known[0]} or {known[-4]} is needed")
            return
        tokens.append(value)
    session, blocks = _column(keys, SESSION), _column(keys, BLOCKS)
    of_prompt: tuple[int, ...] | None = None
    if blocks is not None:
        listed = request[blocks]
        if not isinstance(listed, list) or not all(isinstance(one, int) and one >= 0 for one in listed):
            wrong(f"{blocks}: a list of whole numbers is needed")
            return
        of_prompt = tuple(listed)
    found.add(when, tokens[0], tokens[1], None if session is None else str(request[session]), of_prompt)
