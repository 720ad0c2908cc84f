"""YAML for other tools: every text value in double quotes and ASCII, so that no reader takes it for anything else."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TypeAlias

Value: TypeAlias = "str | int | float | bool | Sequence[Value] | dict[str, Value] | None"


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
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

    if isinstance(value, str):
        plain = all(char.isascii() and (char.isprintable() or char == "\n") for char in value)
        block = plain and "\n" in value and not value.startswith((" ", "\n"))
        return LiteralScalarString(value) if block else DoubleQuotedScalarString(value)
    if isinstance(value, dict):
        return {key: _quoted(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_quoted(item) for item in value]
    return value
