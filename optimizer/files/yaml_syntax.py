"""What is wrong with text that is no YAML, in the line where a person has to mend it.

Full-width punctuation: what Chinese and Japanese input methods type where YAML needs ASCII.
"""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from itertools import takewhile

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.tokens import (
    FlowMappingEndToken,
    FlowMappingStartToken,
    FlowSequenceEndToken,
    FlowSequenceStartToken,
    ScalarToken,
    Token,
)

from optimizer.errors import Finding
from optimizer.files.nodes import shorten

SCANNER_ESCAPES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What ruamel's scanner lets escape on a few malformed inputs, such as a huge \\U escape or ``%YAML x``."""

_TAB_INDENT = re.compile(r"^ *\t\s*[^\s#]", re.MULTILINE)
_WIDE_ESCAPE = re.compile(r"\\U([0-9a-fA-F]{8})")
_TIGHT_COLON = re.compile(r"[ -]*([A-Za-z_]\w*):(?=[^\s:/])")
_KEY_COLUMN = re.compile(r"[ -]*")
_LAST_CHARACTER = 0x10FFFF

_HINTS = (
    ("mapping values are not allowed", "check the indentation, and that the line above has a colon and a space"),
    ("could not find expected ':'", "a key needs a colon and a space after it"),
    ("cannot start any token", "put the text in quotes, and indent with spaces, never tabs"),
    ("end of stream", "a closing quote or bracket is missing"),
    ("<stream end>", "a closing quote or bracket is missing"),
    ("expected ',' or", "a comma or a closing bracket is missing"),
    ("expected <block end>", "check the indentation: keys of one level start in the same column"),
    ("undefined alias", "text that starts with * needs quotes"),
    ("found undefined tag handle", "text that starts with ! needs quotes"),
)


def tab_finding(text: str, file: str) -> Finding | None:
    """The first tab that indents something."""
    tab = _TAB_INDENT.search(text)
    if tab is None:
        return None
    line = text.count("\n", 0, tab.start()) + 1
    column = text.index("\t", tab.start()) - tab.start() + 1
    return Finding("a tab is used as indentation", file, line, column, "indent with spaces")


def escaped_finding(error: Exception, text: str, file: str, line: int) -> Finding:
    """What ruamel let escape: an escape sequence beyond Unicode, found again in the text, or else the line at hand."""
    for match in _WIDE_ESCAPE.finditer(text):
        if int(match[1], 16) > _LAST_CHARACTER:
            before = text[: match.start()]
            place = (before.count("\n") + 1, match.start() - before.rfind("\n"))
            return Finding(
                f"is not valid YAML: {match[0]} is no character", file, *place, "write a backslash in quotes as \\\\"
            )
    return Finding(f"is not valid YAML ({type(error).__name__})", file, line, 1)


def syntax_finding(error: YAMLError, text: str, file: str) -> Finding:
    """ruamel's syntax error in a line a person can act on; full-width punctuation is named first."""
    if not isinstance(error, MarkedYAMLError):
        return Finding(f"is not valid YAML: {shorten(str(error), 120)}", file, 1, 1)
    problem = str(error.problem or error.context or "unreadable")
    opened = "end of stream" in problem or "<stream end>" in problem
    if "could not find expected ':'" in problem:
        opened = True  # the key without a colon stands where the context starts
    mark = (error.context_mark if opened else None) or error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    line = min(line, text.count("\n") + 1)
    fullwidth = find_fullwidth(text, file, line)
    if fullwidth is not None:
        return fullwidth
    guess = _tight_colon(text, file, line) or _unclosed(text, file, error.problem_mark or mark)
    if guess is not None:
        return guess
    hint = next((hint for words, hint in _HINTS if words in problem), "check quotes, brackets and indentation")
    if "expected <block end>" in problem and error.context_mark is not None:
        start = error.context_mark
        hint = f"{hint}; here they start in column {start.column + 1}, see line {start.line + 1}"
    context = f" {error.context}" if error.context and error.problem else ""
    return Finding(f"is not valid YAML: {shorten(problem + context, 120)}", file, line, column, hint)


def _tight_colon(text: str, file: str, line: int) -> Finding | None:
    """A key without the space after its colon, in the line that is wrong or the one above."""
    lines = text.splitlines()
    for number in (line - 1, line):
        match = _TIGHT_COLON.match(lines[number - 1]) if 1 <= number <= len(lines) else None
        if match is not None:
            message = f"is not valid YAML: the colon of {match[1]!r} has no space after it"
            return Finding(message, file, number, match.end(), f"write {match[1]}: and then the value")
    return None


