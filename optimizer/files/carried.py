"""Files as they were read once, for another process that has not got them: by the path they were read under.

A problem names files beside it (a trace, a calibration, a config.json). A worker on another machine has none of them;
what was read here is carried there and read in their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from optimizer.files.guard import note_read

Files = Mapping[str, bytes]
"""Contents by path, as the path was written where the file was read."""

_CARRIED: ContextVar[Files | None] = ContextVar("files carried along", default=None)
_RECORD: ContextVar[dict[str, bytes] | None] = ContextVar("files being recorded", default=None)


@contextmanager
def carried(files: Files) -> Iterator[None]:
    """Read these files from memory, all others from disk."""
    token = _CARRIED.set(files)
    try:
        yield
    finally:
        _CARRIED.reset(token)


@contextmanager
def recorded() -> Iterator[dict[str, bytes]]:
    """Keep what is read, by path."""
    files: dict[str, bytes] = {}
    token = _RECORD.set(files)
    try:
        yield files
    finally:
        _RECORD.reset(token)


def is_carried(path: Path) -> bool:
    """Whether a file is read from memory."""
    files = _CARRIED.get()
    return files is not None and str(path) in files


def is_carried_folder(path: Path) -> bool:
    """Whether a file of that folder is read from memory."""
    files = _CARRIED.get()
    return files is not None and any(Path(name).parent == path for name in files)


def contents(path: Path, limit: int | None = None) -> bytes:
    """The bytes of a file, of one on disk at most ``limit`` + 1. Raises ``OSError`` as reading does."""
    files = _CARRIED.get()
    if files is not None and str(path) in files:
        return files[str(path)]
    note_read(path)
    with path.open("rb") as stream:
        data = stream.read() if limit is None else stream.read(limit + 1)
    record = _RECORD.get()
    if record is not None:
        record[str(path)] = data
    return data
