"""Suggestions for misspelt ids."""

from __future__ import annotations

from collections.abc import Iterable


def suggest(word: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """The known ids closest to ``word``, best first: close as a whole, by the part after ``/``, or containing it."""
    from difflib import get_close_matches

    wanted = word.lower()
    spellings: dict[str, str] = {}
    for name in sorted(known):
        lower = name.lower()
        spellings.setdefault(lower, name)
        spellings.setdefault(lower.rsplit("/", 1)[-1], name)
    close = get_close_matches(wanted, spellings, n=2 * count, cutoff=0.6)
    containing = sorted((s for s in spellings if len(wanted) >= 3 and wanted in s), key=lambda s: (len(s), s))
    return tuple(dict.fromkeys(spellings[spelling] for spelling in close + containing))[:count]


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint naming the closest known ids, or None where nothing is close."""
    found = suggest(word, known)
    return f"did you mean {' or '.join(found)}?" if found else None