def _unclosed(text: str, file: str, problem: StreamMark | None) -> Finding | None:
    """What opened in an earlier line and swallowed the line in which the parser stumbled: a quote, a bracket, a key."""
    if problem is None:
        return None
    seen = [*takewhile(lambda token: token.start_mark.index < problem.index, _tokens(text))]
    lines = text.splitlines()
    if seen and isinstance(seen[-1], ScalarToken):
        swallowing = _swallowing(seen[-1], lines, problem.line)
        if swallowing is not None:
            start = seen[-1].start_mark
            return Finding(f"is not valid YAML: {swallowing[0]}", file, start.line + 1, start.column + 1, swallowing[1])
    opened: list[StreamMark] = []
    for token in seen:
        if isinstance(token, (FlowMappingStartToken, FlowSequenceStartToken)):
            opened.append(token.start_mark)
        elif isinstance(token, (FlowMappingEndToken, FlowSequenceEndToken)) and opened:
            opened.pop()
    if not opened or not _resumes(lines, opened[-1].line, problem.line):
        return None
    bracket = text[opened[-1].index]
    closing = {"{": "}", "[": "]"}[bracket]
    place = (opened[-1].line + 1, opened[-1].column + 1)
    return Finding(
        f"is not valid YAML: the bracket {bracket} that opens here is not closed",
        file,
        *place,
        f"a {closing} is missing",
    )


def _swallowing(scalar: ScalarToken, lines: list[str], line: int) -> tuple[str, str] | None:
    """What is wrong with text over several lines that ends where the parser stumbled, and how to mend it."""
    start, end = scalar.start_mark, scalar.end_mark
    if start.line == end.line or end.line != line:
        return None
    if scalar.style in ("'", '"'):
        return f"the quote that opens here ends only in line {end.line + 1}", "a closing quote is missing"
    keys = _KEY_COLUMN.match(lines[start.line])
    if scalar.plain and keys is not None and keys.end() == start.column:
        word = shorten(lines[start.line][start.column :])
        return f"{word!r} has no colon, yet keys follow in the next line", "a key needs a colon after it"
    return None


def _resumes(lines: list[str], opened: int, line: int) -> bool:
    """Whether a line after that with the bracket stands as far left as its keys, or the file ends: keys go on there."""
    keys = _KEY_COLUMN.match(lines[opened])
    if keys is None or line <= opened:
        return False
    later = [one for one in lines[opened + 1 : line + 1] if one.strip() and one.strip()[0] not in "]},"]
    return line >= len(lines) or any(len(one) - len(one.lstrip(" ")) <= keys.end() for one in later)


def _tokens(text: str) -> list[Token]:
    """Tokens up to where the scanner gives up."""
    found: list[Token] = []
    with suppress(YAMLError, *SCANNER_ESCAPES):
        found.extend(YAML(typ="safe", pure=True).scan(text))
    return found


_TO_ASCII = {"“": '"', "”": '"', "‘": "'", "’": "'", "、": ",", "【": "[", "】": "]", "「": '"', "」": '"', "。": "."}
_SUSPECT = re.compile(r"[：，（）“”‘’；、【】「」。｛｝［］＃－＝％．＂＇\u3000０-９]")
_TIGHT = re.compile(r"([：，、])(?=\S)")
_QUOTED_OR_COMMENT = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|(?:^|(?<=\s))#[^\n]*")


def to_ascii(text: str) -> str:
    """The same text with full-width characters as their ASCII equals."""
    return unicodedata.normalize("NFKC", "".join(_TO_ASCII.get(char, char) for char in text))


def has_fullwidth(text: str) -> bool:
    """Whether the text holds a full-width character that YAML would have read as ASCII punctuation or digit."""
    return _SUSPECT.search(text) is not None


def describe(text: str) -> str:
    """The hint for a key or value that holds full-width characters."""
    seen = "".join(dict.fromkeys(_SUSPECT.findall(text)))
    return f"full-width characters {seen!r}: switch the input method and type {to_ascii(text)!r}"


def find_fullwidth(text: str, file: str, last_line: int) -> Finding | None:
    """The last full-width character up to ``last_line``, quotes and comments aside: likely why the syntax is wrong."""
    blanked = _QUOTED_OR_COMMENT.sub(lambda match: " " * len(match[0]), text)
    for number, line in reversed(list(enumerate(blanked.splitlines()[:last_line], start=1))):
        match = _SUSPECT.search(line)
        if match:
            shown = to_ascii(match[0])
            message = f"full-width {match[0]!r} (U+{ord(match[0]):04X}) where YAML needs {shown!r}"
            spaced = _TIGHT.sub(r"\1 ", line)  # YAML needs the blank that full-width punctuation carries inside
            hint = f"switch the input method and write: {to_ascii(spaced).strip()}"
            return Finding(message, file, number, match.start() + 1, hint)
    return None
