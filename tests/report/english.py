"""What of a Chinese text is still English: more than names, ids and commands."""

from __future__ import annotations

import csv
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGLISH = re.compile(r"\b[a-z]{2,}(?:[ ,]+[a-z]{2,})+\b|\b(?:the|of|and|is|are|with|for|not|from|more|than|than)\b")
"""Two words in a row, or one that only a sentence has."""


def names_of_others() -> list[str]:
    """What stands as somebody else wrote it: sellers, instances, regions, remarks of price lists, market notes; and
    what people and commands of the problems are called."""
    found: set[str] = set()
    for name in ("offers", "markets", "api_prices"):
        with (ROOT / f"catalogs/{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        found |= {cell for row in rows for cell in row.values() if " " in cell or "-" in cell}
        found |= {row["provider"] for row in rows if "provider" in row}
    found |= {part for cell in found for part in cell.split("; ")}
    return sorted(found, key=len, reverse=True)


def left_in_english(text: str, names: list[str], *own: str) -> list[str]:
    """Lines that hold more English than names, ids and commands."""
    whole = text
    for one in (*own, *names):
        whole = whole.replace(one, "*")
    lines = [re.sub(r"optimize [a-z]+|`[^`]*`|--\S+|\S*[./_=]\S*", "*", line) for line in whole.splitlines()]
    return [line for line in lines if ENGLISH.search(line)]
