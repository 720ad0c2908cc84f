"""Sources as a buyer can defend them: publisher, document, date, in place of notes of how a fact was looked up.

The mapping is raw data like the rest (``turn2/source_names.csv`` beside the collected files): file, SHA-256 of the
source as collected, the form that is published. What has no entry is published as it stands, without such notes.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from source_tables import Table

SOURCE_COLUMNS = ("source", "price_source")
_NATIVE = "native weights: "

Names = Mapping[tuple[str, str], str]
"""(file, SHA-256 of a source) -> the form to publish."""

_MIRROR = re.compile(r" \((?:docs|pages) \w+\)| in (?:docs|pages) \w+(?=:)")
_MIRROR_REMARK = re.compile(r"\((?:docs|pages) \w+; ")
_NUMBER = r"\d{6,}"
_BRACKETED = re.compile(rf" \((?:\w+_\w+ )?ids? {_NUMBER}\)")
_IN_NUMBER = re.compile(rf"\bin ids? {_NUMBER}")
_AFTER_COMMA = re.compile(rf",? (?:\w+_\w+ )?\bids? {_NUMBER}")
_CONFIG_PAGE = re.compile(r"HF config\.json page: (?P<model>\S+)")
_CARD = re.compile(r"\bHF card\b")
_UNNAMED = "a public repository (name not recorded)"


def read_names(path: Path) -> Names:
    """The mapping as collected."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        return {(row["file"], row["sha256_of_source"]): row["publishable_source"] for row in rows}


def publishable(source: str, file: str, names: Names) -> str:
    """One source as it is published; of a list joined by '; ' each part that has an entry of its own."""
    plain = _MIRROR.sub("", source)
    for text in (source, plain):
        whole = names.get((file, _sha256(text)))
        if whole is not None:
            return whole
    if source.startswith(_NATIVE) and file != "models.csv":
        return _NATIVE + publishable(source.removeprefix(_NATIVE), "models.csv", names)
    parts = (names.get((file, _sha256(part)), part) for part in plain.split("; "))
    return without_notes("; ".join(parts))


def without_notes(text: str) -> str:
    """A remark without numbers and places of a look-up, which nobody else could follow."""
    told = _MIRROR_REMARK.sub("(", _MIRROR.sub("", text))
    told = _CONFIG_PAGE.sub(r"Hugging Face \g<model> config.json", told)
    told = _CARD.sub("Hugging Face model card", told)
    told = _IN_NUMBER.sub(f"in {_UNNAMED}", _BRACKETED.sub("", told))
    return _AFTER_COMMA.sub("", told)


def published(rows: Sequence[Mapping[str, str]], file: str, names: Names) -> Table:
    """The rows of a catalog file with their sources and remarks as published."""
    return [
        {key: publishable(text, file, names) if key in SOURCE_COLUMNS else without_notes(text) for key, text in r.items()}
        for r in rows
    ]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
