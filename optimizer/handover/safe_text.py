"""Text from users, made safe for where it goes: a shell, a file name, a Kubernetes name, a line of prose.

Markdown in which no name of a user can become a heading, a link, HTML or another cell.

YAML for other tools: every text value in double quotes and ASCII, so that no reader takes it for anything else.
"""

from __future__ import annotations

import io
import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TypeAlias

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


_SPECIAL = re.compile(r"([\\`*_\[\]<>|~$#])")
_LEADS_A_BLOCK = re.compile(r"^(\d+)([.)])(?=\s|$)|^([-+=])")


def text(words: str) -> str:
    """Prose, shown as it stands."""
    escaped = _SPECIAL.sub(r"\\\1", plain(words).replace("&", "&amp;"))
    return _LEADS_A_BLOCK.sub(lambda found: f"{found[1]}\\{found[2]}" if found[1] else f"\\{found[3]}", escaped)


def code(words: str) -> str:
    """A code span; backticks inside are fenced by longer ones, bars escaped for tables."""
    line = plain(words).replace("|", "\\|")
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


Value: TypeAlias = "str | int | float | bool | Sequence[Value] | dict[str, Value] | None"


class InOneLine(dict[str, Value]):
    """A mapping that is written in one line: a row of a table."""


def render_yaml(documents: Sequence[Value], comment: str = "") -> str:
    """One or more documents, with a comment on top. Several lines become a literal block where that is exact."""
    from ruamel.yaml import YAML

    writer = YAML()
    writer.width = 4096
    writer.allow_unicode = False
    writer.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    for number, document in enumerate(documents):
        stream.write("---\n" if number else "")
        writer.dump(_quoted(document), stream)
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    return head + stream.getvalue()


def _quoted(value: Value) -> object:
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

    if isinstance(value, str):
        plain = all(char.isascii() and (char.isprintable() or char == "\n") for char in value)
        block = plain and "\n" in value and not value.startswith((" ", "\n"))
        return LiteralScalarString(value) if block else DoubleQuotedScalarString(value)
    if isinstance(value, InOneLine):
        row = CommentedMap((key, _quoted(item)) for key, item in value.items())
        row.fa.set_flow_style()
        return row
    if isinstance(value, dict):
        return {key: _quoted(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_quoted(item) for item in value]
    return value
