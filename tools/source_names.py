"""Sources as a buyer can defend them: publisher, document, date, in place of notes of how a fact was looked up.

The mapping is raw data like the rest (``turn2/source_names.csv`` beside the collected files): file, SHA-256 of a source
as collected, or of a part of it, and the form that is published. What has no entry is published as it stands.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from source_tables import Table

SOURCE_COLUMNS = ("source", "price_source")

Names = Mapping[tuple[str, str], str]
"""(file, SHA-256 of a source) -> the form to publish."""

_NUMBER = r"\d{6,}"
_BRACKETED = re.compile(rf" \((?:\w+_\w+ )?ids? {_NUMBER}\)")
_IN_NUMBER = re.compile(rf"\bin ids? {_NUMBER}")
_AFTER_COMMA = re.compile(rf",? (?:\w+_\w+ )?\bids? {_NUMBER}")


def read_names(path: Path) -> Names:
    """The mapping as collected."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        return {(row["file"], row["sha256_of_source"]): row["publishable_source"] for row in rows}


def publishable(source: str, file: str, names: Names) -> str:
    """One source as it is published; of a list joined by '; ' each part that has an entry of its own."""
    whole = names.get((file, _sha256(source)))
    if whole is not None:
        return whole
    parts = (names.get((file, _sha256(part)), part) for part in source.split("; "))
    return without_notes("; ".join(parts)).replace("HF card ", "Hugging Face model card ")


def without_notes(text: str) -> str:
    """A remark without the numbers of a look-up, which nobody else could follow."""
    told = _IN_NUMBER.sub("in a public repository (name not recorded)", _BRACKETED.sub("", text))
    return _AFTER_COMMA.sub("", told)


def published(rows: Sequence[Mapping[str, str]], file: str, names: Names) -> Table:
    """The rows of a catalog file with their sources and remarks as published."""

    def cell(column: str, text: str) -> str:
        return publishable(text, file, names) if column in SOURCE_COLUMNS else without_notes(text)

    return [{column: cell(column, text) for column, text in row.items()} for row in rows]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
