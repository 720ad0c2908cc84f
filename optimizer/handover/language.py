"""Labels in another language. English is the key, so that the code reads as it prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources


def translator(language: str) -> Callable[[str], str]:
    """A function that translates a label; what has no translation stays English."""
    if language == "en":
        return str
    text = resources.files("optimizer.handover").joinpath(f"templates/{language}.json").read_text(encoding="utf-8")
    known: dict[str, str] = json.loads(text)
    return lambda label: known.get(label, label)
