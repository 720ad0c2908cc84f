"""Markdown in which no name of a user can become a heading, a link, HTML or another cell."""

from __future__ import annotations

import re
from collections.abc import Sequence

from optimizer.handover.names import plain

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
