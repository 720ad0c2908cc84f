"""What a check across keys reports."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.documents.nodes import Key

KeyPath = tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Issue:
    """Something wrong between keys: the value to mend, the sentence, the way out.

    ``about`` lists the other values the check looked at: where one of them was refused itself, this is not reported.
    """

    path: KeyPath
    message: str
    hint: str | None = None
    about: tuple[KeyPath, ...] = ()
