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
from dataclasses import dataclass
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


def error_translator(language: str) -> Callable[[str], str]:
    """The same for what is wrong with an input and how to mend it: message and hint of a ``Finding``."""
    if language == "en":
        return str
    labels, sentences, errors = (_read(f"{language}{part}.json") for part in ("", "_sentences", "_errors"))
    return _ErrorTranslator(labels, sentences, errors)


def _read(name: str) -> dict[str, str]:
    text = resources.files("optimizer.handover").joinpath(f"templates/{name}").read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(text)
    return found


_GAP = "{}"
_NEXT = "; "
_SEVERAL = (_NEXT, "(source: {})")
"""Marks of a pattern that is more than one sentence, or that has a gap of several: it is tried before they part."""

_PHRASES = ((". ", "。"), ("  ", "  "), (", ", "，"), (" + ", " + "), (" -> ", " -> "))
"""What parts a text that no sentence matches into phrases, and what stands between them then."""

_FEW, _SOME = 8, 12
"""Letters of a pattern that says nothing about the sentence around it (``{} of {}``), and little: phrases go first."""

_PROSE = re.compile(r"\b[a-z]{2,} [a-z]{2,}\b|\b(?:a|an|the) ")
"""What is left of a sentence that is not known: no pattern of few letters may tear it apart."""

_DEEPEST = 30
"""Phrases within phrases that are looked into: no sentence of ours has as many."""

_BETWEEN = re.compile("(?<=[\u3000-\u9fff\uff00-\uff60]) (?=[\u3000-\u9fff\uff00-\uff60])")
"""A blank between two Chinese characters, where a value was put."""

_ASIDE = re.compile(r"([^()]+) \(([^()]+)\)([^()]*)", re.DOTALL)


class _Translator:
    """Labels word for word, sentences by their pattern, several sentences one by one, else phrase by phrase."""

    def __init__(self, labels: dict[str, str], sentences: dict[str, str]) -> None:
        self._labels = {**{one: told for one, told in sentences.items() if _GAP not in one}, **labels}
        patterned = sorted((one for one in sentences if _GAP in one), key=lambda one: -_words(one))
        self._one = [_Pattern.of(one, sentences[one], _WITHIN) for one in patterned if _words(one) > _FEW]
        self._long = [
            _Pattern.of(one, sentences[one], "(.+?)") for one in patterned if any(mark in one for mark in _SEVERAL)
        ]
        self._any = [_Pattern.of(one, sentences[one], "(.+?)") for one in patterned if _words(one) > _SOME]
        self._few = [_Pattern.of(one, sentences[one], "(.+?)") for one in patterned if _words(one) <= _SOME]
        self._careful: tuple[Sequence[_Pattern], ...] = (self._few,)
        self._known: dict[str, str] = {}  # a report is laid out several times, to see what fits
        self._depth = 0

    def __call__(self, text: str) -> str:
        """The text in the other language, as far as it is known."""
        if text not in self._known:
            if self._depth >= _DEEPEST:
                return text
            self._depth += 1
            try:
                self._known[text] = self._told(text)
            finally:
                self._depth -= 1
        return self._known[text]

    def _told(self, text: str) -> str:
        if text in self._labels:
            return self._labels[text]
        parts = _apart(text, _NEXT)
        whole = self._matched(self._long, text) or self._matched(self._one, text) or self._joined(parts, "；")
        return (
            whole or self._matched(self._any, text) or self._in_phrases(text) or self._matched(self._few, text) or text
        )

    def _matched(self, sentences: Sequence[_Pattern], text: str) -> str:
        careful = any(kept is sentences for kept in self._careful)
        for one in sentences:
            if one.longest in text and (match := one.pattern.fullmatch(text)):
                values = [self(value) for value in match.groups()]
                if not careful or not any(_PROSE.search(value) for value in values):
                    return _BETWEEN.sub("", one.told.format("", *values))
        return ""

    def _in_phrases(self, text: str) -> str:
        """Phrase by phrase; empty where none is known."""
        if text.endswith(".") and (said := self(text[:-1])) != text[:-1]:
            return f"{said}。"
        head, colon, rest = text.partition(": ")
        if colon and rest and (self(head), self(rest)) != (head, rest) and head.count("(") == head.count(")"):
            return f"{self(head)}：{self(rest)}"
        for joint, told in _PHRASES:
            if joined := self._joined(_apart(text, joint), told):
                return joined
        if match := _ASIDE.fullmatch(text):
            said, aside, rest = (self(part) if part else "" for part in match.groups())
            if (said, aside, rest) != match.groups():
                return f"{said}（{aside}）{rest}"
        return ""

    def _joined(self, parts: Sequence[str], joint: str) -> str:
        translated = [self(part) for part in parts] if len(parts) > 1 else list(parts)
        return "" if translated == list(parts) else joint.join(translated)


_QUOTED = re.compile(r"(?<!\w)(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")(?!\w)")
"""What an error quotes of an input. It is no English of ours, whatever it says."""

