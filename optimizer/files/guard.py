"""What a run reads is never written over: the one rule that every command keeps.

Outputs are named before anything is read, so a file that is both is refused at the moment it would be read, before any
work is done; what was read by then is refused once more at the moment of writing. Files are compared by what they are
(device and inode), so that links, hard or symbolic, and other spellings of a path change nothing. Outside a run, as
where the package is used from Python, nothing is watched.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from optimizer.errors import Finding, UsageError

_Identity = tuple[int, int] | str
"""Device and inode of a file that is there; the whole path of one that is not."""

_HINT = "give the output another name; nothing was written"


@dataclass
class _Files:
    """The files of one run, by the names the user gave them."""

    read: dict[_Identity, str] = field(default_factory=dict)
    written: dict[_Identity, str] = field(default_factory=dict)


_FILES: ContextVar[_Files | None] = ContextVar("files of the run", default=None)


@contextmanager
def watched() -> Iterator[None]:
    """Watch the files of one run of a command."""
    token = _FILES.set(_Files())
    try:
        yield
    finally:
        _FILES.reset(token)


def will_write(path: Path) -> None:
    """Note a file that the run is going to write. Raises ``UsageError`` where the run reads it or writes it twice."""
    files, identity = _FILES.get(), _identity(path)
    if files is None or identity is None:
        return
    if identity in files.written:
        raise UsageError(
            [Finding(f"is named for two outputs, also as {files.written[identity]}", str(path), hint=_HINT)]
        )
    refuse_to_write_over_what_was_read(path)
    files.written[identity] = str(path)


def note_read(path: Path) -> None:
    """Note a file that the run reads. Raises ``UsageError`` where it is one of the outputs."""
    files, identity = _FILES.get(), _identity(path)
    if files is None or identity is None:
        return
    if identity in files.written:
        raise _refusal(files.written[identity], str(path))
    files.read.setdefault(identity, str(path))


def refuse_to_write_over_what_was_read(path: Path) -> None:
    """Raises ``UsageError`` where the run has read the file at ``path``."""
    files, identity = _FILES.get(), _identity(path)
    if files is not None and identity is not None and identity in files.read:
        raise _refusal(str(path), files.read[identity])


def _refusal(output: str, source: str) -> UsageError:
    other = "" if source == output else f", as {source}"
    return UsageError([Finding(f"cannot be the output: this run reads it{other}", output, hint=_HINT)])


def _identity(path: Path) -> _Identity | None:
    """None for what writing does not replace: a pipe, a device, a folder, a name that no file can have."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return str(path.resolve())
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None
