"""Reading a text file that a person wrote: every way in which it can fail to be text is a Finding.

Paths that users write: what cannot name a file is a file that is not there, never an exception.

Suggestions for misspelt ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from optimizer.errors import Finding
from optimizer.files.carried import contents, is_carried, is_carried_folder, is_closed, refusal

MAX_BYTES = 1 << 20
"""Largest file read: 1 MiB. A problem file has a few thousand bytes."""

PROBLEM = "problem file"

_BOMS = ((b"\xef\xbb\xbf", "UTF-8"), (b"\xff\xfe\x00\x00", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""Characters that no text holds that a person wrote, line ends and tabs aside."""


def read_bytes(path: Path, kind: str = PROBLEM, limit: int = MAX_BYTES) -> bytes | Finding:
    """The bytes of a regular, non-empty file of at most ``limit`` bytes; otherwise what is wrong with it."""
    name = str(path)
    try:
        unreadable = not_a_file(path, kind)
        if unreadable is not None:
            return unreadable
        data = contents(path, limit)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return Finding(f"cannot be read: {getattr(error, 'strerror', None) or error}", name)
    if len(data) > limit:
        return Finding(f"is larger than {limit >> 20} MiB", name, hint=f"is this the right file for a {kind}?")
    if not data.strip():
        hint = f"a {kind} needs at least a list of workloads" if kind == PROBLEM else None
        return Finding("is empty", name, 1, 1, hint)
    return data


def not_a_file(path: Path, kind: str) -> Finding | None:
    """Why a path is no regular file; None where it is one."""
    name = str(path)
    if is_carried(path):
        return None
    if is_closed(path):
        return refusal(path)
    if path.is_dir():
        return Finding("is a directory, not a file", name, hint=f"name the {kind} inside it")
    if not path.exists():
        return Finding("no such file", name, hint=f"check the name and the folder of the {kind}")
    if not path.is_file():
        return Finding("is not a regular file", name, hint=f"save the {kind} to disk first")
    return None


def decode(data: bytes, file: str) -> str | Finding:
    """UTF-8 text without byte order mark and control characters; otherwise what is wrong and where."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            hint = "save it as UTF-8 without a byte order mark (BOM)"
            return Finding(f"starts with a {encoding} byte order mark", file, 1, 1, hint)
    if b"\x00" in data:
        line, column = place_in(data, data.index(b"\x00"))
        hint = "it looks like a binary file: is this the right one?"
        return Finding("contains a NUL byte, so it is not text", file, line, column, hint)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = place_in(data, error.start)
        message = f"byte 0x{data[error.start]:02x} is not valid UTF-8"
        return Finding(message, file, line, column, "save the file with the encoding UTF-8")
    return control_in(text, file) or text


def decode_mild(data: bytes, file: str) -> str | Finding:
    """UTF-8 text of another program: a byte order mark is passed over, control characters are its own business."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message, hint = f"byte 0x{data[error.start]:02x} is not valid UTF-8", "save the file with the encoding UTF-8"
        return Finding(message, file, *place_in(data, error.start), hint)


def control_in(text: str, file: str) -> Finding | None:
    """The first control character of a text, if any: it could pass for something else on a screen."""
    match = CONTROL.search(text)
    if match is None:
        return None
    start = text.rfind("\n", 0, match.start()) + 1
    line, column = text.count("\n", 0, match.start()) + 1, match.start() - start + 1
    message = f"contains the control character U+{ord(match[0]):04X}"
    return Finding(message, file, line, column, "delete it; it is invisible in most editors")


def place_in(data: bytes, index: int) -> tuple[int, int]:
    """Line and column (in characters as far as they decode) of a byte."""
    start = data.rfind(b"\n", 0, index) + 1
    return data.count(b"\n", 0, index) + 1, len(data[start:index].decode("utf-8", "replace")) + 1


def beside(folder: Path, stated: str) -> Path:
    """A path as written in a file of ``folder``; ``~`` is the home directory."""
    try:
        return folder / Path(stated).expanduser()
    except (RuntimeError, ValueError):  # ~nobody has no home
        return folder / stated


def is_file(path: Path) -> bool:
    """Whether a regular file is there. Unlike ``Path.is_file`` no for names that are too long and closed folders."""
    try:
        return is_carried(path) or (not is_closed(path) and path.is_file())
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder is there; no where nobody can tell."""
    try:
        return is_carried_folder(path) or (not is_closed(path) and path.is_dir())
    except (OSError, ValueError):
        return False


def is_there(path: Path) -> bool:
    """Whether anything is there; no where nobody can tell."""
    try:
        return is_carried(path) or is_carried_folder(path) or (not is_closed(path) and path.exists())
    except (OSError, ValueError):
        return False


def resolved(path: Path) -> Path:
    """The path without symbolic links; itself where these lead nowhere."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # RuntimeError: links in a circle
        return path


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


def whole_id(word: str, known: Iterable[str]) -> str | None:
    """The one known id that a name means: the same letters in any size, with or without the publisher before ``/``."""
    wanted = word.lower()
    found = {name for name in known if wanted in (name.lower(), name.lower().rpartition("/")[2])}
    return word if word in found else found.pop() if len(found) == 1 else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint naming the closest known ids, or None where nothing is close."""
    found = suggest(word, known)
    return f"did you mean {' or '.join(found)}?" if found else None