_KEPT = re.compile("\ue000(\\d+)\ue001")
"""What stands for it while the sentence around it is told: characters that no text has by itself."""

_WORD, _MARKED = r"[A-Za-z0-9_.:/+*-]+", r"[A-Za-z0-9_.:/+*-]*[0-9_.:/+*-][A-Za-z0-9_.:/+*-]*"
_NAMES = re.compile(rf"{_WORD}(?:(?:, | or | and | ){_MARKED})*|[\w.-]+(?:, [\w.-]+)+")
"""Keys, ids and figures, one or several."""

_PLACE = re.compile(r"((?:the file|[\w.\[\]-]+|\ue000\d+\ue001)) (.+)", re.DOTALL)
"""The key or the file that a sentence is about, before what it says of it (``workloads.chat needs a list``)."""


class _ErrorTranslator(_Translator):
    """Errors are no part of reports: their sentences are short, and would be found within longer ones there."""

    def __init__(self, labels: dict[str, str], sentences: dict[str, str], errors: dict[str, str]) -> None:
        errors = {_unquoted(one): _unquoted(told) for one, told in errors.items()}
        super().__init__(labels, {**sentences, **errors})
        self._own = {one: told for one, told in errors.items() if _GAP not in one}
        self._labels.update(self._own)
        self._ours = frozenset(quoted for one in errors for quoted in _QUOTED.findall(one))
        self._begun: list[_Pattern] = []
        said = {one[3:]: told[3:] for one, told in errors.items() if one.startswith("{} ") and told.startswith("{} ")}
        begun = {**said, **errors}  # what is said of a key, and what begins with words of ours
        for one in sorted(begun, key=lambda one: -_words(one)):
            if _GAP not in one:
                self._labels.setdefault(one, begun[one])
            elif not one.startswith(_GAP) and begun[one] != one:
                self._begun.append(_Pattern.of(one, begun[one], "(.+?)"))
        self._careful = (self._few, self._begun)

    def __call__(self, text: str) -> str:
        """The text in the other language; what it quotes of an input, and keys and ids, stay as they are."""
        if self._depth:
            named = _NAMES.fullmatch(text) and text not in self._own
            return text.replace(" or ", " 或 ").replace(" and ", " 与 ") if named else super().__call__(text)
        if "\n" in text and text not in self._own:
            return "\n".join(map(self, text.split("\n")))
        quoted: list[str] = []

        def kept(match: re.Match[str]) -> str:
            if match[0] in self._ours:
                return match[0]
            quoted.append(match[0])
            return f"\ue000{len(quoted) - 1}\ue001"

        told = super().__call__(_QUOTED.sub(kept, text.translate(_NO_MARKS)))
        return _KEPT.sub(lambda place: quoted[int(place[1])], told)

    def _told(self, text: str) -> str:
        if told := self._whole(text):
            return told
        about = _PLACE.fullmatch(text)
        if about and (told := self._whole(about[2])):
            return f"{self._own.get(about[1], about[1])} {told}"
        return super()._told(text)

    def _whole(self, text: str) -> str:
        """The text as one sentence of an error, however long what it names; empty where it is none that is known."""
        return self._labels.get(text) or self._matched(self._begun, text)


_NO_MARKS = {0xE000: None, 0xE001: None}


def _unquoted(sentence: str) -> str:
    """With a gap for a quotation that has one in it: of an error at hand, the whole quotation is kept."""
    return _QUOTED.sub(lambda quoted: _GAP if _GAP in quoted[0] else quoted[0], sentence)


def _words(sentence: str) -> int:
    """Characters of a sentence beside its gaps and blanks."""
    return len(sentence.replace(_GAP, "").replace(" ", ""))


def _apart(text: str, joint: str) -> list[str]:
    """What stands between joints; none of them is inside brackets."""
    parts = [""]
    for piece in text.split(joint):
        inside = parts[-1].count("(") > parts[-1].count(")")
        parts = [*parts[:-1], f"{parts[-1]}{joint}{piece}"] if inside else [*parts, piece]
    return parts[1:] if not parts[0] and len(parts) > 1 else parts


_WITHIN = "((?:(?![;,] ).)+?)"
"""A gap that does not reach into the next phrase."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A sentence with gaps, what it is in the other language, and the part that a text must have at the least."""

    pattern: re.Pattern[str]
    told: str
    longest: str

    @classmethod
    def of(cls, sentence: str, told: str, gap: str) -> _Pattern:
        """``{}`` and ``{2}`` alike as places of the values, the first of which is 1."""
        parts, count = sentence.split(_GAP), itertools.count(1)
        pattern = re.compile(gap.join(map(re.escape, parts)), re.DOTALL)
        numbered = re.sub(r"\{(\d*)\}", lambda place: f"{{{place[1] or next(count)}}}", told)
        return cls(pattern, numbered, max(parts, key=len))


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
