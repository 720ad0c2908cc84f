"""Labels and whole sentences in another language. English is the key, so that the code reads as it prints; of a
sentence with figures or names in it the key has ``{}`` in their places, and they are put into the translation in their
order or by number.

Packages that only some users need, with a message that names the extra.

Files into a folder, all of them or none.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module, resources
from pathlib import Path
from types import ModuleType

from optimizer.errors import Finding, UsageError
from optimizer.files.atomic_write import write_all
from optimizer.files.guard import refuse_to_write_over_what_was_read
from optimizer.files.text_file import is_there


def translator(language: str) -> Callable[[str], str]:
    """A function that translates a label or a sentence; what has no translation stays English."""
    return str if language == "en" else _Translator(_read(f"{language}.json"), _read(f"{language}_sentences.json"))


def _read(name: str) -> dict[str, str]:
    text = resources.files("optimizer.handover").joinpath(f"templates/{name}").read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(text)
    return found


_GAP = "{}"
_NEXT = "; "


class _Translator:
    """Labels word for word, sentences by their pattern, several sentences one by one."""

    def __init__(self, labels: dict[str, str], sentences: dict[str, str]) -> None:
        whole = {one: told for one, told in sentences.items() if _GAP not in one}
        self._labels = {**whole, **labels}
        patterned = sorted((one for one in sentences if _GAP in one), key=lambda one: -len(one.replace(_GAP, "")))
        self._one = [(_pattern(one, _WITHIN), _numbered(sentences[one])) for one in patterned]
        self._any = [(_pattern(one, "(.+?)"), _numbered(sentences[one])) for one in patterned]

    def __call__(self, text: str) -> str:
        """The text in the other language, as far as it is known."""
        if text in self._labels:
            return self._labels[text]
        parts = text.split(_NEXT)
        return self._matched(self._one, text) or self._joined(parts) or self._matched(self._any, text) or text

    def _matched(self, sentences: Sequence[tuple[re.Pattern[str], str]], text: str) -> str:
        for pattern, told in sentences:
            if match := pattern.fullmatch(text):
                return told.format(*("", *map(self, match.groups())))
        return ""

    def _joined(self, parts: Sequence[str]) -> str:
        translated = [self(part) for part in parts] if len(parts) > 1 else list(parts)
        return "" if translated == list(parts) else "；".join(translated)


_WITHIN = "((?:(?!; ).)+?)"
"""A gap that does not reach into the next sentence, as far as that can be."""


def _pattern(sentence: str, gap: str) -> re.Pattern[str]:
    return re.compile(gap.join(re.escape(part) for part in sentence.split(_GAP)), re.DOTALL)


def _numbered(told: str) -> str:
    """``{}`` and ``{2}`` alike as places of the values, the first of which is 1."""
    count = itertools.count(1)
    return re.sub(r"\{(\d*)\}", lambda gap: f"{{{gap[1] or next(count)}}}", told)


EXTRA = "handover"


def need(module: str) -> ModuleType:
    """Import a package of the ``handover`` extra. Raises ``UsageError`` where it is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise UsageError(
            f"this needs the package {package}: pip install 'llm-deployment-optimizer[{EXTRA}]'"
        ) from error


_EXECUTABLE = 0o755


def write_files(folder: Path, files: Iterable[tuple[str, str, bool]]) -> None:
    """Write (name, text, executable) under ``folder``, made where it is missing; a folder made in vain goes again.

    Raises ``UsageError`` where one of them cannot be written, or where the run has read it.
    """
    wanted = [(folder / name, text, _EXECUTABLE if executable else None) for name, text, executable in files]
    for path, _, _ in wanted:
        refuse_to_write_over_what_was_read(path)
    made = _missing(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_all(wanted)
    except OSError as error:
        _remove(made)
        raise UsageError([Finding(f"cannot be a folder: {error.strerror}", file=str(folder))]) from error
    except BaseException:
        _remove(made)
        raise


def _missing(folder: Path) -> list[Path]:
    """Folders that are not there yet, the innermost first."""
    return [one for one in (folder, *folder.parents) if not is_there(one)]


def _remove(made: Iterable[Path]) -> None:
    """Take away folders as far as they are empty."""
    for folder in made:
        try:
            folder.rmdir()
        except OSError:
            return
