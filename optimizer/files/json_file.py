"""JSON files that other programs write: what cannot be read is a Finding, and every value can be found again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any

from optimizer.errors import Finding
from optimizer.files.nodes import Key
from optimizer.files.text_file import MAX_BYTES, decode_mild, read_bytes

_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class JsonDocument:
    """A value of a file, and the text it stands in."""

    file: str
    text: str
    value: Any
    line: int = 1  # where the text starts in the file

    def finding(self, message: str, path: tuple[Key, ...] = (), hint: str | None = None) -> Finding:
        """A finding at the key or list item of a path, or at what there is of the way to it."""
        at = _locate(self.text, path)
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        return Finding(message, self.file, self.line + self.text.count("\n", 0, at), column, hint)


def read_json(path: Path, kind: str, limit: int = MAX_BYTES, *, strict: bool = True) -> JsonDocument | Finding:
    """The document of a file. ``strict`` refuses NaN, Infinity and keys that stand twice."""
    raw = read_bytes(path, kind, limit)
    if isinstance(raw, Finding):
        return raw
    text = decode_mild(raw, str(path))
    return text if isinstance(text, Finding) else parse_json(text, str(path), strict=strict)


def parse_json(
    text: str, file: str, line: int = 1, *, strict: bool = True, infinity: bool = False
) -> JsonDocument | Finding:
    """The document of a text that starts in ``line`` of a file. ``infinity`` lets the bare word pass, which Python's
    writer (transformers among its users) puts where a number has no bound."""
    constant = _only_infinity if infinity else _no_constant
    hooks: dict[str, Any] = {"parse_constant": constant, "object_pairs_hook": _unique} if strict else {}
    try:
        return JsonDocument(file, text, json.loads(text, **hooks), line)
    except json.JSONDecodeError as error:
        return Finding(f"not valid JSON: {error.msg}", file, line + error.lineno - 1, error.colno)
    except _OddError as error:
        at = max((match.start() for match in re.finditer(error.pattern, text)), default=0)
        column = at - (text.rfind("\n", 0, at) + 1) + 1
        return Finding(str(error), file, line + text.count("\n", 0, at), column)
    except (ValueError, RecursionError) as error:
        message = "is nested too deeply" if isinstance(error, RecursionError) else "holds a number of too many digits"
        return Finding(message, file, line, 1)


class _OddError(ValueError):
    """JSON that is read, yet not meant; ``pattern`` finds the place."""

    def __init__(self, message: str, pattern: str) -> None:
        super().__init__(message)
        self.pattern = pattern


def _no_constant(word: str) -> float:
    raise _OddError(f"{word} is not a number", rf"{word}\b")


def _only_infinity(word: str) -> float:
    return _no_constant(word) if word == "NaN" else float(word.replace("Infinity", "inf"))


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _OddError(f"the key {key!r} stands twice", rf'"{re.escape(key)}"\s*:')
        found[key] = value
    return found


def _locate(text: str, path: tuple[Key, ...]) -> int:
    """Where the key or item at a path starts, as far as the path exists."""
    found = at = _after_space(text, 0)
    for step in path:
        member = _member(text, at, step)
        if member is None:
            break
        found, at = member
    return found


def _member(text: str, at: int, step: Key) -> tuple[int, int] | None:
    """Where a member of the object or list at ``at`` starts, and where its value does."""
    opening = text[at : at + 1]
    if opening != ("{" if isinstance(step, str) else "["):
        return None
    decoder = json.JSONDecoder()
    at, index = _after_space(text, at + 1), 0
    while text[at : at + 1] not in ("}", "]", ""):
        start, name = at, index
        if opening == "{":
            name, at = scanstring(text, at + 1)
            at = _after_space(text, _after_space(text, at) + 1)
        if name == step:
            return start, at
        at = _after_space(text, decoder.raw_decode(text, at)[1])
        at, index = _after_space(text, at + (text[at : at + 1] == ",")), index + 1
    return None


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
