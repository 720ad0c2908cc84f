"""Files as they were read once, for another process that has not got them: by the path they were read under.

A problem names files beside it (a trace, a calibration, a config.json). A worker on another machine has none of them;
what was read here is carried there and read in their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from errno import EACCES
from os.path import abspath
from pathlib import Path

from optimizer.errors import Finding
from optimizer.files.guard import note_read

Files = Mapping[str, bytes]
"""Contents by path, as the path was written where the file was read."""

_CARRIED: ContextVar[Files | None] = ContextVar("files carried along", default=None)
_FOLDER: ContextVar[Path | None] = ContextVar("the one folder that is read from disk", default=None)
_INSTEAD = "ask on the command line, `optimize FILE`, where you may name your own files"
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
def files_closed(files: Files, folder: Path) -> Iterator[None]:
    """Read these files from memory, and from disk nothing but what lies below a folder: whatever a problem names.

    For problems of strangers, as a context manager. What is refused reads as a file that is not there, with the reason.

    Parameters
    ----------
    files : mapping of str to bytes
        Contents by path, as the path is written where the file is read.
    folder : Path
        The one that is read from disk, such as the catalogs'.

    Returns
    -------
    iterator of None
        One value, while the files are closed.
    """
    token = _FOLDER.set(folder.resolve())
    try:
        with carried(files):
            yield
    finally:
        _FOLDER.reset(token)


def is_closed(path: Path) -> bool:
    """Whether a file must not be looked at, not even for whether it is there."""
    folder = _FOLDER.get()
    if folder is None or is_carried(path):
        return False
    try:  # by its name first, which ``resolve`` cannot do: what lies elsewhere is not even asked about
        named = Path(abspath(path))  # noqa: PTH100
        return not named.is_relative_to(folder) or not named.resolve().is_relative_to(folder)
    except (OSError, RuntimeError, ValueError):
        return True


def refusal(path: Path) -> Finding:
    """What is said of a file that must not be looked at."""
    return Finding("is not opened: no file that a problem names is read here", str(path), hint=_INSTEAD)


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
    files, record = _CARRIED.get(), _RECORD.get()
    if files is not None and str(path) in files:
        data = files[str(path)]
    else:
        if is_closed(path):
            raise PermissionError(EACCES, refusal(path).message)
        note_read(path)
        with path.open("rb") as stream:
            data = stream.read() if limit is None else stream.read(limit + 1)
    if record is not None:
        record[str(path)] = data
    return data
