"""Text from users, made safe for where it goes: a shell, a file name, a Kubernetes name, a line of prose."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence

_NOT_SLUG = re.compile(r"[^a-z0-9]+")
_SLUG_LENGTH = 40


def plain(text: str) -> str:
    """One line of prose: control and direction-changing characters gone, blanks single."""
    visible = "".join(" " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char for char in text)
    return " ".join("".join(char for char in visible if char == " " or char.isprintable()).split())


def slug(text: str, taken: Iterable[str] = (), fallback: str = "group") -> str:
    """A DNS label of at most 43 letters, digits and dashes that is not ``taken``: a file, service or container name."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    base = _NOT_SLUG.sub("-", ascii_only.lower()).strip("-")[:_SLUG_LENGTH].strip("-")
    base = base if base[:1].isalpha() else f"{fallback}-{base}".strip("-")
    used, name, number = set(taken), base, 1
    while name in used:
        number += 1
        name = f"{base}-{number}"
    return name


def bash_word(word: str) -> str:
    """A word quoted for bash: exactly this text, nothing expanded, nothing invisible left in the script."""
    if all(char.isprintable() for char in word):
        return shlex.quote(word)
    body = "".join(_bash_char(char) for char in word)
    return f"$'{body}'"


def _bash_char(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    if char.isprintable():
        return char
    return f"\\x{ord(char):02x}" if ord(char) < 0x80 else f"\\U{ord(char):08x}"


def bash_command(words: Sequence[str], indent: str = "    ") -> str:
    """A command over several lines, an option beside its value."""
    lines: list[str] = []
    for word in words:
        valued = bool(lines) and lines[-1].startswith("--") and " " in lines[-1]
        if not lines or word.startswith("--") or valued:
            lines.append(bash_word(word))
        else:
            lines[-1] += f" {bash_word(word)}"
    return f" \\\n{indent}".join(lines)


def bash_line(words: Sequence[str]) -> str:
    """A command on one line."""
    return " ".join(bash_word(word) for word in words)
