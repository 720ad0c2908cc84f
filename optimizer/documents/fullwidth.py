"""Full-width punctuation: what Chinese and Japanese input methods type where YAML needs ASCII."""

from __future__ import annotations

import re
import unicodedata

from optimizer.errors import Finding

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
